//! Disks that nobody may lose: what is refused because something is on them, or somebody has them.

use crate::bench::*;
use std::io::Read;
use steps::RecordingSystem;

#[test]
fn no_repository_takes_the_place_of_something_else() {
    let line = "sr-create name-label=x type=ext device-config:device=/dev/sdb";
    let used = system().prints("wipefs", "gpt\next4\n");
    let error = run(&used, line).unwrap_err();
    assert_eq!(error.code, "SR_DEVICE_IN_USE", "{error}");
    assert!(error.to_string().contains("holds: gpt, ext4"), "{error}");
    assert!(!used.command_lines().join("\n").contains("mkfs"));
    let empty = system().prints("wipefs", "");
    run(&empty, line).unwrap();
    let mkfs = |line: &String| line.starts_with("mkfs.ext4") && line.ends_with(" /dev/sdb");
    assert!(empty.command_lines().iter().any(mkfs));
}

#[test]
fn a_repository_is_not_destroyed_where_its_disks_cannot_be_seen() {
    const SR: &str = "cccccccc-1111-4111-8111-111111111111";
    let host = || {
        system()
            .file(
                "/etc/fstab",
                format!("UUID={SR} /srv/xen/{SR} ext4 nofail 0 2\n"),
            )
            .file(format!("/dev/bedplate/sr-{SR}"), "")
            .file(format!("/srv/xen/{SR}/lost+found/.keep"), "")
    };
    let line = format!("sr-destroy uuid={SR}");
    // df of a folder that nothing is mounted at is that of the root.
    let unmounted = host().prints("df", "Mounted on 1B-blocks Used\n/ 1000 10\n");
    let error = run(&unmounted, &line).unwrap_err();
    assert_eq!(error.code, "SR_NOT_ATTACHED", "{error}");
    assert_eq!(changes(&unmounted), [""; 0]);
    let mounted = host().prints(
        "df",
        &format!("Mounted on 1B-blocks Used\n/srv/xen/{SR} 1000 10\n"),
    );
    run(&mounted, &line).unwrap();
    let removed = format!("lvremove --quiet --yes /dev/bedplate/sr-{SR}");
    assert!(changes(&mounted).contains(&removed));
}

#[test]
fn a_disk_that_is_only_plugged_in_is_not_destroyed() {
    let without = DEFINITION.replace("vdi-aaaaaaaa", "vdi-dddddddd");
    let system = running()
        .prints(&format!("{V} 'dumpxml --inactive"), &without)
        .prints(&format!("{V} dumpxml --inactive"), &without);
    let line = "vdi-destroy uuid=aaaaaaaa-1111-4111-8111-111111111111";
    let error = run(&system, line).unwrap_err();
    assert_eq!(error.code, "VDI_IN_USE", "{error}");
    assert!(error.to_string().contains("runs"), "{error}");
    assert_eq!(changes(&system), [""; 0]);
}

