//! What the completion offers.

use crate::bench::*;
use host::commands::Surroundings;
use host::hotfix::{Places, RealMachine};
use host::terminal::Nobody;

#[test]
fn the_shell_is_offered_what_fits() {
    let system = running();
    let offered = |line: &str| {
        let mut typed = words(line);
        if line.ends_with(' ') {
            typed.push(String::new());
        }
        let places = Places::default();
        let around = Surroundings {
            system: &system,
            now: 0,
            hardware: &license::Machine::default,
            machine: &RealMachine,
            places: &places,
            sinks: &steps::sink::FanOut::new,
            terminal: &Nobody,
        };
        host::complete::candidates(&typed, &around)
    };
    assert_eq!(offered("vm-sn"), ["vm-snapshot"]);
    assert_eq!(offered("help vm-sn"), ["vm-snapshot"]);
    assert!(offered("").len() > 100, "every command");
    assert_eq!(offered("vm-start pau"), ["paused="]);
    assert_eq!(offered("vm-start paused="), ["paused=false", "paused=true"]);
    assert_eq!(offered("vm-start vm=w"), ["vm=web"]);
    assert_eq!(offered("vm-start uuid=1"), [format!("uuid={VM}")]);
    assert_eq!(offered("vm-list --m"), ["--minimal", "--multiple"]);
    assert_eq!(offered("vm-list power-state=r"), ["power-state=running"]);
    assert_eq!(
        offered("vm-list params=uuid,name-l"),
        ["params=uuid,name-label"]
    );
    assert_eq!(
        offered("vm-install new-name-label=a template=W"),
        ["template=Windows"]
    );
    assert!(!offered("vm-install new-name-label=a ").contains(&"new-name-label=".to_owned()));
    assert_eq!(offered("vm-import filename=/"), ["@files"]);
    assert_eq!(
        offered("vm-param-clear param-name=PV-k"),
        ["param-name=PV-kernel"]
    );
    assert!(offered("nonsense a").is_empty());
}
