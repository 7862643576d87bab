//! Storage repositories on disks of their own, as the installer makes them.

use crate::bench::*;
use std::path::Path;
use steps::{RecordingSystem, System};

const FAST: &str = "Qx3fas-t111";
const GROUPS: &str = r#"{"report":[{"vg":[
    {"vg_name":"bedplate-archive","vg_uuid":"Zarch1","vg_attr":"wz--n-","vg_size":"8589934592","vg_free":"0","lv_count":"1"},
    {"vg_name":"bedplate-fast","vg_uuid":"Qx3fas-t111","vg_attr":"wz--n-","vg_size":"4294967296","vg_free":"4294967296","lv_count":"0"},
    {"vg_name":"bedplate","vg_uuid":"k3xQ2a","vg_attr":"wz--n-","vg_size":"21470642176","vg_free":"10737418240","lv_count":"1"},
    {"vg_name":"somebodys","vg_uuid":"other","vg_attr":"wz--n-","vg_size":"4294967296","vg_free":"0","lv_count":"1"}]}]}"#;
const CONFIG: &str = "activation {\n\tauto_activation_volume_list = [ \"bedplate\", \"bedplate-fast\", \"bedplate-archive\" ]\n}\n";
const FSTAB: &str = "PARTUUID=1 /boot/efi vfat nofail 0 2\n\
    /dev/bedplate-archive/files\t/srv/storage/archive\text4\tnofail,x-systemd.device-timeout=300s\t0\t2\n";

/// The host with a repository of volumes and one of files beside the local one.
fn host() -> RecordingSystem {
    system()
        .file("/etc/lvm/lvmlocal.conf", CONFIG)
        .file("/etc/fstab", FSTAB)
        .prints("vgs", GROUPS)
        .prints(
            "df",
            "Mounted on 1B-blocks Used\n/srv/storage/archive 8000000000 1000\n",
        )
        .prints("find /srv/storage/archive", "")
        .file("/srv/storage/archive/lost+found/.keep", "")
        .prints(
            r"lvs --reportformat json --units b --nosuffix -o lv_uuid,lv_name,lv_size,origin,origin_size,lv_path bedplate-fast",
            r#"{"report":[{"lv":[]}]}"#,
        )
}

/// UUID of a repository by its name.
fn uuid_of(system: &RecordingSystem, name: &str) -> String {
    let line = format!("sr-list name-label={name} params=uuid --minimal");
    run(system, &line).unwrap().trim().to_owned()
}

#[test]
fn all_are_listed_the_local_one_first_and_nobody_elses() {
    let system = host();
    let params =
        |params: &str| run(&system, &format!("sr-list params={params} --minimal")).unwrap();
    assert_eq!(
        params("name-label").trim(),
        "Local storage,fast,archive,ISO images"
    );
    assert_eq!(params("type").trim(), "lvm,lvm,ext,iso");
    assert_eq!(
        params("location").trim(),
        "bedplate,bedplate-fast,/srv/storage/archive,/srv/iso"
    );
    assert_eq!(uuid_of(&system, "fast"), FAST);
    assert_eq!(
        run(&system, "pool-list params=default-SR --minimal")
            .unwrap()
            .trim(),
        "k3xQ2a"
    );
}

#[test]
fn disks_are_made_where_they_are_asked_for() {
    let system = host();
    let archive = uuid_of(&system, "archive");
    let disk = run(
        &system,
        &format!("vdi-create name-label=a virtual-size=1GiB sr-uuid={FAST}"),
    )
    .unwrap();
    let file = run(
        &system,
        &format!("vdi-create name-label=b virtual-size=1GiB sr-uuid={archive}"),
    )
    .unwrap();
    assert_eq!(
        changes(&system),
        [
            format!(
                "lvcreate --quiet --yes --wipesignatures y --zero y --size 1073741824b --name vdi-{} bedplate-fast",
                disk.trim()
            ),
            format!(
                "truncate --size=1073741824 /srv/storage/archive/{}.raw",
                file.trim()
            ),
        ]
    );
    let full = run(
        &system,
        &format!("vdi-create name-label=c virtual-size=5GiB sr-uuid={FAST}"),
    );
    assert_eq!(full.unwrap_err().code, "SR_FULL");
}

#[test]
fn a_guest_is_installed_onto_them() {
    for (name, starts) in [
        ("fast", "/dev/bedplate-fast/vdi-"),
        ("archive", "/srv/storage/archive/"),
    ] {
        let system = host();
        let sr = uuid_of(&system, name);
        run(
            &system,
            &format!(
                "vm-install new-name-label=db template=\"Linux PVH\" kernel=/boot/vmlinuz disk-size=1GiB sr-uuid={sr}"
            ),
        )
        .unwrap();
        let disk = defined(&system).disks()[0].source.clone().unwrap();
        assert!(disk.starts_with(starts), "{disk}");
    }
}

