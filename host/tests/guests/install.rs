//! Guests made and taken away; what is refused before anything is made.

use crate::bench::*;

#[test]
fn a_guest_with_a_kernel_of_the_host_is_made() {
    let system = system();
    let said = run(
        &system,
        "vm-install new-name-label=db template=\"Linux PVH\" kernel=/boot/vmlinuz args=\"console=hvc0 quiet\" \
         disk-size=1GiB memory=512MiB vcpus=3 mac=00:16:3E:00:00:01",
    )
    .unwrap();
    let domain = defined(&system);
    assert_eq!(said.trim(), domain.uuid());
    assert_eq!(domain.name(), "db");
    assert_eq!(domain.memory_max(), Some(512 << 20));
    assert_eq!(domain.vcpus_max(), Some(3));
    assert_eq!(domain.boot_file("cmdline"), "console=hvc0 quiet");
    assert_eq!(domain.nics()[0].mac, "00:16:3e:00:00:01");
    let disk = domain.disks()[0].source.clone().unwrap();
    let name = disk.strip_prefix("/dev/bedplate/").unwrap();
    assert_eq!(
        changes(&system),
        [
            format!(
                "lvcreate --quiet --yes --wipesignatures y --zero y --size 1073741824b --name {name} bedplate"
            ),
            "virsh define /dev/stdin".to_owned(),
        ]
    );
}

