//! Disks and optical drives.

use super::bedplate_host::BedplateHost;
use super::disk_partition::{Content, Partition, content, sectors};
use super::mounts::Mounts;
use super::name_order::{disk_order, natural};
use super::probes::Probes;
use super::{
    disk_identity, disk_partition, disk_paths, flag, number, optional_attribute, pci_address_in,
    udev,
};
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

const FOLDER: &str = "/sys/block";

/// A disk or an optical drive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Disk {
    /// Where this was read, `/sys/block/vda`.
    pub source: String,
    /// Kernel name, `vda`; another one after the next boot.
    pub name: String,
    /// Device path, `/dev/vda`.
    pub path: String,
    /// Names that stay, `/dev/disk/by-id/...`, as far as udev made any.
    pub by_id: Vec<String>,
    /// Disk or optical drive.
    pub kind: DiskKind,
    /// Major and minor number, `254:0`.
    pub device_number: Known<String>,
    /// Maker, where the disk tells it apart from the model.
    pub vendor: Known<String>,
    /// Model.
    pub model: Known<String>,
    /// Serial number; `Absent` where the disk reports none.
    pub serial: Known<String>,
    /// World wide name as the kernel writes it (`naa.5000...`, `eui.0025...`, `t10.ATA ...`); compare with
    /// [`Disk::has_wwn`].
    pub wwn: Known<String>,
    /// Version of the disk's own firmware.
    pub firmware_version: Known<String>,
    /// Bytes; 0 for a drive without a medium.
    pub size_bytes: Known<u64>,
    /// Bytes of a logical sector: what is addressed.
    pub logical_sector: Known<u32>,
    /// Bytes of a physical sector: what is written at once.
    pub physical_sector: Known<u32>,
    /// True for disks that turn.
    pub rotational: Known<bool>,
    /// How it is connected.
    pub transport: Known<Transport>,
    /// The medium can be taken out.
    pub removable: Known<bool>,
    /// It refuses to be written.
    pub read_only: Known<bool>,
    /// The PCI function that it hangs on; `Absent` where it hangs on none.
    pub pci_address: Known<String>,
    /// Names of other disks that are the same one by another way: same WWN, serial number and size. For NVMe the controllers
    /// that lead to it, where there are several.
    pub paths: Vec<String>,
    /// NVMe qualified name of the subsystem; `Absent` for disks that are no NVMe.
    pub subsystem_nqn: Known<String>,
    /// Its partitions, in the order of the table.
    #[serde(deserialize_with = "super::list::plain")]
    pub partitions: Vec<Partition>,
    /// Signatures on the disk as a whole; `Absent` where udev found none that it knows.
    pub content: Known<Content>,
    /// The Bedplate host on it. Left out where nobody looked.
    #[serde(skip_serializing_if = "nobody_looked")]
    pub host: Known<BedplateHost>,
    /// Device mapper and md devices on the disk as a whole.
    pub holders: Vec<String>,
    /// Where the disk as a whole is mounted (`[swap]` for swap).
    pub mount_points: Vec<String>,
}

/// What kind of drive it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskKind {
    /// A disk, turning or not.
    #[default]
    Disk,
    /// An optical drive, never installed to.
    Optical,
}

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// NVMe, over PCI Express or a fabric.
    Nvme,
    /// SATA or its parallel ancestor.
    Sata,
    /// Serial attached SCSI.
    Sas,
    /// SCSI of any other kind, RAID controllers among them.
    Scsi,
    /// SCSI over IP.
    Iscsi,
    /// Fibre Channel.
    FibreChannel,
    /// A paravirtual disk of QEMU.
    Virtio,
    /// USB.
    Usb,
    /// SD cards and eMMC.
    Mmc,
    /// A paravirtual disk of Xen.
    Xen,
}

