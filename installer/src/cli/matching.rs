//! `installer match`

use super::MatchArgs;
use super::input::read_answers;
use super::plan::{Subject, zones};
use super::print::{complain, say};
use crate::answers::{self, MachineIdentity};
use crate::exit::Exit;
use crate::plan::{DiskVerdict, Matches};
use crate::session::medium_device;
use anyhow::Result;
use std::fmt::Write;
use steps::system::RealSystem;

/// Tells why each disk and each interface fits or not. Needs no release.
pub fn run(args: &MatchArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = read_answers(&args.file)?;
    let system = RealSystem::silent();
    let Subject { facts, boot, .. } = Subject::load(&system, args.facts.as_deref(), false)?;
    let machine = MachineIdentity::of(&facts);
    let choices = match answers::read_bytes(&bytes, &name, &zones(), Some(&machine)) {
        Ok(choices) => choices,
        Err(problems) => {
            complain(&problems);
            return Ok(Exit::Usage);
        }
    };
    let matches = Matches::of(&choices, &facts, medium_device(boot.as_ref()));
    let mut text = String::new();
    for group in &matches.groups {
        writeln!(text, "{}", group.wanted)?;
        for verdict in &group.candidates {
            show(&mut text, verdict)?;
        }
        if group.candidates.is_empty() {
            writeln!(text, "  none is known on this machine")?;
        }
        for problem in &group.problems {
            writeln!(text, "  => {}", problem.message)?;
        }
    }
    say(&text)?;
    Ok(if matches.all_found() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn show(text: &mut String, verdict: &DiskVerdict) -> std::fmt::Result {
    let mark = if verdict.reasons.is_empty() {
        "yes"
    } else {
        "no "
    };
    writeln!(text, "  {mark} {}  {}", verdict.name, verdict.description)?;
    for reason in &verdict.reasons {
        writeln!(text, "        - {reason}")?;
    }
    Ok(())
}
