//! The answer file: TOML in, [`Choices`] or a complete list of problems out.

mod check;
mod document;
pub mod export;
mod files;
mod host;
mod problem;
mod reference;
pub mod schema;
mod shape;

pub use files::Beside;
pub use host::MachineIdentity;
pub use problem::{Place, Problem, Problems};
pub use reference::reference_page;

use crate::choices::{After, Choices, WebhookChoice};
use crate::values::Zones;
use document::Document;
use files::Files;
use host::Sections;
use problem::Text;
use schema::AnswerFile;

/// Largest answer file in bytes. Far above any sensible one; guards the memory of the live system.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// Bytes of all hosts together, each with what stands above for all, that are checked where no machine is known: some seconds. Ten
/// thousand hosts below a usual top have a tenth of it, and with half a megabyte above them would take half an hour.
const MOST_OF_ALL: usize = 256 << 20;

/// Reads an answer file. `file` is its name in messages; `zones` are the time zones known here. Where the file is for many
/// machines, the section that fits `machine` counts; without a machine all sections are checked, and the first one's choices
/// returned.
///
/// Reports all problems at once. The messages hold no value of the file that may be a secret, so they may be logged.
pub fn read(
    text: &str,
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
) -> Result<Choices, Problems> {
    read_text(text, file, zones, machine, None)
}

/// Reads the files of hooks along, and tells what is wrong with them together with everything else: of all sections where no machine is
/// known. Otherwise as [`read_bytes`].
pub fn read_with_files(
    bytes: &[u8],
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
    beside: &mut Beside<'_>,
) -> Result<Choices, Problems> {
    read_text(text_of(bytes, file)?, file, zones, machine, Some(beside))
}

/// Reads the files of the hooks of `choices`, which [`read_bytes`] read from these bytes for this machine: it takes a network
/// that the choices say.
///
/// # Errors
/// With everything that is wrong with the files.
pub fn load_hooks(
    choices: &mut Choices,
    bytes: &[u8],
    file: &str,
    machine: Option<&MachineIdentity>,
    beside: &mut Beside<'_>,
) -> Result<(), Problems> {
    let mut document = Document::parse(text_of(bytes, file)?);
    document.check_shape(&schema::json_schema());
    let mut answers: AnswerFile = document.read();
    let hosts = answers.host.as_deref().unwrap_or_default();
    if let Sections::One(index) = host::choose(hosts, machine, &mut document) {
        document = document.for_host(index);
        answers = document.read();
    }
    let hooks = answers.hook.unwrap_or_default();
    let mut files = Files::new(beside);
    files::load(&hooks, Some(choices), &mut document, &mut files);
    let list = document.into_problems();
    match list.is_empty() {
        true => Ok(()),
        false => Err(Problems {
            file: file.to_owned(),
            list,
        }),
    }
}

fn read_text(
    text: &str,
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
    beside: Option<&mut Beside<'_>>,
) -> Result<Choices, Problems> {
    let mut document = Document::parse(text);
    let mut files = beside.map(Files::new);
    // Of the first host: those of thousands would take the memory of thousands of files.
    let mut choices = None;
    if !document.is_broken() {
        document.check_shape(&schema::json_schema());
        let answers: AnswerFile = document.read();
        let hosts = answers.host.as_deref().unwrap_or_default();
        let count = hosts.len();
        let mut check = |answers: AnswerFile, document: &mut Document<'_>| {
            let hooks = match files {
                Some(_) => answers.hook.clone().unwrap_or_default(),
                None => Vec::new(),
            };
            let mut one = check::check(answers, document, zones);
            let first = choices.is_none();
            if let Some(files) = &mut files {
                let kept = one.as_mut().filter(|_| first);
                files::load(&hooks, kept, document, files);
            }
            if first {
                choices = one;
            }
        };
        let sections = match host::choose(hosts, machine, &mut document) {
            Sections::None => {
                check(answers, &mut document);
                0..0
            }
            Sections::One(index) => index..index + 1,
            Sections::All(count) => 0..count,
            Sections::Wrong => 0..0,
        };
        let mut weight = 0;
        for index in sections {
            let mut merged = document.for_host(index);
            weight += merged.weight();
            if weight > MOST_OF_ALL {
                document.problem_at(
                    &format!("host.{index}"),
                    format!(
                        "the {count} [[host]] sections, each with what stands above for all, are too much to check at once: the \
                         first {index} were"
                    ),
                    "make several files of it, or put what is long into files of hooks beside it",
                );
                break;
            }
            let answers = merged.read();
            check(answers, &mut merged);
            document.adopt(merged);
            if document.is_full() {
                break;
            }
        }
    }
    let list = document.into_problems();
    match (choices, list.is_empty()) {
        (Some(choices), true) => Ok(choices),
        _ => Err(Problems {
            file: file.to_owned(),
            list,
        }),
    }
}

