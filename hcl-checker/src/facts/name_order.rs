//! Kernel names in the order in which people and the kernel count them, which is not that of their letters.

/// What orders names with numbers in them: `eth2` before `eth10`.
pub fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(text);
        let digits = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (number, tail) = tail.split_at(digits);
        parts.push((word.to_owned(), number.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    parts
}

/// Drivers that count their disks with letters: after `sdz` comes `sdaa` (`sd_format_disk_name` in Linux drivers/scsi/sd.c,
/// which drivers/block/virtio_blk.c and xen-blkfront.c repeat).
const LETTERED: [&str; 4] = ["sd", "vd", "xvd", "hd"];

/// What orders disks: `sdz` before `sdaa`, `nvme2n1` before `nvme10n1`.
pub(super) fn disk_order(name: &str) -> impl Ord + use<> {
    let letters = |prefix: &&&str| {
        let rest = name.strip_prefix(**prefix).unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    match LETTERED.iter().find(letters) {
        // Among as many letters their own order is right.
        Some(prefix) => (natural(prefix), name.len(), name.to_owned()),
        None => (natural(name), 0, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_counted_as_people_do() {
        let mut names = ["eth10", "eth2", "eno1", "enp3s0f1", "enp3s0f0", "enp10s0"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(
            names,
            ["eno1", "enp3s0f0", "enp3s0f1", "enp10s0", "eth2", "eth10"]
        );
    }

    #[test]
    fn disks_are_counted_as_the_kernel_does() {
        let expected = [
            "mmcblk0", "nvme0n1", "nvme0n2", "nvme2n1", "nvme10n1", "sda", "sdb", "sdz", "sdaa",
            "sdab", "sdzz", "sdaaa", "sr0", "vda", "vdaa", "xvda", "xvdb",
        ];
        let mut names = expected;
        names.sort_unstable();
        assert_ne!(names, expected, "the letters would do");
        names.sort_by_cached_key(|name| disk_order(name));
        assert_eq!(names, expected);
    }
}
