//! Runs on a machine of the imagination, stopped and broken at every point: it is as it was after each.

use super::*;
use crate::certify::{Options, Silent, Surroundings};
use crate::facts::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use steps::system::{FileError, Mount, MountError};
use steps::{Command, Output, RecordingSystem, RunError};

const FOLDER: &str = "/run/certify";

/// What tests can change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Machine {
    /// MTU by interface.
    mtu: BTreeMap<String, u32>,
    up: BTreeSet<String>,
    addresses: BTreeSet<(String, String)>,
    guests: BTreeSet<String>,
    functions: u32,
}

/// A machine that understands the commands of changes, and may fail or be told to stop at one of its calls.
struct Imagined {
    files: RecordingSystem,
    machine: Mutex<Machine>,
    calls: AtomicUsize,
    fail_at: Option<usize>,
    stop_at: Option<(usize, Stop)>,
}

impl Imagined {
    fn new() -> Self {
        let mut machine = Machine::default();
        machine.mtu.insert("eth0".to_owned(), 1500);
        Self {
            files: RecordingSystem::new(),
            machine: Mutex::new(machine),
            calls: AtomicUsize::new(0),
            fail_at: None,
            stop_at: None,
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the command says. None where it fails.
    fn obey(&self, words: &[&str]) -> Option<String> {
        let mut machine = self.machine();
        match *words {
            ["ip", "link", "set", "dev", name, "up"] => machine.up.insert(name.to_owned()),
            ["ip", "link", "set", "dev", name, "down"] => machine.up.remove(name),
            ["ip", "link", "set", "dev", name, "mtu", mtu] => {
                *machine.mtu.get_mut(name)? = mtu.parse().ok()?;
                true
            }
            [
                "ip",
                "link",
                "add",
                "link",
                _,
                "name",
                name,
                "type",
                "vlan",
                "id",
                _,
            ] => machine.mtu.insert(name.to_owned(), 1500).is_none(),
            ["ip", "link", "delete", "dev", name] => {
                machine.up.remove(name);
                machine.addresses.retain(|(on, _)| on != name);
                machine.mtu.remove(name)?;
                true
            }
            ["ip", "address", "add", address, "dev", name] => machine
                .addresses
                .insert((name.to_owned(), address.to_owned())),
            ["ip", "address", "delete", address, "dev", name] => machine
                .addresses
                .remove(&(name.to_owned(), address.to_owned())),
            ["ip", "-oneline", "address", "show", "dev", name] => {
                let has = machine.addresses.iter().filter(|(on, _)| on == name);
                let text: Vec<String> = has
                    .map(|(on, address)| format!("2: {on} inet {address}"))
                    .collect();
                return Some(text.join("\n"));
            }
            ["xl", "list"] => {
                let guests: Vec<String> = machine.guests.iter().cloned().collect();
                return Some(format!("Name ID\nDomain-0 0\n{}", guests.join(" 1\n")));
            }
            ["xl", "create", guest] => machine.guests.insert(guest.to_owned()),
            ["xl", "destroy", guest] => machine.guests.remove(guest),
            _ => return None,
        };
        Some(String::new())
    }
}

impl System for Imagined {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some((at, stop)) = &self.stop_at
            && *at == call
        {
            stop.ask();
        }
        let failed = || RunError::Failed {
            command: command.to_string(),
            status: "exit code 1".to_owned(),
            code: Some(1),
            stderr: Vec::new(),
        };
        if self.fail_at == Some(call) {
            return Err(failed());
        }
        let args = command.args_text();
        if command.program() == "tee" {
            let count = String::from_utf8_lossy(command.stdin_bytes()).parse();
            self.machine().functions = count.map_err(|_| failed())?;
            return Ok(Output::default());
        }
        let program = command.program().to_string_lossy().into_owned();
        let words: Vec<&str> = std::iter::once(program.as_str())
            .chain(args.iter().map(String::as_str))
            .collect();
        let stdout = self.obey(&words).ok_or_else(failed)?;
        Ok(Output {
            stdout: stdout.into_bytes(),
            ..Output::default()
        })
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.files.move_file(from, to)
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        self.files.file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        self.files.real_path(path)
    }
    fn exists(&self, path: &Path) -> bool {
        let name = path
            .strip_prefix("/sys/class/net")
            .ok()
            .and_then(Path::to_str);
        match name {
            Some(name) => self.machine().mtu.contains_key(name),
            None => path.ends_with("sriov_numvfs") || self.files.exists(path),
        }
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        if path.ends_with("sriov_numvfs") {
            return Ok(self.machine().functions.to_string().into_bytes());
        }
        let name = path
            .strip_prefix("/sys/class/net")
            .ok()
            .and_then(Path::parent);
        let mtu = name
            .and_then(Path::to_str)
            .and_then(|name| self.machine().mtu.get(name).copied());
        match mtu {
            Some(mtu) => Ok(mtu.to_string().into_bytes()),
            None => self.files.read_file(path),
        }
    }
    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        self.files.mount(mount)
    }
    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        self.files.unmount(target)
    }
    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        self.files.write_file(path, bytes, mode)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        self.files.copy_file(from, to, mode)
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        self.files.create_dir_all(path)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        self.files.symlink(target, link)
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        self.files.remove_file(path)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.files.set_mode(path, mode)
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        self.files.list_dir(path)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        self.files.sync(path)
    }
}