/// What of an answer file fits its shape; none where it is no TOML.
fn shaped(bytes: &[u8]) -> Option<(Document<'_>, AnswerFile)> {
    let mut document = Document::parse(text_of(bytes, "").ok()?);
    if document.is_broken() {
        return None;
    }
    document.check_shape(&schema::json_schema());
    let answers = document.read();
    Some((document, answers))
}

/// The webhook of answers that cannot be used, as far as it is good in itself: of the section that fits `machine`, else of the top
/// of the file. Somebody waits to hear of the machine.
pub fn webhook_of(bytes: &[u8], machine: &MachineIdentity) -> Option<WebhookChoice> {
    let (mut document, mut answers) = shaped(bytes)?;
    let hosts = answers.host.as_deref().unwrap_or_default();
    if let Sections::One(index) = host::choose(hosts, Some(machine), &mut document) {
        document = document.for_host(index);
        answers = document.read();
    }
    check::webhook(answers.webhook, &mut document).flatten()
}

/// What follows where answers cannot be used, as far as they say it: in the section that fits `machine`, else at the top of the file.
/// None where that is not known: in what is no TOML, where this is wrong itself, and where no section fits, or several do, and one of
/// them has a word of its own.
pub fn on_failure_of(bytes: &[u8], machine: &MachineIdentity) -> Option<After> {
    const KEY: &str = "on_failure";
    let (mut document, answers) = shaped(bytes)?;
    let hosts = answers.host.as_deref().unwrap_or_default();
    if document.is_settled("host") {
        return None;
    }
    let is_wrong = |path: &str| document.is_settled(path);
    let top = answers.on_failure.filter(|_| !is_wrong(KEY));
    // The inner one is none where it is not known.
    let words: Vec<Option<Option<After>>> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let takes_away = host.without.iter().flatten().any(|path| path == KEY);
            match host.on_failure {
                _ if is_wrong(&format!("host.{index}.{KEY}")) => Some(None),
                Some(word) => Some(Some(word)),
                None => takes_away.then_some(None),
            }
        })
        .collect();
    match host::choose(hosts, Some(machine), &mut document) {
        Sections::One(index) => words[index].unwrap_or(top),
        _ if words.iter().any(Option::is_some) => None,
        _ => top,
    }
}

/// Reads an answer file from bytes that came from anywhere.
pub fn read_bytes(
    bytes: &[u8],
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
) -> Result<Choices, Problems> {
    read(text_of(bytes, file)?, file, zones, machine)
}

fn text_of<'b>(bytes: &'b [u8], file: &str) -> Result<&'b str, Problems> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let problem = Problem {
                place: Text::new(&valid).place(valid.len()),
                message: "this is not text (a byte that is not UTF-8)".into(),
                advice: "save the file as UTF-8; check that it is the answer file".into(),
            };
            Err(Problems {
                file: file.to_owned(),
                list: vec![problem],
            })
        }
    }
}
