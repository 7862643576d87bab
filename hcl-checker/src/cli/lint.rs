//! `hcl-checker lint`.

use super::{check, print, read_drivers};
use anyhow::{Context, Result};
use clap::Args;
use hcl_checker::date::Date;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::{self, List};
use std::path::PathBuf;

/// Longest file of a list, in bytes.
const LIMIT: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct LintArgs {
    /// Look at the list with the entries of these files, as `report submit-entry` prints them and `hcl-checker/db` has them.
    #[arg(value_name = "FILE.toml")]
    files: Vec<PathBuf>,
    /// Look at this list, which `hcl-checker bundle` wrote, in place of the one inside of this program.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Compare the drivers that the list names with this modules folder, in place of the release's own.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

pub fn run(args: &LintArgs) -> Result<u8> {
    let (mut list, _) = check::list(args.list.as_deref())?;
    for file in &args.files {
        let text = check::read_limited(file, LIMIT, "this is no file of the list")?;
        let name = file.display().to_string();
        let text = String::from_utf8(text).with_context(|| name.clone())?;
        list.extend(List::parse(&name, &text)?);
    }
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
