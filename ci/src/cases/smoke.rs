//! The harness itself, and the emulated processor: Xen with a PV dom0 that is one tiny program, without any disk.
//!
//! Seconds, where an install takes minutes: when this fails, no other case can pass.

use crate::case::Run;
use crate::process;
use crate::qemu::{Boot, Spec};
use crate::tiny_guest;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let initrd = run.phase("build the tiny guest", |run| tiny_guest::initrd(run))?;
    let kernel = run.bench.workspace.release_file("vmlinuz")?;
    let xen = run.file("xen");
    let mut gunzip = Command::new("gzip");
    gunzip
        .args(["--decompress", "--stdout"])
        .arg(run.bench.workspace.release_file("xen.gz")?);
    // QEMU's multiboot loader takes no compressed hypervisor.
    let output = process::output(&mut gunzip, b"", Duration::from_secs(60))?;
    ensure!(
        output.status.success(),
        "xen.gz cannot be decompressed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(&xen, output.stdout)
        .with_context(|| format!("{} cannot be written", xen.display()))?;

    let mut modules = kernel.into_os_string();
    modules.push(" console=hvc0 -- 6,");
    modules.push(&initrd);
    let arguments = "console=com1 com1=115200 dom0_mem=512M".to_string();
    let spec = Spec {
        boot: Boot::Kernel {
            kernel: xen,
            initrd: modules,
            arguments,
        },
        memory_mib: 1024,
        no_reboot: true,
        ..Spec::new()
    };
    let mut machine = run.start(&spec, "smoke")?;
    run.phase("Xen with a tiny dom0", |run| {
        machine
            .serial
            .expect(&["Xen version 4.20"], run.bench.limit(20))?;
        machine
            .serial
            .expect(&[&format!("{}PV", tiny_guest::HELLO)], run.bench.limit(20))?;
        let status = machine.qmp.status()?;
        ensure!(
            status == "running",
            "QMP says that the machine is `{status}`"
        );
        run.screenshot(&mut machine, "screen")
    })?;
    run.phase("power off", |run| machine.wait_off(run.bench.limit(10)))?;
    check_screenshot(run)
}

/// A picture that is a picture.
fn check_screenshot(run: &Run) -> Result<()> {
    let path = run.file("screen.png");
    let bytes =
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    ensure!(
        bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "{} is not a PNG picture",
        path.display()
    );
    Ok(())
}
