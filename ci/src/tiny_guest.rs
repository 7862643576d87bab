//! The initrd of the tiny guest: one static program, see `ci/guest`.

use crate::case::Run;
use crate::process;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What the guest says, before how it is virtualized.
pub const HELLO: &str = "bedplate-guest: hello from ";

/// Where static programs are built for, apart from those of this machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Builds the program and packs it; returns the path of `guest.cpio` in the case's folder.
///
/// # Errors
/// When cargo or cpio fails.
pub fn initrd(run: &Run) -> Result<PathBuf> {
    let workspace = &run.bench.workspace;
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "guest",
        "--target",
        PLATFORM,
    ]);
    // The initrd has no C library.
    cargo
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", workspace.target());
    cargo.current_dir(workspace.root());
    process::run(&mut cargo, b"", Duration::from_secs(900))?;
    let program = workspace.target().join(PLATFORM).join("release/guest");
    let init = run.file("init");
    std::fs::copy(&program, &init)
        .with_context(|| format!("{} cannot be copied", program.display()))?;
    // The kernel runs it to shut the guest down.
    let sbin = run.file("sbin");
    std::fs::create_dir_all(&sbin)?;
    let poweroff = sbin.join("poweroff");
    let _ = std::fs::remove_file(&poweroff);
    std::fs::hard_link(&init, &poweroff)?;
    let archive = run.file("guest.cpio");
    let mut cpio = run.bench.tools.command("cpio");
    cpio.args([
        "--create",
        "--quiet",
        "--format=newc",
        "--owner=+0:+0",
        "--directory",
    ])
    .arg(run.dir());
    cpio.arg("--file").arg(&archive);
    process::run(
        &mut cpio,
        b"init\nsbin\nsbin/poweroff\n",
        Duration::from_secs(60),
    )?;
    // The folder of a case holds files only.
    std::fs::remove_dir_all(&sbin)
        .with_context(|| format!("{} cannot be removed", sbin.display()))?;
    Ok(archive)
}
