//! `hcl-checker check`.

use super::{json, print, read_drivers, root, style};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use hcl_checker::date::Date;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::{DUMP_LIMIT, Dump, Dumps};
use hcl_checker::fleet::Fleet;
use hcl_checker::list::{List, lint};
use hcl_checker::verdict::{Judged, JudgedBy};
use hcl_checker::{Facts, text, verdict};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Facts of the biggest servers have a few megabytes.
const FACTS_LIMIT: u64 = hcl_checker::fleet::LONGEST;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Read from a captured tree instead of the running system.
    #[arg(long, value_name = "DIR", default_value = "/", group = "machine")]
    root: PathBuf,
    /// Judge facts that `facts --json` wrote; `-` is standard input.
    #[arg(long, value_name = "FILE", group = "machine")]
    facts: Option<PathBuf>,
    /// Judge many machines: facts on standard input, one JSON object a line; for each line one comes out, with a verdict or
    /// with an error.
    #[arg(long, group = "machine")]
    jsonl: bool,
    /// Judge by what `lspci -nnk`, `-vmmnnk`, `-vvnn` or `-nn` printed.
    #[arg(long, value_name = "FILE", conflicts_with = "machine")]
    lspci: Option<PathBuf>,
    /// Judge by what `dmidecode` printed.
    #[arg(long, value_name = "FILE", conflicts_with = "machine")]
    dmidecode: Option<PathBuf>,
    /// Judge by what `LC_ALL=C lscpu` printed.
    #[arg(long, value_name = "FILE", conflicts_with = "machine")]
    lscpu: Option<PathBuf>,
    /// Modules folder of another kernel to judge by (`/lib/modules/<release>`) than that of the release, which
    /// `--version` names.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Judge by this list, which `hcl-checker bundle` wrote, in place of the one inside of this program.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Judge for an install to this disk, by kernel name (`vda`); may be given several times.
    #[arg(long, value_name = "NAME", conflicts_with = "jsonl")]
    disk: Vec<String>,
    /// Write JSON.
    #[arg(long)]
    json: bool,
    /// Show what is as it should be, too.
    #[arg(long, conflicts_with = "jsonl")]
    all: bool,
}

pub fn run(args: &CheckArgs) -> Result<u8> {
    let (list, other_list) = list(args.list.as_deref())?;
    if let Some(name) = &other_list {
        warn_of_problems(name, &list);
    }
    let drivers = drivers(args)?;
    let by = || JudgedBy::of(&list, other_list.is_none());
    if args.jsonl {
        let fleet = Fleet {
            list: &list,
            drivers: Some(&drivers),
            by: &by(),
        };
        return Ok(fleet.judge(io::stdin().lock(), io::stdout().lock())?);
    }
    let dumps = [&args.lspci, &args.dmidecode, &args.lscpu];
    let facts = match &args.facts {
        Some(file) => read_facts(file)?,
        None if dumps.iter().any(|dump| dump.is_some()) => from_dumps(args)?,
        None => Facts::read_for_verdict(&root(&args.root)?, &|ids| list.asks_revision(ids)),
    };
    let disks: Vec<&str> = args
        .disk
        .iter()
        .map(|name| name.trim_start_matches("/dev/"))
        .collect();
    let verdict = verdict::judge_for_disks(&facts, &list, Some(&drivers), &disks);
    let text = if args.json {
        json(&Judged {
            by: &by(),
            verdict: &verdict,
        })?
    } else {
        text::verdict(&facts, &verdict, other_list.as_deref(), style(), args.all)
    };
    print(&text)?;
    Ok(verdict.exit_code())
}

/// The list to judge by, and its name where it says something else than that of the release.
pub(super) fn list(file: Option<&Path>) -> Result<(List, Option<String>)> {
    let built_in = List::built_in()?;
    let Some(file) = file else {
        return Ok((built_in, None));
    };
    let name = file.display().to_string();
    let bundle = read_limited(file, FACTS_LIMIT, "this is no list")?;
    let list = List::from_bundle(&bundle).with_context(|| name.clone())?;
    let other = (list != built_in).then_some(name);
    Ok((list, other))
}

/// A verdict is the same on any day, so what expired is not left out of it; but it is told.
fn warn_of_problems(name: &str, list: &List) {
    let problems = lint(list, Date::today());
    if let Some(first) = problems.first() {
        eprintln!(
            "{name} has {} problems, the first: {first}; `hcl-checker lint --list {name}` tells all",
            problems.len()
        );
    }
}

fn from_dumps(args: &CheckArgs) -> Result<Facts> {
    let read = |file: &Option<PathBuf>| {
        let Some(file) = file else { return Ok(None) };
        let text = read_limited(file, DUMP_LIMIT, "this is no dump of one machine")?;
        // Names of devices may be in any encoding.
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok::<_, anyhow::Error>(Some((file.display().to_string(), text)))
    };
    let (lspci, dmidecode, lscpu) = (
        read(&args.lspci)?,
        read(&args.dmidecode)?,
        read(&args.lscpu)?,
    );
    let dumps = Dumps {
        lspci: lspci.as_ref().map(dump),
        dmidecode: dmidecode.as_ref().map(dump),
        lscpu: lscpu.as_ref().map(dump),
    };
    Ok(dumps.facts()?)
}

fn dump((name, text): &(String, String)) -> Dump<'_> {
    Dump { name, text }
}

fn read_facts(file: &Path) -> Result<Facts> {
    let bytes = read_limited(file, FACTS_LIMIT, "these are no facts")?;
    Facts::from_json(&bytes).with_context(|| file.display().to_string())
}

/// A file, or standard input for `-`.
pub(super) fn read_limited(file: &Path, limit: u64, too_long: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().take(limit + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(limit + 1).read_to_end(&mut bytes))
    };
    read.with_context(|| file.display().to_string())?;
    if bytes.len() as u64 > limit {
        return Err(anyhow!(
            "{}: longer than {limit} bytes, so {too_long}",
            file.display()
        ));
    }
    Ok(bytes)
}

/// The kernel to judge by: the one that was given, else the one of the release.
fn drivers(args: &CheckArgs) -> Result<DriverIndex> {
    match &args.modules {
        Some(folder) => read_drivers(folder),
        None => Ok(DriverIndex::of_release()?),
    }
}
