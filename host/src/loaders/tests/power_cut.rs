//! The power goes within a write.

use super::*;

/// The host of each way with the power cut within each write of each start: what starts it is whole, and later starts finish.
#[test]
fn power_cuts_within_every_write() {
    for way in [Way::Vendor, Way::Bios] {
        for torn in [false, true] {
            cut_everywhere(&way, torn);
        }
    }
}

fn cut_everywhere(way: &Way, torn: bool) {
    let boot = boot_of("1.0.1", "/dev/sda3");
    for at_start in 1..=3 {
        for writes in 0.. {
            let mut bench = bench(way);
            (1..at_start).for_each(|number| drop(start(&bench, number, &boot)));
            let before = sda(&bench);
            bench.cut_after(writes, torn);
            let told = start(&bench, at_start, &boot);
            let after = sda(&bench);
            let context =
                format!("{way:?} torn {torn} start {at_start} writes {writes}: {before} {after}");
            assert!(!after.contains('?'), "{context}");
            // A path that was not this start's to change is as it was.
            match (way, at_start) {
                (Way::Vendor, 1) => assert_eq!(after[1..], before[1..], "{context}"),
                (Way::Bios, 1) => assert_eq!(after[..2], before[..2], "{context}"),
                _ => {}
            }
            bench.cut_after(i64::MAX, false);
            let aliased = [EFI_VENDOR, EFI_FALLBACK, GRUB_CFG].iter().any(|file| {
                let path = Path::new(ESP).join(file);
                let new = bench.files.content(replace::beside(&path));
                new.is_some() && new == bench.files.content(path)
            });
            for number in 5..9 {
                start(&bench, number, &boot);
            }
            assert_eq!(
                sda(&bench),
                "nnnn",
                "{context}, aliased {aliased}: {}",
                told.reason
            );
            if !told.reason.contains("power is cut") {
                assert!(writes > 2, "{context}");
                break;
            }
        }
    }
}
