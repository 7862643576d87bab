//! `hcl-checker facts`.

use super::{json, print, root, style};
use anyhow::Result;
use clap::Args;
use hcl_checker::{Facts, text};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Read from a captured tree (with its proc, sys and run) instead of the running system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &FactsArgs) -> Result<u8> {
    let facts = Facts::read(&root(&args.root)?);
    let text = if args.json {
        json(&facts)?
    } else {
        text::facts(&facts, style())
    };
    print(&text)?;
    Ok(0)
}
