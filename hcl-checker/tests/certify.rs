//! Certification for real: the program itself, a peer behind a pair of interfaces in network namespaces, memory, and a disk
//! that is a loop device. Needs root; elsewhere it says so.

#[path = "machines/json_schema.rs"]
mod json_schema;

use json_schema::{assert_fits, fits};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hcl-checker");

fn run(line: &str) -> Output {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let mut command = Command::new(program);
    command
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn must(line: &str) -> String {
    let output = run(line);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.trim().to_owned()
}

/// Two namespaces with a cable between them, and a peer at the other end.
struct Network {
    here: String,
    there: String,
    peer: Child,
}

impl Network {
    fn new(name: &str) -> Self {
        let (here, there) = (
            format!("{name}-{}-a", std::process::id()),
            format!("{name}-{}-b", std::process::id()),
        );
        must(&format!("ip netns add {here}"));
        must(&format!("ip netns add {there}"));
        must(&format!(
            "ip link add v0 netns {here} type veth peer name v1 netns {there}"
        ));
        must(&format!("ip -n {there} address add 192.0.2.2/24 dev v1"));
        must(&format!("ip -n {there} link set v1 up"));
        // The kernel gives an interface its queue when it first comes up, and keeps it.
        must(&format!("ip -n {here} link set v0 up"));
        must(&format!("ip -n {here} link set v0 down"));
        let peer = Command::new("ip")
            .args([
                "netns",
                "exec",
                &there,
                PROGRAM,
                "peer",
                "--interface",
                "v1",
            ])
            .stderr(Stdio::null())
            .spawn()
            .expect("peer");
        std::thread::sleep(Duration::from_millis(500));
        Self { here, there, peer }
    }

    /// Runs the program at this end.
    fn certify(&self, folder: &Path, more: &str) -> (Option<i32>, Value) {
        let (out, key) = (folder.join("report"), folder.join("key.pem"));
        let line = format!(
            "ip netns exec {} {PROGRAM} certify --out {} --key {} --peer v0=192.0.2.2 --address v0=192.0.2.1/24 {more}",
            self.here,
            out.display(),
            key.display()
        );
        let output = run(&line);
        let report = std::fs::read(out.join("report.json"))
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let verify = run(&format!("{PROGRAM} report verify {}", out.display()));
        assert!(
            verify.status.success(),
            "{}",
            String::from_utf8_lossy(&verify.stdout)
        );
        (
            output.status.code(),
            serde_json::from_slice(&report).expect("JSON"),
        )
    }

    /// What the interface is like at this end.
    fn interface(&self) -> String {
        let text = must(&format!("ip -n {} -oneline address show dev v0", self.here));
        text + &must(&format!("ip -n {} -oneline link show dev v0", self.here))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.peer.kill();
        let _ = self.peer.wait();
        run(&format!("ip netns delete {}", self.here));
        run(&format!("ip netns delete {}", self.there));
    }
}

/// A loop device, while it lives.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        run(&format!("losetup --detach {}", self.0));
    }
}

fn status<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let tests = report["tests"].as_array().expect("tests");
    let test = tests.iter().find(|test| test["id"] == id);
    let test = test.unwrap_or_else(|| panic!("no test {id}"));
    let text = |name: &str| test[name].as_str().expect("text");
    (text("status"), text("reason"))
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: network namespaces and loop devices need root");
    }
    root
}

