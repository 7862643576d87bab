//! What `[[hook]]` must hold beyond its shape.

use super::super::document::Document;
use super::super::schema::{Hook, HookStage};
use super::value;
use crate::choices::{HookChoice, HookProgram};
use crate::values::{Script, ValueError, check_beside, check_hook_name, check_sha256};
use steps::hook::Stage;

/// Seconds that a hook may take when nothing is said.
const TIME_LIMIT: u64 = 600;
/// The longest: somebody waits for the host, and a hook that hangs must end some day.
const LONGEST: u64 = 4 * 60 * 60;
/// More are a slip.
const MOST: usize = 50;

/// The choices, or `None` with at least one problem added to `document`.
pub fn hooks(hooks: Option<Vec<Hook>>, document: &mut Document<'_>) -> Option<Vec<HookChoice>> {
    let hooks = hooks.unwrap_or_default();
    if hooks.len() > MOST {
        document.problem_at(
            &format!("hook.{MOST}"),
            format!("there are more than {MOST} hooks"),
            "merge some of them",
        );
        return None;
    }
    let mut good = Vec::new();
    let mut fine = true;
    for (index, hook) in hooks.into_iter().enumerate() {
        let path = format!("hook.{index}");
        match hook_choice(hook, &path, document) {
            Some(choice)
                if good
                    .iter()
                    .any(|other: &HookChoice| other.name == choice.name) =>
            {
                document.problem_at(
                    &format!("{path}.name"),
                    format!("`{path}.name` is the name of another hook"),
                    "give each hook a name of its own",
                );
                fine = false;
            }
            Some(choice) => good.push(choice),
            None => fine = false,
        }
    }
    fine.then_some(good)
}

fn hook_choice(hook: Hook, path: &str, document: &mut Document<'_>) -> Option<HookChoice> {
    let name = match hook.name {
        Some(name) => value(
            document,
            &format!("{path}.name"),
            check_hook_name(&name).map(|()| name),
        ),
        None => {
            document.missing(
                &format!("{path}.name"),
                "a [[hook]] has no name",
                "add `name = \"...\"`: log and report call it by that",
            );
            None
        }
    };
    let when = match hook.when {
        Some(HookStage::BeforeInstall) => Some(Stage::BeforeInstall),
        Some(HookStage::BeforeFirstBoot) => Some(Stage::BeforeFirstBoot),
        Some(HookStage::FirstBoot) => Some(Stage::FirstBoot),
        None => {
            document.missing(
                &format!("{path}.when"),
                "a [[hook]] does not say when it runs",
                "add `when = \"before-install\"`, \"before-first-boot\" or \"first-boot\"",
            );
            None
        }
    };
    let program = program(hook.script, hook.file, hook.sha256, path, document);
    let time_limit_s = hook.time_limit.unwrap_or(TIME_LIMIT);
    let in_time = (1..=LONGEST).contains(&time_limit_s);
    if !in_time {
        document.problem_at(
            &format!("{path}.time_limit"),
            format!("`{path}.time_limit` is not from 1 to {LONGEST}"),
            "write seconds, such as 600, or leave the key out",
        );
    }
    in_time.then_some(())?;
    Some(HookChoice {
        name: name?,
        when: when?,
        program: program?,
        time_limit_s,
        may_fail: hook.may_fail.unwrap_or(false),
    })
}

fn program(
    script: Option<String>,
    file: Option<String>,
    sha256: Option<String>,
    path: &str,
    document: &mut Document<'_>,
) -> Option<HookProgram> {
    let hash = sha256.map(|text| {
        let hash = text.to_ascii_lowercase();
        let checked: Result<String, ValueError> = check_sha256(&hash).map(|()| hash);
        value(document, &format!("{path}.sha256"), checked)
    });
    match (script, file) {
        (Some(_), Some(_)) => {
            document.problem_at(
                &format!("{path}.file"),
                "a [[hook]] has both `script` and `file`",
                "keep one of them",
            );
            None
        }
        (None, None) => {
            if !document.is_settled(&format!("{path}.file")) {
                document.missing(
                    &format!("{path}.script"),
                    "a [[hook]] does not say what runs",
                    "add `script = \"\"\"...\"\"\"`, or `file = \"...\"` for a file beside the answers",
                );
            }
            None
        }
        (Some(_), None) if hash.is_some() => {
            document.problem_at(
                &format!("{path}.sha256"),
                format!("`{path}.sha256` is of no use with `script`"),
                "leave it out: it is the hash of a `file`",
            );
            None
        }
        (Some(text), None) => value(
            document,
            &format!("{path}.script"),
            Script::parse(text.as_bytes()),
        )
        .map(HookProgram::Inline),
        (None, Some(file)) => {
            let file = value(
                document,
                &format!("{path}.file"),
                check_beside(&file).map(|()| file),
            );
            let sha256 = match hash {
                Some(hash) => Some(hash?),
                None => None,
            };
            Some(HookProgram::File {
                file: file?,
                sha256,
                content: None,
            })
        }
    }
}
