//! The command line.

mod facts;
mod input;
mod install;
mod matching;
mod plan;
pub mod print;
mod sign;
mod ui;
mod validate;

use crate::exit::Exit;
use crate::laydown::RealMachine;
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use slots::names::{LIVE_MEDIUM, TRUSTED_ROOT};
use std::path::PathBuf;

/// Installs Bedplate: from an answer file, or by asking.
///
/// Exit codes: 0 done, 1 failed, 2 wrong use or answers that cannot be used, 3 refused by the compatibility list.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install on this machine, as an answer file says.
    Install(InstallArgs),
    /// Print what an installation would do, and the hash of that.
    Plan(PlanArgs),
    /// Tell why each disk and each interface of a machine fits the answers or not.
    Match(MatchArgs),
    /// Check an answer file; report everything that is wrong with it.
    Validate(ValidateArgs),
    /// Sign an answer file, so that it can be taken from a network that nobody trusts.
    SignAnswers(SignArgs),
    /// Print the facts of this machine as JSON.
    Facts,
    /// Print the JSON Schema of the answer file.
    Schema {
        /// Print the reference page instead, as Markdown.
        #[arg(long)]
        reference: bool,
    },
    /// Show the installer's screens on this terminal with a machine that is only played: to look at them, and to make an
    /// answer file at a desk. Nothing is installed.
    Ui(UiArgs),
    /// What the live system's service runs: find answers or ask, install, and do what follows.
    Live,
}

#[derive(Debug, Args)]
struct InstallArgs {
    /// The answer file, or its URL.
    #[arg(long, value_name = "FILE|URL")]
    answers: String,
    /// The only key that the server of the answers may have: `sha256//BASE64=`.
    #[arg(long, value_name = "PIN")]
    answers_pin: Option<String>,
    /// The key that must have signed the answers behind a URL, from `installer sign-answers`.
    #[arg(long, value_name = "HEX")]
    answers_key: Option<String>,
    #[command(flatten)]
    medium: MediumArgs,
    /// Verify the release and print the plan, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Refuse any plan but the one with this hash, from `installer plan`.
    #[arg(long, value_name = "HASH")]
    expect_plan: Option<String>,
    /// Write the events to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// The answer file.
    #[arg(long, value_name = "FILE")]
    answers: PathBuf,
    /// Facts of the machine, from `installer facts`; this machine's when absent.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
    /// Refuse any plan but the one with this hash.
    #[arg(long, value_name = "HASH")]
    expect_plan: Option<String>,
    #[command(flatten)]
    medium: MediumArgs,
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// The answer file.
    file: PathBuf,
    /// Facts of the machine, from `installer facts`: also checks that a plan comes out of it.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Root of the medium; without one, what only a release tells is not checked.
    #[arg(long, value_name = "DIR")]
    medium: Option<PathBuf>,
    /// Public root of the keys that sign releases.
    #[arg(long, value_name = "FILE", default_value = TRUSTED_ROOT)]
    trusted_root: PathBuf,
}

#[derive(Debug, Args)]
struct MatchArgs {
    /// The answer file.
    file: PathBuf,
    /// Facts of the machine, from `installer facts`; this machine's when absent.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SignArgs {
    /// The answer file.
    file: PathBuf,
    /// The private key, Ed25519 in PEM; made where there is none. Whoever has it can install machines as they like.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
struct UiArgs {
    /// Facts of the machine that is played, from `installer facts`; this machine's when absent.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Nothing is real. The only way there is: the live system shows the screens on its consoles by itself.
    #[arg(long, required = true)]
    simulate: bool,
    /// Numbered questions in place of screens: for braille displays, slow lines and scripts.
    #[arg(long)]
    plain: bool,
    /// Milliseconds that a twentieth of something long takes.
    #[arg(long, value_name = "MS", default_value_t = 150)]
    pace: u64,
}

#[derive(Debug, Args)]
struct MediumArgs {
    /// Root of the medium.
    #[arg(long, value_name = "DIR", default_value = LIVE_MEDIUM)]
    medium: PathBuf,
    /// Public root of the keys that sign releases.
    #[arg(long, value_name = "FILE", default_value = TRUSTED_ROOT)]
    trusted_root: PathBuf,
}

/// Runs the command.
pub fn run(cli: Cli) -> Result<Exit> {
    match cli.command {
        Verb::Install(args) => install::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Match(args) => matching::run(&args),
        Verb::Validate(args) => validate::run(&args),
        Verb::SignAnswers(args) => sign::run(&args),
        Verb::Facts => facts::run(),
        Verb::Schema { reference: true } => {
            print::exactly(&crate::answers::reference_page().to_string())?;
            Ok(Exit::Done)
        }
        Verb::Schema { reference: false } => {
            print::exactly(&format!("{:#}\n", crate::answers::schema::json_schema()))?;
            Ok(Exit::Done)
        }
        Verb::Ui(args) => ui::run(&args),
        Verb::Live => crate::live::run(&RealMachine).map_err(|error| anyhow::anyhow!(error)),
    }
}
