//! What is left as it is, and told.

use super::*;

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
