//! `xe` from the command line to what it prints.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use host::XeError;
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::hotfix::{Places, RealMachine};
use steps::RecordingSystem;

const XL: &str = "\
Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label
Domain-0   0 1024 4 r----- 52.9 00000000-0000-0000-0000-000000000000 - -
guest      3  256 1 -b----  1.2 11111111-2222-3333-4444-555555555555 - -
";

fn system() -> RecordingSystem {
    RecordingSystem::new()
        .strict()
        .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        .file("/proc/sys/kernel/hostname", "node-1\n")
        .file("/proc/sys/kernel/osrelease", "6.12.117+deb13-amd64\n")
        .prints("xl list -v", XL)
        .prints("virsh -q", "")
        .prints("xl info", "nr_cpus : 8\nxen_version : 4.20.2\n")
        .prints("vgs", r#"{"report":[{"vg":[]}]}"#)
}

fn run_on(system: &RecordingSystem, line: &str) -> Result<String, XeError> {
    let invocation = Invocation::parse(line.split_whitespace().map(str::to_owned))?;
    execute(
        &invocation,
        &Surroundings {
            system,
            now: 1_795_305_600,
            hardware: &|| license::Machine {
                sockets: Some(2),
                ..license::Machine::default()
            },
            machine: &RealMachine,
            places: &Places::default(),
            sinks: &steps::sink::FanOut::new,
            terminal: &host::terminal::Nobody,
        },
    )
}

fn run(line: &str) -> Result<String, XeError> {
    run_on(&system(), line)
}

#[test]
fn host_list_has_the_classic_form() {
    assert_eq!(
        run("host-list").unwrap(),
        "uuid ( RO)                : 01234567-89ab-cdef-0123-456789abcdef\n\
         \x20         name-label ( RW): node-1\n\
         \x20   name-description ( RW): Bedplate host\n"
    );
}

#[test]
fn lists_filter_choose_fields_and_print_minimal_or_json() {
    assert_eq!(
        run("vm-list --minimal").unwrap(),
        "00000000-0000-0000-0000-000000000000,11111111-2222-3333-4444-555555555555\n"
    );
    assert_eq!(
        run("vm-list is-control-domain=false params=name-label --minimal").unwrap(),
        "guest\n"
    );
    assert_eq!(run("vm-list name-label=nobody").unwrap(), "");
    assert_eq!(run("sr-list type=iso --minimal").unwrap(), "\n");
    assert_eq!(
        run("host-list software-version:xen=4.20.2 --minimal params=hostname").unwrap(),
        "node-1\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run("vm-list params=all --json").unwrap()).unwrap();
    assert_eq!(
        (&json[1]["dom-id"], &json[1]["power-state"]),
        (&3.into(), &"running".into())
    );
}

#[test]
fn one_record_is_selected_by_uuid_name_or_any_field() {
    assert!(
        run("host-param-list")
            .unwrap()
            .contains("cpu-count ( RO): 8"),
        "there is only one host"
    );
    assert_eq!(
        run("host-param-get param-name=software-version param-key=xen").unwrap(),
        "4.20.2\n"
    );
    assert_eq!(
        run("vm-param-get vm=guest param-name=dom-id").unwrap(),
        "3\n"
    );
    assert_eq!(
        run("vm-param-get uuid=11111111-2222-3333-4444-555555555555 param-name=name-label")
            .unwrap(),
        "guest\n"
    );
    assert_eq!(
        run("vm-param-get param-name=VCPUs-number --multiple").unwrap(),
        "4\n1\n"
    );
    assert_eq!(
        run("vm-param-get param-name=VCPUs-number --multiple --minimal").unwrap(),
        "4,1\n"
    );
}

#[test]
fn what_an_administrator_says_is_shown_and_filtered_by() {
    let system = system();
    let host = "01234567-89ab-cdef-0123-456789abcdef";
    for line in [
        "host-param-set name-label=rack-7 other-config:owner=ops",
        "host-param-add param-name=tags param-key=prod",
    ] {
        assert_eq!(run_on(&system, line).unwrap(), "");
    }
    for (line, answer) in [
        ("host-list tags:contains=prod --minimal", host),
        ("host-list other-config:owner=ops --minimal", host),
        ("host-list name-label=node-1 --minimal", ""),
        ("host-param-get param-name=name-label", "rack-7"),
        ("host-param-get param-name=hostname", "node-1"),
    ] {
        assert_eq!(
            run_on(&system, line).unwrap(),
            format!("{answer}\n"),
            "{line}"
        );
    }
    let again = run_on(
        &system,
        "host-param-add param-name=other-config owner=others",
    );
    assert_eq!(again.unwrap_err().code, "MAP_DUPLICATE_KEY");
    for line in [
        "host-param-remove param-name=other-config param-key=owner",
        "host-param-clear param-name=tags",
        "host-param-clear param-name=name-label",
    ] {
        run_on(&system, line).unwrap();
    }
    assert_eq!(
        run_on(&system, "host-param-get param-name=name-label").unwrap(),
        "node-1\n"
    );
}

#[test]
fn errors_have_a_code_and_tell_wrong_use_from_failure() {
    for (line, code, exit, words) in [
        ("vm-lst", "WRONG_USE", 2, "did you mean \"vm-list\""),
        ("frobnicate", "WRONG_USE", 2, "xe help"),
        ("vm-list guest", "WRONG_USE", 2, "name=value"),
        ("vm-list colour=red", "WRONG_USE", 2, "no field"),
        ("vm-list params=uuid,colour", "WRONG_USE", 2, "no field"),
        ("vm-param-list", "WRONG_USE", 2, "--multiple"),
        ("vm-param-get vm=guest", "WRONG_USE", 2, "param-name="),
        (
            "host-param-get param-name=uuid param-key=x",
            "WRONG_USE",
            2,
            "no map",
        ),
        (
            "host-param-get param-name=software-version param-key=x",
            "MAP_NO_SUCH_KEY",
            1,
            "\nkey: x",
        ),
        (
            "vm-param-list uuid=nope",
            "UUID_INVALID",
            1,
            "type: vm\nuuid: nope",
        ),
        ("vm-param-list vm=nobody", "NO_MATCH", 1, "No vm matches"),
        ("host-license-add", "WRONG_USE", 2, "license-file="),
        (
            "host-license-add license-file=/none",
            "LICENSE_PROCESSING_ERROR",
            1,
            "license-file: /none",
        ),
        (
            "host-license-request force=true",
            "WRONG_USE",
            2,
            "does not take",
        ),
        (
            "host-license-view force=true",
            "WRONG_USE",
            2,
            "does not take",
        ),
        (
            "host-param-set uuid=nope name-label=x",
            "UUID_INVALID",
            1,
            "uuid: nope",
        ),
        ("host-param-set hostname=x", "WRONG_USE", 2, "only be read"),
        (
            "host-param-clear param-name=tags colour=red",
            "WRONG_USE",
            2,
            "does not take",
        ),
        (
            "network-param-set name-label=x",
            "WRONG_USE",
            2,
            "which network?",
        ),
        ("patch-list", "INTERNAL_ERROR", 1, "boot.json"),
        ("network-list", "INTERNAL_ERROR", 1, "/sys/class/net"),
    ] {
        let error = run(line).unwrap_err();
        assert_eq!(
            (error.code, error.exit_code()),
            (code, exit),
            "{line}: {error}"
        );
        assert!(error.to_string().contains(words), "{line}: {error}");
        assert!(error.to_string().starts_with(code));
    }
}

#[test]
fn a_host_without_a_license_says_so_and_what_works() {
    let text = run("host-license-view").unwrap();
    assert!(text.starts_with("state ( RO)"), "{text}");
    assert!(
        text.contains(": unlicensed\n") && text.contains("everything works"),
        "{text}"
    );
    assert_eq!(
        run("host-license-view params=automatic-updates,state --minimal").unwrap(),
        "false\n"
    );
}

#[test]
fn the_license_is_among_the_parameters_of_the_host() {
    assert_eq!(run("host-param-get param-name=edition").unwrap(), "free\n");
    assert_eq!(
        run("host-param-get param-name=license-params param-key=state").unwrap(),
        "unlicensed\n"
    );
    let all = run("host-param-list").unwrap();
    assert!(all.contains("license-params (MRO): ") && all.contains("edition ( RO): free\n"));
    let request = run("host-license-request --minimal").unwrap();
    assert!(request.starts_with("BEDPLATE1-"), "{request}");
    assert!(
        run("host-license-request")
            .unwrap()
            .contains(request.trim())
    );
}

#[test]
fn patch_list_is_the_running_release() {
    let boot = r#"{"mode":"host","root":{"version":"0.1.0","image_name":"x","image_size":4096,"image_sha256":"x",
        "verity":{"data_blocks":1,"salt":"","root_hash":"aabbccddeeff00112233"}},"root_device":"/dev/sda3",
        "medium":null,"state_device":null,"root_opened_ms":1,"warnings":[]}"#;
    let system = system().file("/run/bedplate/boot.json", boot);
    let text = run_on(&system, "patch-list").unwrap();
    assert!(
        text.contains("bedplate-0.1.0") && text.contains("restartHost"),
        "{text}"
    );
    assert_eq!(
        run_on(&system, "patch-list params=root-id --minimal").unwrap(),
        "aabbccddeeff0011\n"
    );
    let again = run_on(&system, "patch-list params=uuid").unwrap();
    assert_eq!(
        again,
        run_on(&system, "patch-list params=uuid").unwrap(),
        "the uuid stays"
    );
    let host = "01234567-89ab-cdef-0123-456789abcdef";
    assert_ne!(
        run_on(&system, &format!("patch-list hosts:contains={host}")).unwrap(),
        ""
    );
    assert_eq!(
        run_on(&system, "patch-list hosts:contains=another").unwrap(),
        ""
    );
}

