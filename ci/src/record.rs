//! Recording virtual machines as fixtures of `hcl-checker`: the live system runs in each, and the checker captures what it
//! reads there.
//!
//! What a test expects of a capture comes from the description of the machine here, which QEMU was started with. It is
//! written beside the capture, so nothing that is expected was ever copied from what the checker said.

use crate::case::{Bench, Run};
use crate::disk::Image;
use crate::process;
use crate::qemu::{Boot, Spec};
use crate::shell::Shell;
use crate::tpm::Tpm;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde_json::json;
use std::process::Command;
use std::time::Duration;

/// Where the captures are kept, from the root of the checkout.
const FOLDER: &str = "hcl-checker/tests/recorded";
/// A capture that is longer than this does not belong into a repository.
const LONGEST: usize = 256 * 1024;

/// A machine to record.
struct Recorded {
    name: &'static str,
    /// Sockets, cores of each, threads of each.
    topology: (u32, u32, u32),
    /// Disks: QEMU's device with its properties; `{}` stands for the drive and its serial number.
    disks: &'static [&'static str],
    /// Further arguments of QEMU.
    further: &'static [&'static str],
    /// PCI functions that those make, as vendor and device.
    devices: &'static [&'static str],
    /// PCI functions at least.
    functions: usize,
    /// `intel` or `amd`.
    iommu: Option<&'static str>,
    /// A software TPM 2.0.
    tpm: bool,
    /// Under Xen, as dom0.
    xen: bool,
}

const PLAIN: Recorded = Recorded {
    name: "",
    topology: (1, 1, 1),
    disks: &[],
    further: &[],
    devices: &[],
    functions: 1,
    iommu: None,
    tpm: false,
    xen: false,
};

/// Device ids by QEMU's hw/ sources and docs/specs/pci-ids.rst.
const MACHINES: [Recorded; 6] = [
    Recorded {
        name: "one-socket-e1000e-intel-iommu-tpm",
        topology: (1, 2, 2),
        disks: &["virtio-blk-pci,{}"],
        further: &[
            "-device",
            "intel-iommu,intremap=on",
            "-netdev",
            "user,id=n0",
            "-device",
            "e1000e,netdev=n0,mac=52:54:00:be:d0:11,romfile=",
        ],
        devices: &["1af4:1001", "8086:10d3", "8086:2922"],
        iommu: Some("intel"),
        tpm: true,
        ..PLAIN
    },
    Recorded {
        name: "two-sockets-nvme-igb",
        topology: (2, 2, 1),
        disks: &["nvme,{}"],
        further: &[
            "-device",
            "pcie-root-port,id=p1,chassis=1",
            "-netdev",
            "user,id=n0",
            "-device",
            "igb,bus=p1,netdev=n0,mac=52:54:00:be:d0:12,romfile=",
        ],
        devices: &["1b36:0010", "8086:10c9", "1b36:000c"],
        ..PLAIN
    },
    Recorded {
        name: "four-sockets-scsi-amd-iommu",
        topology: (4, 1, 1),
        disks: &["scsi-hd,bus=s0.0,{}", "scsi-hd,bus=s0.0,{}"],
        further: &["-device", "amd-iommu,intremap=on"],
        devices: &["1af4:1004"],
        iommu: Some("amd"),
        ..PLAIN
    },
    Recorded {
        name: "eight-sockets-ahci",
        topology: (8, 1, 1),
        disks: &["ide-hd,bus=ide.0,{}", "ide-hd,bus=ide.1,{}"],
        devices: &["8086:2922"],
        ..PLAIN
    },
    Recorded {
        name: "many-functions",
        topology: (1, 2, 1),
        disks: &["virtio-blk-pci,{}"],
        devices: &["1af4:1001", "1af4:1005"],
        functions: 137,
        ..PLAIN
    },
    Recorded {
        name: "dom0-two-sockets-nvme",
        // Of AMD's CPUs with one core a socket Xen does not know the core, and `xl info -n` then lists none of them.
        topology: (2, 2, 1),
        disks: &["nvme,{}"],
        devices: &["1b36:0010"],
        xen: true,
        ..PLAIN
    },
];

/// Records the machines with these names, or all.
///
/// # Errors
/// When a name is not known, a machine does not come up, or its capture is too long.
pub fn machines(bench: &Bench, names: &[String]) -> Result<()> {
    if let Some(name) = names
        .iter()
        .find(|name| MACHINES.iter().all(|machine| machine.name != **name))
    {
        let known: Vec<&str> = MACHINES.iter().map(|machine| machine.name).collect();
        bail!(
            "there is no machine `{name}`; there are {}",
            known.join(", ")
        );
    }
    for machine in &MACHINES {
        if names.is_empty() || names.iter().any(|name| name == machine.name) {
            let mut run = Run::begin(bench, machine.name)?;
            let result = record(&mut run, machine);
            run.end(result)?;
        }
    }
    Ok(())
}

/// The machine of these with the most PCI functions, and how many it has at least.
///
/// # Errors
/// When the files of a release are not there, or its disk cannot be made.
pub fn busiest(run: &Run) -> Result<(Spec, usize)> {
    let machine = MACHINES.iter().max_by_key(|machine| machine.functions);
    let machine = machine.context("no machine is described")?;
    Ok((spec(run, machine, None)?, machine.functions))
}

