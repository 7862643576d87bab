use super::testing::{Bench, boot_img, boots_by, core_img, efi, lay_down};
use super::*;
use crate::health::Outcome;
use slots::block::{BlockDevice, MemoryDevice};
use slots::boot_state::{GOOD_ENV, STATE_ENV};
use slots::grub::{BOOT_CODE, core_places, core_start, grub_bios_embed};
use slots::layout::MIB;
use slots::names::EFI_VENDOR_PATH;
use slots::{MirrorBoot, Mode, Partition, PartitionKind, RootIdentity, Verity};
use std::sync::{Arc, Mutex};
use steps::{RecordingSystem, System};

const ESP: &str = "/boot/efi";
const OTHER_ESP: &str = "/run/bedplate/other-esp";
const BIOS: Partition = Partition {
    kind: PartitionKind::Bios,
    start: 1025 * MIB,
    size: MIB,
};

fn boot_of(version: &str, device: &str) -> BootRecord {
    BootRecord {
        mode: Mode::Host,
        root: RootIdentity {
            version: version.into(),
            image_name: "x.root.img".into(),
            image_size: 8192,
            image_sha256: "a".repeat(64),
            verity: Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: "a".repeat(64),
            },
        },
        root_device: device.into(),
        medium: None,
        state_device: None,
        mirror: None,
        root_opened_ms: 900,
        warnings: vec![],
    }
}

/// An ESP as an install of the release `which` leaves it.
fn esp(system: RecordingSystem, at: &str, which: &[u8]) -> RecordingSystem {
    system
        .file(format!("{at}/{EFI_VENDOR}"), efi(which))
        .file(format!("{at}/{EFI_FALLBACK}"), efi(which))
        .file(format!("{at}/{GRUB_CFG}"), [b"# cfg ", which].concat())
        .file(format!("{at}/{STATE_ENV}"), "state")
        .file(format!("{at}/{GOOD_ENV}"), "good")
}

/// A disk as an install of the release `which` leaves it, with partition records and tables that must stay.
fn disk(which: &[u8]) -> Arc<Mutex<MemoryDevice>> {
    let mut disk = MemoryDevice::new(1100 * MIB);
    disk.write_at(BOOT_CODE as u64, &[7; 2000]).unwrap();
    grub_bios_embed(&boot_img(which), &core_img(which), BIOS.start, BIOS.size)
        .unwrap()
        .write(&mut disk, &BIOS)
        .unwrap();
    Arc::new(Mutex::new(disk))
}

/// What is in `/sys` of a disk's BIOS boot partition.
fn sys(system: RecordingSystem, disk: &str) -> RecordingSystem {
    let at = format!("/sys/class/block/{disk}2");
    system
        .file(format!("{at}/uevent"), "PARTNAME=bedplate-bios\n")
        .file(format!("{at}/start"), format!("{}\n", BIOS.start / 512))
        .file(format!("{at}/size"), format!("{}\n", BIOS.size / 512))
}

/// The loaders of a release, and how the firmware came to the boot.
fn host(files: RecordingSystem, way: &Way) -> RecordingSystem {
    let files = esp(files, ESP, b"old");
    let files = sys(lay_down(files, b"new"), "sda").file(
        "/proc/self/mounts",
        format!("/dev/dm-0 / squashfs ro 0 0\n/dev/sda1 {ESP} vfat rw 0 0\n"),
    );
    let esp = "/dev/sda1";
    match way {
        Way::Bios | Way::Unknown(_) => files,
        Way::Vendor => boots_by(files, 3, Some(EFI_VENDOR_PATH), esp),
        Way::Fallback => boots_by(files, 3, None, esp),
    }
}

fn bench(way: &Way) -> Bench {
    let mut bench = Bench::new(host(RecordingSystem::new(), way));
    bench.disks.insert("/dev/sda".into(), disk(b"old"));
    bench
}

/// Health's call at the start of that number. Returns what is told.
fn start(bench: &Bench, number: u32, boot: &BootRecord) -> Check {
    let boot_id = format!("{number:08}-start\n");
    bench
        .files
        .write_file(Path::new(BOOT_ID), boot_id.as_bytes(), 0o444)
        .unwrap();
    let site = Site {
        system: bench,
        machine: bench,
        places: &bench.places,
        now: 1_800_000_000 + u64::from(number),
    };
    after_good(&site, boot).unwrap()
}

/// The releases that are in vendor path, fallback path, BIOS boot code and configuration: `o` or `n`, `?` for anything else.
fn on_disk(bench: &Bench, at: &str, node: &str) -> String {
    let file = |file: &str, of: &dyn Fn(&[u8]) -> Vec<u8>| {
        let there = bench.files.content(format!("{at}/{file}"));
        match there {
            Some(bytes) if bytes == of(b"old") => 'o',
            Some(bytes) if bytes == of(b"new") => 'n',
            _ => '?',
        }
    };
    let config = |which: &[u8]| [b"# cfg ", which].concat();
    let text = [
        file(EFI_VENDOR, &efi),
        file(EFI_FALLBACK, &efi),
        by_bios(bench, node),
        file(GRUB_CFG, &config),
    ];
    text.into_iter().collect()
}

