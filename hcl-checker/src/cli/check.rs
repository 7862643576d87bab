//! `hcl-checker check`.

use super::{json, print, read_drivers, root, style};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::List;
use hcl_checker::{Facts, text, verdict};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Facts of the biggest servers have a few megabytes.
const FACTS_LIMIT: u64 = 256 << 20;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Read from a captured tree instead of the running system.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        conflicts_with = "facts"
    )]
    root: PathBuf,
    /// Judge facts that `facts --json` wrote; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Modules folder of the kernel that is going to run there (`/lib/modules/<release>`). By default that of the
    /// kernel that runs now, where the machine itself is judged.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Judge for an install to this disk, by kernel name (`vda`); may be given several times.
    #[arg(long, value_name = "NAME")]
    disk: Vec<String>,
    /// Write JSON.
    #[arg(long)]
    json: bool,
    /// Show what is as it should be, too.
    #[arg(long)]
    all: bool,
}

pub fn run(args: &CheckArgs) -> Result<u8> {
    let facts = match &args.facts {
        Some(file) => read_facts(file)?,
        None => Facts::read(&root(&args.root)?),
    };
    let list = List::built_in()?;
    let drivers = drivers(args, &facts)?;
    let disks: Vec<&str> = args
        .disk
        .iter()
        .map(|name| name.trim_start_matches("/dev/"))
        .collect();
    let verdict = verdict::judge_for_disks(&facts, &list, drivers.as_ref(), &disks);
    let text = if args.json {
        json(&verdict)?
    } else {
        text::verdict(&facts, &verdict, style(), args.all)
    };
    print(&text)?;
    Ok(verdict.exit_code())
}

fn read_facts(file: &Path) -> Result<Facts> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin()
            .take(FACTS_LIMIT + 1)
            .read_to_end(&mut bytes)
            .context("standard input")?;
    } else {
        let open = std::fs::File::open(file).with_context(|| file.display().to_string())?;
        open.take(FACTS_LIMIT + 1)
            .read_to_end(&mut bytes)
            .with_context(|| file.display().to_string())?;
    }
    if bytes.len() as u64 > FACTS_LIMIT {
        return Err(anyhow!(
            "{}: longer than {FACTS_LIMIT} bytes, so these are no facts",
            file.display()
        ));
    }
    Facts::from_json(&bytes).with_context(|| file.display().to_string())
}

/// The kernel to judge by: the one that was given, else the running one where the machine itself is judged.
fn drivers(args: &CheckArgs, facts: &Facts) -> Result<Option<DriverIndex>> {
    if let Some(folder) = &args.modules {
        return read_drivers(folder).map(Some);
    }
    let itself = args.facts.is_none() && root(&args.root)?.is_system();
    let Some(release) = facts.kernel_release.value().filter(|_| itself) else {
        return Ok(None);
    };
    let folder = Path::new("/lib/modules").join(release);
    if !folder.join("modules.alias").exists() {
        return Ok(None);
    }
    read_drivers(&folder).map(Some)
}
