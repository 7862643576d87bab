//! `hcl-checker site`.

use anyhow::{Context, Result};
use clap::Args;
use hcl_checker::list::List;
use hcl_checker::site;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct SiteArgs {
    /// Folder for `index.html`; it is made where it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(args: &SiteArgs) -> Result<u8> {
    let html = site::page(&List::built_in()?);
    let file = args.out.join("index.html");
    std::fs::create_dir_all(&args.out)
        .and_then(|()| std::fs::write(&file, html))
        .with_context(|| format!("--out: {} cannot be written", file.display()))?;
    println!("{}", file.display());
    Ok(0)
}
