//! `hcl-checker bundle`.

use super::print;
use anyhow::{Context, Result};
use clap::Args;
use hcl_checker::list::List;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Where to write it [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &BundleArgs) -> Result<u8> {
    let bundle = List::built_in()?.to_bundle();
    match &args.out {
        Some(file) => std::fs::write(file, bundle)
            .with_context(|| format!("{} cannot be written", file.display()))?,
        None => print(&bundle)?,
    }
    Ok(0)
}
