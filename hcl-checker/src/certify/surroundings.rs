//! What the plan has to know about the running system besides the facts about the machine.

use super::change::read_text;
use super::{Options, Target, guests};
use crate::facts::{Context, Facts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use steps::{Command, System};

/// The running system, as far as tests depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// It runs as root.
    pub root: bool,
    /// Every network interface, those of software too.
    pub interfaces: Vec<String>,
    /// Bridges with the interfaces that are their ports.
    #[serde(default)]
    pub bridges: BTreeMap<String, Vec<String>>,
    /// Disks and volumes that may be erased, in the order of the options.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Kernel for test guests; none where there is none, or no Xen.
    pub guest_kernel: Option<PathBuf>,
    /// What keeps a dump of a crashed kernel: `kdump`, `pstore`.
    pub kernel_dump: Option<String>,
    /// What keeps a dump of a crashed hypervisor: `kdump`.
    pub xen_dump: Option<String>,
    /// Xen itself runs in a virtual machine, which its dom0 is not told.
    #[serde(default)]
    pub xen_is_guest: bool,
    /// systemd runs: it can restart the machine, and start the run again after that.
    pub systemd: bool,
    /// The folder of the run is still there after a restart.
    pub folder_survives: bool,
}

/// Where Linux tells that a kernel for crashes is loaded (Documentation/ABI/testing/sysfs-kernel-kexec-kdump). Under Xen it
/// is the hypervisor that has one, and only `kexec --status` asks it.
const CRASH_KERNEL: &str = "/sys/kernel/kexec_crash_loaded";
/// Which part of the firmware keeps the kernel's last words; `(null)` where none does.
const PSTORE: &str = "/sys/module/pstore/parameters/backend";

impl Surroundings {
    /// Looks around. What cannot be read is not there. `folder` is that of the run.
    pub fn read(system: &dyn System, facts: &Facts, options: &Options, folder: &Path) -> Self {
        let pstore =
            read_text(system, PSTORE).is_ok_and(|text| !text.is_empty() && text != "(null)");
        let dom0 = facts.context.value() == Some(&Context::Dom0);
        let kdump = if dom0 {
            xen_has_crash_kernel(system)
        } else {
            read_text(system, CRASH_KERNEL).is_ok_and(|text| text == "1")
        };
        let guest_kernel = match &options.guest_kernel {
            Some(named) => Some(named.clone()),
            None if dom0 => guests::find_kernel(system, facts),
            None => None,
        };
        let interfaces = system
            .list_dir(Path::new("/sys/class/net"))
            .unwrap_or_default();
        let targets = options.erase.iter();
        let targets = targets.map(|path| Target::read(system, path)).collect();
        Self {
            targets,
            root: nix::unistd::geteuid().is_root(),
            bridges: bridges(system, &interfaces),
            interfaces,
            guest_kernel,
            kernel_dump: match (kdump, pstore) {
                (true, _) => Some("kdump".to_owned()),
                (false, true) => Some("pstore".to_owned()),
                (false, false) => None,
            },
            xen_dump: (kdump && dom0).then(|| "kdump".to_owned()),
            xen_is_guest: dom0 && xen_is_guest(system),
            systemd: system.exists(Path::new("/run/systemd/system")),
            folder_survives: survives(folder),
        }
    }
}

/// `kexec --status` asks for the kernel that is started in a crash, and ends with 1 where there is one (kexec(8)).
fn xen_has_crash_kernel(system: &dyn System) -> bool {
    let ask = Command::new("kexec").arg("--status").also_good(&[1]);
    system.run(&ask).is_ok_and(|output| output.code == 1)
}

/// Xen tells which features its CPU has: words of hexadecimal digits in `hw_caps`, the second of them CPUID.1:ECX, whose
/// bit 31 no real CPU has. dom0 never sees this bit.
fn xen_is_guest(system: &dyn System) -> bool {
    let ask = Command::new("xl").arg("info");
    let said = system.run(&ask).map(|output| output.text());
    said.is_ok_and(|text| has_hypervisor_bit(&text))
}

fn has_hypervisor_bit(info: &str) -> bool {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let caps = lines.find(|(name, _)| name.trim() == "hw_caps");
    let word = caps.and_then(|(_, words)| words.trim().split(':').nth(1));
    let word = word.and_then(|word| u32::from_str_radix(word, 16).ok());
    word.is_some_and(|word| word & (1 << 31) != 0)
}

/// A bridge has a folder with its ports (Documentation/ABI/testing/sysfs-class-net, `brif`).
fn bridges(system: &dyn System, interfaces: &[String]) -> BTreeMap<String, Vec<String>> {
    let bridge = |name: &String| {
        let folder = Path::new("/sys/class/net").join(name).join("brif");
        Some((name.clone(), system.list_dir(&folder).ok()?))
    };
    interfaces.iter().filter_map(bridge).collect()
}

/// Whether a file system keeps its files: memory does not, and an overlay may be one over memory.
fn survives(folder: &Path) -> bool {
    use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
    /// `RAMFS_MAGIC` of Linux's uapi/linux/magic.h.
    const RAMFS: i64 = 0x8584_58f6;
    let nearest = folder.ancestors().find(|folder| folder.exists());
    let Some(Ok(found)) = nearest.map(statfs) else {
        return false;
    };
    let kind = found.filesystem_type();
    kind != TMPFS_MAGIC && kind != OVERLAYFS_SUPER_MAGIC && kind.0 != RAMFS
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn xen_in_a_virtual_machine_is_known_by_its_cpu() {
        // The first from QEMU (`tests/recorded/dom0-two-sockets-nvme`); the second without the bit.
        let info = |word: &str| {
            format!(
                "nr_cpus                : 2\nhw_caps                : 078bf3ff:{word}:20100800\n"
            )
        };
        assert!(has_hypervisor_bit(&info("82982203")));
        assert!(!has_hypervisor_bit(&info("02982203")));
        assert!(!has_hypervisor_bit("hw_caps : x\n") && !has_hypervisor_bit(""));
    }

    #[test]
    fn bridges_are_known_with_their_ports() {
        let system = RecordingSystem::new()
            .file("/sys/class/net/eth0/mtu", "1500")
            .file("/sys/class/net/xenbr0/brif/eth0/state", "3")
            .file("/sys/class/net/xenbr0/brif/vif1.0/state", "3");
        let read = Surroundings::read(
            &system,
            &Facts::default(),
            &Options::default(),
            Path::new("/tmp"),
        );
        assert_eq!(read.interfaces, ["eth0", "xenbr0"]);
        let ports = ["eth0", "vif1.0"].map(str::to_owned).to_vec();
        assert_eq!(read.bridges, BTreeMap::from([("xenbr0".to_owned(), ports)]));
    }
}