#[test]
fn an_emulated_machine_gets_its_installer() {
    let system = system();
    run(
        &system,
        "vm-install new-name-label=db template=\"Other install media\" cdrom=debian.iso network=xenbr0 disk-size=8GiB",
    )
    .unwrap();
    let drive = &defined(&system).disks()[1];
    assert!(drive.cdrom && drive.read_only);
    assert_eq!(drive.source.as_deref(), Some("/srv/iso/debian.iso"));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let pvh = "vm-install new-name-label=db template=\"Linux PVH\"";
    for (line, code, words) in [
        (
            "vm-install new-name-label=db template=Amiga",
            "UUID_INVALID",
            "template",
        ),
        (
            "vm-install new-name-label=db",
            "WRONG_USE",
            "template= is missing",
        ),
        (
            "vm-install new-name-label=web template=\"Linux PVH\"",
            "VM_NAME_IN_USE",
            "web",
        ),
        (
            "vm-install new-name-label=a/b template=\"Linux PVH\"",
            "WRONG_USE",
            "slash",
        ),
        (
            &format!("{pvh} kernel=/none"),
            "FILE_NOT_FOUND",
            "kernel: /none",
        ),
        (
            &format!("{pvh} import-file=/none"),
            "FILE_NOT_FOUND",
            "import-file: /none",
        ),
        (&format!("{pvh} network=none2"), "UUID_INVALID", "none2"),
        (
            &format!("{pvh} mac=01:00:00:00:00:00"),
            "MAC_INVALID",
            "even",
        ),
        (
            &format!("{pvh} disk-size=11GiB"),
            "SR_FULL",
            "free: 10737418240",
        ),
        (
            &format!("{pvh} disk-size=1GiB sr-uuid=nope"),
            "UUID_INVALID",
            "nope",
        ),
        (&format!("{pvh} cdrom=nope.iso"), "UUID_INVALID", "nope.iso"),
        (
            "vm-install new-name-label=db template=Windows kernel=/boot/vmlinuz",
            "WRONG_USE",
            "PV and PVH",
        ),
        ("vm-start", "WRONG_USE", "which vm?"),
        ("vm-start vm=nobody", "NO_MATCH", "No vm"),
        ("vm-start colour=red", "WRONG_USE", "no field"),
        (
            "vm-start uuid=00000000-0000-0000-0000-000000000000",
            "OPERATION_NOT_ALLOWED",
            "dom0",
        ),
        (
            "vm-destroy uuid=00000000-0000-0000-0000-000000000000",
            "OPERATION_NOT_ALLOWED",
            "dom0",
        ),
        ("vm-shutdown vm=web", "VM_BAD_POWER_STATE", "actual: halted"),
        (
            "vm-suspend vm=web",
            "VM_BAD_POWER_STATE",
            "expected: running; paused",
        ),
        (
            "vm-resume vm=web",
            "VM_BAD_POWER_STATE",
            "expected: suspended",
        ),
        ("console vm=web", "VM_BAD_POWER_STATE", "actual: halted"),
        ("vm-uninstall vm=web", "WRONG_USE", "force=true"),
        (
            "vm-reset-powerstate vm=web",
            "WRONG_USE",
            "force= is missing",
        ),
        (
            "vm-disk-add vm=web disk-size=1GiB device=0",
            "DEVICE_ALREADY_EXISTS",
            "device: 0",
        ),
        (
            "vm-disk-add vm=web disk-size=1GiB device=3",
            "DEVICE_ALREADY_EXISTS",
            "device: 3",
        ),
        (
            "vm-disk-remove vm=web device=5",
            "DEVICE_NOT_FOUND",
            "device: 5",
        ),
        ("vm-cd-eject vm=web", "VM_NO_EMPTY_CD_VBD", "vm-disk-list"),
        (
            "vbd-create vm-uuid=web device=autodetect vdi-uuid=aaaaaaaa-1111-4111-8111-111111111111",
            "VDI_IN_USE",
            "name-label: web",
        ),
        (
            "vdi-destroy uuid=aaaaaaaa-1111-4111-8111-111111111111",
            "VDI_IN_USE",
            "name-label: web",
        ),
        (
            "vdi-resize uuid=bbbbbbbb-1111-4111-8111-111111111111 disk-size=1",
            "VDI_TOO_SMALL",
            "current",
        ),
        (
            "vdi-create name-label=x virtual-size=1GiB sr-uuid=\"ISO images\"",
            "SR_OPERATION_NOT_SUPPORTED",
            "/srv/iso",
        ),
        (
            "vif-create vm-uuid=web network-uuid=xenbr0 mac=00:16:3e:11:22:33",
            "MAC_STILL_EXISTS",
            "MAC",
        ),
        (
            "sr-create name-label=x type=ext",
            "WRONG_USE",
            "physical-size=",
        ),
        (
            "sr-create name-label=x type=ext device-config:device=--all",
            "WRONG_USE",
            "/dev/sdb",
        ),
        (
            "sr-destroy uuid=k3xQ2a",
            "SR_OPERATION_NOT_SUPPORTED",
            "stays",
        ),
        (
            "vm-param-set vm=web VCPUs-at-startup=2",
            "WRONG_USE",
            "VCPUs-max",
        ),
        (
            "vm-param-set uuid=00000000-0000-0000-0000-000000000000 name-label=x",
            "OPERATION_NOT_ALLOWED",
            "control",
        ),
    ] {
        let system = system();
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, code, "{line}: {error}");
        assert!(error.to_string().contains(words), "{line}: {error}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}

#[test]
fn what_was_made_goes_away_where_the_rest_fails() {
    for (fails, line) in [
        (
            "define",
            "vm-install new-name-label=db template=\"Linux PVH\" disk-size=1GiB",
        ),
        (
            "attach-device",
            "vm-disk-add vm=web disk-size=1GiB device=1",
        ),
    ] {
        let system = system().fails(&format!("{V} {fails}"), 1, "error: no");
        run(&system, line).unwrap_err();
        let changes = changes(&system);
        let last = changes.last().unwrap();
        assert!(
            last.starts_with("lvremove --quiet --yes /dev/bedplate/vdi-"),
            "{changes:?}"
        );
    }
}

#[test]
fn only_yes_uninstalls_and_takes_the_disks_along() {
    let refused = system();
    let error = run_with(&refused, "vm-uninstall vm=web", &Says("y")).unwrap_err();
    assert_eq!(error.code, "CANCELED");
    assert_eq!(changes(&refused), [""; 0]);
    let done = [
        format!("virsh undefine {VM} --managed-save"),
        "lvremove --quiet --yes /dev/bedplate/vdi-aaaaaaaa-1111-4111-8111-111111111111".to_owned(),
    ];
    let asked = owned(system());
    run_with(&asked, "vm-uninstall vm=web", &Says("yes")).unwrap();
    assert_eq!(changes(&asked), done);
    let forced = owned(system());
    run(&forced, "vm-uninstall vm=web force=true").unwrap();
    assert_eq!(changes(&forced), done);
}