/// What a BIOS starts: the boot sector and the core image that it names must be of one release, and nothing else may change.
fn by_bios(bench: &Bench, node: &str) -> char {
    let disk = bench.disks[Path::new(node)].lock().unwrap();
    assert_eq!(disk.bytes(BOOT_CODE as u64, 2000), [7; 2000]);
    let code: [u8; BOOT_CODE] = disk.bytes(0, BOOT_CODE).try_into().unwrap();
    let place = core_places(&BIOS)
        .into_iter()
        .find(|place| Some(place.start) == core_start(&code));
    let Some(place) = place else { return '?' };
    for (which, letter) in [(b"old", 'o'), (b"new", 'n')] {
        let images =
            grub_bios_embed(&boot_img(which), &core_img(which), place.start, place.size).unwrap();
        if images.boot_code == code && disk.bytes(place.start, images.core.len()) == images.core {
            return letter;
        }
    }
    '?'
}

fn sda(bench: &Bench) -> String {
    on_disk(bench, ESP, "/dev/sda")
}

#[test]
fn on_uefi_the_fallback_path_follows_the_next_good_boot_and_the_configuration_the_one_after() {
    let bench = bench(&Way::Vendor);
    let boot = boot_of("1.0.1", "/dev/sda3");
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("nooo", Outcome::Pass)
    );
    assert!(told.reason.contains("the rest comes"), "{}", told.reason);
    // The same start once more: what is there did not start it.
    let told = start(&bench, 1, &boot);
    assert_eq!(sda(&bench), "nooo");
    assert!(
        told.reason.contains("one thing was changed"),
        "{}",
        told.reason
    );
    start(&bench, 2, &boot);
    assert_eq!(sda(&bench), "nnno");
    start(&bench, 3, &boot);
    assert_eq!(sda(&bench), "nnnn");
    let told = start(&bench, 4, &boot);
    assert_eq!(told.reason, "as 1.0.1 brings them");
    let record = LoaderRecord::read(&bench);
    assert_eq!(record.state, State::Current);
    assert!(record.written.iter().all(|written| written.done));
    let places: Vec<_> = record.written.iter().map(|w| w.places.join(" ")).collect();
    assert_eq!(
        places,
        [
            EFI_VENDOR.to_owned(),
            format!("{EFI_FALLBACK} the boot code for BIOS"),
            GRUB_CFG.to_owned()
        ]
    );
    let shown = loader_map(&bench).to_string();
    assert!(
        shown.contains("state: current") && shown.contains("written-to: sda: grub/grub.cfg"),
        "{shown}"
    );
    assert_eq!(
        bench.files.content(format!("{ESP}/{STATE_ENV}")).unwrap(),
        b"state"
    );
    assert_eq!(
        bench.files.content(format!("{ESP}/{GOOD_ENV}")).unwrap(),
        b"good"
    );
}

#[test]
fn firmware_that_falls_back_is_asked_to_start_the_new_loader_once() {
    let mut bench = bench(&Way::Fallback);
    let boot = boot_of("1.0.1", "/dev/sda3");
    let told = start(&bench, 1, &boot);
    assert_eq!(sda(&bench), "nooo");
    // There is no entry, and this firmware keeps none.
    assert!(
        told.reason.contains("did not keep the entry"),
        "{}",
        told.reason
    );
    for number in [2, 3] {
        let told = start(&bench, number, &boot);
        assert_eq!(told.outcome, Outcome::Warn, "{}", told.reason);
    }
    let told = start(&bench, 4, &boot);
    assert!(told.reason.contains("boot menu"), "{}", told.reason);
    assert_eq!(sda(&bench), "nooo");
    // Somebody did.
    bench.files = boots_by(
        std::mem::take(&mut bench.files),
        9,
        Some(EFI_VENDOR_PATH),
        "/dev/sda1",
    );
    start(&bench, 5, &boot);
    assert_eq!(sda(&bench), "nnno");
    // Both paths are proven, whichever it takes.
    bench.files = boots_by(std::mem::take(&mut bench.files), 3, None, "/dev/sda1");
    start(&bench, 6, &boot);
    assert_eq!(sda(&bench), "nnnn");
}

