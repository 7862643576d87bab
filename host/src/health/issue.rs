//! What the console shows above the login prompt.

use super::{HealthReport, RUN_REPORT, storage};
use crate::hotfix::{PatchRecord, PatchState, Places};
use crate::local::{MANAGEMENT_BRIDGE, boot_record, short_text};
use crate::mirror;
use slots::Mode;
use std::fmt::Write;
use std::path::Path;
use steps::{Command, System};

/// agetty(8) shows every `*.issue` of this folder after `/etc/issue`.
pub const ISSUE_FILE: &str = "/run/issue.d/50-bedplate.issue";

/// What the rescue system is, for who meets it at the console.
const RESCUE: &str =
    "rescue: bare Linux without the hypervisor, no guests; systemctl reboot starts the host";

/// The text, in agetty's form: a backslash starts a code, so those of our own are doubled.
///
/// Addresses are codes that agetty fills in when it shows the prompt, because they may change after this was written.
pub fn issue_text(system: &dyn System) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    let boot = boot_record(system);
    let rescue = boot.as_ref().is_ok_and(|boot| boot.mode == Mode::Rescue);
    match boot {
        Ok(boot) => line(
            "Release",
            &escape(&format!("{} ({})", boot.root.version, boot.root.id())),
        ),
        Err(_) => line("Release", "unknown"),
    }
    if rescue {
        line("Mode", RESCUE);
    }
    line(
        "Management",
        &format!("{MANAGEMENT_BRIDGE} \\4{{{MANAGEMENT_BRIDGE}}} \\6{{{MANAGEMENT_BRIDGE}}}"),
    );
    line(
        "SSH key",
        &escape(&ssh_fingerprint(system).unwrap_or_else(|| "none yet".to_owned())),
    );
    let storage = match storage::installed(system).map(|all| storage::free(&all)) {
        Ok(free) if free.is_empty() => "no storage repository".to_owned(),
        Ok(free) => free,
        Err(_) => "unknown".to_owned(),
    };
    line("Storage", &escape(&storage));
    if let Some((_, text)) = mirror::summary(system, &Places::default().sys_block) {
        line("Mirror", &escape(&text));
    }
    // Nothing of what is checked runs in the rescue system.
    if !rescue {
        line("Health", &escape(&health(system)));
    }
    if let Some(text) = hotfix(system) {
        line("Hotfix", &escape(&text));
    }
    text.push('\n');
    text
}

fn health(system: &dyn System) -> String {
    let report = system.read_file(Path::new(RUN_REPORT)).ok();
    match report.and_then(|json| serde_json::from_slice::<HealthReport>(&json).ok()) {
        None => "not checked".to_owned(),
        Some(report) => {
            let names: Vec<_> = report.problems().map(|check| check.name.as_str()).collect();
            let names = names.join(", ");
            match (report.passed, names.is_empty()) {
                (true, true) => "good".to_owned(),
                (true, false) => format!("good, but look at: {names} (see {RUN_REPORT})"),
                (false, _) => format!("NOT GOOD: {names} (see {RUN_REPORT})"),
            }
        }
    }
}

/// What came of the hotfix that was changed last, where that is worth a line.
fn hotfix(system: &dyn System) -> Option<String> {
    let record = PatchRecord::all(system, &Places::default()).ok()?.pop()?;
    let version = &record.root.version;
    match record.state {
        PatchState::Failed => Some(format!(
            "{version} FAILED: {} (see xe patch-list)",
            record.reason
        )),
        PatchState::RestartNeeded => Some(format!("{version} waits for a restart of the host")),
        _ => None,
    }
}

/// `SHA256:... (ED25519)`.
fn ssh_fingerprint(system: &dyn System) -> Option<String> {
    const KEY: &str = "/etc/ssh/ssh_host_ed25519_key.pub";
    short_text(system, KEY)?;
    let output = system
        .run(&Command::new("ssh-keygen").args(["-l", "-f", KEY]))
        .ok()?
        .text();
    let mut words = output.split_whitespace();
    let hash = words.nth(1)?;
    Some(format!("{hash} {}", words.next_back()?))
}

fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .replace('\\', "\\\\")
}

/// Writes [`ISSUE_FILE`] and asks the login prompts to show it.
pub fn write_issue(system: &dyn System) -> Result<(), steps::system::FileError> {
    let path = Path::new(ISSUE_FILE);
    if let Some(folder) = path.parent() {
        system.create_dir_all(folder)?;
    }
    system.write_file(path, issue_text(system).as_bytes(), 0o644)?;
    // Prompts that are shown already are drawn anew; where there is none yet, this fails and does not matter.
    let _ = system.run(&Command::new("agetty").arg("--reload"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::*;

    #[test]
    fn the_login_prompt_shows_what_an_administrator_needs() {
        let system = good_host()
            .file(
                "/etc/ssh/ssh_host_ed25519_key.pub",
                "ssh-ed25519 AAAA root@x\n",
            )
            .prints(
                "ssh-keygen -l -f",
                "256 SHA256:abc/def root@x y (ED25519)\n",
            )
            .prints("agetty", "");
        write_issue(&system).unwrap();
        let text = String::from_utf8(system.content(ISSUE_FILE).unwrap()).unwrap();
        assert_eq!(
            text,
            "  Release     0.1.0 (aaaaaaaaaaaaaaaa)\n  \
             Management  xenbr0 \\4{xenbr0} \\6{xenbr0}\n  \
             SSH key     SHA256:abc/def (ED25519)\n  \
             Storage     19.9 GiB of 19.9 GiB free\n  \
             Health      not checked\n\n"
        );
        let failed = good_host().fails("virsh -c", 1, "no");
        check_once(&failed, &esp(&state(None, None, 0)));
        assert!(issue_text(&failed).contains("NOT GOOD: libvirt (see /run/bedplate/health.json)"));
        // The rescue system says what it is, and nothing of what it cannot know.
        let rescue = failed.file("/run/bedplate/boot.json", record(Mode::Rescue));
        let text = issue_text(&rescue);
        assert!(text.contains("  Mode        rescue: bare Linux"), "{text}");
        assert!(!text.contains("Health"), "{text}");
    }
}