#[test]
fn one_whose_disk_is_gone_is_shown_takes_nothing_and_is_not_destroyed() {
    let without = GROUPS
        .replace("bedplate-fast", "somebodys-too")
        .replace("bedplate-archive", "somebodys-three");
    let system = host()
        .prints("vgs", &without)
        .prints("df", "Mounted on 1B-blocks Used\n/ 8000000000 1000\n");
    for (name, says) in [("fast", "NOT there"), ("archive", "NOT mounted")] {
        let about = run(
            &system,
            &format!("sr-list name-label={name} params=name-description --minimal"),
        )
        .unwrap();
        assert!(about.contains(says), "{about}");
        let sr = uuid_of(&system, name);
        for line in [
            format!("vdi-create name-label=a virtual-size=1GiB sr-uuid={sr}"),
            format!("sr-destroy uuid={sr}"),
        ] {
            let error = run(&system, &line).unwrap_err();
            assert_eq!(error.code, "SR_NOT_ATTACHED", "{line}: {error}");
        }
    }
    assert_eq!(changes(&system), [""; 0]);
    // The disks of the others are there all the same.
    let disks = run(&system, "vdi-list type=user params=uuid --minimal").unwrap();
    assert_eq!(disks.trim().split(',').count(), 2, "{disks}");
}

#[test]
fn one_that_misses_one_of_its_disks_says_so_and_is_not_destroyed() {
    let partial = GROUPS.replace(
        r#""Qx3fas-t111","vg_attr":"wz--n-""#,
        r#""Qx3fas-t111","vg_attr":"wz-pn-""#,
    );
    let system = host().prints("vgs", &partial);
    let about = run(
        &system,
        "sr-list name-label=fast params=name-description --minimal",
    )
    .unwrap();
    assert!(about.contains("MISSING"), "{about}");
    let error = run(&system, &format!("sr-destroy uuid={FAST}")).unwrap_err();
    assert_eq!(error.code, "SR_NOT_ATTACHED", "{error}");
    assert_eq!(changes(&system), [""; 0]);
}

#[test]
fn an_empty_one_is_destroyed_and_the_host_expects_it_no_more() {
    let members = host().prints("pvs", "  /dev/sdb1 \n  /dev/sdc1 \n");
    run(&members, &format!("sr-destroy uuid={FAST}")).unwrap();
    assert_eq!(
        changes(&members),
        [
            "pvs --noheadings -o pv_name --select vg_name=bedplate-fast",
            "vgremove --quiet bedplate-fast",
            "pvremove --quiet --yes /dev/sdb1 /dev/sdc1",
        ]
    );
    assert_eq!(
        members.content("/etc/lvm/lvmlocal.conf").unwrap(),
        CONFIG.replace("\"bedplate-fast\", ", "").as_bytes()
    );

    let system = host().prints("pvs", "  /dev/sdd1 \n");
    let archive = uuid_of(&system, "archive");
    run(&system, &format!("sr-destroy uuid={archive}")).unwrap();
    assert_eq!(
        changes(&system),
        [
            "umount /srv/storage/archive",
            "systemctl daemon-reload",
            "lvremove --quiet --yes /dev/bedplate-archive/files",
            "pvs --noheadings -o pv_name --select vg_name=bedplate-archive",
            "vgremove --quiet bedplate-archive",
            "pvremove --quiet --yes /dev/sdd1",
        ]
    );
    assert_eq!(
        system.content("/etc/fstab").unwrap(),
        b"PARTUUID=1 /boot/efi vfat nofail 0 2\n"
    );
}

#[test]
fn files_that_are_no_disks_keep_a_repository() {
    let system = host().file("/srv/storage/archive/template.qcow2", "somebody's");
    let archive = uuid_of(&system, "archive");
    let error = run(&system, &format!("sr-destroy uuid={archive}")).unwrap_err();
    assert_eq!(error.code, "SR_NOT_EMPTY", "{error}");
    assert!(error.to_string().contains("template.qcow2"), "{error}");
    assert_eq!(changes(&system), [""; 0]);
}

#[test]
fn one_that_could_not_be_made_leaves_nothing() {
    for (fails, made) in [("mkfs.ext4", 2), ("mount", 4)] {
        let system = host().fails(fails, 1, "no");
        let line = "sr-create name-label=more type=ext physical-size=1GiB";
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, "SR_BACKEND_FAILURE", "{fails}: {error}");
        let changes = changes(&system);
        assert!(changes[0].starts_with("lvcreate"), "{changes:?}");
        let volume = changes[0]
            .split(' ')
            .find(|word| word.starts_with("sr-"))
            .unwrap();
        let last = changes.last().unwrap();
        assert_eq!(
            *last,
            format!("lvremove --quiet --yes /dev/bedplate/{volume}")
        );
        assert!(changes.len() > made, "{changes:?}");
        assert_eq!(
            system.content("/etc/fstab").unwrap(),
            FSTAB.as_bytes(),
            "{fails}"
        );
    }
}