#[test]
fn by_bios_the_other_half_of_the_partition_is_taken_in_turns() {
    let bench = bench(&Way::Bios);
    let boot = boot_of("1.0.1", "/dev/sda3");
    let expected = ["oono", "nnno", "nnnn"];
    for (number, expected) in (1..).zip(expected) {
        start(&bench, number, &boot);
        assert_eq!(sda(&bench), expected);
    }
    let start_of_core = || {
        let disk = bench.disks[Path::new("/dev/sda")].lock().unwrap();
        core_start(&disk.bytes(0, BOOT_CODE).try_into().unwrap())
    };
    assert_eq!(start_of_core(), Some(BIOS.start + BIOS.size / 2));
    // The next release comes to where the first one was.
    let next = lay_down(RecordingSystem::new(), b"old");
    for name in [
        "grubx64.efi",
        "grub-bios-boot.img",
        "grub-bios-core.img",
        "grub.cfg",
    ] {
        let path = format!("{}/{name}", slots::names::BOOT_LOADERS);
        let bytes = next.content(&path).unwrap();
        bench
            .files
            .write_file(Path::new(&path), &bytes, 0o644)
            .unwrap();
    }
    start(&bench, 4, &boot_of("1.0.2", "/dev/sda3"));
    assert_eq!(
        (sda(&bench).as_str(), start_of_core()),
        ("nnon", Some(BIOS.start))
    );
}

#[test]
fn going_back_does_not_take_the_loaders_back() {
    let bench = bench(&Way::Vendor);
    let record = LoaderRecord {
        schema: 1,
        release: Some("1.0.2".into()),
        ..LoaderRecord::default()
    };
    record.save(&bench).unwrap();
    let told = start(&bench, 1, &boot_of("1.0.1", "/dev/sda3"));
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("oooo", Outcome::Pass)
    );
    assert!(told.reason.contains("those of 1.0.2"), "{}", told.reason);
    assert_eq!(LoaderRecord::read(&bench).release.as_deref(), Some("1.0.2"));
}

#[test]
fn what_another_key_signed_or_another_system_wrote_stays() {
    let boot = boot_of("1.0.1", "/dev/sda3");
    let bench = bench(&Way::Vendor);
    let vendor = Path::new(ESP).join(EFI_VENDOR);
    bench
        .files
        .write_file(&vendor, b"of another key", 0o600)
        .unwrap();
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("?ooo", Outcome::Warn)
    );
    assert!(
        told.reason.contains("not signed by the key"),
        "{}",
        told.reason
    );
    assert_eq!(LoaderRecord::read(&bench).state, State::Held);

    let bench = self::bench(&Way::Bios);
    bench.disks[Path::new("/dev/sda")]
        .lock()
        .unwrap()
        .write_at(0, &[0xeb; 0x60])
        .unwrap();
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("oo?o", Outcome::Warn)
    );
    assert!(
        told.reason.contains("boot code for BIOS of sda stays"),
        "{}",
        told.reason
    );
}

#[test]
fn without_room_nothing_is_written_and_it_is_told() {
    let boot = boot_of("1.0.1", "/dev/sda3");
    let mut bench = bench(&Way::Vendor);
    bench.free = 1000;
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("oooo", Outcome::Warn)
    );
    assert!(told.reason.contains("1000 bytes free"), "{}", told.reason);

    // A partition in which one core image takes more than half of the place.
    let bench = self::bench(&Way::Bios);
    let size = Path::new("/sys/class/block/sda2/size");
    bench.files.write_file(size, b"10\n", 0o444).unwrap();
    let told = start(&bench, 1, &boot);
    assert_eq!(
        (sda(&bench).as_str(), told.outcome),
        ("oooo", Outcome::Warn)
    );
    assert!(
        told.reason.contains("room for two of 2560 only"),
        "{}",
        told.reason
    );
}

#[test]
fn two_names_of_one_file_are_left_to_the_check_of_the_file_system() {
    let bench = bench(&Way::Vendor);
    let new = Path::new(ESP).join("EFI/bedplate/grubx64.new");
    bench.files.write_file(&new, &efi(b"old"), 0o600).unwrap();
    let told = start(&bench, 1, &boot_of("1.0.1", "/dev/sda3"));
    assert!(told.reason.contains("fsck.vfat"), "{}", told.reason);
    assert_eq!(bench.files.content(&new), Some(efi(b"old")));
    assert_eq!(sda(&bench), "oooo");
}

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

#[test]
fn a_release_without_loaders_tells_nothing() {
    let bench = Bench::new(RecordingSystem::new());
    let site = Site {
        system: &bench,
        machine: &bench,
        places: &bench.places,
        now: 0,
    };
    assert_eq!(after_good(&site, &boot_of("1.0.0", "/dev/sda3")), None);
}

#[test]
fn the_copy_from_disk_to_disk_leaves_loaders_alone() {
    for file in [EFI_VENDOR, EFI_FALLBACK, GRUB_CFG] {
        assert!(
            is_loader(Path::new(file)) && !is_unfinished(Path::new(file)),
            "{file}"
        );
    }
    for file in [
        "EFI/bedplate/grubx64.new",
        "EFI/BOOT/BOOTX64.new",
        "grub/grub.new",
    ] {
        assert!(
            is_unfinished(Path::new(file)) && !is_loader(Path::new(file)),
            "{file}"
        );
    }
    for file in [STATE_ENV, GOOD_ENV, "bedplate/0123456789abcdef/vmlinuz"] {
        assert!(
            !is_loader(Path::new(file)) && !is_unfinished(Path::new(file)),
            "{file}"
        );
    }
}
