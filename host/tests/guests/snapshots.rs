//! Going back to snapshots that is cut off, and what becomes of the guest then.

use crate::bench::*;
use steps::RecordingSystem;
use steps::system::Call;

/// How it is asked which volumes there are, and what is done with them.
const ASKS: &str = "lvs --reportformat json --all";

/// What LVM says of these volumes of the host.
fn volumes(names: &[&str]) -> String {
    let volumes: Vec<_> = names
        .iter()
        .map(|name| format!(r#"{{"lv_name":"{name}","lv_device_open":"","lv_attr":"-wi-a-----"}}"#))
        .collect();
    format!(r#"{{"report":[{{"lv":[{}]}}]}}"#, volumes.join(","))
}

#[test]
fn going_back_that_was_cut_off_is_finished_by_running_it_again() {
    let origin = format!("vdi-{DISK}");
    let auto = format!("{V} list --uuid --all --autostart");
    let system = system().prints(&auto, &format!("{VM}\n"));
    let snapshot = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap();
    let made = changes(&system).remove(0);
    let (_, name) = made.split_once("--name ").unwrap();
    let name = name.split(' ').next().unwrap().to_owned();
    let line = format!("snapshot-revert uuid={} force=true", snapshot.trim());
    let taken_away = format!("snapshot-uninstall uuid={} force=true", snapshot.trim());
    // Somebody removed the volume of the snapshot: nothing to go back to, and nothing begun.
    let system = system.prints(ASKS, &volumes(&[&origin]));
    let error = run(&system, &line).unwrap_err();
    assert_eq!(error.code, "VDI_MISSING", "{error}");
    assert_eq!(changes(&system).len(), 1, "nothing was changed");
    run(&system, "vm-start vm=web").unwrap();
    // The power goes while it is merged.
    let system =
        system
            .prints(ASKS, &volumes(&[&origin, &name]))
            .fails("lvconvert", 5, "the power went");
    run(&system, &line).unwrap_err();
    let disabled = format!("virsh autostart --disable {VM}");
    assert_eq!(
        changes(&system)[2..],
        [
            disabled.clone(),
            format!("lvconvert --quiet --yes --merge /dev/bedplate/{name}")
        ]
    );
    for refused in [
        "vm-start vm=web",
        "vm-export vm=web filename=/new",
        "vm-clone vm=web new-name-label=twin",
        "vm-snapshot vm=web new-name-label=after",
        &taken_away,
    ] {
        let error = run(&system, refused).unwrap_err();
        assert_eq!(
            error.code, "OTHER_OPERATION_IN_PROGRESS",
            "{refused}: {error}"
        );
        assert!(error.to_string().contains(snapshot.trim()), "{error}");
    }
    // The volume was merged meanwhile: it is not there.
    let system = system
        .prints(&auto, "\n")
        .prints(ASKS, &volumes(&[&origin]));
    run(&system, &line).unwrap();
    assert_eq!(
        changes(&system)[4..],
        [
            disabled,
            made,
            "virsh define /dev/stdin".to_owned(),
            format!("virsh autostart {VM}")
        ],
        "the same snapshot is made anew, and the guest starts with the host again"
    );
    let domain = defined(&system);
    assert_eq!(
        (domain.uuid().as_str(), domain.name().as_str()),
        (VM, "web")
    );
    assert_eq!(
        domain.disks()[0].source.as_deref(),
        Some("/dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111"),
        "the guest has its own disk, not that of the snapshot"
    );
    assert!(domain.own_keys().is_empty());
    run(&system, "vm-start vm=web").unwrap();
}

/// A host with a snapshot of its guest, and the UUID of that.
fn with_snapshot() -> (RecordingSystem, String) {
    snapshot_of(system().prints(
        &format!("{V} list --uuid --all --autostart"),
        &format!("{VM}\n"),
    ))
}

/// The same where the power went while the guest went back.
fn cut_off() -> (RecordingSystem, String) {
    let (system, snapshot) = with_snapshot();
    let system = system.fails("lvconvert", 5, "the power went");
    let line = format!("snapshot-revert uuid={snapshot} force=true");
    run(&system, &line).unwrap_err();
    (system, snapshot)
}

#[test]
fn a_disk_that_another_guest_has_by_now_is_not_set_back() {
    const OTHER: &str = "99999999-2222-4333-8444-555555555555";
    let (system, snapshot) = with_snapshot();
    let without = DEFINITION.replace("vdi-aaaaaaaa", "vdi-bbbbbbbb");
    let other = DEFINITION.replace(VM, OTHER).replace(">web<", ">db<");
    let system = system
        .prints(
            &format!("{V} list --uuid --all"),
            &format!("{VM}\n{OTHER}\n"),
        )
        .prints(&format!("{V} 'dumpxml"), &(without.clone() + &other))
        .prints(&format!("{V} dumpxml"), &without);
    let line = format!("snapshot-revert uuid={snapshot} force=true");
    let error = run(&system, &line).unwrap_err();
    assert_eq!(error.code, "VDI_IN_USE", "{error}");
    assert!(error.to_string().contains("name-label: db"), "{error}");
    assert_eq!(changes(&system).len(), 1, "the snapshot alone was made");
}

#[test]
fn a_guest_whose_disk_is_gone_in_the_middle_of_going_back_is_freed() {
    // Somebody removed the volume, or all of its group is gone with a disk of the host.
    let removed = |system: RecordingSystem| system.prints(ASKS, &volumes(&[]));
    let died = |system: RecordingSystem| {
        system.prints("vgs", r#"{"report":[{"vg":[]}]}"#).fails(
            ASKS,
            5,
            "  Volume group \"bedplate\" not found",
        )
    };
    let ways: [&dyn Fn(RecordingSystem) -> RecordingSystem; 2] = [&removed, &died];
    for lose in ways {
        let (system, snapshot) = cut_off();
        let remove = format!("snapshot-uninstall uuid={snapshot}");
        let forced = format!("{remove} force=true");
        let error = run(&system, &forced).unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        let system = lose(system);
        let revert = format!("snapshot-revert uuid={snapshot} force=true");
        let error = run(&system, &revert).unwrap_err();
        assert_eq!(error.code, "VDI_MISSING", "{error}");
        assert!(error.to_string().contains("snapshot-uninstall"), "{error}");
        let error = run(&system, "vm-start vm=web").unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        // The question names the guest and the disk.
        let error = run_with(&system, &remove, &Says("no")).unwrap_err();
        assert_eq!(error.code, "CANCELED", "{error}");
        let said = run(&system, &forced).unwrap();
        for words in ["web", DISK, "two moments", "auto-poweron"] {
            assert!(said.contains(words), "{said}");
        }
        run(&system, "vm-start vm=web").unwrap();
        let rest = run(&system, "snapshot-list params=uuid --minimal").unwrap();
        assert_eq!(rest.trim(), "");
    }
}

/// The guest has both disks of the host.
fn with_both(system: RecordingSystem) -> RecordingSystem {
    let two = DEFINITION.replace(
        "<interface",
        "<disk type='block' device='disk'><source dev='/dev/bedplate/vdi-bbbbbbbb-1111-4111-8111-111111111111'/>\
         <target dev='xvdb' bus='xen'/></disk><interface",
    );
    system
        .prints(&format!("{V} 'dumpxml --inactive"), &two)
        .prints(&format!("{V} dumpxml --inactive"), &two)
}

#[test]
fn a_guest_is_not_freed_while_lvm_still_sets_a_disk_of_it_back() {
    const SECOND: &str = "vdi-bbbbbbbb-1111-4111-8111-111111111111";
    let (system, snapshot) = snapshot_of(with_both(system()));
    let taken = changes(&system);
    let name_of = |disk: &str| {
        let line = taken.iter().find(|line| line.ends_with(disk)).unwrap();
        let (_, name) = line.split_once("--name ").unwrap();
        name.split(' ').next().unwrap().to_owned()
    };
    let (name, first) = (name_of(SECOND), format!("vdi-{DISK}"));
    let all = volumes(&[&first, &name_of(&first), SECOND, &name]);
    let system = system
        .prints(ASKS, &all)
        .fails("lvconvert", 5, "the power went");
    let revert = format!("snapshot-revert uuid={snapshot} force=true");
    run(&system, &revert).unwrap_err();
    // The first disk is gone, and somebody reads the second one.
    let put_off = format!(
        r#"{{"report":[{{"lv":[{{"lv_name":"{SECOND}","lv_device_open":"open","lv_attr":"Owi-aos---"}},
            {{"lv_name":"[{name}]","lv_device_open":"","lv_attr":"Swi-a-s---"}}]}}]}}"#
    );
    let system = system.prints(ASKS, &put_off);
    let line = format!("snapshot-uninstall uuid={snapshot} force=true");
    let error = run(&system, &line).unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert!(error.to_string().contains(SECOND), "{error}");
    let refresh = format!("lvchange --quiet --refresh /dev/bedplate/{SECOND}");
    assert_eq!(changes(&system).last(), Some(&refresh));
    let error = run(&system, "vm-start vm=web").unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    let system = system.prints(ASKS, &volumes(&[SECOND]));
    run(&system, &line).unwrap();
    run(&system, "vm-start vm=web").unwrap();
}

