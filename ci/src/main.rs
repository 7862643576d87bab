//! Drives QEMU end to end: installs the ISO into virtual machines and looks at what came of it.

mod accelerator;
mod answers;
mod apt;
mod bench_page;
mod boot_menu;
mod case;
mod cases;
mod checker_bench;
mod console_text;
mod corpus;
mod demo;
mod disk;
mod host;
mod host_checks;
mod image_builder;
mod installation;
mod instructions;
mod lan;
mod machine;
mod medium;
mod next_release;
mod process;
mod qemu;
mod qmp;
mod record;
mod runner;
mod seeded;
mod serial;
mod shell;
mod site_browser;
mod ssh;
mod terminal;
mod times_page;
mod timings;
mod tiny_guest;
mod tools_root;
mod tpm;
mod web_server;
mod workspace;
mod write_log;

use accelerator::Accelerator;
use anyhow::{Result, bail};
use case::Bench;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use tools_root::ToolsRoot;
use workspace::{Elsewhere, Workspace};

/// Installs Bedplate into virtual machines and looks at what came of it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The Debian 13 tree that QEMU runs from [default: target/tools].
    #[arg(long, global = true, value_name = "DIR")]
    tools: Option<PathBuf>,
    /// The ISO to test [default: target/image/bedplate-VERSION-amd64.iso].
    #[arg(long, global = true, value_name = "FILE")]
    iso: Option<PathBuf>,
    /// The folder that holds vmlinuz and xen.gz [default: target/release-files].
    #[arg(long, global = true, value_name = "DIR")]
    release_files: Option<PathBuf>,
    /// How guests run.
    #[arg(long, global = true, default_value = "auto")]
    accelerator: Choice,
    /// Wait this many times longer than usual, on a busy or slow machine.
    #[arg(long, global = true, default_value_t = 1, value_name = "FACTOR", value_parser = clap::value_parser!(u32).range(1..=100))]
    patience: u32,
    /// At how many moments the power goes in the case `power-cuts`.
    #[arg(long, global = true, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    moments: u16,
    /// What random choices begin with, to make them again [default: the clock; it is printed].
    #[arg(long, global = true)]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run end-to-end cases.
    E2e {
        /// Their names; all short ones when none is given.
        cases: Vec<String>,
        /// The long ones too.
        #[arg(long)]
        long: bool,
        /// Cases at a time.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
        jobs: u8,
        /// Take the disks that an earlier run installed, where they are: to work on what follows an install.
        #[arg(long)]
        reuse_install: bool,
    },
    /// Install the ISO into a virtual machine, boot it, and print what runs.
    Demo {
        /// Take the disk that an earlier demo installed, where it is.
        #[arg(long)]
        reuse_install: bool,
    },
    /// Count the instructions of the hot paths and compare them with ci/instructions.toml.
    Instructions {
        /// Keep the counts.
        #[arg(long)]
        bless: bool,
    },
    /// List the cases.
    List,
    /// Write docs/times.md from what the last runs took.
    Times,
    /// Record virtual machines of many kinds as fixtures of hcl-checker: boots the ISO in each.
    RecordMachines {
        /// Their names; all when none is given.
        machines: Vec<String>,
    },
    /// Run the comparisons with what others use, and write what came of them into docs/benchmarks.md.
    Bench {
        /// Their names (fleet, lay-down, apply-delta, checker); all when none is given.
        comparisons: Vec<String>,
        /// The folder of an older release, as `image-build root` leaves one: for apply-delta.
        #[arg(long, value_name = "DIR")]
        old: Option<PathBuf>,
    },
    /// Measure `hcl-checker check` against lspci, lshw and hwinfo in a virtual machine with 137 PCI functions.
    BenchChecker {
        /// Rounds; in each every program runs once, with the caches dropped before.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// The program to measure [default: the static one of the last build of an image].
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
    },
    /// Fetch dumps of real machines from Debian's source packages into target/corpus, for the tests of hcl-checker.
    Corpus,
    /// Make the site of the compatibility list in target/site, and look at it in headless Chromium.
    Site,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// KVM where a guest really runs on it, else emulation.
    Auto,
    /// KVM.
    Kvm,
    /// Software emulation.
    Tcg,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ci: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything passed.