fn planned(id: &str, action: Action) -> PlannedTest {
    PlannedTest {
        id: id.to_owned(),
        title: id.to_owned(),
        seconds: 1,
        changes: String::new(),
        action,
    }
}

/// Two tests that run and one that cannot.
fn plan() -> Plan {
    Plan {
        tests: vec![
            planned("cpu.load", Action::Run(Task::CpuLoad { seconds: 1 })),
            planned("disk", Action::Skip("no disk".to_owned())),
            planned("cpu.topology", Action::Run(Task::Topology)),
        ],
    }
}

fn begin() -> RunState {
    RunState::begin(
        Options::default(),
        Facts::default(),
        Surroundings::default(),
        "nonce".to_owned(),
        0,
    )
}

fn runner(system: &dyn System, state: RunState, stop: Stop) -> Runner<'_> {
    Runner {
        system,
        folder: PathBuf::from(FOLDER),
        state,
        stop,
        progress: Box::new(Silent),
    }
}

/// Every change there is, each after a look whether to stop.
fn change_everything(bench: &mut Bench<'_>) -> Result<Outcome, TestError> {
    let text = str::to_owned;
    let changes = [
        Change::Up {
            interface: text("eth0"),
        },
        Change::Address {
            interface: text("eth0"),
            address: text("192.0.2.1/24"),
        },
        Change::Mtu {
            interface: text("eth0"),
            from: 1500,
            to: 9000,
        },
        Change::Vlan {
            parent: text("eth0"),
            name: text("hclv5"),
            id: 5,
        },
        Change::Address {
            interface: text("hclv5"),
            address: text("198.18.0.1/30"),
        },
        Change::Up {
            interface: text("hclv5"),
        },
        Change::VirtualFunctions {
            address: text("0000:01:00.0"),
            count: 4,
        },
        Change::File {
            path: PathBuf::from("/run/certify/guest.cfg"),
        },
        Change::Guest {
            name: text("hcl-checker-pv"),
        },
    ];
    for change in changes {
        bench.go_on()?;
        bench.change(change)?;
    }
    bench
        .system
        .write_file(Path::new("/run/certify/guest.cfg"), b"x", 0o600)?;
    bench
        .system
        .run(&Command::new("xl").args(["create", "hcl-checker-pv"]))?;
    bench.go_on()?;
    Ok(Outcome::new())
}

/// The same for every task of the plan.
fn perform_all(bench: &mut Bench<'_>, _: &Task, _: Option<&Waiting>) -> Result<Outcome, TestError> {
    change_everything(bench)
}

/// How many commands a whole run has.
fn commands_of_a_run() -> usize {
    let system = Imagined::new();
    let mut runner = runner(&system, begin(), Stop::new());
    assert_eq!(
        runner.run_with(&plan(), &mut perform_all).expect("state"),
        End::Done
    );
    let passed = |id: &str| runner.state.result(id).map(|result| result.status);
    assert_eq!(
        passed("cpu.load"),
        Some(Status::Passed),
        "{:?}",
        runner.state.results
    );
    assert_eq!(passed("disk"), Some(Status::Skipped));
    assert_eq!(runner.ran(), 2);
    assert_eq!(*system.machine(), *Imagined::new().machine());
    system.calls.load(Ordering::Relaxed)
}

#[test]
fn ctrl_c_at_every_command_leaves_the_machine_as_it_was_and_the_run_goes_on() {
    let all = commands_of_a_run();
    assert!(all > 30, "{all} commands are too few to show anything");
    for at in 0..all {
        let stop = Stop::new();
        let mut system = Imagined::new();
        system.stop_at = Some((at, stop.clone()));
        let end = runner(&system, begin(), stop)
            .run_with(&plan(), &mut perform_all)
            .expect("state");
        assert_eq!(
            *system.machine(),
            *Imagined::new().machine(),
            "stopped at command {at}"
        );
        assert!(
            !system.files.exists(Path::new("/run/certify/guest.cfg")),
            "command {at}"
        );
        let state = RunState::load(&system, Path::new(FOLDER)).expect("a state to go on with");
        assert_eq!(state.changes, [], "stopped at command {at}");
        assert!(end == End::Stopped || state.results.len() == 3);
        let done = state.results.clone();
        let mut again = runner(&system, state, Stop::new());
        assert_eq!(
            again.run_with(&plan(), &mut perform_all).expect("state"),
            End::Done
        );
        assert_eq!(
            again.state.results[..done.len()],
            done[..],
            "what is done is not done again"
        );
        let ids: Vec<&str> = again
            .state
            .results
            .iter()
            .map(|result| result.id.as_str())
            .collect();
        assert_eq!(ids, ["cpu.load", "disk", "cpu.topology"]);
    }
}

