//! `hcl-checker lint`.

use super::{print, read_drivers};
use anyhow::Result;
use clap::Args;
use hcl_checker::date::Date;
use hcl_checker::list::{self, List, Match};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct LintArgs {
    /// Also compare the drivers that the list names with this modules folder.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

pub fn run(args: &LintArgs) -> Result<u8> {
    let list = List::built_in()?;
    let mut problems: Vec<String> = list::lint(&list, Date::today())
        .iter()
        .map(ToString::to_string)
        .collect();
    if let Some(folder) = &args.modules {
        let drivers = read_drivers(folder)?;
        for entry in list
            .entries
            .iter()
            .filter(|entry| matches!(entry.matches, Match::Pci(_)))
        {
            let missing = entry
                .require
                .driver
                .as_ref()
                .filter(|driver| !drivers.has(driver));
            problems.extend(missing.map(|driver| {
                format!(
                    "{}: kernel {} has no driver {driver}; take the entry out or ship the driver",
                    entry.id, drivers.release
                )
            }));
        }
    }
    let (entries, requirements) = (list.entries.len(), list.requirements.len());
    for problem in &problems {
        eprintln!("{problem}");
    }
    print(&format!(
        "{entries} entries, {requirements} requirements, {} problems\n",
        problems.len()
    ))?;
    Ok(u8::from(!problems.is_empty()))
}