#[test]
fn memory_a_disk_and_a_cable_are_tested_and_left_as_they_were() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp dir");
    let image = folder.path().join("disk");
    std::fs::File::create(&image)
        .and_then(|file| file.set_len(64 << 20))
        .expect("image");
    let disk = Loop(must(&format!("losetup --find --show {}", image.display())));
    let network = Network::new("good");
    let before = network.interface();
    let more = format!(
        "--memory-time 5 --memory-limit 64 --cpu-time 1 --erase-disk {} --disk-time 2 --net-time 1 --vlan 5 \
         --only cpu.load --only memory --only disk --only nic",
        disk.0
    );
    let (code, report) = network.certify(folder.path(), &more);
    let name = disk.0.trim_start_matches("/dev/");
    let disk_test = format!("disk.{name}");
    for id in [
        "cpu.load",
        "memory",
        &disk_test,
        "nic.v0.link",
        "nic.v0.jumbo",
    ] {
        assert_eq!(status(&report, id), ("passed", ""), "{id}");
    }
    // 10 Gbit/s is what a pair of interfaces claims to have, not what a busy machine carries.
    for (id, busy) in [
        ("nic.v0.throughput", "less than 8000"),
        ("nic.v0.loss", "datagrams were lost"),
    ] {
        let (status, reason) = status(&report, id);
        assert!(
            status == "passed" || reason.contains(busy),
            "{id}: {reason}"
        );
    }
    // The interface itself saw what was carried.
    let counted = |id: &str| {
        let tests = report["tests"].as_array().expect("tests");
        let test = tests.iter().find(|test| test["id"] == id).expect("test");
        test["measurements"].to_string()
    };
    for id in ["nic.v0.throughput", "nic.v0.loss", "nic.v0.jumbo"] {
        assert!(!status(&report, id).1.contains("took another way"));
        assert!(
            counted(id).contains("bytes that v0 counted as received"),
            "{id}"
        );
    }
    // A kernel without VLANs is a reason to skip, never a pass.
    let (vlan, reason) = status(&report, "nic.v0.vlan");
    assert!(
        vlan == "passed" || (vlan == "skipped" && reason.contains("VLAN")),
        "{vlan}: {reason}"
    );
    assert_eq!(status(&report, "restart").0, "skipped");
    assert!(code == Some(4) || code == Some(1), "{code:?}");
    assert_eq!(network.interface(), before);
    assert_eq!(
        must(&format!("cat /sys/block/{name}/size")),
        (64 << 11).to_string()
    );
}

#[test]
fn a_loop_device_with_a_mounted_file_system_is_refused_by_the_plan() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp dir");
    let image = folder.path().join("disk");
    std::fs::File::create(&image)
        .and_then(|file| file.set_len(16 << 20))
        .expect("image");
    let disk = Loop(must(&format!("losetup --find --show {}", image.display())));
    must(&format!("mkfs.ext4 -q {}", disk.0));
    let plan = format!(
        "{PROGRAM} certify --dry-run --out {} --erase-disk {}",
        folder.path().join("report").display(),
        disk.0
    );
    assert!(must(&plan).contains(&format!("the content of {} is lost", disk.0)));
    let mounted = folder.path().join("mounted");
    std::fs::create_dir(&mounted).expect("folder");
    must(&format!("mount {} {}", disk.0, mounted.display()));
    let output = run(&plan);
    must(&format!("umount {}", mounted.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let told = format!("{} is mounted on {}", disk.0, mounted.display());
    assert!(said.contains(&told), "{said}");
}

#[test]
fn datagrams_that_a_full_queue_drops_are_counted() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp dir");
    let network = Network::new("full");
    // What comes back has to pass a queue of 8 KiB at 10 Mbit/s.
    must(&format!(
        "ip netns exec {} tc qdisc add dev v1 root tbf rate 10mbit burst 8k limit 8k",
        network.there
    ));
    let (code, report) = network.certify(folder.path(), "--net-time 2 --only nic.v0.loss");
    let (status, reason) = status(&report, "nic.v0.loss");
    assert_eq!((status, code), ("failed", Some(1)));
    // A busy machine may lose some on the way out, too; the queue is on the way back.
    let lost = |way: &str| {
        let told = reason.split("; ").find(|told| told.ends_with(way));
        let count = told.and_then(|told| told.split(' ').next()?.parse::<u64>().ok());
        count.unwrap_or(0)
    };
    assert!(
        lost("on the way back") > 4 * lost("on the way out"),
        "{reason}"
    );
}

