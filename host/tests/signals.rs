//! A long command that is interrupted takes back what it had made.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const VGS: &str = r#"{"report":[{"vg":[{"vg_name":"bedplate","vg_uuid":"k3xQ2a","vg_attr":"wz--n-","vg_size":"21470642176","vg_free":"10737418240","lv_count":"1"}]}]}"#;
const DISK: &str = "aaaaaaaa-1111-4111-8111-111111111111";
/// So large that it is not read within a test.
const SIZE: u64 = 1 << 42;

/// A program that prints this and nothing else.
fn program(folder: &Path, name: &str, prints: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\ncat <<'END'\n{prints}\nEND\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    for signal in ["INT", "TERM", "HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        File::create(&disk).unwrap().set_len(SIZE).unwrap();
        program(dir.path(), "vgs", VGS);
        program(dir.path(), "virsh", "");
        program(
            dir.path(),
            "lvs",
            &format!(
                r#"{{"report":[{{"lv":[{{"lv_uuid":"a","lv_name":"vdi-{DISK}","lv_size":"{SIZE}","origin":"","origin_size":"","lv_path":"{}"}}]}}]}}"#,
                disk.display()
            ),
        );
        let target = dir.path().join("target");
        // A /run of its own, whoever runs this.
        let script = "mount -t tmpfs none /run && exec \"$0\" \"$@\"";
        // Whoever started this may have them ignored, as nohup(1) does.
        let mut child = Command::new("env")
            .args(["--default-signal=INT,TERM,HUP", "unshare"])
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_xe"))
            .args(["vdi-export", &format!("uuid={DISK}")])
            .arg(format!("filename={}", target.display()))
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    dir.path().display(),
                    std::env::var("PATH").unwrap()
                ),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !target.exists() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(10));
        }
        let begun = target.exists();
        let kill = Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status()
            .unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(10));
        }
        // It has ended, or never will.
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(begun && kill.success(), "{signal}: {stderr}");
        assert!(stderr.contains("TASK_CANCELLED"), "{signal}: {stderr}");
        assert_eq!(output.status.code(), Some(1), "{signal}: {stderr}");
        assert!(!target.exists(), "{signal}: half a file stays");
    }
}
