//! Disks and network interfaces of a guest, as libvirt describes them.

use super::xml::{self, attribute, element, find};
use crate::local::derived_uuid;
use crate::storage::is_same;
use std::path::Path;
use steps::System;
use uuid::Uuid;
use xmltree::{Element, XMLNode};

/// A disk or optical drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestDisk {
    /// What the guest sees: `xvda`, `hdc`.
    pub target: String,
    /// An optical drive.
    pub cdrom: bool,
    /// The block device or file; none for a drive without a medium, and for what is neither.
    pub source: Option<String>,
    /// The guest cannot write.
    pub read_only: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestNic {
    /// Its address.
    pub mac: String,
    /// The bridge that it is on; none where libvirt's configuration says something else.
    pub bridge: Option<String>,
    /// The interface of dom0 behind it, while the guest runs.
    pub interface: Option<String>,
}

/// What libvirt makes of a UUID of a guest and the name of a device in it; always the same.
fn device_uuid(guest: &str, kind: &str, device: &str) -> String {
    derived_uuid(Uuid::try_parse(guest).ok(), kind, device).to_string()
}

impl GuestDisk {
    /// From `<disk>`.
    pub(super) fn read(disk: &Element) -> Option<GuestDisk> {
        // What is not of the disk's type may be there as well, and is nothing to libvirt.
        let of_type = disk.attributes.get("type").map(String::as_str);
        let source = match of_type {
            Some("block") => attribute(disk, &["source"], "dev"),
            Some("file") | None => attribute(disk, &["source"], "file"),
            Some(_) => None,
        };
        Some(GuestDisk {
            target: attribute(disk, &["target"], "dev")?,
            cdrom: disk
                .attributes
                .get("device")
                .is_some_and(|device| device == "cdrom"),
            source,
            read_only: find(disk, &["readonly"]).is_some(),
        })
    }

    /// True when its content is the device or file `path`, whatever the definition calls it.
    pub fn is_on(&self, system: &dyn System, path: &Path) -> bool {
        let source = self.source.as_deref().map(Path::new);
        source.is_some_and(|source| is_same(system, source, path))
    }

    /// The UUID of the connection between the guest and its disk.
    pub fn uuid(&self, guest: &str) -> String {
        device_uuid(guest, "vbd", &self.target)
    }

    /// `<disk>`. Block devices go through the kernel's backend; files and media through QEMU's.
    pub fn to_xml(&self) -> Element {
        let block = self
            .source
            .as_deref()
            .is_some_and(|path| path.starts_with("/dev/"));
        let (kind, driver, source) = match block {
            true => ("block", "phy", "dev"),
            false => ("file", "qemu", "file"),
        };
        let device = if self.cdrom { "cdrom" } else { "disk" };
        let mut disk = element("disk", &[("type", kind), ("device", device)]);
        let mut push = |child| disk.children.push(XMLNode::Element(child));
        push(element("driver", &[("name", driver), ("type", "raw")]));
        if let Some(path) = &self.source {
            push(element("source", &[(source, path)]));
        }
        // An emulated drive is one that any installer finds; xvd* are Xen's own.
        let bus = if self.target.starts_with("hd") {
            "ide"
        } else {
            "xen"
        };
        push(element("target", &[("dev", &self.target), ("bus", bus)]));
        if self.read_only {
            push(Element::new("readonly"));
        }
        disk
    }
}

/// A new address of Xen's own range.
pub(super) fn new_mac() -> String {
    let random = *Uuid::new_v4().as_bytes();
    format!(
        "00:16:3e:{:02x}:{:02x}:{:02x}",
        random[0] & 0x7f,
        random[1],
        random[2]
    )
}

impl GuestNic {
    /// From `<interface>`.
    pub(super) fn read(nic: &Element) -> Option<GuestNic> {
        Some(GuestNic {
            mac: attribute(nic, &["mac"], "address")?,
            bridge: attribute(nic, &["source"], "bridge"),
            interface: attribute(nic, &["target"], "dev"),
        })
    }

    /// One on a bridge, with a new address of Xen's own range.
    pub fn new(bridge: &str) -> GuestNic {
        GuestNic {
            mac: new_mac(),
            bridge: Some(bridge.to_owned()),
            interface: None,
        }
    }

