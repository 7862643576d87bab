use super::testing::{Bench, boot_img, boots_by, core_img, efi, lay_down};
use super::*;
use crate::health::Outcome;
use crate::local::boot_of;
use slots::block::{BlockDevice, MemoryDevice};
use slots::boot_state::{GOOD_ENV, STATE_ENV};
use slots::grub::{BOOT_CODE, core_places, core_start, grub_bios_embed};
use slots::layout::MIB;
use slots::names::EFI_VENDOR_PATH;
use slots::{Partition, PartitionKind};
use std::sync::{Arc, Mutex};
use steps::{RecordingSystem, System};

mod mirror;
mod power_cut;
mod refused;

const ESP: &str = "/boot/efi";
const BIOS: Partition = Partition {
    kind: PartitionKind::Bios,
    start: 1025 * MIB,
    size: MIB,
};

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
