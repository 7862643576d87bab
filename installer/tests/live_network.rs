//! The network of the answers in the live system, before anything is fetched or reported.

mod common;

use common::machine::{disk, facts};
use hcl_checker::facts::FirmwareKind;
use installer::choices::Choices;
use installer::live_network::LiveNetwork;
use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;
use steps::RecordingSystem;

const NETWORK: &str = "[network]\ninterface = \"eno1\"\nvlan = 7\n[network.static]\naddress = \"192.0.2.10/24\"\n\
                       gateway = \"192.0.2.1\"\n";
const WEBHOOK: &str = "[webhook]\nurl = \"https://reports.example.org/bedplate\"\n";
const SOURCE: &str = "[source]\nurl = \"https://releases.example.org/bedplate\"\n";
const HAS_ADDRESS: &str = r#"[{"addr_info":[{"local":"fe80::1","prefixlen":64,"scope":"link"},{"local":"192.0.2.10","prefixlen":24,"scope":"global"}]}]"#;

fn choices(sections: &str) -> Choices {
    common::choices(&format!(
        "schema = 1\n[disk]\nmatch = {{ serial = \"BP0001\" }}\nwipe = true\n[system]\nhostname = \"lab-a\"\n\
         ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGl5kTnZsVEhxYLEl5OYNAhXQGZTdWvDbfdgpZqsJgWV ops\"]\n{sections}"
    ))
}

fn set_up(system: &RecordingSystem, sections: &str) -> Option<Result<String, String>> {
    LiveNetwork::new(system, &|_| {})
        .of_answers(&choices(sections), &facts(disk(), FirmwareKind::Uefi))
}

#[test]
fn it_is_set_up_as_on_the_host_where_something_travels() {
    for travels in [WEBHOOK, SOURCE] {
        let system = RecordingSystem::new().prints("ip -json address", HAS_ADDRESS);
        let said = set_up(&system, &format!("{NETWORK}{travels}"))
            .unwrap()
            .unwrap();
        assert!(said.ends_with("xenbr0 has 192.0.2.10/24"), "{said}");
        let file = system
            .content("/run/systemd/network/30-xenbr0.network")
            .unwrap();
        let text = String::from_utf8(file).unwrap();
        assert!(
            text.contains("Address=192.0.2.10/24\nGateway=192.0.2.1\n"),
            "{text}"
        );
        assert!(
            system
                .content("/run/systemd/network/10-vlan7.netdev")
                .is_some()
        );
        assert_eq!(system.command_lines()[0], "networkctl reload");
    }
}

#[test]
fn nothing_is_touched_where_nothing_travels_or_dhcp_does() {
    for sections in [
        NETWORK.to_owned(),
        WEBHOOK.to_owned(),
        format!("[network]\ndhcp = true\n{SOURCE}"),
    ] {
        let system = RecordingSystem::new();
        assert!(set_up(&system, &sections).is_none(), "{sections}");
        assert!(
            system.calls().is_empty(),
            "{sections}: {:?}",
            system.calls()
        );
    }
    // The plan tells what is wrong, with everything else that is.
    let system = RecordingSystem::new();
    let other = NETWORK.replace("eno1", "eno9");
    assert!(set_up(&system, &format!("{other}{WEBHOOK}")).is_none());
    assert!(system.calls().is_empty());
}

#[test]
fn what_is_in_the_way_is_told() {
    let waited = Mutex::new(Cell::new(Duration::ZERO));
    let pause = |time| {
        let waited = waited.lock().unwrap();
        waited.set(waited.get() + time);
    };
    let system = RecordingSystem::new().prints("ip -json address", "[{}]");
    let all = choices(&format!("{NETWORK}{WEBHOOK}"));
    let said = LiveNetwork::new(&system, &pause)
        .of_answers(&all, &facts(disk(), FirmwareKind::Uefi))
        .unwrap()
        .unwrap_err();
    assert!(
        said.contains("no address after 30 s") && said.contains("VLAN"),
        "{said}"
    );
    assert_eq!(waited.lock().unwrap().get(), Duration::from_secs(30));
    let broken =
        RecordingSystem::new().fails("networkctl reload", 1, "Failed to reload network settings");
    let said = set_up(&broken, &format!("{NETWORK}{SOURCE}"))
        .unwrap()
        .unwrap_err();
    assert!(said.contains("Failed to reload network settings"), "{said}");
}
