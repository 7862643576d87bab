//! Both disks of a mirror.

use super::*;
use slots::MirrorBoot;

const OTHER_ESP: &str = "/run/bedplate/other-esp";

/// A host on two disks, `sda` and `sdb`.
fn mirror() -> (Bench, BootRecord) {
    let mut files = sys(esp(RecordingSystem::new(), OTHER_ESP, b"old"), "sdb");
    for kind in PartitionKind::MIRRORED {
        let array = format!("/sys/class/block/{}", kind.array_name());
        files = files
            .file(format!("{array}/md/degraded"), "0\n")
            .file(format!("{array}/md/sync_action"), "idle\n");
        for disk in ["sda", "sdb"] {
            files = files.file(
                format!("{array}/slaves/{disk}{}/size", kind.number()),
                "8\n",
            );
        }
    }
    let mut bench = Bench::new(host(files, &Way::Vendor));
    bench.disks.insert("/dev/sda".into(), disk(b"old"));
    bench.disks.insert("/dev/sdb".into(), disk(b"old"));
    let mut boot = boot_of("1.0.1", "/dev/md3");
    boot.mirror = Some(MirrorBoot {
        booted: "sda".into(),
        kept: "sda".into(),
        esp: String::new(),
    });
    (bench, boot)
}

fn sdb(bench: &Bench) -> String {
    on_disk(bench, OTHER_ESP, "/dev/sdb")
}

#[test]
fn of_a_mirror_the_other_disk_follows_when_the_first_one_started_the_host_with_all_of_it() {
    let (bench, boot) = mirror();
    let expected = [
        ("nooo", "oooo"),
        ("nnno", "oooo"),
        ("nnnn", "oooo"),
        ("nnnn", "nnnn"),
        ("nnnn", "nnnn"),
    ];
    for (number, (first, other)) in (1..).zip(expected) {
        let told = start(&bench, number, &boot);
        assert_eq!((sda(&bench).as_str(), sdb(&bench).as_str()), (first, other));
        assert_eq!(told.outcome, Outcome::Pass, "{}", told.reason);
    }
    assert!(bench.files.mounted().is_empty());
    assert_eq!(LoaderRecord::read(&bench).state, State::Current);
}

#[test]
fn of_a_mirror_that_is_not_whole_nothing_is_touched() {
    let (bench, boot) = mirror();
    let degraded = Path::new("/sys/class/block/md5/md/degraded");
    bench.files.write_file(degraded, b"1\n", 0o444).unwrap();
    let told = start(&bench, 1, &boot);
    assert_eq!(sda(&bench), "oooo");
    assert!(
        told.reason.contains("until the mirror is whole"),
        "{}",
        told.reason
    );

    let (bench, mut boot) = mirror();
    boot.mirror.as_mut().unwrap().kept = "sdb".into();
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), sdb(&bench).as_str()),
        ("oooo", "oooo")
    );
    assert!(told.reason.contains("restart it"), "{}", told.reason);
}
