//! The description of a machine, and the QEMU arguments that it means. Nothing here runs anything.

use crate::accelerator::Accelerator;
use crate::disk::{Format, Image};
use crate::write_log::SECTOR;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The firmware of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF; boot entries are kept in `variables`, a copy of the empty store that this machine may change.
    Uefi {
        /// The firmware's code.
        code: PathBuf,
        /// Its variables.
        variables: PathBuf,
        /// Only the firmware itself may write its variables, by system management mode: without that Secure Boot is none.
        protected: bool,
    },
}

impl Firmware {
    /// The OVMF of the tools root, with its boot entries kept in `variables`.
    pub fn uefi(variables: &Path) -> Self {
        Firmware::Uefi {
            code: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
            variables: variables.into(),
            protected: false,
        }
    }

    /// The one that knows Secure Boot. With empty `variables` it is in setup mode.
    pub fn secure_boot(variables: &Path) -> Self {
        Firmware::Uefi {
            code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd".into(),
            variables: variables.into(),
            protected: true,
        }
    }
}

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// NVMe with 512-byte sectors.
    Nvme,
    /// NVMe with 4096-byte sectors.
    Nvme4k,
    /// SATA on an AHCI controller.
    Ahci,
}

/// A disk of a machine.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Its bytes.
    pub image: Image,
    /// How it is connected.
    pub bus: Bus,
    /// Serial number that the guest sees (20 characters at most, which is what virtio-blk passes on).
    pub serial: String,
}

/// The network card. Behind it is QEMU's own network 10.0.2.0/24 with DHCP; the machine that tests is 10.0.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nic {
    /// virtio-net.
    Virtio,
    /// Intel 82574L, as real servers have it.
    E1000e,
}

/// What the firmware boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// The optical drive.
    Optical,
    /// The first disk.
    Disk,
    /// Whatever the firmware's own entries say (UEFI), else its usual order.
    Firmware,
    /// A kernel given to QEMU, without any disk: for trying the harness.
    Kernel {
        /// Linux, or anything that multiboot 1 can load.
        kernel: PathBuf,
        /// Its initrd, or multiboot modules with arguments, as QEMU's `-initrd` takes them.
        initrd: OsString,
        /// Its command line.
        arguments: String,
    },
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its firmware.
    pub firmware: Firmware,
    /// What is booted.
    pub boot: Boot,
    /// Disks, in order.
    pub disks: Vec<Disk>,
    /// The medium in the optical drive (SATA).
    pub optical: Option<PathBuf>,
    /// The network card.
    pub nic: Option<Nic>,
    /// Memory in mebibytes.
    pub memory_mib: u32,
    /// Processors.
    pub processors: u32,
    /// Where memory and devices are saved to, if they are.
    pub saved_state: Option<Image>,
    /// End QEMU instead of rebooting.
    pub no_reboot: bool,
    /// Further arguments, behind all others: where an option is given twice QEMU takes the later one.
    pub further: Vec<String>,
}

impl Spec {
    /// A machine with BIOS, 4 GiB of memory, two processors and nothing else.
    pub fn new() -> Spec {
        Spec {
            firmware: Firmware::Bios,
            boot: Boot::Firmware,
            disks: Vec::new(),
            optical: None,
            nic: None,
            memory_mib: 4096,
            processors: 2,
            saved_state: None,
            no_reboot: false,
            further: Vec::new(),
        }
    }
}

/// The ends of a machine that a test holds.
#[derive(Debug, Clone)]
pub struct Ends<'a> {
    /// Socket of the serial console; the test listens there before QEMU starts, so no byte is lost.
    pub serial: &'a Path,
    /// Socket of QMP, likewise.
    pub qmp: &'a Path,
    /// Port on 127.0.0.1 that leads to the guest's port 22.
    pub ssh_port: u16,
}

/// Device id of the optical drive.
pub const OPTICAL_ID: &str = "optical";
/// Node that keeps saved machines.
pub const STATE_NODE: &str = "saved";

