//! `hcl-checker`: facts about a machine, and whether it can be a host.

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use hcl_checker::date::Date;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::list::{self, List, Match};
use hcl_checker::text::{self, Style};
use hcl_checker::{Facts, Root, verdict};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code of wrong use, and of what cannot be read.
const WRONG_USE: u8 = 2;
/// Facts of the biggest servers have a few megabytes.
const FACTS_LIMIT: u64 = 256 << 20;

/// Tells what a machine is made of and whether it can be a Xen host.
#[derive(Debug, Parser)]
#[command(name = "hcl-checker", version)]
#[command(
    after_help = "Exit codes of check: 0 certified or compatible, 1 with warnings, 2 wrong use, 3 unsupported, 4 unknown."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the facts about this machine, opening no device.
    Facts(FactsArgs),
    /// Judge this machine, or facts of another one.
    Check(CheckArgs),
    /// Look for mistakes in the compatibility list itself.
    Lint(LintArgs),
}

#[derive(Debug, Args)]
struct FactsArgs {
    /// Read from a captured tree (with its proc, sys and run) instead of the running system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
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

#[derive(Debug, Args)]
struct LintArgs {
    /// Also compare the drivers that the list names with this modules folder.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

fn main() -> ExitCode {
    // clap itself exits with 2 on wrong use.
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Facts(args) => facts(&args),
        Command::Check(args) => check(&args),
        Command::Lint(args) => lint(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(WRONG_USE),
        Err(error) => {
            eprintln!("hcl-checker: {error:#}");
            ExitCode::from(WRONG_USE)
        }
    }
}

fn facts(args: &FactsArgs) -> Result<u8> {
    let facts = Facts::read(&root(&args.root)?);
    let text = if args.json {
        json(&facts)?
    } else {
        text::facts(&facts, style())
    };
    print(&text)?;
    Ok(0)
}

fn check(args: &CheckArgs) -> Result<u8> {
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

fn lint(args: &LintArgs) -> Result<u8> {
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

fn root(folder: &Path) -> Result<Root> {
    Root::at(folder).with_context(|| {
        format!(
            "--root {}: give the folder that holds the captured proc and sys",
            folder.display()
        )
    })
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

fn read_drivers(folder: &Path) -> Result<DriverIndex> {
    DriverIndex::read(folder)
        .context("--modules: give a kernel's folder, like /lib/modules/6.12.117+deb13-amd64")
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Color only on a terminal, and not where `NO_COLOR` is set or the terminal is dumb.
fn style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if io::stdout().is_terminal() && !refused && !dumb {
        Style::Color
    } else {
        Style::Plain
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The reader of a pipe has seen enough (`| head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