    /// Its UUID.
    pub fn uuid(&self, guest: &str) -> String {
        device_uuid(guest, "vif", &self.mac)
    }

    /// `<interface>`.
    pub fn to_xml(&self) -> Element {
        let mut nic = element("interface", &[("type", "bridge")]);
        nic.children
            .push(XMLNode::Element(element("mac", &[("address", &self.mac)])));
        if let Some(bridge) = &self.bridge {
            nic.children
                .push(XMLNode::Element(element("source", &[("bridge", bridge)])));
        }
        nic
    }
}

/// As text for `virsh attach-device`.
pub fn print(device: &Element) -> String {
    xml::print(device)
}

/// Whether this is an address of one network card.
pub fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    let byte = |part: &&str| {
        u8::from_str_radix(part, 16)
            .ok()
            .filter(|_| part.len() == 2)
    };
    let bytes: Option<Vec<u8>> = parts.iter().map(byte).collect();
    // The lowest bit of the first byte is set in addresses of groups.
    bytes.is_some_and(|bytes| bytes.len() == 6 && bytes[0] & 1 == 0)
}

/// The name of the `index`th disk: `xvda` to `xvdz`.
fn disk_name(index: u8) -> Option<String> {
    (index < 26).then(|| format!("xvd{}", char::from(b'a' + index)))
}

/// The name for a disk that an administrator asked for as `0`, `xvdb`, or `autodetect`; none where it is taken or is none.
/// An emulated drive takes a place of the same series: `hdc` and `xvdc` are the same to a guest.
pub fn free_disk_name(asked: &str, disks: &[GuestDisk]) -> Option<String> {
    let taken = |name: &str| {
        disks
            .iter()
            .any(|disk| disk.target.chars().last() == name.chars().last())
    };
    if asked == "autodetect" {
        return (0..26).filter_map(disk_name).find(|name| !taken(name));
    }
    let name = match asked.parse::<u8>() {
        Ok(index) => disk_name(index)?,
        Err(_) => {
            let letter = asked.strip_prefix("xvd")?;
            let mut letters = letter.chars();
            let one = letters.next().is_some_and(|c| c.is_ascii_lowercase());
            (one && letters.next().is_none()).then(|| asked.to_owned())?
        }
    };
    (!taken(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(target: &str) -> GuestDisk {
        GuestDisk {
            target: target.into(),
            cdrom: false,
            source: None,
            read_only: false,
        }
    }

    #[test]
    fn names_of_disks_are_free_or_refused() {
        let disks = [disk("xvda"), disk("hdc")];
        for (asked, name) in [
            ("autodetect", Some("xvdb")),
            ("0", None),
            ("1", Some("xvdb")),
            ("2", None),
            ("3", Some("xvdd")),
            ("26", None),
            ("xvde", Some("xvde")),
            ("xvda", None),
            ("sda", None),
            ("xvdaa", None),
        ] {
            assert_eq!(free_disk_name(asked, &disks).as_deref(), name, "{asked}");
        }
    }

    #[test]
    fn addresses_are_of_one_card() {
        let nic = GuestNic::new("xenbr0");
        assert!(is_mac(&nic.mac) && nic.mac.starts_with("00:16:3e:"));
        assert_ne!(nic.mac, GuestNic::new("xenbr0").mac);
        for wrong in [
            "",
            "00:16:3e:00:00",
            "01:16:3e:00:00:00",
            "00:16:3e:00:00:zz",
            "0:16:3e:0:0:0",
        ] {
            assert!(!is_mac(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for disk in [
            GuestDisk {
                source: Some("/dev/bedplate/a".into()),
                ..disk("xvda")
            },
            GuestDisk {
                cdrom: true,
                read_only: true,
                source: Some("/srv/iso/a & b.iso".into()),
                ..disk("hdd")
            },
            GuestDisk {
                cdrom: true,
                read_only: true,
                ..disk("hdd")
            },
        ] {
            let text = print(&disk.to_xml());
            let again = Element::parse(text.as_bytes()).unwrap();
            assert_eq!(GuestDisk::read(&again), Some(disk), "{text}");
        }
        let nic = GuestNic::new("xenbr0");
        assert_eq!(GuestNic::read(&nic.to_xml()), Some(nic));
    }
}
