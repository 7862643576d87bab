//! Which disks are the same one by several ways.

use super::{Disk, Transport};
use crate::known::Known;
use std::collections::BTreeMap;

/// What tells one disk by several ways.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    wwn: String,
    serial: Option<String>,
    size: u64,
}

/// Tells disks of each other that are the same one by several ways. Cheap disks repeat a WWN, so the rest must fit too.
pub(super) fn join(disks: &mut [Disk]) {
    let mut same: BTreeMap<Identity, Vec<String>> = BTreeMap::new();
    for disk in disks.iter() {
        if let Some(identity) = identity(disk) {
            same.entry(identity).or_default().push(disk.name.clone());
        }
    }
    for disk in disks {
        if let Some(names) = identity(disk).and_then(|identity| same.get(&identity)) {
            let others = names.iter().filter(|name| **name != disk.name);
            disk.paths.extend(others.cloned());
        }
    }
}

/// None where the disk has one way for sure, or tells too little: what is called one disk cannot be installed to, and what is
/// called two may become both halves of a mirror.
fn identity(disk: &Disk) -> Option<Identity> {
    let text = |known: &Known<String>| known.value().filter(|text| !text.is_empty()).cloned();
    let serial = text(&disk.serial);
    // A cable of SATA, a bridge of USB and a virtual disk lead to one machine by one way, and these are what repeats numbers: disks
    // of one lot, LUNs of a bridge. Namespaces of NVMe have made-up names often enough, and a serial number always.
    match disk.transport.value()? {
        Transport::Sas | Transport::Scsi | Transport::FibreChannel | Transport::Iscsi => {}
        Transport::Nvme if serial.is_some() => {}
        _ => return None,
    }
    let wwn = text(&disk.wwn)?.to_ascii_lowercase();
    if is_zero(&wwn) && serial.is_none() {
        return None;
    }
    Some(Identity {
        wwn,
        serial,
        size: *disk.size_bytes.value()?,
    })
}

/// `naa.0000000000000000`: a number that nobody gave.
fn is_zero(wwn: &str) -> bool {
    let digits = wwn.split_once('.').map_or(wwn, |(_, digits)| digits);
    digits
        .trim_start_matches("0x")
        .bytes()
        .all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "naa.0000000000000000";
    const WWN: &str = "naa.5000c500a1b2c3d4";

    fn disk(name: &str, transport: Transport, wwn: &str, serial: Option<&str>) -> Disk {
        Disk {
            name: name.to_owned(),
            transport: Known::Value(transport),
            wwn: Known::Value(wwn.to_owned()),
            serial: serial.map_or(Known::Absent, |serial| Known::Value(serial.to_owned())),
            size_bytes: Known::Value(1_000_204_886_016),
            ..Disk::default()
        }
    }

    /// The two are one, and each tells the other's name.
    fn are_one(first: Disk, second: Disk) -> bool {
        let mut disks = [first, second];
        join(&mut disks);
        let [first, second] = &disks;
        let told = [
            first.paths.contains(&second.name),
            second.paths.contains(&first.name),
        ];
        assert_eq!(told[0], told[1]);
        assert_eq!([first, second].map(Disk::has_other_devices), told);
        told[0]
    }

    #[test]
    fn disks_with_several_ports_are_one_by_number() {
        use Transport::{FibreChannel, Iscsi, Nvme, Sas, Scsi};
        for transport in [Sas, Scsi, FibreChannel, Iscsi, Nvme] {
            let one = |name| disk(name, transport, WWN, Some("S1"));
            assert!(are_one(one("sda"), one("sdb")), "{transport}");
        }
        let lun = |name| disk(name, Iscsi, WWN, None);
        assert!(are_one(lun("sda"), lun("sdb")));
        let upper = disk("sdb", Sas, &WWN.to_ascii_uppercase(), Some("S1"));
        assert!(are_one(disk("sda", Sas, WWN, Some("S1")), upper));
        let numbered = |name| disk(name, Scsi, ZERO, Some("S1"));
        assert!(are_one(numbered("sda"), numbered("sdb")));
    }

    #[test]
    fn disks_that_repeat_a_number_are_two() {
        use Transport::{Nvme, Sas, Sata, Scsi, Usb, Virtio};
        // Cheap disks of one lot, LUNs of a bridge, disks of a virtual machine.
        for transport in [Sata, Usb, Virtio] {
            for serial in [None, Some("S1")] {
                let one = |name| disk(name, transport, WWN, serial);
                assert!(!are_one(one("sda"), one("sdb")), "{transport}");
            }
        }
        let unknown = |name| disk(name, Scsi, ZERO, None);
        assert!(!are_one(unknown("sda"), unknown("sdb")));
        let unknown = |name| disk(name, Nvme, "eui.0025385b61b0d5e9", None);
        assert!(!are_one(unknown("nvme0n1"), unknown("nvme1n1")));
        let other = disk("sdb", Sas, WWN, Some("S2"));
        assert!(!are_one(disk("sda", Sas, WWN, Some("S1")), other));
        let mut larger = disk("sdb", Sas, WWN, Some("S1"));
        larger.size_bytes = Known::Value(2_000_398_934_016);
        assert!(!are_one(disk("sda", Sas, WWN, Some("S1")), larger));
    }

    /// Without the kernel's own multipath an NVMe disk shows itself once for each controller.
    #[test]
    fn controllers_are_no_disks() {
        let mut joined = disk("nvme0n1", Transport::Nvme, WWN, Some("S1"));
        joined.paths = vec!["nvme0".to_owned(), "nvme1".to_owned()];
        assert!(!joined.has_other_devices() && !joined.is_also("/dev/nvme1"));
        joined.paths.push("nvme1n1".to_owned());
        assert!(joined.other_devices().eq(["nvme1n1"]));
        assert!(joined.is_also("/dev/nvme1n1"));
    }
}
