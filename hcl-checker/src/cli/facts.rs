//! `hcl-checker facts`.

use super::{json, print, root, style};
use anyhow::{Context, Result, bail};
use clap::Args;
use hcl_checker::facts::Depth;
use hcl_checker::report::{Redaction, SubmitterKey};
use hcl_checker::{Facts, Root, text};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Read from a captured tree (with its proc, sys and run) instead of the running system.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Write JSON.
    #[arg(long)]
    json: bool,
    /// Also ask what needs a device node or wakes a sleeping device, for at most 2 seconds each.
    #[arg(long)]
    deep: bool,
    /// Record what is read, to judge this machine elsewhere: into a new FILE that ends with `.tar`, or a new folder. It
    /// holds serial numbers and addresses of this machine.
    #[arg(long, value_name = "FILE.tar|DIR")]
    capture: Option<PathBuf>,
    /// Replace serial numbers, addresses and the like by hashes with a key that nobody keeps: for a public place.
    #[arg(long, conflicts_with = "capture")]
    redact: bool,
}

pub fn run(args: &FactsArgs) -> Result<u8> {
    let depth = if args.deep {
        Depth::Deep
    } else {
        Depth::Passive
    };
    let mut root = root(&args.root)?;
    if let Some(path) = &args.capture {
        // Reading may take a while, and what for must be possible.
        is_tar(path)?;
        root = root.recorded();
    }
    let mut facts = Facts::read_with(&root, depth);
    if args.redact {
        let redaction = Redaction::new(&facts, &SubmitterKey::generate()?)?;
        facts = redaction.apply(&facts)?;
    }
    if let Some(path) = &args.capture {
        capture(&root, path)?;
        // Who captures wants the capture; the facts come along where they are asked for.
        if !args.json {
            return Ok(0);
        }
    }
    let text = if args.json {
        json(&facts)?
    } else {
        text::facts(&facts, style())
    };
    print(&text)?;
    Ok(0)
}

/// Whether an archive is wanted, by its name. A name that looks like another kind of archive is no folder by mistake.
fn is_tar(path: &Path) -> Result<bool> {
    let Some(extension) = path.extension() else {
        return Ok(false);
    };
    if extension.eq_ignore_ascii_case("tar") {
        return Ok(true);
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Ok(false);
    }
    let shown = path.display();
    bail!(
        "--capture {shown}: neither an archive (FILE.tar) nor a folder (a name without a dot); for a folder of this name give \
         {shown}/"
    )
}

fn capture(root: &Root, path: &Path) -> Result<()> {
    let recording = root.recording().unwrap_or_default();
    let tar = is_tar(path)?;
    let written = if tar {
        recording.write_tar(path)
    } else {
        recording.write_folder(path)
    };
    written.context("--capture")?;
    let (shown, files) = (path.display(), recording.files());
    if tar {
        eprintln!(
            "{shown}: {files} files. Elsewhere: mkdir machine; tar -xf {shown} -C machine; hcl-checker check --root machine"
        );
    } else {
        eprintln!("{shown}: {files} files. Elsewhere: hcl-checker check --root {shown}");
    }
    Ok(())
}