impl Transport {
    /// Its name in JSON and in answer files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nvme => "nvme",
            Self::Sata => "sata",
            Self::Sas => "sas",
            Self::Scsi => "scsi",
            Self::Iscsi => "iscsi",
            Self::FibreChannel => "fibre_channel",
            Self::Virtio => "virtio",
            Self::Usb => "usb",
            Self::Mmc => "mmc",
            Self::Xen => "xen",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Disk {
    /// The disk at `path` as it is now; none where there is none. A machine may have hundreds, so no other one is looked at:
    /// [`paths`](Disk::paths) holds nothing but controllers.
    pub fn read(root: &Root, path: &str) -> Option<Self> {
        let names = root.list(FOLDER).ok()?;
        let name = names.into_iter().find(|name| device_path(name) == path)?;
        (!is_skipped(root, &name)).then(|| disk(root, name, Some(&Mounts::read(root))))
    }

    /// Names of the other disks that are this one by another way. NVMe has controllers among its paths, which are no disks.
    pub fn other_devices(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().filter(|name| !is_controller(name))
    }

    /// True where there are such.
    pub fn has_other_devices(&self) -> bool {
        self.other_devices().next().is_some()
    }

    /// True when the device at `path` is this disk by another way.
    pub fn is_also(&self, path: &str) -> bool {
        self.other_devices().any(|name| device_path(name) == path)
    }

    /// Whether `wwn` names this disk, in any of the usual forms: `naa.5000C500A1B2C3D4` is `0x5000c500a1b2c3d4`.
    /// False where the disk's own is not known.
    pub fn has_wwn(&self, wwn: &str) -> bool {
        let plain = |wwn: &str| {
            let wwn = wwn.trim().to_ascii_lowercase();
            let prefixes = ["naa.", "eui.", "uuid.", "wwn-", "nvme-eui.", "0x"];
            prefixes.iter().fold(wwn, |wwn, prefix| {
                wwn.strip_prefix(prefix).unwrap_or(&wwn).to_owned()
            })
        };
        self.wwn
            .value()
            .is_some_and(|own| !own.is_empty() && plain(own) == plain(wwn))
    }

    /// Whether anything is on the disk: partitions, a table, a file system, a member of RAID or LVM. Unknown where udev
    /// has not looked into it; take that for a disk with data. A disk without a known signature may hold data of
    /// programs that write none.
    pub fn holds_data(&self) -> Known<bool> {
        if !self.partitions.is_empty() || self.is_in_use() {
            return Known::Value(true);
        }
        match &self.content {
            Known::Value(_) => Known::Value(true),
            Known::Absent => Known::Value(false),
            Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
        }
    }

    /// Whether something that runs now stands on it or on one of its partitions.
    pub fn is_in_use(&self) -> bool {
        let own = !self.holders.is_empty() || !self.mount_points.is_empty();
        own || self
            .partitions
            .iter()
            .any(|part| !part.holders.is_empty() || !part.mount_points.is_empty())
    }

    /// Whether a system can be installed to this kind of device: a disk that can be written and is not taken out.
    /// Where that is not known it is not.
    pub fn is_install_candidate(&self) -> bool {
        self.kind == DiskKind::Disk
            && self.removable == Known::Value(false)
            && self.read_only == Known::Value(false)
            && self.size_bytes.value().is_some_and(|&size| size > 0)
    }
}

/// What the facts do not mention is not written into them either.
fn nobody_looked(host: &Known<BedplateHost>) -> bool {
    *host == Known::default()
}

/// Device path of a kernel name; `!` stands for `/` there.
pub(super) fn device_path(name: &str) -> String {
    format!("/dev/{}", name.replace('!', "/"))
}

/// Block devices that are made by software, and floppies. NVMe disks with several paths live among the virtual devices
/// too, so the folder does not tell.
fn is_skipped(root: &Root, name: &str) -> bool {
    let prefixes = [
        "loop", "ram", "zram", "dm-", "md", "nbd", "fd", "drbd", "rbd", "zd", "bcache", "pmem",
    ];
    let software = prefixes.iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '_'))
    });
    // A single path to a disk with several shows itself as hidden.
    software
        || root
            .attribute(&format!("{FOLDER}/{name}/hidden"))
            .is_ok_and(|text| text == "1")
}

