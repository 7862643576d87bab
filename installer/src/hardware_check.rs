//! "Check this hardware" of the boot menu: the verdict on every console, and the report on a stick or, where there is none, as
//! a code to be photographed. Nothing of the machine is written to.

mod code;
mod volume;

use crate::answer_source::{FindError, labelled_volumes};
use crate::consoles::Consoles;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::Facts;
use hcl_checker::list::List;
use hcl_checker::text::{self, Style};
use hcl_checker::verdict::{Judged, JudgedBy, Verdict, judge};
use slots::names::ANSWER_LABEL;
use std::io::{self, Write};
use std::time::Duration;
use steps::step::error_chain;
use steps::system::System;
use steps::{Command, StepError};

/// How long slow serial lines may take over the report.
const DRAIN: Duration = Duration::from_secs(30);
/// The console of the screen.
const SCREEN: &str = "/dev/tty1";
/// Of Debian's console fonts with Latin letters (package console-setup-linux) this one has the halves of a block, which the code
/// is drawn with; those that are loaded by default have the whole block only.
const BLOCKS: &str = "/usr/share/consolefonts/Vietnamese-Terminus16.psf.gz";

/// A machine that was looked at.
#[derive(Debug)]
pub struct Checked {
    facts: Facts,
    verdict: Verdict,
    by: JudgedBy,
}

impl Checked {
    /// Judges it by the list of this program and the drivers of this release.
    ///
    /// # Errors
    /// List or driver index are malformed.
    pub fn of(facts: Facts) -> Result<Self, StepError> {
        let (list, drivers) = (List::built_in()?, DriverIndex::of_release()?);
        let verdict = judge(&facts, &list, Some(&drivers));
        let by = JudgedBy::of(&list, true);
        Ok(Checked { facts, verdict, by })
    }

    /// The verdict as `hcl-checker check` prints it; `all` also tells what is as it should be.
    fn text(&self, all: bool) -> String {
        text::verdict(&self.facts, &self.verdict, None, Style::PLAIN, all)
    }

    /// What goes onto the stick, by name: the inputs of every other tool, and something to read.
    fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, StepError> {
        let json = |value: serde_json::Result<String>| value.map(|text| text + "\n");
        let judged = Judged {
            by: &self.by,
            verdict: &self.verdict,
        };
        let report = self.text(true) + "\n" + &text::facts(&self.facts, Style::PLAIN);
        Ok(vec![
            ("report.txt", report.into_bytes()),
            (
                "facts.json",
                json(serde_json::to_string_pretty(&self.facts))?.into_bytes(),
            ),
            (
                "verdict.json",
                json(serde_json::to_string_pretty(&judged))?.into_bytes(),
            ),
        ])
    }
}

/// Gives the screen a font that has the upper and lower half of a block. Without one the code is still right on serial lines.
fn load_blocks(system: &dyn System) {
    let load = Command::new("setfont").args(["-C", SCREEN, BLOCKS]);
    // A machine without a screen has no such console; what happened is in the log.
    let _ = system.run(&load);
}

/// Shows the verdict, and leaves the report on the volume labelled BEDPLATE or shows the code. A stick that cannot be
/// written to is told, and is no error.
///
/// # Errors
/// The report cannot be put together, or no console takes it.
pub fn show(
    checked: &Checked,
    system: &dyn System,
    consoles: &mut Consoles,
) -> Result<(), StepError> {
    let mut say = |text: &str| -> io::Result<()> {
        writeln!(consoles, "{text}")?;
        // A report is longer than what waits for a slow console without loss.
        consoles.drain(DRAIN);
        Ok(())
    };
    say("\nBedplate hardware check: nothing is installed or changed.\n")?;
    say(&checked.text(false))?;
    let reason = match labelled_volumes(system) {
        Ok(volumes) if volumes.is_empty() => {
            format!("There is no file system labelled {ANSWER_LABEL} to write the report to.")
        }
        Ok(volumes) if volumes.len() > 1 => {
            format!("{}.", FindError::SeveralVolumes(volumes))
        }
        Ok(volumes) => match volume::write(checked, system, volumes[0].as_ref()) {
            Ok(folder) => {
                return Ok(say(&format!(
                    "The report is in {folder} on {}, labelled {ANSWER_LABEL}: report.txt to read, facts.json for \
                     `hcl-checker check --facts`, verdict.json.",
                    volumes[0]
                ))?);
            }
            Err(error) => format!(
                "The report could not be written to {}: {}.",
                volumes[0],
                error_chain(error.as_ref()).join(": ")
            ),
        },
        Err(error) => format!("{}.", error_chain(&error).join(": ")),
    };
    say(&format!(
        "{reason}\nTo keep all of it: label a stick {ANSWER_LABEL} (`fatlabel /dev/sdX1 {ANSWER_LABEL}`), plug it in, and check \
         again. This is the summary as a code:\n"
    ))?;
    load_blocks(system);
    say(&code::draw(&code::summary(
        &checked.facts,
        &checked.verdict,
    ))?)?;
    Ok(())
}