#[test]
fn a_command_that_fails_fails_its_test_and_what_was_changed_is_undone() {
    for at in 0..commands_of_a_run() {
        let mut system = Imagined::new();
        system.fail_at = Some(at);
        let mut first = runner(&system, begin(), Stop::new());
        let end = first.run_with(&plan(), &mut perform_all).expect("state");
        assert_eq!(end, End::Done);
        let failed = first
            .state
            .results
            .iter()
            .filter(|result| result.status == Status::Failed);
        assert_eq!(failed.count(), 1, "command {at}: {:?}", first.state.results);
        // Where undoing itself failed, the change is still on the list, and the next start undoes it.
        first.undo_all().expect("state");
        assert_eq!(
            *system.machine(),
            *Imagined::new().machine(),
            "command {at}"
        );
        assert_eq!(first.state.changes, [], "command {at}");
    }
}

#[test]
fn a_run_that_was_killed_is_put_right_by_the_next_start() {
    let system = Imagined::new();
    // Killed in the middle: nothing was undone, and the state file is what it is.
    let mut killed = runner(&system, begin(), Stop::new());
    let mut perform = |bench: &mut Bench<'_>, _: &Task, _: Option<&Waiting>| {
        change_everything(bench)?;
        Err(TestError::Restarting)
    };
    assert_eq!(
        killed.run_with(&plan(), &mut perform).expect("state"),
        End::Restarting
    );
    assert_ne!(*system.machine(), *Imagined::new().machine());
    let state = RunState::load(&system, Path::new(FOLDER)).expect("state");
    assert_eq!(state.changes.len(), 9);
    runner(&system, state, Stop::new())
        .undo_all()
        .expect("state");
    assert_eq!(*system.machine(), *Imagined::new().machine());
    // Once more does no harm.
    let state = RunState::load(&system, Path::new(FOLDER)).expect("state");
    runner(&system, state, Stop::new())
        .undo_all()
        .expect("state");
}

#[test]
fn a_test_that_restarts_the_machine_goes_on_after_that() {
    let system = Imagined::new();
    let mut first = runner(&system, begin(), Stop::new());
    let mut down = |bench: &mut Bench<'_>, _: &Task, waiting: Option<&Waiting>| {
        assert_eq!(waiting, None);
        bench.state.waiting = Some(Waiting {
            test: bench.test.clone(),
            boot_id: "one".to_owned(),
            since: 5,
            dumps: Vec::new(),
        });
        bench.state.save(bench.system, bench.folder)?;
        Err(TestError::Restarting)
    };
    assert_eq!(
        first.run_with(&plan(), &mut down).expect("state"),
        End::Restarting
    );
    let state = RunState::load(&system, Path::new(FOLDER)).expect("state");
    let mut seen = Vec::new();
    let mut up = |_: &mut Bench<'_>, _: &Task, waiting: Option<&Waiting>| {
        seen.push(waiting.map(|waiting| waiting.boot_id.clone()));
        Ok(Outcome::new())
    };
    let mut again = runner(&system, state, Stop::new());
    assert_eq!(again.run_with(&plan(), &mut up).expect("state"), End::Done);
    assert_eq!(
        seen,
        [Some("one".to_owned()), None],
        "only the test that waited"
    );
    assert_eq!(again.state.waiting, None);
}

#[test]
fn a_state_that_cannot_be_written_ends_the_run_before_anything_is_changed() {
    let mut system = Imagined::new();
    system.files = RecordingSystem::new().breaks("/run/certify/state.json");
    let mut runner = runner(&system, begin(), Stop::new());
    assert!(runner.run_with(&plan(), &mut perform_all).is_err());
    assert_eq!(*system.machine(), *Imagined::new().machine());
}

#[test]
fn a_damaged_or_foreign_state_is_told() {
    let load = |text: &str| {
        let system = RecordingSystem::new().file("/run/certify/state.json", text);
        RunState::load(&system, Path::new(FOLDER))
            .expect_err("refused")
            .to_string()
    };
    assert!(load("{").contains("no state of a certification"));
    assert!(load("{\"schema\":1}").contains("no state"));
    assert!(load("{\"schema\":7}").contains("schema 7"));
    let none = RunState::load(&RecordingSystem::new(), Path::new(FOLDER)).expect_err("none");
    assert!(none.to_string().contains("state.json"));
}
