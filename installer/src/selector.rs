//! Strict selection of disks: a property that a disk does not have, or that is not known, does not match.

use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Transport};
use std::fmt::Display;

/// Ways in which a disk can be connected.
pub const TRANSPORTS: [Transport; 10] = [
    Transport::Nvme,
    Transport::Sata,
    Transport::Sas,
    Transport::Scsi,
    Transport::Iscsi,
    Transport::FibreChannel,
    Transport::Virtio,
    Transport::Usb,
    Transport::Mmc,
    Transport::Xen,
];

/// Properties that a disk must have, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskSelector {
    /// Device path, or a link to it below `/dev/disk/by-id`.
    pub path: Option<String>,
    /// Serial number, whole.
    pub serial: Option<String>,
    /// World wide name, whole.
    pub wwn: Option<String>,
    /// Model pattern.
    pub model: Option<glob::Pattern>,
    /// How it is connected.
    pub transport: Option<Transport>,
    /// Smallest size in bytes.
    pub size_min: Option<u64>,
    /// Largest size in bytes.
    pub size_max: Option<u64>,
    /// True for disks that turn.
    pub rotational: Option<bool>,
}

impl DiskSelector {
    /// True when nothing is asked for, so that every disk would match.
    pub fn is_empty(&self) -> bool {
        *self == DiskSelector::default()
    }

    /// True when the selector names one disk rather than a kind of disk.
    pub fn names_one_disk(&self) -> bool {
        self.path.is_some() || self.serial.is_some() || self.wwn.is_some()
    }

    /// Why `disk` does not match, in words; empty when it matches.
    pub fn mismatches(&self, disk: &Disk) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(path) = &self.path
            && *path != disk.path
            && !disk.by_id.contains(path)
            && !disk.is_also(path)
        {
            reasons.push(format!("its path is {}, not {path}", disk.path));
        }
        let mut compare = |name: &str, wanted: String, fits: bool, found: String| {
            if !fits {
                reasons.push(format!("its {name} is {found}, not {wanted}"));
            }
        };
        if let Some(serial) = &self.serial {
            let fits = disk.serial.value() == Some(serial);
            compare("serial number", serial.clone(), fits, shown(&disk.serial));
        }
        if let Some(wwn) = &self.wwn {
            compare(
                "world wide name",
                wwn.clone(),
                disk.has_wwn(wwn),
                shown(&disk.wwn),
            );
        }
        if let Some(model) = &self.model {
            let fits = disk.model.value().is_some_and(|found| model.matches(found));
            compare("model", model.as_str().to_owned(), fits, shown(&disk.model));
        }
        if let Some(transport) = self.transport {
            let fits = disk.transport.value() == Some(&transport);
            compare(
                "transport",
                transport.to_string(),
                fits,
                shown(&disk.transport),
            );
        }
        let size = disk.size_bytes.value().copied();
        let found = || match &disk.size_bytes {
            Known::Value(bytes) => format!("{} ({bytes} bytes)", show_size(*bytes)),
            other => shown(other),
        };
        if let Some(min) = self.size_min {
            compare(
                "size",
                format!("{} or more", show_size(min)),
                size.is_some_and(|size| size >= min),
                found(),
            );
        }
        if let Some(max) = self.size_max {
            compare(
                "size",
                format!("{} or less", show_size(max)),
                size.is_some_and(|size| size <= max),
                found(),
            );
        }
        if let Some(rotational) = self.rotational {
            let fits = disk.rotational.value() == Some(&rotational);
            compare(
                "property rotational",
                rotational.to_string(),
                fits,
                shown(&disk.rotational),
            );
        }
        reasons
    }
}

fn shown<T: Display>(known: &Known<T>) -> String {
    match known {
        Known::Value(value) => value.to_string(),
        Known::Absent => "absent".to_owned(),
        Known::Unknown(_) => "not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        Disk {
            path: "/dev/sda".into(),
            by_id: vec!["/dev/disk/by-id/wwn-0x5000c500a1b2c3d4".into()],
            model: Known::Value("SAMSUNG MZ7L3480".into()),
            serial: Known::Value("S1".into()),
            wwn: Known::Value("naa.5000c500a1b2c3d4".into()),
            size_bytes: Known::Value(480_000_000_000),
            rotational: Known::Value(false),
            transport: Known::Value(Transport::Sata),
            ..Disk::default()
        }
    }

    fn wants(change: impl FnOnce(&mut DiskSelector)) -> Vec<String> {
        let mut selector = DiskSelector::default();
        change(&mut selector);
        selector.mismatches(&disk())
    }

    #[test]
    fn every_property_matches_and_mismatches() {
        let glob = |text: &str| Some(glob::Pattern::new(text).unwrap());
        assert!(wants(|s| s.path = Some("/dev/sda".into())).is_empty());
        assert!(
            wants(|s| s.path = Some("/dev/disk/by-id/wwn-0x5000c500a1b2c3d4".into())).is_empty()
        );
        assert!(wants(|s| s.wwn = Some("0x5000C500A1B2C3D4".into())).is_empty());
        assert!(wants(|s| s.model = glob("SAMSUNG*480")).is_empty());
        assert!(wants(|s| s.size_min = Some(480_000_000_000)).is_empty());
        assert_eq!(
            wants(|s| s.path = Some("/dev/sdaa".into())),
            ["its path is /dev/sda, not /dev/sdaa"]
        );
        assert_eq!(
            wants(|s| s.serial = Some("S".into())),
            ["its serial number is S1, not S"]
        );
        assert_eq!(
            wants(|s| s.model = glob("samsung*")),
            ["its model is SAMSUNG MZ7L3480, not samsung*"]
        );
        assert_eq!(
            wants(|s| s.transport = Some(Transport::Nvme)),
            ["its transport is sata, not nvme"]
        );
        assert_eq!(
            wants(|s| s.size_max = Some(1)),
            ["its size is 480.0 GB (480000000000 bytes), not 1 B or less"]
        );
        assert_eq!(
            wants(|s| s.rotational = Some(true)),
            ["its property rotational is false, not true"]
        );
    }

    #[test]
    fn what_a_disk_does_not_have_never_matches() {
        let bare = Disk {
            path: "/dev/vda".into(),
            serial: Known::Absent,
            ..Disk::default()
        };
        let selectors = [
            DiskSelector {
                serial: Some("S1".into()),
                ..Default::default()
            },
            DiskSelector {
                wwn: Some(String::new()),
                ..Default::default()
            },
            DiskSelector {
                model: glob::Pattern::new("*").ok(),
                ..Default::default()
            },
            DiskSelector {
                transport: Some(Transport::Virtio),
                ..Default::default()
            },
            DiskSelector {
                size_min: Some(0),
                ..Default::default()
            },
            DiskSelector {
                size_max: Some(u64::MAX),
                ..Default::default()
            },
            DiskSelector {
                rotational: Some(false),
                ..Default::default()
            },
        ];
        for selector in selectors {
            assert_eq!(selector.mismatches(&bare).len(), 1, "{selector:?}");
        }
    }
}