#[test]
fn a_disk_is_the_same_whatever_a_definition_calls_it() {
    const DISK: &str = "/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111";
    const MAPPER: &str = "/dev/mapper/bedplate-vdi--aaaaaaaa--1111--4111--8111--111111111111";
    let definition = DEFINITION.replace(DISK, MAPPER);
    let system = host()
        .linked(DISK, "/dev/dm-3")
        .linked(MAPPER, "/dev/dm-3")
        .prints(&format!("{V} 'dumpxml"), &definition)
        .prints(&format!("{V} dumpxml"), &definition);
    let error = run(
        &system,
        "vdi-destroy uuid=aaaaaaaa-1111-4111-8111-111111111111",
    )
    .unwrap_err();
    assert_eq!(error.code, "VDI_IN_USE", "{error}");
    let users = run(
        &system,
        "vdi-list uuid=aaaaaaaa-1111-4111-8111-111111111111 params=vm-name-labels --minimal",
    );
    assert_eq!(users.unwrap().trim(), "web");
    // A snapshot that kept the other name would be no snapshot: the guest's own disk would be in it.
    run(&system, "vm-snapshot vm=web new-name-label=before").unwrap();
    let snapshots = system
        .list_dir(Path::new("/var/lib/bedplate/xe/snapshots"))
        .unwrap();
    let kept = system
        .content(format!("/var/lib/bedplate/xe/snapshots/{}", snapshots[0]))
        .unwrap();
    let kept = String::from_utf8(kept).unwrap();
    assert!(
        !kept.contains(MAPPER) && kept.contains(&format!(">{DISK}<")),
        "{kept}"
    );
}

#[test]
fn one_that_is_forgotten_keeps_what_is_on_it() {
    let system = host();
    run(&system, &format!("sr-forget uuid={FAST}")).unwrap();
    let archive = uuid_of(&system, "archive");
    run(&system, &format!("sr-forget uuid={archive}")).unwrap();
    assert_eq!(
        changes(&system),
        [
            "vgchange --quiet --activate n bedplate-fast",
            "umount /srv/storage/archive",
            "systemctl daemon-reload",
            "vgchange --quiet --activate n bedplate-archive",
        ]
    );
    let rest = run(&system, "sr-list params=name-label --minimal").unwrap();
    assert_eq!(rest.trim(), "Local storage,ISO images");
}

/// Each of these is refused because of a command that goes on, and none did anything.
fn all_refused(results: &Results, lines: &[String], by: &str) {
    let results = results.lock().unwrap();
    assert_eq!(results.len(), lines.len());
    for (result, line) in results.iter().zip(lines) {
        let error = result.as_ref().unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{line}: {error}");
        assert!(error.to_string().contains(by), "{line}: {error}");
    }
}

#[test]
fn a_repository_stays_while_a_disk_is_made_in_it() {
    let archive = uuid_of(&host(), "archive");
    let define = format!("{V} define");
    let install = "vm-install new-name-label=db template=\"Linux PVH\" disk-size=1GiB";
    let create = "vdi-create name-label=a virtual-size=1GiB";
    for (sr, line, command) in [
        (FAST, create, "lvcreate"),
        // The disk is made, and no definition has it yet.
        (FAST, install, define.as_str()),
        (archive.as_str(), create, "truncate"),
        (archive.as_str(), install, define.as_str()),
    ] {
        let lines = ["sr-destroy", "sr-forget"].map(|verb| format!("{verb} uuid={sr}"));
        let (system, results) = while_it_runs(host(), command, &lines);
        run(&system, &format!("{line} sr-uuid={sr}")).unwrap();
        all_refused(&results, &lines, "operation: making a disk of ");
        let changes = changes(&system).join("\n");
        for never in ["vgremove", "vgchange", "umount"] {
            assert!(!changes.contains(never), "{line}: {changes}");
        }
        let free = host();
        run(&free, &format!("sr-forget uuid={sr}")).unwrap();
    }
}

