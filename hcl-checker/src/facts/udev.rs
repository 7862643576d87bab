//! The udev database: what udev found when it looked into a device, so that nobody has to open it again.

use crate::known::Known;
use crate::root::Root;
use std::collections::BTreeMap;

const FOLDER: &str = "/run/udev/data";
/// Records have 1 to 3 KB.
const LIMIT: usize = 256 * 1024;

/// One record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Properties (`E:` lines).
    properties: BTreeMap<String, String>,
    /// Links below /dev (`S:` lines).
    links: Vec<String>,
}

impl Record {
    /// A property that is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.properties
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A property that exists as well in an encoded form, which keeps spaces and special characters.
    pub(super) fn get_decoded(&self, name: &str) -> Option<String> {
        let decoded = self
            .get(&format!("{name}_ENC"))
            .map(|value| decode(value).trim().to_owned());
        decoded
            .filter(|value| !value.is_empty())
            .or_else(|| self.get(name).map(str::to_owned))
    }

    /// Paths of the links in one folder of /dev, `disk/by-id`.
    pub(super) fn links_in(&self, folder: &str) -> Vec<String> {
        let mut links: Vec<String> = Vec::new();
        for link in &self.links {
            if link
                .strip_prefix(folder)
                .is_some_and(|name| name.starts_with('/'))
            {
                links.push(format!("/dev/{link}"));
            }
        }
        links.sort_unstable();
        links
    }
}

/// Path of the record of the block device with this number (`8:0`).
pub(super) fn record_path(device_number: &str) -> String {
    format!("{FOLDER}/b{device_number}")
}

/// Reads the record of a block device.
pub(super) fn read(root: &Root, device_number: &str) -> Known<Record> {
    match root.text(&record_path(device_number), LIMIT) {
        Ok(text) => Known::Value(parse(&text)),
        Err(error) => Known::unknown(error.to_string()),
    }
}

fn parse(text: &str) -> Record {
    let mut record = Record::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("E", property)) => {
                if let Some((name, value)) = property.split_once('=') {
                    record.properties.insert(name.to_owned(), value.to_owned());
                }
            }
            Some(("S", link)) => record.links.push(link.to_owned()),
            _ => {}
        }
    }
    record
}

/// Resolves udev's `\x20`. What that gives is cleaned like any other text of a device.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte == b'\\'
            && let Some(([b'x', high, low], behind)) = rest.split_first_chunk::<3>()
            && let (Some(high), Some(low)) =
                ((*high as char).to_digit(16), (*low as char).to_digit(16))
        {
            bytes.push((high * 16 + low) as u8);
            rest = behind;
        } else {
            bytes.push(byte);
        }
    }
    crate::root::clean(&bytes, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_record() {
        let text = "S:disk/by-id/virtio-abc\nS:disk/by-path/pci-0\nI:123\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL=my_disk\n\
                    E:ID_FS_LABEL_ENC=my\\x20disk\nE:EMPTY=\nG:systemd\nnonsense\n";
        let record = parse(text);
        assert_eq!(record.get("ID_FS_TYPE"), Some("ext4"));
        assert_eq!(
            record.get_decoded("ID_FS_LABEL").as_deref(),
            Some("my disk")
        );
        assert_eq!(record.get("EMPTY"), None);
        assert_eq!(
            record.links_in("disk/by-id"),
            ["/dev/disk/by-id/virtio-abc"]
        );
    }

    #[test]
    fn decoded_text_cannot_steer_a_terminal() {
        assert_eq!(decode("a\\x1b[0m\\x"), "a\\x1b[0m\\x");
        assert_eq!(decode("\\xc3\\xa9"), "é");
    }

    proptest! {
        #[test]
        fn never_panics(text in "([ES]:|\\\\x|\\PC){0,60}") {
            let record = parse(&text);
            let _ = record.links_in("disk");
            let _ = decode(&text);
        }
    }
}
