//! Whose a disk is: what goes with a guest that is uninstalled, and what stays.

use crate::bench::*;

/// The other disk of the bench, which no guest has.
const SPARE: &str = "bbbbbbbb-1111-4111-8111-111111111111";

/// The guest has both disks; one of them was made for it.
fn with_both() -> steps::RecordingSystem {
    let both = DEFINITION.replace(
        "<interface",
        &format!(
            "<disk type='block' device='disk'><source dev='/dev/bedplate/vdi-{SPARE}'/><target dev='xvdb' bus='xen'/></disk>\
             <interface"
        ),
    );
    owned(system())
        .prints(&format!("{V} 'dumpxml"), &both)
        .prints(&format!("{V} dumpxml"), &both)
}

#[test]
fn a_disk_that_was_only_attached_stays() {
    let system = with_both();
    let said = run(&system, "vm-uninstall vm=web force=true").unwrap();
    assert!(
        said.contains("stays")
            && said.contains(&format!("VDI: {SPARE} (/dev/bedplate/vdi-{SPARE})")),
        "{said}"
    );
    assert!(!said.contains(DISK), "{said}");
    assert_eq!(
        changes(&system),
        [
            format!("virsh undefine {VM} --managed-save"),
            format!("lvremove --quiet --yes /dev/bedplate/vdi-{DISK}"),
        ]
    );
}

#[test]
fn without_a_note_all_disks_stay() {
    for note in ["", r#"{"other-config":{"owner":"somebody"}}"#] {
        let system = match note {
            "" => system(),
            note => system().file(labels_of(DISK), note),
        };
        let said = run(&system, "vm-uninstall vm=web force=true").unwrap();
        assert!(said.contains(DISK), "{said}");
        assert_eq!(
            changes(&system),
            [format!("virsh undefine {VM} --managed-save")]
        );
    }
}

#[test]
fn an_administrator_can_say_whose_a_disk_is() {
    let system = system();
    run(
        &system,
        &format!("vdi-param-set uuid={DISK} other-config:owner={VM}"),
    )
    .unwrap();
    assert_eq!(run(&system, "vm-uninstall vm=web force=true").unwrap(), "");
    assert!(changes(&system)[1].starts_with("lvremove"));
}

#[test]
fn what_is_made_for_a_guest_is_noted() {
    let system = system();
    let vm = run(
        &system,
        "vm-install new-name-label=db template=\"Linux PVH\" disk-size=1GiB",
    )
    .unwrap();
    let path = defined(&system).disks()[0].source.clone().unwrap();
    let disk = path.rsplit("vdi-").next().unwrap().to_owned();
    assert_eq!(owner_of(&system, &disk).as_deref(), Some(vm.trim()));
    let added = run(&system, "vm-disk-add vm=web disk-size=1GiB device=1").unwrap();
    assert_eq!(owner_of(&system, added.trim()).as_deref(), Some(VM));
    let free = run(&system, "vdi-create name-label=a virtual-size=1GiB").unwrap();
    assert_eq!(owner_of(&system, free.trim()), None);
}

#[test]
fn a_disk_that_was_taken_away_is_nobodys() {
    let system = owned(system());
    let vbd = run(&system, "vbd-list device=xvda --minimal").unwrap();
    run(&system, &format!("vbd-destroy uuid={}", vbd.trim())).unwrap();
    assert_eq!(owner_of(&system, DISK), None);
    // Nor is one that libvirt took away, when it is given to a guest again.
    let system = self::system().file(
        labels_of(SPARE),
        format!(r#"{{"other-config":{{"owner":"{VM}"}}}}"#),
    );
    let line = format!("vbd-create vm-uuid={VM} device=1 vdi-uuid={SPARE}");
    run(&system, &line).unwrap();
    assert_eq!(owner_of(&system, SPARE), None);
}
