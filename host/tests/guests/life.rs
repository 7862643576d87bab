//! Guests started and stopped, and the host below them.

use crate::bench::*;
use std::path::Path;
use steps::{RecordingSystem, System};

#[test]
fn life_is_a_word_to_libvirt() {
    for (on, line, asked) in [
        (system(), "vm-start vm=web", format!("virsh start {VM}")),
        (
            system(),
            "vm-start vm=web paused=true",
            format!("virsh start {VM} --paused"),
        ),
        (running(), "vm-pause vm=web", format!("virsh suspend {VM}")),
        (
            running(),
            "vm-suspend vm=web",
            format!("virsh managedsave {VM}"),
        ),
        (
            running(),
            "vm-reboot uuid=11111111-2222-4333-8444-555555555555",
            format!("virsh reboot {VM}"),
        ),
        (
            running(),
            "vm-shutdown vm=web --force",
            format!("virsh destroy {VM}"),
        ),
        (
            running().prints(&format!("{V} domstate"), "shut off\n"),
            "vm-shutdown name-label=web",
            format!("virsh shutdown {VM}"),
        ),
        (
            running(),
            "vm-memory-set vm=web memory=128MiB",
            format!("virsh setmem {VM} 131072 --live --config"),
        ),
        (
            system(),
            "vm-destroy vm=web",
            format!("virsh undefine {VM} --managed-save"),
        ),
        (
            system(),
            "vm-param-set vm=web auto-poweron=true",
            format!("virsh autostart {VM}"),
        ),
        (
            system(),
            "vm-param-set vm=web other-config:auto_poweron=false",
            format!("virsh autostart --disable {VM}"),
        ),
        (
            system(),
            "vm-cd-insert vm=web cd-name=debian.iso",
            format!("virsh change-media {VM} hdd /srv/iso/debian.iso --insert --config"),
        ),
        (
            running(),
            "vm-cd-insert vm=web cd-name=debian.iso",
            format!("virsh change-media {VM} hdd /srv/iso/debian.iso --insert --live --config"),
        ),
    ] {
        assert_eq!(run(&on, line).unwrap(), "", "{line}");
        assert_eq!(changes(&on), [asked], "{line}");
    }
}

