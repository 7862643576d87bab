//! The answer file: TOML in, [`Choices`] or a complete list of problems out.

mod check;
mod document;
pub mod export;
mod host;
mod problem;
mod reference;
pub mod schema;

pub use host::MachineIdentity;
pub use problem::{Place, Problem, Problems};
pub use reference::reference_page;

use crate::choices::Choices;
use crate::values::Zones;
use document::Document;
use host::Sections;
use schema::AnswerFile;

/// Largest answer file in bytes. Far above any sensible one; guards the memory of the live system.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Reads an answer file. `file` is its name in messages; `zones` are the time zones known here. Where the file is for many
/// machines, the section that fits `machine` counts; without a machine all sections are checked, and the first one's choices
/// returned.
///
/// Reports all problems at once. The messages hold no value of the file, so they may be logged.
pub fn read(
    text: &str,
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
) -> Result<Choices, Problems> {
    // Without problems there is one.
    read_text(text, file, zones, machine).map(|mut all| all.swap_remove(0))
}

/// The choices of every section, or of the file where it has none; at least one. Otherwise as [`read_bytes`].
pub fn read_all(bytes: &[u8], file: &str, zones: &Zones) -> Result<Vec<Choices>, Problems> {
    read_text(text_of(bytes, file)?, file, zones, None)
}

fn read_text(
    text: &str,
    file: &str,
    zones: &Zones,
    machine: Option<&MachineIdentity>,
) -> Result<Vec<Choices>, Problems> {
    let mut document = Document::parse(text);
    let mut choices = Vec::new();
    if !document.is_broken() {
        document.check_shape(&schema::json_schema());
        let answers: AnswerFile = document.read();
        let hosts = answers.host.as_deref().unwrap_or_default();
        let sections = match host::choose(hosts, machine, &mut document) {
            Sections::None => {
                choices.extend(check::check(answers, &mut document, zones));
                0..0
            }
            Sections::One(index) => index..index + 1,
            Sections::All(count) => 0..count,
            Sections::Wrong => 0..0,
        };
        for index in sections {
            let mut merged = document.for_host(index);
            let answers = merged.read();
            choices.extend(check::check(answers, &mut merged, zones));
            document.adopt(merged);
        }
    }
    let list = document.into_problems();
    match choices.is_empty() || !list.is_empty() {
        false => Ok(choices),
        true => Err(Problems {
            file: file.to_owned(),
            list,
        }),
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
                place: Place::of(&valid, valid.len()),
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