#[test]
fn help_lists_what_works_and_every_listed_command_is_explained() {
    let text = run("help").unwrap();
    let commands = run("help --minimal").unwrap();
    for command in commands.trim().split(',') {
        assert!(text.contains(command), "{command}");
        assert!(
            run(&format!("help {command}"))
                .unwrap()
                .starts_with(&format!("xe {command} "))
        );
    }
    assert_eq!(run("help nothing").unwrap_err().exit_code(), 2);
}

#[test]
fn arguments_of_xenserver_that_say_nothing_here_are_taken() {
    let host = "01234567-89ab-cdef-0123-456789abcdef";
    // Who is not there is what it says, and not that it does not know the argument.
    for line in [
        format!("vm-start vm=nobody on={host}"),
        "vm-start vm=nobody on=node-1".to_owned(),
    ] {
        assert_eq!(run(&line).unwrap_err().code, "NO_MATCH", "{line}");
    }
    let elsewhere = run("vm-start vm=nobody on=node-2").unwrap_err();
    assert_eq!(elsewhere.code, "UUID_INVALID", "{elsewhere}");
    for (line, words) in [
        (
            "sr-create name-label=a type=ext device-config:device=/dev/sdz shared=true",
            "shared=true",
        ),
        (
            "vbd-create vm-uuid=1 device=xvdb vdi-uuid=2 type=CD",
            "type=CD",
        ),
        (
            "vm-install new-name-label=a template=pvh template-name-label=pvh",
            "say the same",
        ),
    ] {
        let error = run(line).unwrap_err();
        assert!(error.usage && error.message.contains(words), "{error}");
    }
    // Under its own name it would be no template, too.
    let named = run("vm-install new-name-label=a template-name-label=nothing").unwrap_err();
    let own = run("vm-install new-name-label=a template=nothing").unwrap_err();
    assert_eq!(named.to_string(), own.to_string());
}