#[test]
fn a_peer_with_an_address_of_this_machine_is_no_peer() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp dir");
    let network = Network::new("self");
    let own = "--only nic.v0.throughput --only nic.v0.loss --net-time 1 --peer v0=192.0.2.1";
    let (out, key) = (folder.path().join("report"), folder.path().join("key.pem"));
    let output = run(&format!(
        "ip netns exec {} {PROGRAM} certify --out {} --key {} --address v0=192.0.2.1/24 {own}",
        network.here,
        out.display(),
        key.display()
    ));
    let report = std::fs::read(out.join("report.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let report = serde_json::from_slice(&report).expect("JSON");
    for id in ["nic.v0.throughput", "nic.v0.loss"] {
        let (status, reason) = status(&report, id);
        assert_eq!(status, "skipped", "{id}");
        assert!(reason.contains("is an address of this machine"), "{reason}");
    }
}

#[test]
fn a_killed_run_is_undone_by_the_next_start() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("temp dir");
    let network = Network::new("kill");
    let before = network.interface();
    let out = folder.path().join("report");
    let line = format!(
        "netns exec {} {PROGRAM} certify --out {} --key {} --peer v0=192.0.2.2 --address v0=192.0.2.1/24 --net-time 30 --only nic.v0.throughput",
        network.here,
        out.display(),
        folder.path().join("key.pem").display()
    );
    let start = || {
        Command::new("ip")
            .args(line.split_whitespace())
            .stderr(Stdio::null())
            .spawn()
            .expect("start")
    };
    let mut running = start();
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(
        network.interface(),
        before,
        "the address is there while the test runs"
    );
    running.kill().expect("kill");
    running.wait().expect("wait");
    assert_ne!(network.interface(), before, "nobody undid it");
    let again = start().wait().expect("wait");
    assert_eq!(
        again.code(),
        Some(2),
        "another run in the same folder is refused"
    );
    must(&format!(
        "ip netns exec {} {PROGRAM} certify --undo --out {}",
        network.here,
        out.display()
    ));
    assert_eq!(network.interface(), before);
}

#[test]
fn a_disk_in_use_and_an_interface_that_is_not_there_are_wrong_use() {
    let folder = tempfile::tempdir().expect("temp dir");
    let out = folder.path().join("report");
    let line = format!(
        "{PROGRAM} certify --out {} --dry-run --peer nosuch0=192.0.2.2 --erase-disk /home",
        out.display()
    );
    let output = run(&line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("nosuch0: there is no such interface") && said.contains("/home: no device"),
        "{said}"
    );
    assert!(!out.exists(), "nothing was made");
}

#[test]
fn a_run_of_nothing_has_its_own_exit_code() {
    let folder = tempfile::tempdir().expect("temp dir");
    let line = format!(
        "{PROGRAM} certify --out {} --key {} --only restart",
        folder.path().join("report").display(),
        folder.path().join("key.pem").display()
    );
    assert_eq!(run(&line).status.code(), Some(5));
    let report = std::fs::read(folder.path().join("report/report.json")).expect("a report");
    let report = serde_json::from_slice(&report).expect("JSON");
    assert_fits("hcl-report.json", &report);
    assert!(!fits(
        "hcl-report.json",
        &serde_json::json!({"schema": report["schema"]})
    ));
}