fn run(arguments: Arguments) -> Result<bool> {
    let elsewhere = Elsewhere {
        tools: arguments.tools,
        iso: arguments.iso,
        release_files: arguments.release_files,
    };
    let workspace = Workspace::find(elsewhere)?;
    let wishes = Wishes {
        accelerator: arguments.accelerator,
        patience: arguments.patience,
        moments: arguments.moments.into(),
        seed: arguments.seed.unwrap_or_else(clock),
    };
    match arguments.command {
        Command::List => {
            for case in cases::ALL {
                let long = if case.long { " (long)" } else { "" };
                println!("{:16} {}{long}", case.name, case.about);
            }
            Ok(true)
        }
        Command::Instructions { bless } => instructions::check(&workspace, bless),
        Command::Times => {
            println!("{}", times_page::write(&workspace)?.display());
            Ok(true)
        }
        Command::Corpus => {
            println!("{}", corpus::fetch(&workspace)?.display());
            Ok(true)
        }
        Command::Site => {
            let screenshots = site_browser::check(&workspace)?;
            for file in screenshots {
                println!("{}", file.display());
            }
            Ok(true)
        }
        Command::Bench { comparisons, old } => {
            bench_page::run(&workspace, &comparisons, old.as_deref())
        }
        Command::BenchChecker { rounds, program } => {
            let bench = bench(workspace, wishes, false)?;
            checker_bench::measure(&bench, rounds, program.as_deref())?;
            Ok(true)
        }
        Command::RecordMachines { machines } => {
            let bench = bench(workspace, wishes, false)?;
            record::machines(&bench, &machines)?;
            Ok(true)
        }
        Command::Demo { reuse_install } => {
            let bench = bench(workspace, wishes, reuse_install)?;
            demo::show(&bench)?;
            Ok(true)
        }
        Command::E2e {
            cases: names,
            long,
            jobs,
            reuse_install,
        } => {
            let (cases, left) = chosen(&names, long)?;
            let bench = bench(workspace, wishes, reuse_install)?;
            Ok(runner::run_all(&bench, &cases, left, jobs.into()))
        }
    }
}

/// How cases run.
struct Wishes {
    accelerator: Choice,
    patience: u32,
    moments: usize,
    seed: u64,
}

/// Another number at each run.
fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

fn bench(workspace: Workspace, wishes: Wishes, reuse_install: bool) -> Result<Bench> {
    let tools = ToolsRoot::open(&workspace)?;
    let accelerator = match wishes.accelerator {
        Choice::Auto => Accelerator::find(&tools)?,
        Choice::Kvm => Accelerator::Kvm,
        Choice::Tcg => Accelerator::Emulation,
    };
    Ok(Bench {
        workspace,
        tools,
        accelerator,
        patience: wishes.patience,
        reuse_install,
        moments: wishes.moments,
        seed: wishes.seed,
    })
}

/// The cases to run, and how many are left out because they take long.
fn chosen(names: &[String], long: bool) -> Result<(Vec<&'static cases::Case>, usize)> {
    if names.is_empty() {
        let (taken, left) = cases::ALL
            .iter()
            .partition::<Vec<_>, _>(|case| long || !case.long);
        for case in &left {
            println!("not run: {}: it takes long; --long does", case.name);
        }
        return Ok((taken, left.len()));
    }
    let find = |name: &String| match cases::find(name) {
        Some(case) => Ok(case),
        None => bail!("there is no case `{name}`: `ci list` lists them"),
    };
    Ok((names.iter().map(find).collect::<Result<_>>()?, 0))
}