#[test]
fn what_a_suspended_guest_goes_on_with_stays() {
    let disk = format!("uuid={DISK}");
    let vbd = run(&system(), "vbd-list device=xvda --minimal").unwrap();
    let vif = run(&system(), "vif-list --minimal").unwrap();
    for (line, code) in [
        (
            format!("vdi-import {disk} filename=/boot/vmlinuz"),
            "VDI_IN_USE",
        ),
        (format!("vdi-export {disk} filename=/new"), "VDI_IN_USE"),
        (format!("vdi-copy {disk}"), "VDI_IN_USE"),
        (
            format!("vbd-destroy uuid={}", vbd.trim()),
            "VM_BAD_POWER_STATE",
        ),
        (
            format!("vif-destroy uuid={}", vif.trim()),
            "VM_BAD_POWER_STATE",
        ),
        ("vm-destroy vm=web".to_owned(), "VM_BAD_POWER_STATE"),
        (
            "vm-start vm=web force=true".to_owned(),
            "VM_BAD_POWER_STATE",
        ),
    ] {
        let system = suspended();
        let error = run(&system, &line).unwrap_err();
        assert_eq!(error.code, code, "{line}: {error}");
        assert!(error.to_string().contains("suspended"), "{line}: {error}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
    let dropped = suspended();
    run(&dropped, "vm-reset-powerstate vm=web force=true").unwrap();
    assert_eq!(
        changes(&dropped),
        [format!("virsh managedsave-remove {VM}")]
    );
    let halted = system();
    run(&halted, "vm-start vm=web force=true").unwrap();
    assert_eq!(changes(&halted), [format!("virsh start {VM}")]);
}

#[test]
fn a_disk_that_would_not_be_copied_is_refused() {
    let shared = DEFINITION.replace(
        "<interface",
        "<disk type='block' device='disk'><source dev='/dev/sdc'/><target dev='xvdb' bus='xen'/></disk><interface",
    );
    for line in [
        "vm-clone vm=web new-name-label=two",
        "vm-export vm=web filename=/new",
        "vm-snapshot vm=web new-name-label=before",
    ] {
        let system = system()
            .prints(&format!("{V} 'dumpxml"), &shared)
            .prints(&format!("{V} dumpxml"), &shared);
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, "OPERATION_NOT_ALLOWED", "{line}: {error}");
        assert!(error.to_string().contains("location: /dev/sdc"), "{error}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}

/// A file for vm-import with this definition and no disk, in a folder that lives as long as it is used.
fn export_of(system: &RecordingSystem, definition: String) -> (tempfile::TempDir, String) {
    let manifest = host::export::Manifest::new(1, definition, Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("evil.xe");
    let task = host::task::Task::short(system);
    let mut bytes = Vec::new();
    host::export::Writer::new(&manifest, Vec::new(), &task)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    std::fs::write(&file, &bytes).unwrap();
    let path = file.display().to_string();
    (dir, path)
}

/// The guest of the bench under another name.
fn evil() -> String {
    DEFINITION
        .replace("<name>web</name>", "<name>evil</name>")
        .replace("11111111-2222", "99999999-2222")
}

/// The same without the disk.
fn diskless() -> String {
    let evil = evil();
    let (from, to) = (
        evil.find("<disk type='block'").unwrap(),
        evil.find("<disk type='file'").unwrap(),
    );
    evil[..from].to_owned() + &evil[to..]
}

#[test]
fn an_import_takes_no_disk_of_this_host() {
    // The definition names a disk that the guest `web` has, and the file holds none.
    let system = system();
    let (_dir, file) = export_of(&system, evil());
    let error = run(&system, &format!("vm-import filename={file}")).unwrap_err();
    assert_eq!(error.code, "IMPORT_ERROR_CORRUPT", "{error}");
    assert!(error.to_string().contains("device: xvda"), "{error}");
    assert_eq!(changes(&system), [""; 0]);
}

#[test]
fn an_import_runs_no_program_of_the_file_unless_it_is_trusted() {
    let hostile = diskless().replace("<devices>", "<bootloader>/tmp/evil</bootloader><devices>");
    let system = system();
    let (_dir, file) = export_of(&system, hostile);
    let line = format!("vm-import filename={file}");
    let error = run(&system, &line).unwrap_err();
    assert_eq!(error.code, "IMPORT_NOT_TRUSTED", "{error}");
    assert!(
        error.to_string().contains("element: bootloader /tmp/evil"),
        "{error}"
    );
    assert_eq!(changes(&system), [""; 0]);
    run(&system, &format!("{line} trust=true")).unwrap();
    assert_eq!(defined(&system).bootloader(), "/tmp/evil");
}

#[test]
fn an_import_reads_no_file_of_the_host_in_an_optical_drive() {
    let drive = |source: &str| {
        diskless().replace(
            "<target dev='hdd'",
            &format!("<source file='{source}'/><target dev='hdd'"),
        )
    };
    for (source, trust, kept) in [
        ("/srv/iso/debian.iso", "false", true),
        ("/boot/vmlinuz", "false", false),
        ("/boot/vmlinuz", "true", true),
        ("/none", "true", false),
    ] {
        let system = system();
        let (_dir, file) = export_of(&system, drive(source));
        run(&system, &format!("vm-import filename={file} trust={trust}")).unwrap();
        let disks = defined(&system).disks();
        assert_eq!(
            disks[0].source.as_deref(),
            kept.then_some(source),
            "{source} {trust}"
        );
    }
    // What libvirt reads is what is looked at, whatever else stands beside it.
    for (kind, source) in [
        (
            "file",
            "<source dev='/srv/iso/debian.iso' file='/boot/vmlinuz'/>",
        ),
        (
            "block",
            "<source file='/srv/iso/debian.iso' dev='/dev/sda'/>",
        ),
        (
            "dir",
            "<source file='/srv/iso/debian.iso' dir='/boot/vmlinuz'/>",
        ),
        (
            "file",
            "<source file='/srv/iso/debian.iso'/><backingStore type='file'><source file='/boot/vmlinuz'/></backingStore>",
        ),
    ] {
        let system = system();
        let definition = diskless()
            .replace(
                "<disk type='file' device='cdrom'>",
                &format!("<disk type='{kind}' device='cdrom'>"),
            )
            .replace("<target dev='hdd'", &format!("{source}<target dev='hdd'"));
        let (_dir, file) = export_of(&system, definition);
        run(&system, &format!("vm-import filename={file}")).unwrap();
        let text = defined(&system).print();
        assert!(
            !text.contains("vmlinuz") && !text.contains("/dev/sda"),
            "{kind}: {text}"
        );
    }
}

#[test]
fn a_disk_that_another_guest_has_as_well_is_not_taken_away_by_half() {
    const OTHER: &str = "99999999-2222-4333-8444-555555555555";
    let both = DEFINITION.to_owned() + &DEFINITION.replace(VM, OTHER).replace(">web<", ">db<");
    let system = system()
        .prints(
            &format!("{V} list --uuid --all"),
            &format!("{VM}\n{OTHER}\n"),
        )
        .prints(&format!("{V} 'dumpxml"), &both);
    let error = run(&system, "vm-disk-remove vm=web device=0").unwrap_err();
    assert_eq!(error.code, "VDI_IN_USE", "{error}");
    assert_eq!(changes(&system), [""; 0]);
}

#[test]
fn snapshots_stay_where_the_guest_stays() {
    let system = system();
    let snapshot = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap();
    let system = system.fails(&format!("{V} undefine"), 1, "error: it is busy");
    run(&system, "vm-uninstall vm=web force=true").unwrap_err();
    let list = run(&system, "snapshot-list params=uuid --minimal").unwrap();
    assert_eq!(list.trim(), snapshot.trim());
    let lost: Vec<_> = changes(&system)
        .into_iter()
        .filter(|line| line.starts_with("lvremove"))
        .collect();
    assert_eq!(lost, [""; 0]);
}

#[test]
fn a_name_that_libvirt_would_not_take_is_refused_before_disks_are_copied() {
    let slash = diskless().replace(">evil<", ">../evil<");
    for (line, definition) in [
        ("vm-clone vm=web new-name-label=a/b", diskless()),
        ("vm-copy vm=web new-name-label=\" \"", diskless()),
        ("vm-copy vm=web new-name-label=\"a\nb\"", diskless()),
        ("vm-import filename=FILE new-name-label=a/b", diskless()),
        ("vm-import filename=FILE", slash),
    ] {
        let system = system();
        let (_dir, file) = export_of(&system, definition);
        let error = run(&system, &line.replace("FILE", &file)).unwrap_err();
        assert!(error.usage, "{error}");
        for words in ["one line", "not empty", "slash"] {
            assert!(error.message.contains(words), "{error}");
        }
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}
