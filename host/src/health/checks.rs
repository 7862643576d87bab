//! The checks. Each says pass, fail or unknown, and why; unknown is never pass.

use super::baseline::Baseline;
use super::guests::check as guests;
use super::storage::check as storage;
use crate::error::chain;
use crate::local::{MANAGEMENT_BRIDGE, addresses, short_text};
use serde::{Deserialize, Serialize};
use slots::names::STATE_MOUNT;
use slots::{BootRecord, Mode};
use std::path::Path;
use std::time::Duration;
use steps::{Command, RunError, System};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not as it should be, and no fault of the release that runs: half of a mirror is gone. Going back would not help.
    Warn,
    /// Not as it should be.
    Fail,
    /// It could not be checked.
    Unknown,
}

impl Outcome {
    /// True when a boot with it may count as good.
    pub fn is_good(self) -> bool {
        matches!(self, Outcome::Pass | Outcome::Warn)
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What was checked: `xen`, `network`.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub reason: String,
}

impl Check {
    fn new(name: &str, outcome: Outcome, reason: impl Into<String>) -> Check {
        Check {
            name: name.to_owned(),
            outcome,
            reason: reason.into(),
        }
    }

    /// It is as it should be.
    pub fn pass(name: &str, reason: impl Into<String>) -> Check {
        Check::new(name, Outcome::Pass, reason)
    }

    /// It is not, and the release cannot help it.
    pub fn warn(name: &str, reason: impl Into<String>) -> Check {
        Check::new(name, Outcome::Warn, reason)
    }

    /// It is not.
    pub fn fail(name: &str, reason: impl Into<String>) -> Check {
        Check::new(name, Outcome::Fail, reason)
    }

    /// It could not be checked.
    pub fn unknown(name: &str, reason: impl Into<String>) -> Check {
        Check::new(name, Outcome::Unknown, reason)
    }
}

/// Waits a moment for what comes up late: daemons that are still starting, an address that is still asked for. Says whether
/// the time is not up yet. By time and not by rounds: one whose commands hang takes minutes.
pub type Retry<'a> = dyn FnMut() -> bool + 'a;

/// What this boot is held to.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    /// The root is on trial, and there is another one to go back to.
    pub has_way_back: bool,
    /// What was well before the try was arranged; none where that is not known, or nothing is on trial.
    pub before: Option<Baseline>,
}

type CheckFn = fn(&dyn System, &Trial) -> Check;

const CHECKS: [CheckFn; 8] = [
    |system, _| xen(system),
    |system, _| toolstack(system),
    |system, _| libvirt(system),
    |system, _| network(system),
    storage,
    guests,
    |system, _| etc(system),
    |system, _| state(system),
];

/// Runs all checks, in order; those that did not pass again after a pause, until the time is up.
pub(super) fn run_checks(
    system: &dyn System,
    boot: &Result<BootRecord, String>,
    trial: &Trial,
    retry: &mut Retry<'_>,
) -> Vec<Check> {
    let mut results: Vec<Check> = CHECKS.iter().map(|check| check(system, trial)).collect();
    while !results.iter().all(|result| result.outcome.is_good()) && retry() {
        for (result, check) in results.iter_mut().zip(CHECKS) {
            if !result.outcome.is_good() {
                *result = check(system, trial);
            }
        }
    }
    results.insert(0, booted(boot));
    results
}

fn booted(boot: &Result<BootRecord, String>) -> Check {
    const NAME: &str = "boot-record";
    match boot {
        Ok(boot) if boot.mode == Mode::Host => Check::pass(
            NAME,
            format!("{} from {}", boot.root.id(), boot.root_device),
        ),
        Ok(boot) => Check::fail(NAME, format!("booted as {:?}, not as a host", boot.mode)),
        Err(e) => Check::unknown(NAME, e.clone()),
    }
}