fn record(run: &mut Run, machine: &Recorded) -> Result<()> {
    let tpm = if machine.tpm {
        Some(Tpm::start(run)?)
    } else {
        None
    };
    let spec = spec(run, machine, tpm.as_ref())?;
    let mut guest = run.start(&spec, machine.name)?;
    run.phase("to a shell", |run| {
        guest.serial.expect(&["root@", "~#"], run.bench.limit(60))?;
        Ok(())
    })?;
    let capture = run.phase("capture", |run| {
        let mut shell = Shell::attach(&mut guest, run.bench.limit(20))?;
        // Nothing that is asked deeply may be missing for want of a module.
        shell.run("modprobe msr; udevadm settle", run.bench.limit(20))?;
        shell.must(
            "cd /run && hcl-checker facts --deep --capture capture.tar && zstd -q -19 capture.tar",
            run.bench.limit(30),
        )?;
        let text = shell.must("base64 -w 0 /run/capture.tar.zst", run.bench.limit(30))?;
        let text: String = text.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD
            .decode(&text)
            .context("what came over the serial line is no base64")
    })?;
    drop(guest);
    drop(tpm);
    ensure!(
        capture.len() <= LONGEST,
        "the capture has {} bytes, {LONGEST} are allowed",
        capture.len()
    );
    let folder = run.bench.workspace.root().join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{}.tar.zst", machine.name)), &capture)?;
    let truth = folder.join(format!("{}.json", machine.name));
    std::fs::write(
        &truth,
        serde_json::to_string_pretty(&machine.truth())? + "\n",
    )
    .with_context(|| format!("{} cannot be written", truth.display()))?;
    run.note(&format!("{} bytes", capture.len()));
    Ok(())
}

/// The live system from the medium, started by QEMU itself; a console on the serial line.
fn spec(run: &Run, machine: &Recorded, tpm: Option<&Tpm>) -> Result<Spec> {
    // On a busy machine an emulated timer is late, and the kernel panics: `no_timer_check` is for that.
    // Nothing is asked over the network, and waiting for it is most of the boot.
    const LIVE: &str = "bedplate.mode=live systemd.gpt_auto=no systemd.unit=bedplate-rescue.target \
        systemd.mask=systemd-networkd.service systemd.mask=systemd-resolved.service no_timer_check";
    let files = &run.bench.workspace;
    let (kernel, initrd) = (
        files.release_file("vmlinuz")?,
        files.release_file("initrd.img")?,
    );
    let boot = if machine.xen {
        let xen = run.file("xen");
        let mut gunzip = Command::new("gzip");
        gunzip
            .args(["--decompress", "--stdout"])
            .arg(files.release_file("xen.gz")?);
        // QEMU's multiboot loader takes no compressed hypervisor.
        std::fs::write(
            &xen,
            process::output(&mut gunzip, b"", Duration::from_secs(60))?.stdout,
        )?;
        let mut modules = kernel.into_os_string();
        modules.push(format!(" {LIVE} console=hvc0,"));
        modules.push(&initrd);
        Boot::Kernel {
            kernel: xen,
            initrd: modules,
            arguments: "console=com1 com1=115200 dom0_mem=1536M".into(),
        }
    } else {
        Boot::Kernel {
            kernel,
            initrd: initrd.into_os_string(),
            arguments: format!("{LIVE} console=ttyS0,115200n8"),
        }
    };
    let (sockets, cores, threads) = machine.topology;
    let mut further = vec![
        "-smp".to_owned(),
        format!("sockets={sockets},cores={cores},threads={threads}"),
    ];
    if machine.disks.iter().any(|disk| disk.starts_with("scsi")) {
        further.extend(["-device".to_owned(), "virtio-scsi-pci,id=s0".to_owned()]);
    }
    for (index, disk) in machine.disks.iter().enumerate() {
        let image = Image::blank(&run.file(&format!("disk{index}.raw")), 2048)?;
        let path = image.path.display();
        further.extend([
            "-blockdev".to_owned(),
            format!("driver=raw,node-name=d{index},file.driver=file,file.filename={path}"),
        ]);
        let common = format!("drive=d{index},serial={}", serial(index));
        further.extend(["-device".to_owned(), disk.replace("{}", &common)]);
    }
    further.extend(machine.further.iter().map(ToString::to_string));
    if machine.functions > 100 {
        further.extend(many_functions());
    }
    if let Some(tpm) = tpm {
        further.extend(tpm.arguments());
    }
    Ok(Spec {
        boot,
        optical: Some(files.iso()?.to_owned()),
        memory_mib: MEMORY_MIB,
        processors: sockets * cores * threads,
        further,
        ..Spec::new()
    })
}

/// Memory of each machine in MiB.
const MEMORY_MIB: u32 = 2560;

fn serial(index: usize) -> String {
    format!("BP-REC-{index}")
}

/// 130 functions, eight in each slot by `multifunction`; the machine itself has seven.
fn many_functions() -> Vec<String> {
    let functions = (0x08..).flat_map(|slot| (0..8).map(move |function| (slot, function)));
    functions
        .take(130)
        .flat_map(|(slot, function)| {
            let first = if function == 0 {
                ",multifunction=on"
            } else {
                ""
            };
            let device = format!("virtio-rng-pci,addr={slot:#x}.{function}{first}");
            ["-device".to_owned(), device]
        })
        .collect()
}

impl Recorded {
    /// What QEMU was told, in the words of the facts.
    fn truth(&self) -> serde_json::Value {
        let (sockets, cores, threads) = self.topology;
        let serials: Vec<String> = (0..self.disks.len()).map(serial).collect();
        json!({
            "made_by": "cargo run --release -p ci -- record-machines",
            "sockets": sockets,
            "cores": sockets * cores,
            "threads": sockets * cores * threads,
            "memory_mib": MEMORY_MIB,
            "disk_serials": serials,
            "disk_bytes": 2_u64 << 30,
            "devices": self.devices,
            "functions_at_least": self.functions,
            "iommu": self.iommu,
            "tpm": self.tpm,
            "dom0": self.xen,
        })
    }
}