/// The arguments of `qemu-system-x86_64` for a machine.
pub fn arguments(spec: &Spec, accelerator: Accelerator, ends: &Ends) -> Vec<OsString> {
    let mut list = List(Vec::new());
    let protected = matches!(
        spec.firmware,
        Firmware::Uefi {
            protected: true,
            ..
        }
    );
    list.words(&[
        "-nodefaults",
        "-no-user-config",
        "-machine",
        if protected { "q35,smm=on" } else { "q35" },
        "-display",
        "none",
        "-device",
        "VGA",
    ]);
    list.words(&accelerator.arguments());
    list.words(&[
        "-m",
        &spec.memory_mib.to_string(),
        "-smp",
        &spec.processors.to_string(),
    ]);
    // A machine's own clock: a guest that is stopped to be saved must not find hours gone.
    list.words(&["-rtc", "base=utc,clock=vm"]);
    list.words(&[
        "-smbios",
        "type=1,manufacturer=Bedplate,product=Test machine,serial=BP-TEST-1",
    ]);
    list.words(&[
        "-object",
        "rng-random,id=rng,filename=/dev/urandom",
        "-device",
        "virtio-rng-pci,rng=rng",
    ]);
    if spec.no_reboot {
        list.words(&["-no-reboot"]);
    }
    list.firmware(&spec.firmware);
    list.pair("-chardev", &["socket,id=serial0,path="], ends.serial);
    list.words(&["-serial", "chardev:serial0"]);
    list.pair("-chardev", &["socket,id=qmp,path="], ends.qmp);
    list.words(&["-mon", "chardev=qmp,mode=control"]);
    if let Some(medium) = &spec.optical {
        list.pair(
            "-blockdev",
            &["driver=raw,node-name=medium,read-only=on,file.driver=file,file.filename="],
            medium,
        );
        let order = if spec.boot == Boot::Optical {
            ",bootindex=0"
        } else {
            ""
        };
        // The last port, so that disks are sda, sdb and so on in their order.
        list.words(&[
            "-device",
            &format!("ide-cd,id={OPTICAL_ID},drive=medium,bus=ide.5{order}"),
        ]);
    }
    for (index, disk) in spec.disks.iter().enumerate() {
        list.disk(index, disk, spec.boot == Boot::Disk && index == 0);
    }
    if let Some(image) = &spec.saved_state {
        list.block(STATE_NODE, image, "");
    }
    if let Some(nic) = spec.nic {
        // QEMU's own name server is left out of nothing: the guest asks 10.0.2.3 and is told what the machine knows.
        list.words(&[
            "-netdev",
            &format!("user,id=net,hostfwd=tcp:127.0.0.1:{}-:22", ends.ssh_port),
        ]);
        let model = match nic {
            Nic::Virtio => "virtio-net-pci",
            Nic::E1000e => "e1000e",
        };
        // Without its boot ROM the firmware does not spend a minute on PXE.
        list.words(&[
            "-device",
            &format!("{model},netdev=net,mac=52:54:00:be:d0:01,romfile="),
        ]);
    }
    if let Boot::Kernel {
        kernel,
        initrd,
        arguments,
    } = &spec.boot
    {
        list.0.extend([
            "-kernel".into(),
            kernel.into(),
            "-initrd".into(),
            initrd.clone(),
            "-append".into(),
            arguments.into(),
        ]);
    }
    list.0.extend(spec.further.iter().map(OsString::from));
    list.0
}

struct List(Vec<OsString>);

impl List {
    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    /// `option` with a value that ends in a path. QEMU ends a value at a comma; doubled ones stand for themselves.
    fn pair(&mut self, option: &str, parts: &[&str], path: &Path) {
        let mut value = parts.concat();
        value.push_str(&path.to_string_lossy().replace(',', ",,"));
        self.0.extend([OsString::from(option), value.into()]);
    }

