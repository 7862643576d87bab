//! The program on input that is meant to do harm: it ends in time, within a limit on memory, without a panic, and with the
//! exit code of what it then does not know.

use super::samples::nvme_uefi;
use super::tree::Tree;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// KiB of address space: the longest dump that is read, twice and as text, and the program.
const MEMORY: u32 = 512 * 1024;
/// Seconds, on a machine that does much else.
const TIME: u32 = 120;

/// What it said, and its exit code.
struct Ran {
    code: i32,
    out: String,
    error: String,
}

fn run(arguments: &[&str]) -> Ran {
    let output = Command::new("timeout")
        .arg(TIME.to_string())
        .args(["sh", "-c", "ulimit -v $0; exec \"$@\"", &MEMORY.to_string()])
        .arg(env!("CARGO_BIN_EXE_hcl-checker"))
        .args(arguments)
        .output()
        .expect("run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ran = Ran {
        // 124 is that of `timeout`; who was ended by a signal has none.
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        error: text(output.stderr),
    };
    assert!(
        matches!(ran.code, 0..=4) && !ran.error.contains("panicked"),
        "{arguments:?}: {} {}",
        ran.code,
        ran.error
    );
    ran
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn files_that_are_none() {
    let tree = Tree::empty();
    let sparse = tree.inside("sparse");
    let file = File::create(&sparse).expect("create");
    file.set_len(10 << 30).expect("sparse");
    let binary = env!("CARGO_BIN_EXE_hcl-checker");
    for option in ["--facts", "--lspci", "--dmidecode", "--lscpu", "--list"] {
        for file in ["/dev/zero", utf8(&sparse), binary, utf8(tree.path())] {
            let ran = run(&["check", option, file]);
            assert_eq!(ran.code, 2, "{option} {file}: {}", ran.error);
            assert!(
                ran.error.contains(file) && ran.error.len() < 1000,
                "{option} {file}: {}",
                ran.error
            );
        }
    }
}

/// The names of functions and nothing behind them, more than any machine has.
#[test]
fn a_hundred_thousand_functions() {
    let tree = nvme_uefi();
    let folder = tree.inside("sys/bus/pci/devices/x");
    let folder = folder.parent().expect("folder");
    for number in 0..100_000_u32 {
        let (bus, device) = (number >> 8 & 0xff, number >> 3 & 0x1f);
        let name = format!("{:04x}:{bus:02x}:{device:02x}.{}", number >> 16, number & 7);
        let _ = symlink("../../../devices/pci0000:00/nothing", folder.join(name));
    }
    let root = utf8(tree.path());
    let ran = run(&["facts", "--json", "--root", root]);
    let facts = hcl_checker::Facts::from_json(ran.out.as_bytes()).expect("facts");
    let reason = facts.pci.reason().expect("unknown");
    assert!(reason.contains("more than 65536 entries"), "{reason}");
    let ran = run(&["check", "--root", root]);
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.starts_with("UNKNOWN"), "{}", ran.out);
}

/// As many as the largest machine that was seen, each of them whole.
#[test]
fn thirteen_thousand_functions() {
    let tree = nvme_uefi();
    let link = tree.inside("sys/bus/pci/devices/0000:02:00.0");
    let real = fs::read_link(&link).expect("a function");
    for number in 0..13_000_u32 {
        let (bus, device) = (number >> 8, number >> 3 & 0x1f);
        let name = format!("0001:{bus:02x}:{device:02x}.{}", number & 7);
        symlink(&real, link.with_file_name(name)).expect("link");
    }
    let ran = run(&["check", "--json", "--root", utf8(tree.path())]);
    assert_eq!(ran.code, 1, "{}", ran.error);
}

#[test]
fn sockets_devices_and_names_that_are_no_text() {
    let tree = nvme_uefi();
    let replaced = |path: &str| {
        let path = tree.inside(path);
        let _ = fs::remove_file(&path);
        path
    };
    let _socket = UnixListener::bind(replaced("proc/meminfo")).expect("socket");
    symlink("/dev/zero", replaced("proc/cpuinfo")).expect("link");
    for folder in ["sys/bus/pci/devices", "sys/block", "sys/class/net"] {
        let name = OsStr::from_bytes(b"\xff\xfe\x1b[2J");
        symlink("../nothing", tree.inside(folder).join(name)).expect("link");
    }
    let vendor = replaced("sys/class/dmi/id/sys_vendor");
    assert!(
        Command::new("mkfifo")
            .arg(&vendor)
            .status()
            .expect("mkfifo")
            .success()
    );
    let root = utf8(tree.path());
    let shown = run(&["facts", "--root", root]);
    assert!(!shown.out.contains('\x1b'), "{}", shown.out);
    let ran = run(&["facts", "--json", "--root", root]);
    let facts = hcl_checker::Facts::from_json(ran.out.as_bytes()).expect("facts");
    for reason in [
        facts.memory.total_bytes.reason(),
        facts.cpu.vendor.reason(),
        facts.dmi.system_vendor.reason(),
    ] {
        assert!(reason.is_some_and(|reason| !reason.is_empty()));
    }
    assert_eq!(run(&["check", "--root", root]).code, 4);
}

/// Whoever may not read something is told so, and it is unknown.
#[test]
fn files_that_may_not_be_read() {
    let tree = nvme_uefi();
    for path in ["proc/meminfo", "sys/class/dmi/id/sys_vendor"] {
        fs::set_permissions(tree.inside(path), Permissions::from_mode(0o000)).expect("chmod");
    }
    fs::set_permissions(tree.path(), Permissions::from_mode(0o755)).expect("chmod");
    // root may read everything.
    let program = tree.inside("checker");
    fs::copy(env!("CARGO_BIN_EXE_hcl-checker"), &program).expect("copy");
    let mut command = if fs::metadata("/proc/self").is_ok_and(|own| is_root(&own)) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.args(["facts", "--json", "--root", utf8(tree.path())]);
    let output = command.output().expect("run");
    let facts = hcl_checker::Facts::from_json(&output.stdout).expect("facts");
    for reason in [
        facts.memory.total_bytes.reason(),
        facts.dmi.system_vendor.reason(),
    ] {
        let reason = reason.expect("unknown");
        assert!(reason.contains("Permission denied"), "{reason}");
    }
    assert!(facts.cpu.vendor.value().is_some());
}

fn is_root(own: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    own.uid() == 0
}