#[test]
fn there_is_one_edition_and_a_license_makes_it_per_socket() {
    assert_eq!(run("host-all-editions").unwrap(), "free,per-socket\n");
    assert_eq!(run("host-apply-edition edition=free").unwrap(), "");
    let error = run("host-apply-edition edition=per-socket").unwrap_err();
    assert!(error.message.contains("host-license-add"), "{error}");
    assert!(run("host-apply-edition edition=gold").unwrap_err().usage);
}

#[test]
fn commands_about_the_license_answer_programs() {
    let json = |line: &str| -> serde_json::Value {
        serde_json::from_str(&run(&format!("{line} --json")).unwrap()).unwrap()
    };
    assert_eq!(json("host-license-view")[0]["state"], "unlicensed");
    let removed = json("host-license-remove");
    assert_eq!(
        (&removed[0]["state"], &removed[0]["automatic-updates"]),
        (&"unlicensed".into(), &false.into())
    );
    // What is unknown is there, and null.
    assert!(removed[0].as_object().unwrap()["customer"].is_null());
    let request = json("host-license-request");
    assert_eq!(request[0]["sockets"], 2);
    assert_eq!(
        request[0]["request"].as_str().unwrap(),
        run("host-license-request --minimal").unwrap().trim()
    );
}

#[test]
fn hotfixes_are_completed_for_what_can_be_done_with_them() {
    let boot = r#"{"mode":"host","root":{"version":"1.0.1","image_name":"x","image_size":4096,"image_sha256":"x",
        "verity":{"data_blocks":1,"salt":"","root_hash":"aabbccddeeff00112233"}},"root_device":"/dev/sda3",
        "medium":null,"state_device":null,"root_opened_ms":1,"warnings":[]}"#;
    let record = |uuid: &str, hash: &str, state: &str, folder: &str| {
        format!(
            r#"{{"schema":1,"uuid":"{uuid}","root":{{"version":"1.0.1","image_name":"x","image_size":4096,"image_sha256":"x",
            "verity":{{"data_blocks":1,"salt":"","root_hash":"{hash}"}}}},"info":{{"kind":"feature","notes":"","cves":[],
            "guidance":"restartHost"}},"size":1,"folder":{folder},"state":"{state}","reason":"","changed":1}}"#
        )
    };
    let state = r#"{"schema":1,"offered":{"version":"1.0.3","uuid":"f-available","kind":"security","notes":"","cves":[],
        "bytes":1,"first_seen":1}}"#;
    let mut system = system()
        .file("/run/bedplate/boot.json", boot)
        .file(Places::default().update_state(), state);
    for (uuid, hash, state, folder) in [
        ("a-new", "01", "uploaded", "\"files-0\""),
        ("b-cleaned", "02", "uploaded", "null"),
        ("c-runs", "aabbccddeeff00112233", "applied", "\"files-1\""),
        ("d-old", "03", "superseded", "\"files-2\""),
        ("e-waits", "04", "restart-needed", "\"files-3\""),
        ("g-failed", "05", "failed", "\"files-4\""),
    ] {
        let path = Places::default().record(uuid);
        system = system.file(path, record(uuid, hash, state, folder));
    }
    let offered = |command: &str| -> Vec<String> {
        let around = Surroundings {
            system: &system,
            now: 1_795_305_600,
            hardware: &license::Machine::default,
            machine: &RealMachine,
            places: &Places::default(),
            sinks: &steps::sink::FanOut::new,
            terminal: &host::terminal::Nobody,
        };
        let typed = [command.to_owned(), "uuid=".to_owned()];
        let found = host::complete::candidates(&typed, &around);
        let short = |word: String| word.trim_start_matches("uuid=").to_owned();
        found.into_iter().map(short).collect()
    };
    for command in ["patch-apply", "patch-precheck", "patch-pool-apply"] {
        assert_eq!(offered(command), ["a-new", "g-failed"], "{command}");
    }
    for command in ["patch-clean", "patch-pool-clean"] {
        let kept = ["a-new", "c-runs", "d-old", "e-waits", "g-failed"];
        assert_eq!(offered(command), kept, "{command}");
    }
    let unused = ["a-new", "b-cleaned", "d-old", "g-failed"];
    assert_eq!(offered("patch-destroy"), unused);
    assert_eq!(offered("patch-param-list").len(), 7);
}