#[test]
fn a_changed_page_beside_a_report_is_refused() {
    let folder = tempfile::tempdir().expect("temp dir");
    let out = folder.path().join("report");
    let certify = format!(
        "{PROGRAM} certify --out {} --key {} --only restart",
        out.display(),
        folder.path().join("key.pem").display()
    );
    assert_eq!(run(&certify).status.code(), Some(5));
    let (page, report) = (out.join("report.html"), out.join("report.json"));
    let verify = |what: &Path| {
        let output = run(&format!("{PROGRAM} report verify {}", what.display()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    assert_eq!(verify(&out).0, Some(0), "{}", verify(&out).1);
    std::fs::write(&page, "<h1>Certified</h1>").expect("write");
    for what in [&out, &report] {
        let (code, said) = verify(what);
        assert!(
            code == Some(1) && said.contains("report.html: it is not the page of this report"),
            "{said}"
        );
    }
    std::fs::remove_file(&page).expect("remove");
    assert_eq!(verify(&report).0, Some(0), "sent without its page");
}

#[test]
fn a_plan_is_as_published() {
    let folder = tempfile::tempdir().expect("temp dir");
    let out = folder.path().join("report");
    let line = format!("{PROGRAM} certify --out {} --dry-run --json", out.display());
    let plan: Value = serde_json::from_str(&must(&line)).expect("JSON");
    assert_fits("hcl-plan.json", &plan);
    assert!(
        plan["tests"]
            .as_array()
            .is_some_and(|tests| tests.len() > 3)
    );
}

/// What the program says on standard error when it refuses something.
fn refused(line: &str) -> String {
    let output = run(line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{line}: {said}");
    said
}

#[test]
fn names_that_do_not_exist_are_told_together_before_anything_runs() {
    let folder = tempfile::tempdir().expect("temp dir");
    let out = folder.path().join("report");
    let out = out.to_str().expect("UTF-8");
    for mode in ["", "--dry-run "] {
        let said = refused(&format!(
            "{PROGRAM} certify {mode}--out {out} --erase-disk /dev/nope --erase-disk /dev/null --guest-kernel nope \
             --peer nope0=192.0.2.2 --only cpu.laod"
        ));
        for told in [
            "--erase-disk /dev/nope: not there; ",
            "--erase-disk /dev/null: this is no disk and no volume; ",
            "/nope: not there; ",
            "--peer nope0: there is no such interface",
            "; there are ",
            "--only cpu.laod: no test of this machine has an id that starts so (did you mean cpu.load?); there are cpu.topology, ",
        ] {
            assert!(said.contains(told), "{mode}: {told} in {said}");
        }
    }
    for (options, told) in [
        ("--modules /nowhere", "/nowhere"),
        ("--peer lo=192.0.2.2 --address lo=192.0.2.1", "prefix"),
        ("--peer lo=192.0.2.2 --address lo=192.0.2.1/33", "prefix"),
        ("--peer lo=192.0.2.2 --address lo=2001:db8::1/129", "prefix"),
    ] {
        let said = refused(&format!(
            "{PROGRAM} certify --dry-run --out {out} {options}"
        ));
        assert!(said.contains(told), "{options}: {said}");
    }
    assert!(!Path::new(out).exists(), "nothing was made");
    let good = format!("{PROGRAM} certify --dry-run --out {out} --only cpu.load --only mem");
    assert!(must(&good).starts_with("1 tests run") || must(&good).starts_with("2 tests run"));
}

#[test]
fn a_peer_on_an_interface_that_does_not_exist_does_not_listen() {
    let said = refused(&format!("{PROGRAM} peer --interface nope --port 0"));
    assert!(
        said.contains("--interface nope: there is no such interface")
            && said.contains("; there are "),
        "{said}"
    );
    assert!(!said.contains("peer at"), "{said}");
}

#[test]
fn a_run_goes_on_with_the_options_that_it_began_with() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (out, key) = (folder.path().join("report"), folder.path().join("key.pem"));
    let begin = format!(
        "{PROGRAM} certify --out {} --key {} --cpu-time 1 --only cpu.load",
        out.display(),
        key.display()
    );
    // The machine that tests may itself be one that the list refuses.
    let to_its_report = |line: &str| matches!(run(line).status.code(), Some(1 | 4));
    assert!(to_its_report(&begin));
    let state = || std::fs::read_to_string(out.join("state.json")).expect("state");
    let before = state();
    for (options, named) in [
        ("--cpu-time 3", "--cpu-time;"),
        ("--cpu-time 1", "--cpu-time;"),
        (
            "--sriov --only cpu --with-serials",
            "--sriov, --only, --with-serials;",
        ),
    ] {
        for mode in ["--resume", "--undo"] {
            let said = refused(&format!(
                "{PROGRAM} certify {mode} --out {} {options}",
                out.display()
            ));
            assert!(
                said.contains(mode) && said.contains(named) && said.contains("--out"),
                "{said}"
            );
        }
    }
    assert_eq!(state(), before);
    let go_on = format!("{PROGRAM} certify --resume --out {}", out.display());
    assert!(to_its_report(&go_on));
}

#[test]
fn what_is_wrong_with_a_file_is_told_once() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().to_str().expect("UTF-8");
    let none = refused(&format!("{PROGRAM} certify --resume --out {path}"));
    assert!(none.contains("there is no run in"), "{none}");
    let state = folder.path().join("state.json");
    let facts = format!("{PROGRAM} check --facts {}", state.display());
    let resume = format!("{PROGRAM} certify --resume --out {path}");
    let key = format!("{PROGRAM} certify --out {path}/new --key {path}");
    let once = |line: &str, told: &str| {
        let said = refused(line);
        assert_eq!(said.matches(told).count(), 1, "{line}: {said}");
    };
    std::fs::write(&state, "{").expect("write");
    once(&facts, "EOF while parsing");
    once(&resume, "EOF while parsing");
    // A folder in the file's place cannot be read, whoever asks.
    std::fs::remove_file(&state).expect("remove");
    std::fs::create_dir(&state).expect("folder");
    once(&facts, "os error 21");
    once(&resume, "os error 21");
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .expect("mode");
    once(&key, "os error 21");
}
