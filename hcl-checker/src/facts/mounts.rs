//! What of the disks is in use by mounts and swap.

use crate::root::Root;

/// 100,000 mounts are more than the kernel allows by default.
const LIMIT: usize = 16 << 20;

/// One use of a block device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    /// `8:1`; empty for swap.
    device_number: String,
    /// `/dev/sda1`, as far as the file tells.
    source: String,
    /// The mount point, or `[swap]`.
    target: String,
}

/// Everything that is mounted or swapped to.
#[derive(Debug, Clone, Default)]
pub(super) struct Mounts {
    uses: Vec<Use>,
}

impl Mounts {
    /// Sources: `/proc/self/mountinfo` (process 1's, where that is not there) and `/proc/swaps`.
    pub(super) fn read(root: &Root) -> Self {
        let files = ["/proc/self/mountinfo", "/proc/1/mountinfo"];
        let mountinfo = files
            .iter()
            .find_map(|path| root.text(path, LIMIT).ok())
            .unwrap_or_default();
        let swaps = root.text("/proc/swaps", LIMIT).unwrap_or_default();
        Self {
            uses: parse_mountinfo(&mountinfo)
                .chain(parse_swaps(&swaps))
                .collect(),
        }
    }

    /// Where a block device is mounted. By number, and by path as well: btrfs shows a number of its own.
    pub(super) fn targets(&self, device_number: Option<&str>, path: &str) -> Vec<String> {
        let same =
            |used: &&Use| device_number == Some(used.device_number.as_str()) || used.source == path;
        let mut targets: Vec<String> = self
            .uses
            .iter()
            .filter(same)
            .map(|used| used.target.clone())
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// `36 35 98:0 /root /mnt rw shared:1 - ext3 /dev/root rw`; the number of fields before the dash varies.
fn parse_mountinfo(text: &str) -> impl Iterator<Item = Use> {
    text.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let mut head = head.split(' ');
        let device_number = head.nth(2)?.to_owned();
        let target = unescape(head.nth(1)?);
        let source = unescape(tail.split(' ').nth(1).unwrap_or_default());
        Some(Use {
            device_number,
            source,
            target,
        })
    })
}

/// A header line, then `/dev/sda2 partition 1000 0 -2`.
fn parse_swaps(text: &str) -> impl Iterator<Item = Use> {
    text.lines().skip(1).filter_map(|line| {
        let source = unescape(line.split_ascii_whitespace().next()?);
        Some(Use {
            device_number: String::new(),
            source,
            target: "[swap]".to_owned(),
        })
    })
}

/// The kernel writes space, tab, line end and backslash as `\040`.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        result.push_str(before);
        let digits = behind
            .get(..3)
            .filter(|digits| digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)));
        match digits
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
            .filter(|byte| (0x20..0x7f).contains(byte))
        {
            Some(byte) => {
                result.push(char::from(byte));
                rest = &behind[3..];
            }
            None => {
                result.push('\\');
                rest = behind;
            }
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_mounts_by_number_and_by_path() {
        let text = "25 1 254:1 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
                    26 25 254:1 /a /mnt/my\\040disk rw - ext4 /dev/root rw\n\
                    27 25 0:30 / /data rw - btrfs /dev/sdb1 rw\nnonsense\n";
        let swaps = "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n";
        let mounts = Mounts {
            uses: parse_mountinfo(text).chain(parse_swaps(swaps)).collect(),
        };
        assert_eq!(
            mounts.targets(Some("254:1"), "/dev/vda1"),
            ["/", "/mnt/my disk"]
        );
        assert_eq!(mounts.targets(Some("8:17"), "/dev/sdb1"), ["/data"]);
        assert_eq!(mounts.targets(None, "/dev/sda2"), ["[swap]"]);
        assert!(mounts.targets(None, "/dev/vda1").is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\\\|[0-9]| - |\\PC){0,60}") {
            let _ = parse_mountinfo(&text).count();
            let _ = parse_swaps(&text).count();
            let _ = unescape(&text);
        }
    }
}
