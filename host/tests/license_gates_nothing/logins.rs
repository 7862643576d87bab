//! Nobody is kept from logging in, and no start of the host waits.

use crate::licenses::{NOW, licenses, machine};
use host::licensing::{self, FOLDER, ISSUE_FILE, LICENSE_FILE, MEMORY_FILE};
use std::path::{Path, PathBuf};
use steps::RecordingSystem;
use steps::system::Call;

const OVERLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../image-build/root");

/// Everything that the service of the license does on a host, whatever it finds: a line above the login prompt, and what it
/// remembers. Not `/run/nologin` or `/etc/nologin` (nologin(5)), no account, no shell, no key.
#[test]
fn the_service_of_the_license_changes_a_line_and_its_own_memory() {
    let is_allowed = |call: &Call| match call {
        Call::Write(path, _) => path == Path::new(ISSUE_FILE) || path == Path::new(MEMORY_FILE),
        Call::Remove(path) => path == Path::new(ISSUE_FILE),
        Call::CreateDir(path) => {
            path == Path::new(FOLDER) || Some(path.as_path()) == Path::new(ISSUE_FILE).parent()
        }
        // Asks about the clock.
        Call::Run(line) => line.starts_with("timedatectl show "),
        _ => false,
    };
    let mut lines = 0;
    for (license, files) in licenses() {
        let system = files.on(RecordingSystem::new());
        let before = system.content(LICENSE_FILE);
        // As `bedplate-license check` does.
        let look = licensing::look(&system, &machine(), NOW);
        licensing::warn(&system, &look).unwrap();
        look.remember(&system).unwrap();
        for call in system.calls() {
            assert!(is_allowed(&call), "{license}: {call:?}");
        }
        assert_eq!(system.content(LICENSE_FILE), before, "{license}");
        lines += usize::from(system.content(ISSUE_FILE).is_some());
    }
    assert!(
        lines > 5,
        "only {lines} licenses had something said of them"
    );
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// PAM, sshd, gettys, shells and whatever else the image brings beside Debian's own files: none of it asks about the license.
#[test]
fn what_the_image_brings_knows_of_the_license_in_its_own_service_alone() {
    let root = Path::new(OVERLAY);
    let all = files(root);
    for part in ["etc/ssh/sshd_config.d/10-bedplate.conf", "etc/issue"] {
        assert!(all.contains(&root.join(part)), "{part}");
    }
    let mut own = Vec::new();
    for path in &all {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        // Pages to read.
        if text.contains("bedplate-license") && !name.starts_with("usr/share/man/") {
            own.push(name);
        }
    }
    own.sort();
    assert_eq!(
        own,
        [
            "usr/lib/systemd/system-preset/10-bedplate.preset",
            "usr/lib/systemd/system/bedplate-license.service",
        ]
    );
}

/// Nothing that starts the host waits for the license, or fails with it.
#[test]
fn no_unit_of_the_host_needs_the_license() {
    let units = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../image-build/root/usr/lib/systemd/system"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(units).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let needs = ["Requires=", "Requisite=", "BindsTo=", "After="];
            assert!(
                !(needs.iter().any(|key| line.starts_with(key))
                    && line.contains("bedplate-license")),
                "{}: {line}",
                path.display()
            );
        }
        if path.ends_with("bedplate-license.service") {
            assert!(!text.contains("Before=") && !text.contains("OnFailure="));
        }
    }
    assert!(seen > 5);
}
