//! What names a disk beyond the name that the kernel gave it today: model, serial number, world wide name.

use super::disk::Transport;
use super::{optional_attribute, udev};
use crate::known::Known;
use crate::root::{Root, clean};

/// Largest page of vital product data: 4 bytes of header and a 16-bit length.
const VPD_LIMIT: usize = 4 + 0xffff;

/// Names of one disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) vendor: Known<String>,
    pub(super) model: Known<String>,
    pub(super) serial: Known<String>,
    pub(super) wwn: Known<String>,
    pub(super) firmware_version: Known<String>,
}

/// `disk` is the disk's folder in /sys/block, `real` where that really is.
pub(super) fn read(
    root: &Root,
    disk: &str,
    real: &str,
    transport: &Known<Transport>,
    record: &Known<udev::Record>,
) -> Identity {
    let file = |name: &str| optional_attribute(root, &format!("{disk}/{name}"));
    let by_udev = |names: &[&str]| -> Known<String> {
        let found = record
            .value()
            .and_then(|record| names.iter().find_map(|name| record.get(name)));
        found.map_or(Known::Absent, |value| {
            Known::Value(clean(value.as_bytes(), false))
        })
    };
    let transport = transport.value().copied();
    match transport {
        Some(Transport::Nvme) => Identity {
            vendor: Known::Absent,
            model: file("device/model"),
            serial: file("device/serial"),
            wwn: file("wwid"),
            firmware_version: file("device/firmware_rev"),
        },
        Some(Transport::Virtio) => Identity {
            vendor: Known::Absent,
            model: Known::Absent,
            serial: file("serial"),
            wwn: Known::Absent,
            firmware_version: Known::Absent,
        },
        Some(Transport::Mmc) => Identity {
            vendor: file("device/manfid"),
            model: file("device/name"),
            serial: file("device/serial"),
            wwn: file("device/cid"),
            firmware_version: file("device/fwrev"),
        },
        Some(Transport::Xen) => Identity {
            vendor: Known::Absent,
            model: Known::Absent,
            serial: Known::Absent,
            wwn: Known::Absent,
            firmware_version: Known::Absent,
        },
        _ => {
            let usb = if transport == Some(Transport::Usb) {
                usb_serial(root, real)
            } else {
                Known::Absent
            };
            // /sys cuts an ATA model after 16 characters, udev has it whole.
            let whole_model = record
                .value()
                .filter(|_| transport == Some(Transport::Sata));
            let whole_model = whole_model.and_then(|record| record.get_decoded("ID_MODEL"));
            Identity {
                // For ATA disks the kernel writes `ATA` here.
                vendor: match file("device/vendor") {
                    Known::Value(vendor) if vendor == "ATA" => Known::Absent,
                    vendor => vendor,
                },
                model: whole_model.map_or_else(|| file("device/model"), Known::Value),
                serial: usb
                    .or(|| unit_serial(root, disk))
                    .or(|| by_udev(&["SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT"])),
                wwn: wwid(root, disk).or(|| by_udev(&["ID_WWN_WITH_EXTENSION", "ID_WWN"])),
                firmware_version: file("device/rev"),
            }
        }
    }
}

/// The world wide name of a SCSI disk. Where the disk has no such page the kernel refuses to read the attribute.
fn wwid(root: &Root, disk: &str) -> Known<String> {
    let path = format!("{disk}/device/wwid");
    match root.attribute(&path) {
        Err(error) if error.is_refused_by_device() => Known::Absent,
        _ => optional_attribute(root, &path),
    }
}

/// The unit serial number page (0x80) that the kernel read when it found the disk.
fn unit_serial(root: &Root, disk: &str) -> Known<String> {
    let path = format!("{disk}/device/vpd_pg80");
    match root.bytes(&path, VPD_LIMIT) {
        Ok(page) => match parse_unit_serial(&page) {
            Some(serial) if serial.is_empty() => Known::Absent,
            Some(serial) => Known::Value(serial),
            None => Known::unknown(format!("{path}: not a unit serial number page")),
        },
        Err(error) if error.is_missing() => Known::Absent,
        Err(error) => Known::unknown(error.to_string()),
    }
}

/// Byte 1 is the page's code, bytes 2 and 3 the length of what follows byte 3 (SPC-4, 7.8.15).
fn parse_unit_serial(page: &[u8]) -> Option<String> {
    let (header, rest) = page.split_first_chunk::<4>()?;
    if header[1] != 0x80 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    Some(clean(rest.get(..length)?, false))
}

/// The serial number of the USB device that the disk is a part of: the nearest folder upwards that is a USB device.
fn usb_serial(root: &Root, real: &str) -> Known<String> {
    let mut folder = real;
    while let Some((parent, _)) = folder.rsplit_once('/') {
        if root.exists(&format!("{folder}/idVendor")) {
            return optional_attribute(root, &format!("{folder}/serial"));
        }
        folder = parent;
    }
    Known::Absent
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_serial_page() {
        assert_eq!(
            parse_unit_serial(b"\x00\x80\x00\x0a   QM00001").as_deref(),
            Some("QM00001")
        );
        // What follows the stated length is not part of it.
        assert_eq!(
            parse_unit_serial(b"\x00\x80\x00\x02ABCD").as_deref(),
            Some("AB")
        );
        assert_eq!(parse_unit_serial(b"\x00\x83\x00\x02AB"), None);
        assert_eq!(parse_unit_serial(b"\x00\x80\xff\xffAB"), None);
        assert_eq!(parse_unit_serial(b"\x00\x80"), None);
        assert_eq!(
            parse_unit_serial(b"\x00\x80\x00\x02\xffA").as_deref(),
            Some("\\xffA")
        );
    }

    proptest! {
        #[test]
        fn never_panics(page in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_unit_serial(&page);
        }
    }
}