#[test]
fn a_crashed_guest_lives_until_it_is_ended() {
    let crashed = || {
        let line = RUNNING.replace("-b----", "---sc-");
        running().prints("xl list -v", &format!("{XL}{line}"))
    };
    let state = "vm-param-get vm=web param-name=power-state";
    assert_eq!(run(&crashed(), state).unwrap(), "crashed\n");
    let destroyed = format!("virsh destroy {VM}");
    for line in [
        "vm-shutdown vm=web force=true",
        "vm-reset-powerstate vm=web force=true",
        "vm-reboot vm=web force=true",
    ] {
        let system = crashed();
        run(&system, line).unwrap();
        assert_eq!(changes(&system)[0], destroyed, "{line}");
    }
    for line in [
        "vm-start vm=web",
        "vm-shutdown vm=web",
        "vm-uninstall vm=web force=true",
        "vm-destroy vm=web",
        "vm-export vm=web filename=/new",
        "vm-clone vm=web new-name-label=twin",
        "vm-disk-remove vm=web device=0",
    ] {
        let system = crashed();
        let error = run(&system, line).unwrap_err();
        assert_eq!(error.code, "VM_BAD_POWER_STATE", "{line}: {error}");
        assert!(error.to_string().contains("actual: crashed"), "{line}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}

#[test]
fn without_libvirt_no_guest_seems_to_be_gone() {
    let system = running().fails(V, 1, "error: failed to connect to the hypervisor");
    let error = run(&system, "vm-list params=name-label --minimal").unwrap_err();
    assert_eq!(
        (error.code, error.exit_code(), error.printed.as_str()),
        ("HOST_OFFLINE", 1, "Domain-0,web\n")
    );
    for line in [
        "vm-start vm=off",
        "vm-shutdown vm=web force=true",
        "vm-param-get vm=web param-name=power-state",
        "vm-param-list uuid=99999999-2222-4333-8444-555555555555",
    ] {
        let error = run(&system, line).unwrap_err();
        assert_eq!((error.code, error.printed.as_str()), ("HOST_OFFLINE", ""));
        assert!(error.to_string().contains("failed to connect"), "{error}");
        assert_eq!(changes(&system), [""; 0], "{line}");
    }
}

#[test]
fn a_guest_that_does_not_come_back_hides_no_other() {
    let lost = "99999999-2222-4333-8444-555555555555";
    let file = format!("/var/lib/bedplate/xe/renames/{lost}.xml");
    let define = format!("{V} define");
    let system = system()
        .file(file.clone(), DEFINITION.replace(VM, lost))
        .fails(&define, 1, "error: XML error: no");
    let names = run(&system, "vm-list params=name-label --minimal").unwrap();
    assert_eq!(names, "Domain-0,web\n");
    run(&system, "vm-start vm=web").unwrap();
    assert!(system.content(file).is_some(), "for the next time");
}

#[test]
fn a_guest_that_goes_on_running_is_told() {
    let system = running().prints(&format!("{V} domstate"), "running\n");
    let error = run(&system, "vm-shutdown vm=web timeout=1").unwrap_err();
    assert_eq!(error.code, "VM_SHUTDOWN_TIMEOUT");
}

#[test]
fn the_console_gets_the_terminal() {
    run_with(&running(), "console vm=web", &Says("")).unwrap();
}

#[test]
fn a_host_goes_down_when_it_is_empty_and_disabled() {
    let system = running();
    let error = |system: &RecordingSystem, line: &str| run(system, line).unwrap_err().code;
    assert_eq!(error(&system, "host-reboot"), "HOST_NOT_DISABLED");
    run(&system, "host-disable").unwrap();
    assert_eq!(
        run(&system, "host-param-get param-name=enabled").unwrap(),
        "false\n"
    );
    assert_eq!(error(&system, "host-reboot"), "HOST_HAS_RESIDENT_VMS");
    assert_eq!(error(&system, "vm-start vm=web"), "HOST_DISABLED");
    // Not ended either: it would stay so.
    let reset = "vm-reboot vm=web force=true";
    assert_eq!(error(&system, reset), "HOST_DISABLED");
    assert_eq!(changes(&system), [""; 0]);
    run(&system, "host-shutdown --force").unwrap();
    assert_eq!(changes(&system), ["systemctl poweroff"]);
    let by_itself = running();
    run(&by_itself, "host-disable").unwrap();
    run(&by_itself, "vm-reboot vm=web").unwrap();
    assert_eq!(changes(&by_itself), [format!("virsh reboot {VM}")]);
    let empty = self::system();
    run(&empty, "host-disable").unwrap();
    assert_eq!(
        error(&empty, "host-reboot"),
        "WRONG_USE",
        "nobody can be asked"
    );
    run(&empty, "host-enable").unwrap();
    assert_eq!(error(&empty, "host-reboot"), "HOST_NOT_DISABLED");
}

#[test]
fn the_status_of_the_host_takes_no_place_of_another_file() {
    const FILE: &str = "/root/status.tar.zst";
    let line = format!("host-get-system-status filename={FILE}");
    let names = |system: &RecordingSystem| system.list_dir(Path::new("/root")).unwrap();
    let alone = system();
    run(&alone, &line).unwrap();
    assert_eq!(names(&alone), ["status.tar.zst"]);
    assert_eq!(run(&alone, &line).unwrap_err().code, "FILE_EXISTS");
    // It comes while the status is collected.
    let other = b"of somebody else";
    let meanwhile = system().meanwhile("uname", move |system| {
        system.write_file(Path::new(FILE), other, 0o600).unwrap();
    });
    let error = run(&meanwhile, &line).unwrap_err();
    assert_eq!(error.code, "FILE_EXISTS", "{error}");
    assert_eq!(meanwhile.content(FILE).as_deref(), Some(&other[..]));
    assert_eq!(names(&meanwhile), ["status.tar.zst"]);
}