#[test]
fn nobody_makes_or_fills_a_disk_in_a_repository_that_goes() {
    let archive = uuid_of(&host(), "archive");
    for (sr, verb, command) in [
        (FAST, "sr-destroy", "vgremove"),
        (FAST, "sr-forget", "vgchange"),
        (archive.as_str(), "sr-destroy", "umount"),
        (archive.as_str(), "sr-forget", "umount"),
    ] {
        let lines = [
            format!("vdi-create name-label=a virtual-size=1GiB sr-uuid={sr}"),
            format!("vdi-copy uuid={DISK} into-sr-uuid={sr}"),
            format!("vm-disk-add vm=web disk-size=1GiB device=5 sr-uuid={sr}"),
            format!(
                "vm-install new-name-label=db template=\"Linux PVH\" disk-size=1GiB sr-uuid={sr}"
            ),
            format!("sr-destroy uuid={sr}"),
            format!("sr-forget uuid={sr}"),
        ];
        let system = host().prints("pvs", "  /dev/sdb1 \n");
        let (system, results) = while_it_runs(system, command, &lines);
        run(&system, &format!("{verb} uuid={sr}")).unwrap();
        all_refused(&results, &lines, &format!("operation: {verb} of "));
        let changes = changes(&system).join("\n");
        for never in ["lvcreate", "truncate"] {
            assert!(!changes.contains(never), "{verb}: {changes}");
        }
    }
}

#[test]
fn two_repositories_do_not_get_the_same_device() {
    const ALIAS: &str = "/dev/disk/by-id/ata-disk";
    let line = "sr-create name-label=x type=ext device-config:device=/dev/sdb";
    let by_alias = line.replace("/dev/sdb", ALIAS);
    for first in [line, by_alias.as_str()] {
        let lines = [line.to_owned(), by_alias.clone()];
        let system = host().linked(ALIAS, "/dev/sdb");
        let (system, results) = while_it_runs(system, "mkfs.ext4", &lines);
        run(&system, first).unwrap();
        all_refused(&results, &lines, "operation: making a repository of /dev/");
        let made = changes(&system);
        let made = made.iter().filter(|line| line.starts_with("mkfs.ext4"));
        assert_eq!(made.count(), 1);
    }
}

#[test]
fn what_holds_disks_or_the_host_is_not_destroyed() {
    const DISK: &str = r#"{"report":[{"lv":[{"lv_uuid":"f", "lv_name":"vdi-ffffffff-1111-4111-8111-111111111111",
        "lv_size":"67108864", "origin":"", "origin_size":"",
        "lv_path":"/dev/bedplate-fast/vdi-ffffffff-1111-4111-8111-111111111111"}]}]}"#;
    let lvs = "lvs --reportformat json --units b --nosuffix -o lv_uuid,lv_name,lv_size,origin,origin_size,lv_path bedplate-fast";
    let holds = host().prints(lvs, DISK);
    let error = run(&holds, &format!("sr-destroy uuid={FAST}")).unwrap_err();
    assert_eq!(error.code, "SR_NOT_EMPTY", "{error}");
    let definition = DEFINITION.replace(
        "/dev/bedplate/vdi-aaaaaaaa",
        "/dev/bedplate-fast/vdi-ffffffff",
    );
    let used = host()
        .prints(lvs, DISK)
        .prints(&format!("{V} 'dumpxml"), &definition)
        .prints(&format!("{V} dumpxml"), &definition);
    for verb in ["sr-destroy", "sr-forget"] {
        let error = run(&used, &format!("{verb} uuid={FAST}")).unwrap_err();
        assert_eq!(error.code, "VDI_IN_USE", "{verb}: {error}");
        let local = run(&used, &format!("{verb} uuid=k3xQ2a")).unwrap_err();
        assert_eq!(local.code, "SR_OPERATION_NOT_SUPPORTED", "{verb}: {local}");
    }
    assert_eq!(changes(&holds), [""; 0]);
    assert_eq!(changes(&used), [""; 0]);
}

#[test]
fn local_storage_of_files_is_the_default_and_stays() {
    let system = host()
        .file(
            "/etc/fstab",
            "/dev/bedplate/files\t/srv/storage/local\text4\tnofail\t0\t2\n",
        )
        .file(
            "/etc/lvm/lvmlocal.conf",
            "auto_activation_volume_list = [ \"bedplate\", \"bedplate-fast\" ]\n",
        )
        .prints(
            "df",
            "Mounted on 1B-blocks Used\n/srv/storage/local 8000000000 1000\n",
        )
        .prints("find /srv/storage/local", "");
    let local = uuid_of(&system, "\"Local storage\"");
    assert_eq!(
        run(&system, "pool-list params=default-SR --minimal")
            .unwrap()
            .trim(),
        local
    );
    let error = run(&system, &format!("sr-destroy uuid={local}")).unwrap_err();
    assert_eq!(error.code, "SR_OPERATION_NOT_SUPPORTED", "{error}");
    assert_eq!(changes(&system), [""; 0]);
}
