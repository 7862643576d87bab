//! `hcl-checker schema`.

use super::{json, print};
use anyhow::Result;
use clap::{Args, ValueEnum};
use hcl_checker::schema;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of what.
    #[arg(value_enum, default_value = "verdict")]
    what: What,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// What `check --json` writes.
    Verdict,
    /// What `facts --json` writes and `check --facts` reads.
    Facts,
    /// What `check --jsonl` writes, a line.
    Fleet,
    /// What `certify --dry-run --json` writes.
    Plan,
    /// `report.json` of `certify`.
    Report,
}

pub fn run(args: &SchemaArgs) -> Result<u8> {
    print(&json(&match args.what {
        What::Verdict => schema::verdict(),
        What::Facts => schema::facts(),
        What::Fleet => schema::fleet(),
        What::Plan => schema::plan(),
        What::Report => schema::report(),
    })?)?;
    Ok(0)
}
