//! Whether guests run on the hardware (KVM) or are emulated, found out by running one.
//!
//! The presence of /dev/kvm proves nothing: there are machines where it opens and no guest ever runs an instruction, and
//! others, whose processor shows no virtualization, where SeaBIOS runs and OVMF does not get past its first `fninit`.

use crate::tools_root::ToolsRoot;
use anyhow::{Context, Result};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The processor under emulation.
///
/// `-cpu max` makes a PV dom0 crash at once, so features are named. `svm` and `npt` let Xen run PVH and HVM guests;
/// `sha-ni` doubles the speed of SHA-256 (measured in an emulated machine: 67 to 140 MB/s), on which an install spends
/// much of its time.
///
/// `vme` is not emulated and only claimed (`x-force-features`): nothing of ours uses virtual-8086 mode, but libvirt
/// names the processor after the models that it knows. Xen takes `sep` from every AMD processor, which leaves the models
/// `486` and `pentium`; both have `vme`, as every real processor has. Without it libvirt's Xen driver does not start
/// ("Cannot find suitable CPU model for given data").
const EMULATED_CPU: &str = "qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+sha-ni,+vme,x-force-features=on";

/// How long a machine has to show its firmware's first words.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// How guests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// On the hardware.
    Kvm,
    /// Emulated, one thread for each processor.
    Emulation,
}

impl Accelerator {
    /// Finds out by running firmware for a moment.
    ///
    /// # Errors
    /// QEMU that cannot be started at all.
    pub fn find(tools: &ToolsRoot) -> Result<Accelerator> {
        Ok(if runs_on_hardware(tools)? {
            Accelerator::Kvm
        } else {
            Accelerator::Emulation
        })
    }

    /// QEMU's arguments.
    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Emulation => ["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU],
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "KVM",
            Accelerator::Emulation => "software emulation",
        }
    }

    /// How many times longer things may take than on the hardware.
    pub fn slowness(self) -> u32 {
        match self {
            Accelerator::Kvm => 1,
            Accelerator::Emulation => 6,
        }
    }
}

/// Whether a processor shows virtualization of its own, by the text of `/proc/cpuinfo`. What offers KVM without it runs guests by other
/// means, and Xen in such a guest has none for guests of its own.
fn shows_virtualization(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("flags"))
        .any(|flags| {
            flags
                .split_whitespace()
                .any(|flag| flag == "vmx" || flag == "svm")
        })
}

/// True when SeaBIOS says its name on the debug port of a KVM machine: then instructions run.
fn runs_on_hardware(tools: &ToolsRoot) -> Result<bool> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !shows_virtualization(&cpuinfo) || !std::path::Path::new("/dev/kvm").exists() {
        return Ok(false);
    }
    let dir = tempfile::Builder::new()
        .prefix("bedplate-kvm-")
        .tempdir_in("/tmp")
        .context("/tmp cannot be written")?;
    let said = dir.path().join("debug");
    let mut command = tools.command("qemu-system-x86_64");
    command.args([
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-machine",
        "q35",
        "-m",
        "64",
        "-display",
        "none",
        "-nodefaults",
    ]);
    // Port 0x402 is where SeaBIOS writes its debug messages.
    command
        .arg("-chardev")
        .arg(format!("file,id=debug,path={}", said.display()));
    command.args(["-device", "isa-debugcon,iobase=0x402,chardev=debug"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().context("QEMU did not start")?;
    let started = Instant::now();
    let mut runs = false;
    while started.elapsed() < PROBE_LIMIT && child.try_wait()?.is_none() {
        if std::fs::read_to_string(&said).is_ok_and(|text| text.contains("SeaBIOS")) {
            runs = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It may have ended by itself already.
    let _ = child.kill();
    child.wait()?;
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_flag_and_no_part_of_a_word() {
        let cpuinfo =
            |flags: &str| format!("vendor_id\t: x\nflags\t\t: fpu {flags} sse\nbugs\t\t: svm\n");
        assert!(shows_virtualization(&cpuinfo("vmx")));
        assert!(shows_virtualization(&cpuinfo("svm")));
        assert!(!shows_virtualization(&cpuinfo("svm_lock")));
        assert!(!shows_virtualization(""));
    }
}