/// Source: `/sys/block`, and the records of udev.
pub(super) fn read(probes: &Probes<'_>) -> Known<Vec<Disk>> {
    let root = probes.root;
    let mut names = match root.list(FOLDER) {
        Ok(names) => names,
        Err(error) => return Known::unknown(error.to_string()),
    };
    names.sort_by_cached_key(|name| disk_order(name));
    let mounts = probes.for_all().then(|| Mounts::read(root));
    let mut disks: Vec<Disk> = names
        .into_iter()
        .filter(|name| !is_skipped(root, name))
        .map(|name| disk(root, name, mounts.as_ref()))
        .collect();
    disk_paths::join(&mut disks);
    Known::Value(disks)
}

/// Whether this is the name of an NVMe controller, `nvme0`, and not of a disk, `nvme0n1`.
fn is_controller(name: &str) -> bool {
    name.strip_prefix("nvme")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Controllers that lead to an NVMe disk which hangs on its subsystem, where there are several.
fn controllers(root: &Root, source: &str) -> Vec<String> {
    let names = root.list(&format!("{source}/device")).unwrap_or_default();
    let mut found: Vec<String> = names
        .into_iter()
        .filter(|name| is_controller(name))
        .collect();
    found.sort_by_cached_key(|name| natural(name));
    if found.len() > 1 { found } else { Vec::new() }
}

/// A disk with what stands on it; without mounts what a verdict asks of it.
fn disk(root: &Root, name: String, mounts: Option<&Mounts>) -> Disk {
    let source = format!("{FOLDER}/{name}");
    let path = device_path(&name);
    let file = |file: &str| format!("{source}/{file}");
    // A tree that was captured with links followed has the disk's folder here and the connection in `device` at best.
    let real = real_path(root, &source);
    let transport = transport(root, &name, &real);
    // udev knows the whole model of these alone.
    let with_record = mounts.is_some() || transport == Known::Value(Transport::Sata);
    let device_number: Known<String> = if with_record {
        root.attribute(&file("dev")).into()
    } else {
        Known::default()
    };
    let record = device_number
        .clone()
        .and_then(|number| udev::read(root, &number));
    let identity = disk_identity::read(root, &source, &real, &transport, &record);
    let judged = Disk {
        kind: if name.starts_with("sr") {
            DiskKind::Optical
        } else {
            DiskKind::Disk
        },
        vendor: identity.vendor,
        model: identity.model,
        serial: identity.serial,
        wwn: identity.wwn,
        firmware_version: identity.firmware_version,
        size_bytes: sectors(root, &file("size")),
        removable: flag(root, &file("removable")),
        read_only: flag(root, &file("ro")),
        pci_address: pci_address(root, &source, &real),
        transport,
        path,
        name,
        source: source.clone(),
        ..Disk::default()
    };
    let Some(mounts) = mounts else { return judged };
    let nvme = judged.transport == Known::Value(Transport::Nvme);
    let number_text = device_number.value().map(String::as_str);
    let by_id = by_id(root, &record, &judged.name);
    let whole = content(record, number_text.unwrap_or_default());
    Disk {
        by_id,
        logical_sector: number(root, &file("queue/logical_block_size")),
        physical_sector: number(root, &file("queue/physical_block_size")),
        rotational: flag(root, &file("queue/rotational")),
        partitions: disk_partition::read(root, &source, &whole, mounts),
        content: whole,
        holders: root.list(&file("holders")).unwrap_or_default(),
        mount_points: mounts.targets(number_text, &judged.path),
        paths: if nvme {
            controllers(root, &source)
        } else {
            Vec::new()
        },
        subsystem_nqn: if nvme {
            optional_attribute(root, &file("device/subsysnqn"))
        } else {
            Known::Absent
        },
        device_number,
        ..judged
    }
}

/// Where the disk really is in /sys; where that tells nothing, where its `device` is.
fn real_path(root: &Root, source: &str) -> String {
    let real = root.real_path(source).unwrap_or_else(|_| source.to_owned());
    if real != source {
        return real;
    }
    root.real_path(&format!("{source}/device")).unwrap_or(real)
}

/// From the name and the parts of the real path, the more telling ones first: a virtio-scsi disk has both `virtio` and
/// `host` in it, a USB disk `usb` and `host`.
fn transport(root: &Root, name: &str, real: &str) -> Known<Transport> {
    let has = |prefix: &str| real.split('/').any(|part| part.starts_with(prefix));
    let has_number = |prefix: &str| {
        real.split('/').any(|part| {
            part.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let transport = if name.starts_with("nvme") {
        Transport::Nvme
    } else if name.starts_with("mmcblk") || has("mmc_host") {
        Transport::Mmc
    } else if name.starts_with("xvd") || has("vbd-") {
        Transport::Xen
    } else if has_number("usb") {
        Transport::Usb
    } else if has_number("ata") {
        Transport::Sata
    } else if has_number("session") {
        Transport::Iscsi
    } else if has("rport-") {
        Transport::FibreChannel
    } else if has("end_device-") {
        Transport::Sas
    } else if has_number("host") || root.exists(&format!("{FOLDER}/{name}/device/scsi_level")) {
        Transport::Scsi
    } else if has_number("virtio") || name.starts_with("vd") {
        Transport::Virtio
    } else {
        return Known::unknown(format!(
            "{real}: tells no connection that this program knows"
        ));
    };
    Known::Value(transport)
}

/// The PCI function. A disk with several NVMe paths hangs on the controllers that its subsystem lists; the first is
/// taken.
fn pci_address(root: &Root, source: &str, real: &str) -> Known<String> {
    if let Some(address) = pci_address_in(real) {
        return Known::Value(address.to_owned());
    }
    let subsystem = format!("{source}/device");
    let controllers = root.list(&subsystem).unwrap_or_default();
    let paths = controllers.iter().filter(|name| name.starts_with("nvme"));
    let found = paths
        .filter_map(|name| root.real_path(&format!("{subsystem}/{name}")).ok())
        .find_map(|path| pci_address_in(&path).map(str::to_owned));
    match found {
        Some(address) => Known::Value(address),
        None if real == source => {
            Known::unknown(format!("{source}: no link tells what it is connected to"))
        }
        None => Known::Absent,
    }
}

/// From udev's record; without one from the links in /dev, which are listed and not opened.
fn by_id(root: &Root, record: &Known<udev::Record>, name: &str) -> Vec<String> {
    const LINKS: &str = "/dev/disk/by-id";
    if let Some(record) = record.value() {
        return record.links_in("disk/by-id");
    }
    let links = root.list(LINKS).unwrap_or_default();
    let paths = links.into_iter().map(|link| format!("{LINKS}/{link}"));
    paths
        .filter(|path| root.link_name(path).is_ok_and(|target| target == name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probes::{Depth, ThisMachine};

    #[test]
    fn transports_by_path() {
        let (_, root) = crate::testing::empty_tree();
        let pci = "/sys/devices/pci0000:00/0000:00:05.0";
        for (name, path, expected) in [
            ("vda", "virtio1/block/vda", Transport::Virtio),
            (
                "sda",
                "ata1/host0/target0:0:0/0:0:0:0/block/sda",
                Transport::Sata,
            ),
            (
                "sda",
                "virtio3/host2/target2:0:0/2:0:0:0/block/sda",
                Transport::Scsi,
            ),
            (
                "sda",
                "usb2/2-1/2-1:1.0/host3/target3:0:0/3:0:0:0/block/sda",
                Transport::Usb,
            ),
            (
                "sda",
                "host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda",
                Transport::Sas,
            ),
            (
                "sda",
                "host5/rport-5:0-0/target5:0:0/5:0:0:0/block/sda",
                Transport::FibreChannel,
            ),
            ("nvme0n1", "nvme/nvme0/nvme0n1", Transport::Nvme),
            (
                "mmcblk0",
                "mmc_host/mmc0/mmc0:0001/block/mmcblk0",
                Transport::Mmc,
            ),
        ] {
            assert_eq!(
                transport(&root, name, &format!("{pci}/{path}")),
                Known::Value(expected),
                "{path}"
            );
        }
        let iscsi = "/sys/devices/platform/host7/session1/target7:0:0/7:0:0:0/block/sda";
        assert_eq!(
            transport(&root, "sda", iscsi),
            Known::Value(Transport::Iscsi)
        );
        assert_eq!(
            transport(&root, "xvda", "/sys/devices/vbd-768/block/xvda"),
            Known::Value(Transport::Xen)
        );
        assert!(transport(&root, "foo", "/sys/devices/foo").is_unknown());
    }

    #[test]
    fn many_disks_are_in_the_order_of_the_kernel() {
        let (folder, root) = crate::testing::empty_tree();
        let letters = |n: usize| char::from(b'a' + u8::try_from(n % 26).expect("a letter"));
        // sda to sdgr, as the kernel counts, and a few controllers of NVMe.
        let mut expected: Vec<String> = (0..12).map(|n| format!("nvme{n}n1")).collect();
        expected.extend((0..26).map(|n| format!("sd{}", letters(n))));
        expected.extend((0..174).map(|n| format!("sd{}{}", letters(n / 26), letters(n))));
        for name in &expected {
            let folder = folder.path().join("sys/block").join(name);
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let disks = read(&Probes::new(&root, Depth::Passive, &ThisMachine));
        let names: Vec<&String> = disks
            .value()
            .expect("disks")
            .iter()
            .map(|disk| &disk.name)
            .collect();
        assert_eq!(names, expected.iter().collect::<Vec<_>>());
        let one = Disk::read(&root, "/dev/sdgr").expect("the last one");
        assert_eq!(one.path, "/dev/sdgr");
        assert_eq!(Disk::read(&root, "/dev/sdgs"), None);
    }

    #[test]
    fn software_devices_are_skipped() {
        let (_, root) = crate::testing::empty_tree();
        for name in [
            "loop0", "ram0", "zram0", "dm-3", "md127", "md_d0", "nbd1", "fd0", "zd16",
        ] {
            assert!(is_skipped(&root, name), "{name}");
        }
        for name in [
            "sda",
            "vda",
            "nvme0n1",
            "mmcblk0",
            "sr0",
            "xvda",
            "cciss!c0d0",
        ] {
            assert!(!is_skipped(&root, name), "{name}");
        }
        assert_eq!(device_path("cciss!c0d0"), "/dev/cciss/c0d0");
    }

    #[test]
    fn world_wide_names_compare_in_all_forms() {
        let disk = |wwn: &str| Disk {
            wwn: Known::Value(wwn.to_owned()),
            ..Disk::default()
        };
        assert!(disk("naa.5000C500A1B2C3D4").has_wwn("0x5000c500a1b2c3d4"));
        assert!(disk("eui.0025385b61b0d5e9").has_wwn("eui.0025385B61B0D5E9"));
        assert!(!disk("naa.5000c500a1b2c3d4").has_wwn("5000c500a1b2c3d"));
        assert!(!disk("").has_wwn(""));
        assert!(!Disk::default().has_wwn(""));
    }

    #[test]
    fn data_is_only_denied_by_knowledge() {
        let mut disk = Disk::default();
        assert!(disk.holds_data().is_unknown());
        disk.content = Known::Absent;
        assert_eq!(disk.holds_data(), Known::Value(false));
        disk.partitions.push(Partition::default());
        assert_eq!(disk.holds_data(), Known::Value(true));
        assert!(!disk.is_in_use());
        disk.partitions[0].holders.push("dm-0".to_owned());
        assert!(disk.is_in_use());
        assert!(!Disk::default().is_install_candidate());
    }
}
