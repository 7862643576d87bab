//! `installer match`

use super::ValidateArgs;
use super::plan::zones;
use super::print::{complain, say};
use crate::answers::{self, MachineIdentity};
use crate::exit::Exit;
use crate::plan::{DiskVerdict, Matches};
use anyhow::{Context, Result};
use hcl_checker::facts::Facts;
use hcl_checker::root::Root;
use std::fmt::Write;
use std::fs;

/// Tells why each disk and each interface fits or not. Needs no release.
pub fn run(args: &ValidateArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = fs::read(&args.file).with_context(|| format!("cannot read {name}"))?;
    let facts = match &args.facts {
        Some(path) => Facts::from_json(
            &fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        )?,
        None => Facts::read(&Root::system()),
    };
    let machine = MachineIdentity::of(&facts);
    let choices = match answers::read_bytes(&bytes, &name, &zones(), Some(&machine)) {
        Ok(choices) => choices,
        Err(problems) => {
            complain(&problems);
            return Ok(Exit::Usage);
        }
    };
    let matches = Matches::of(&choices, &facts, None);
    let mut text = String::new();
    for group in &matches.groups {
        writeln!(text, "{}", group.wanted)?;
        for verdict in &group.candidates {
            show(&mut text, verdict)?;
        }
        if group.candidates.is_empty() {
            writeln!(text, "  none is known on this machine")?;
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