#[test]
fn a_guest_does_not_go_while_lvm_still_sets_back_a_disk_that_stays() {
    let (system, _) = cut_off();
    let origin = format!("vdi-{DISK}");
    let put_off = format!(
        r#"{{"report":[{{"lv":[{{"lv_name":"{origin}","lv_device_open":"open","lv_attr":"Owi-aos---"}}]}}]}}"#
    );
    let system = system.prints(ASKS, &put_off);
    let line = "vm-uninstall vm=web force=true";
    let before = changes(&system).len();
    let error = run(&system, line).unwrap_err();
    assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
    assert!(error.to_string().contains(&origin), "{error}");
    let refresh = format!("lvchange --quiet --refresh /dev/bedplate/{origin}");
    assert_eq!(changes(&system)[before..], [refresh], "nothing is lost");
    // Whoever had it open is done, and so is LVM. The disk was not made for the guest.
    let system = system.prints(ASKS, &volumes(&[&origin]));
    let said = run(&system, line).unwrap();
    assert!(said.contains("stays") && said.contains(DISK), "{said}");
    let undefined = format!("virsh undefine {VM} --managed-save");
    assert!(changes(&system).contains(&undefined));
}

#[test]
fn a_snapshot_that_comes_to_nothing_leaves_no_volume() {
    let second = "lvcreate --quiet --yes --snapshot --extents 100%ORIGIN --name vdi-";
    let ways: [&dyn Fn(RecordingSystem) -> RecordingSystem; 3] = [
        &|system| system.fails(&format!("{V} resume"), 1, "it does not go on"),
        &|system| system.breaks("/var/lib/bedplate/xe/snapshots"),
        &|system| system.breaks("/var/lib/bedplate/xe/labels"),
    ];
    for fail in ways {
        let system = fail(with_both(running()));
        let error = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap_err();
        let stands = error.message.contains("it does not go on");
        let told = error.message.contains("is paused: vm-unpause");
        assert_eq!(stands, told, "{error}");
        let changes = changes(&system);
        let made = changes.iter().filter(|line| line.starts_with(second));
        let gone = changes.iter().filter(|line| line.starts_with("lvremove"));
        assert_eq!((made.count(), gone.count()), (2, 2), "{changes:?}");
        let resumed = format!("virsh resume {VM}");
        assert!(changes.contains(&resumed), "{changes:?}");
    }
}

