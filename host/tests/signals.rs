//! A long command that is interrupted takes back what it had made, and one that is killed leaves nothing that writes on.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate","vg_uuid":"k3xQ2a","vg_attr":"wz--n-","vg_size":"21470642176","vg_free":"10737418240","lv_count":"1"}]}]}"#;
const DISK: &str = "aaaaaaaa-1111-4111-8111-111111111111";
/// So large that it is not read within a test.
const SIZE: u64 = 1 << 42;

/// A program with this script.
fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder with a disk of `size` bytes, and programs that tell of it.
fn host(size: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    File::create(&disk).unwrap().set_len(size).unwrap();
    let volumes = format!(
        r#"{{"report":[{{"lv":[{{"lv_uuid":"a","lv_name":"vdi-{DISK}","lv_size":"{size}","origin":"","origin_size":"","lv_path":"{}"}}]}}]}}"#,
        disk.display()
    );
    for (name, prints) in [("vgs", VGS), ("virsh", ""), ("lvs", &volumes)] {
        program(dir.path(), name, &format!("cat <<'END'\n{prints}\nEND"));
    }
    dir
}

/// `xe` with a /run of its own, whoever runs this.
fn xe(dir: &Path, args: &[String]) -> Child {
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    // Whoever started this may have the signals ignored, as nohup(1) does.
    Command::new("env")
        .args(["--default-signal=INT,TERM,HUP", "unshare"])
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t tmpfs none /run && exec \"$0\" \"$@\"")
        .arg(env!("CARGO_BIN_EXE_xe"))
        .args(args)
        .env("PATH", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Looks for a minute whether it is so.
fn comes(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

fn kill(signal: &str, process: &str) -> bool {
    let status = Command::new("kill").args([signal, process]).status();
    status.unwrap().success()
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    for signal in ["INT", "TERM", "HUP"] {
        let dir = host(SIZE);
        let target = dir.path().join("target");
        let args = [
            "vdi-export".to_owned(),
            format!("uuid={DISK}"),
            format!("filename={}", target.display()),
        ];
        let mut child = xe(dir.path(), &args);
        let half = dir.path().join("target.incomplete");
        let begun = comes(|| half.exists());
        assert!(
            !target.exists(),
            "{signal}: what is not whole looks like it"
        );
        let killed = kill(&format!("-{signal}"), &child.id().to_string());
        comes(|| child.try_wait().unwrap().is_some());
        // It has ended, or never will.
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(begun && killed, "{signal}: {stderr}");
        assert!(stderr.contains("TASK_CANCELLED"), "{signal}: {stderr}");
        assert_eq!(output.status.code(), Some(1), "{signal}: {stderr}");
        assert!(
            !target.exists() && !half.exists(),
            "{signal}: half a file stays"
        );
    }
}

/// Whether the process is there and not only waiting for somebody to hear of its end (proc_pid_stat(5)).
fn lives(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// The locks go with `xe`, so what it started must not write on. While it writes, it can be told to end.
#[test]
fn what_writes_to_a_disk_ends_with_xe_and_hears_signals() {
    let mut qcow2 = b"QFI\xfb".to_vec();
    qcow2.resize(4096, 0);
    for (writes, image) in [("qemu-img", qcow2), ("blkdiscard", vec![7; 1 << 20])] {
        let dir = host(4 << 20);
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(at("image"), image).unwrap();
        let script = format!(
            "if [ \"$1\" = info ]; then echo '{{\"virtual-size\":1048576}}'; exit; fi\n\
             grep SigBlk /proc/self/status >{}\necho $$ >{new} && mv {new} {}\nexec sleep 600",
            at("blocked"),
            at("process"),
            new = at("process.new"),
        );
        program(dir.path(), writes, &script);
        let args = [
            "vdi-import".to_owned(),
            format!("uuid={DISK}"),
            format!("filename={}", at("image")),
        ];
        let mut child = xe(dir.path(), &args);
        let begun = comes(|| Path::new(&at("process")).exists());
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            begun,
            "{writes}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let process = fs::read_to_string(at("process")).unwrap();
        let ended = comes(|| !lives(process.trim()));
        if !ended {
            kill("-KILL", process.trim());
        }
        assert!(ended, "{writes} goes on without xe");
        let blocked = fs::read_to_string(at("blocked")).unwrap();
        let mask = blocked.trim().rsplit('\t').next().unwrap();
        assert_eq!(u64::from_str_radix(mask, 16), Ok(0), "{writes}: {blocked}");
    }
}
