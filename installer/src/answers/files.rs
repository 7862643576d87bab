//! The programs of hooks that are in files beside the answers.

use super::document::Document;
use super::schema::Hook;
use crate::choices::{Choices, HookProgram};
use crate::values::{Script, ValueError, check_beside, check_sha256};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use steps::StepError;
use steps::step::error_chain;

/// Where the files are.
pub struct Beside<'a> {
    /// True where the answers are signed: each file must be named with its hash then, as whoever keeps it is not trusted.
    pub signed: bool,
    /// Reads a file by its path from the folder of the answers.
    pub read: &'a mut dyn FnMut(&str) -> Result<Vec<u8>, StepError>,
}

/// The same for a file of answers that has many hosts: each file is read once, whichever of them name it.
pub(super) struct Files<'a, 'b> {
    beside: &'a mut Beside<'b>,
    known: BTreeMap<String, Result<Program, ValueError>>,
}

/// What is in a file.
struct Program {
    script: Script,
    sha256: String,
}

impl<'a, 'b> Files<'a, 'b> {
    pub fn new(beside: &'a mut Beside<'b>) -> Self {
        Files {
            beside,
            known: BTreeMap::new(),
        }
    }

    fn program(&mut self, file: &str) -> Result<&Program, ValueError> {
        let known = match self.known.entry(file.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(program(file, self.beside)),
        };
        known.as_ref().map_err(Clone::clone)
    }
}

/// Reads the file of every hook that names one, into `choices` where there are any. What cannot be used is a problem in `document`;
/// a hook whose key `file` is wrong in itself is passed over.
pub(super) fn load(
    hooks: &[Hook],
    mut choices: Option<&mut Choices>,
    document: &mut Document<'_>,
    files: &mut Files<'_, '_>,
) {
    for (index, hook) in hooks.iter().enumerate() {
        let path = format!("hook.{index}.file");
        let Some(file) = hook
            .file
            .as_deref()
            .filter(|file| check_beside(file).is_ok())
        else {
            continue;
        };
        if hook.script.is_some() || document.is_settled(&path) {
            continue;
        }
        match script(file, hook.sha256.as_deref(), files) {
            // Where something else is wrong there are no choices.
            Ok(script) => {
                let hook = choices.as_mut().and_then(|all| all.hooks.get_mut(index));
                if let Some(HookProgram::File { content, .. }) = hook.map(|hook| &mut hook.program)
                {
                    *content = Some(script.clone());
                }
            }
            Err(error) => document.problem_at(&path, error.message, error.advice),
        }
    }
}

fn error(message: String, advice: &str) -> ValueError {
    ValueError {
        message,
        advice: advice.to_owned(),
    }
}

/// The program in `file`. A `sha256` of a wrong form is told of elsewhere.
fn script<'f>(
    file: &str,
    sha256: Option<&str>,
    files: &'f mut Files<'_, '_>,
) -> Result<&'f Script, ValueError> {
    if files.beside.signed && sha256.is_none() {
        return Err(error(
            format!("the answers are signed, and `{file}` is not"),
            "add its `sha256` to the hook and sign the answers again, or write the script into the answers",
        ));
    }
    let program = files.program(file)?;
    let found = &program.sha256;
    let wanted = sha256.map(str::to_ascii_lowercase);
    match wanted.filter(|wanted| check_sha256(wanted).is_ok() && wanted != found) {
        None => Ok(&program.script),
        Some(_) => Err(error(
            format!("`{file}` has the SHA-256 {found}, and the hook wants another one"),
            "put the right file there, or correct `sha256`",
        )),
    }
}

fn program(file: &str, beside: &mut Beside<'_>) -> Result<Program, ValueError> {
    let bytes = (beside.read)(file).map_err(|source| {
        error(
            format!(
                "cannot read `{file}`: {}",
                error_chain(source.as_ref()).join(": ")
            ),
            "put the file beside the answers, or write the script into them",
        )
    })?;
    let script = Script::parse(&bytes)
        .map_err(|wrong| error(format!("`{file}` {}", wrong.message), &wrong.advice))?;
    let sha256 = script.sha256();
    Ok(Program { script, sha256 })
}
