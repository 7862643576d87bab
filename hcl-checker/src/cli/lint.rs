//! `hcl-checker lint`.

use super::{print, read_drivers};
use anyhow::Result;
use clap::Args;
use hcl_checker::date::Date;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::{self, List};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct LintArgs {
    /// Compare the drivers that the list names with this modules folder, in place of the release's own.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

pub fn run(args: &LintArgs) -> Result<u8> {
    let list = List::built_in()?;
    let mut problems: Vec<String> = list::lint(&list, Date::today())
        .iter()
        .map(ToString::to_string)
        .collect();
    let drivers = match &args.modules {
        Some(folder) => read_drivers(folder)?,
        None => DriverIndex::of_release()?,
    };
    problems.extend(
        list::lint_drivers(&list, &drivers)
            .iter()
            .map(ToString::to_string),
    );
    let (entries, requirements) = (list.entries().len(), list.requirements().len());
    for problem in &problems {
        eprintln!("{problem}");
    }
    print(&format!(
        "{entries} entries, {requirements} requirements, {} problems\n",
        problems.len()
    ))?;
    Ok(u8::from(!problems.is_empty()))
}