fn xen(system: &dyn System) -> Check {
    const FILE: &str = "/proc/xen/capabilities";
    match system.read_file(Path::new(FILE)) {
        Ok(bytes) if String::from_utf8_lossy(&bytes).contains("control_d") => {
            Check::pass("xen", "Xen runs and this is dom0")
        }
        Ok(_) => Check::fail(
            "xen",
            format!("{FILE} does not say control_d: this is not dom0"),
        ),
        Err(e) if system.exists(Path::new("/proc/xen")) => Check::fail("xen", chain(&e)),
        Err(_) => Check::fail("xen", "this kernel does not run under Xen (no /proc/xen)"),
    }
}

/// Runs a command that answers when a service works.
fn answers(system: &dyn System, name: &str, command: &Command, good: &str) -> Check {
    match system.run(command) {
        Ok(_) => Check::pass(name, good),
        // It ran and said no, or never came back.
        Err(e @ (RunError::Failed { .. } | RunError::Timeout { .. })) => {
            Check::fail(name, one_line(&chain(&e)))
        }
        Err(e) => Check::unknown(name, one_line(&chain(&e))),
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" | ")
}

/// `xl info` would ask the hypervisor alone; for the names of domains `xl list` needs xenstored, too.
fn toolstack(system: &dyn System) -> Check {
    let command = Command::new("xl")
        .arg("list")
        .timeout(Duration::from_secs(20));
    answers(system, "toolstack", &command, "xl answers")
}

fn libvirt(system: &dyn System) -> Check {
    let command = Command::new("virsh")
        .args(["-c", "xen:///system", "list"])
        .timeout(Duration::from_secs(30));
    answers(system, "libvirt", &command, "libvirt answers")
}

fn network(system: &dyn System) -> Check {
    const NAME: &str = "network";
    let file = format!("/sys/class/net/{MANAGEMENT_BRIDGE}/operstate");
    match short_text(system, &file).as_deref() {
        Some("up") => match addresses(system, MANAGEMENT_BRIDGE).as_slice() {
            [] => Check::fail(
                NAME,
                format!("{MANAGEMENT_BRIDGE} is up but has no address"),
            ),
            [first, ..] => Check::pass(NAME, format!("{MANAGEMENT_BRIDGE} is up with {first}")),
        },
        Some(other) => Check::fail(
            NAME,
            format!("{MANAGEMENT_BRIDGE} is {other}: is a cable plugged in?"),
        ),
        None => Check::fail(
            NAME,
            format!("there is no management bridge {MANAGEMENT_BRIDGE}"),
        ),
    }
}

/// Bytes as GiB with one decimal, rounded down.
pub(super) fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

fn etc(system: &dyn System) -> Check {
    const NAME: &str = "etc";
    let mounts = match system.read_file(Path::new("/proc/self/mounts")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => return Check::unknown(NAME, chain(&e)),
    };
    // Device, mount point, type, options. The last mount on a point is the one that is seen.
    let etc = mounts
        .lines()
        .rev()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|f| f.get(1) == Some(&"/etc"));
    match etc.as_deref() {
        Some([_, _, "overlay", options, ..]) if options.split(',').any(|option| option == "rw") => {
            writable(system, NAME, Path::new("/etc"), "the overlay is writable")
        }
        Some([_, _, kind, options, ..]) => Check::fail(
            NAME,
            format!("/etc is {kind} ({options}), not a writable overlay"),
        ),
        _ => Check::fail(
            NAME,
            "/etc is not an overlay: nothing written there would be kept",
        ),
    }
}

fn state(system: &dyn System) -> Check {
    writable(
        system,
        "state",
        &Path::new(STATE_MOUNT).join("bedplate"),
        "the state partition is writable",
    )
}

fn writable(system: &dyn System, name: &str, folder: &Path, good: &str) -> Check {
    let probe = folder.join(".bedplate-health-probe");
    let written = system
        .create_dir_all(folder)
        .and_then(|()| {
            system.write_file(
                &probe,
                b"written by bedplate-health, removed at once\n",
                0o600,
            )
        })
        .and_then(|()| system.remove_file(&probe));
    match written {
        Ok(()) => Check::pass(name, good),
        Err(e) => Check::fail(name, chain(&e)),
    }
}