#[test]
fn a_guest_that_stays_paused_is_told_of_whatever_else_fails() {
    let system = with_both(running()).fails("lvcreate", 5, "no room").fails(
        &format!("{V} resume"),
        1,
        "it does not go on",
    );
    let error = run(&system, "vm-snapshot vm=web new-name-label=before").unwrap_err();
    for words in ["no room", "it does not go on", "is paused: vm-unpause"] {
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn a_guest_keeps_the_password_of_its_screen() {
    for line in [
        "vm-param-set vm=web name-description=x",
        "vm-param-set vm=web name-label=db",
        "vm-memory-set vm=web memory=1GiB",
        "vm-memory-limits-set vm=web static-max=1GiB",
    ] {
        let system = with_password(system());
        run(&system, line).unwrap();
        let text = defined(&system).print();
        assert!(text.contains("hunter2"), "{line}: {text}");
    }
    let (system, snapshot) = snapshot_of(with_password(system()));
    let line = format!("snapshot-revert uuid={snapshot} force=true");
    run(&system, &line).unwrap();
    assert!(defined(&system).print().contains("hunter2"));
}

#[test]
fn the_power_goes_when_a_guest_is_back_and_it_starts_with_the_host_all_the_same() {
    let (system, snapshot) = with_snapshot();
    let again = format!("{V} autostart {VM}");
    let system = system.fails(&again, 1, "the power went");
    run(
        &system,
        &format!("snapshot-revert uuid={snapshot} force=true"),
    )
    .unwrap_err();
    // What is owed is on the disk before the snapshot forgets it.
    let folder = "/var/lib/bedplate/xe";
    let (owed, kept) = (
        format!("{folder}/autostart/{VM}"),
        format!("{folder}/snapshots/{snapshot}.xml"),
    );
    let calls = system.calls();
    let last_write = |wanted: &str| {
        let is_it =
            |call: &Call| matches!(call, Call::Write(path, ..) if path.as_os_str() == wanted);
        calls.iter().rposition(is_it)
    };
    assert!(last_write(&owed).is_some() && last_write(&owed) < last_write(&kept));
    let system = system.prints(&again, "");
    let before = changes(&system).len();
    run(&system, "vm-start vm=web").unwrap();
    let set = format!("virsh autostart {VM}");
    assert_eq!(
        changes(&system)[before..],
        [set, format!("virsh start {VM}")]
    );
    run(&system, "vm-list").unwrap();
    assert_eq!(changes(&system).len(), before + 2, "it is done once");
}