    fn firmware(&mut self, firmware: &Firmware) {
        if let Firmware::Uefi {
            code,
            variables,
            protected,
        } = firmware
        {
            if *protected {
                self.words(&["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            }
            self.pair(
                "-drive",
                &["if=pflash,unit=0,format=raw,readonly=on,file="],
                code,
            );
            self.pair("-drive", &["if=pflash,unit=1,format=raw,file="], variables);
        }
    }

    /// A block node. Written data reaches the machine's page cache, which outlives QEMU; flushes are left out, so that
    /// slow storage under the test does not show as a slow guest.
    fn block(&mut self, node: &str, image: &Image, more: &str) {
        let driver = image.format.name();
        let discard = if image.format == Format::Raw {
            ",discard=unmap"
        } else {
            ""
        };
        // With a log the image is one level down: the log sees what the machine asks, flushes and all.
        let (head, level) = match &image.write_log {
            None => (
                format!("driver={driver},node-name={node}{discard}{more}"),
                "",
            ),
            Some(log) => {
                let log = log.to_string_lossy().replace(',', ",,");
                let head = format!(
                    "driver=blklogwrites,node-name={node}{more},log-sector-size={SECTOR},log.driver=file,log.filename={log},\
                     file.driver={driver}"
                );
                (head, "file.")
            }
        };
        let file = format!(
            "{head},{level}file.driver=file,{level}file.cache.no-flush=on,{level}file.filename="
        );
        self.pair("-blockdev", &[&file], &image.path);
    }

    fn disk(&mut self, index: usize, disk: &Disk, first: bool) {
        let node = format!("disk{index}");
        self.block(&node, &disk.image, "");
        let serial = &disk.serial;
        let order = if first { ",bootindex=0" } else { "" };
        let common = format!("drive={node},serial={serial}{order}");
        let device = match disk.bus {
            Bus::Virtio => format!("virtio-blk-pci,{common}"),
            Bus::Nvme => format!("nvme,{common}"),
            Bus::Nvme4k => {
                format!("nvme,{common},logical_block_size=4096,physical_block_size=4096")
            }
            Bus::Ahci => format!("ide-hd,{common},bus=ide.{index}"),
        };
        self.words(&["-device", &device]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &Spec) -> String {
        let ends = Ends {
            serial: Path::new("/tmp/s,1"),
            qmp: Path::new("/tmp/q"),
            ssh_port: 2222,
        };
        let list = arguments(spec, Accelerator::Emulation, &ends);
        list.iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn disk(bus: Bus) -> Disk {
        Disk {
            image: Image::raw(Path::new("/work/d.raw")),
            bus,
            serial: "BP1".into(),
        }
    }

    #[test]
    fn an_install_boots_the_optical_drive() {
        let spec = Spec {
            boot: Boot::Optical,
            optical: Some("/work/a.iso".into()),
            disks: vec![disk(Bus::Nvme4k)],
            nic: Some(Nic::E1000e),
            ..Spec::new()
        };
        let line = line(&spec);
        assert!(
            line.contains("ide-cd,id=optical,drive=medium,bus=ide.5,bootindex=0"),
            "{line}"
        );
        assert!(
            line.contains("nvme,drive=disk0,serial=BP1,logical_block_size=4096"),
            "{line}"
        );
        assert!(line.contains("hostfwd=tcp:127.0.0.1:2222-:22"), "{line}");
        assert!(
            line.contains("path=/tmp/s,,1"),
            "a comma in a path must be doubled: {line}"
        );
        assert!(!line.contains("pflash"), "{line}");
    }

    #[test]
    fn a_log_of_writes_stands_between_the_machine_and_the_image() {
        let image = Image::raw(Path::new("/work/d.raw")).logged_to(Path::new("/work/a,b.log"));
        let spec = Spec {
            disks: vec![Disk {
                image,
                ..disk(Bus::Virtio)
            }],
            ..Spec::new()
        };
        let line = line(&spec);
        let wanted = "driver=blklogwrites,node-name=disk0,log-sector-size=512,log.driver=file,log.filename=/work/a,,b.log,\
                      file.driver=raw,file.file.driver=file,file.file.cache.no-flush=on,file.file.filename=/work/d.raw";
        assert!(line.contains(wanted), "{line}");
    }

    #[test]
    fn only_secure_boot_protects_the_variables() {
        let line = |firmware| {
            line(&Spec {
                firmware,
                ..Spec::new()
            })
        };
        let secure = line(Firmware::secure_boot(Path::new("/v.fd")));
        assert!(
            secure.contains("-machine q35,smm=on") && secure.contains("property=secure,value=on"),
            "{secure}"
        );
        let open = line(Firmware::uefi(Path::new("/v.fd")));
        assert!(
            open.contains("-machine q35 ") && !open.contains("secure"),
            "{open}"
        );
    }

    #[test]
    fn a_firmware_with_its_own_entries_gets_no_order() {
        let firmware = Firmware::Uefi {
            code: "/c.fd".into(),
            variables: "/v.fd".into(),
            protected: false,
        };
        let spec = Spec {
            firmware,
            disks: vec![disk(Bus::Ahci), disk(Bus::Ahci)],
            ..Spec::new()
        };
        let line = line(&spec);
        assert!(!line.contains("bootindex"), "{line}");
        assert!(
            line.contains("bus=ide.0") && line.contains("bus=ide.1"),
            "{line}"
        );
        assert!(line.contains("readonly=on,file=/c.fd"), "{line}");
        let first = Spec {
            boot: Boot::Disk,
            ..spec
        };
        assert_eq!(self::line(&first).matches("bootindex=0").count(), 1);
    }
}
