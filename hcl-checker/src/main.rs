//! `hcl-checker`: facts about a machine, and whether it can be a host.

mod cli;

use clap::{Parser, Subcommand};
use cli::WRONG_USE;
use hcl_checker::certify::guest_program;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Tells what a machine is made of and whether it can be a Xen host.
#[derive(Debug, Parser)]
#[command(name = "hcl-checker", version = version())]
#[command(
    after_help = "Exit codes of check: 0 certified or compatible, 1 with warnings, 2 wrong use, 3 unsupported, 4 unknown."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the facts about this machine, opening no device unless asked.
    Facts(cli::facts::FactsArgs),
    /// Judge this machine, or facts of another one.
    Check(cli::check::CheckArgs),
    /// Look for mistakes in the compatibility list itself.
    Lint(cli::lint::LintArgs),
    /// Write the compatibility list as a page of the web.
    Site(cli::site::SiteArgs),
    /// Test this machine and write a signed report.
    Certify(Box<cli::certify::CertifyArgs>),
    /// Be the other end of the network tests of `certify` on another machine.
    Peer(cli::peer::PeerArgs),
    /// Check a report, or make entries of the list from it.
    Report(cli::report::ReportArgs),
    /// What runs in the test guests of `certify`.
    #[command(hide = true)]
    TestGuest {
        /// Seconds until it switches the guest off.
        seconds: u64,
    },
    /// Write the compatibility list as one file.
    Bundle(cli::bundle::BundleArgs),
    /// Print the JSON Schema of what `--json` writes.
    Schema(cli::schema::SchemaArgs),
}

/// This program's version is that of the release; the kernel and the hypervisor are those whose drivers it carries.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let version = env!("CARGO_PKG_VERSION");
        match hcl_checker::drivers::release_names() {
            (Some(kernel), Some(xen)) => {
                format!("{version}, judging for kernel {kernel} and Xen {xen}")
            }
            _ => version.to_owned(),
        }
    })
}

/// Asks the kernel to read this program's file ahead, all at once, while the first of it runs. Otherwise each part of it is
/// waited for when it is first used, which takes longer than everything else on a machine that was just started.
fn read_ahead() {
    if let Ok(program) = File::open("/proc/self/exe") {
        // Where that fails the program is read bit by bit.
        let _ = posix_fadvise(program, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }
}

fn main() -> ExitCode {
    read_ahead();
    // clap itself exits with 2 on wrong use.
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Facts(args) => cli::facts::run(&args),
        Command::Check(args) => cli::check::run(&args),
        Command::Lint(args) => cli::lint::run(&args),
        Command::Certify(args) => cli::certify::run(&args),
        Command::Peer(args) => cli::peer::run(&args),
        Command::Report(args) => cli::report::run(&args),
        Command::TestGuest { seconds } => {
            guest_program::run(seconds).map(|()| 0).map_err(Into::into)
        }
        Command::Bundle(args) => cli::bundle::run(&args),
        Command::Schema(args) => cli::schema::run(&args),
        Command::Site(args) => cli::site::run(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(WRONG_USE),
        Err(error) => {
            eprintln!("hcl-checker: {}", cli::told(&error));
            ExitCode::from(WRONG_USE)
        }
    }
}

/// The reader of a pipe has seen enough (`| head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
