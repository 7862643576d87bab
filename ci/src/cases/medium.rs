//! The medium without an install: what it says where there are no good answers, on all the way from power-on, and Xen
//! booted from it.

use crate::answers;
use crate::boot_menu;
use crate::case::Run;
use crate::disk::{Image, fingerprint};
use crate::installation::{DISK_MIB, FAILED, FINISHED, ROOT_OPEN, embed_unchecked};
use crate::machine::{self, Machine};
use crate::qemu::{Boot, Bus, Disk, Firmware, Nic, Spec};
use crate::shell::Shell;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// One boot that must end without an install.
struct Boots {
    name: &'static str,
    /// What is embedded in the medium; none leaves it as it was built.
    answers: Option<String>,
    /// A word of the menu entry that is taken; none waits for what the menu takes by itself.
    entry: Option<&'static str>,
    nic: Option<Nic>,
    /// What the console and the report must say.
    says: Vec<&'static str>,
    /// Exit status of the installer.
    status: &'static str,
}

fn boots() -> [Boots; 3] {
    let good = answers::file(
        "bp-none",
        "path = \"/dev/vda\"\nwipe = true",
        "dhcp = true",
        None,
    )
    .replace("on_failure = \"poweroff\"", "on_failure = \"shell\"");
    [
        Boots {
            name: "headless without answers",
            answers: None,
            entry: Some("without questions"),
            nic: Some(Nic::Virtio),
            says: vec!["there are no answers, and nobody to ask"],
            status: "2",
        },
        Boots {
            name: "an unknown key",
            answers: Some(good.replace("hostname =", "hostnane =")),
            entry: None,
            nic: Some(Nic::Virtio),
            says: vec!["hostnane", "did you mean `hostname`"],
            status: "2",
        },
        Boots {
            name: "no network card",
            answers: Some(good),
            entry: None,
            nic: None,
            says: vec!["network"],
            status: "1",
        },
    ]
}

/// Boots the medium to the end where there is nothing to install by: told on the console and in the report, a shell, the
/// disk untouched.
///
/// # Errors
/// What does not work.
pub fn no_answers(run: &mut Run) -> Result<()> {
    let plain = run.bench.workspace.iso()?.to_path_buf();
    let disk = Image::blank(&run.file("target.raw"), DISK_MIB)?;
    disk.write_at(0, &[0xa5; 4096])?;
    let before = fingerprint(&disk.path)?;
    for boot in boots() {
        run.phase(boot.name, |run| {
            let iso = match &boot.answers {
                Some(answers) => embed_unchecked(run, &plain, answers)?,
                None => plain.clone(),
            };
            let mut machine =
                run.start(&spec(&iso, &disk, boot.nic), &boot.name.replace(' ', "-"))?;
            refused(run, &mut machine, &boot)
        })?;
        ensure!(
            fingerprint(&disk.path)? == before,
            "{}: the disk was written to",
            boot.name
        );
    }
    run.note("the disk is untouched");
    let _ = std::fs::remove_file(run.file("medium.iso"));
    Ok(())
}

fn spec(iso: &Path, disk: &Image, nic: Option<Nic>) -> Spec {
    Spec {
        boot: Boot::Optical,
        optical: Some(iso.to_path_buf()),
        disks: vec![Disk {
            image: disk.clone(),
            bus: Bus::Virtio,
            serial: "BPVIRTIO01".into(),
        }],
        nic,
        ..Spec::new()
    }
}

fn refused(run: &Run, machine: &mut Machine, boot: &Boots) -> Result<()> {
    match boot.entry {
        Some(word) => {
            boot_menu::choose(machine, word, run.bench.limit(20))?;
        }
        None => boot_menu::wait(machine, run.bench.limit(20))?,
    }
    let found = machine
        .serial
        .expect(&[FAILED, FINISHED], run.bench.limit(100))?;
    ensure!(found.index == 0, "it was installed");
    for word in &boot.says {
        ensure!(
            found.before.contains(word),
            "the console does not say `{word}`:\n{}",
            machine.serial.tail(30)
        );
    }
    machine
        .serial
        .expect(&["root@"], run.bench.limit(30))
        .context("no shell opened")?;
    run.screenshot(machine, boot.name)?;
    let mut shell = Shell::attach(machine, run.bench.limit(20))?;
    let limit = run.bench.limit(10);
    let report = shell.must("cat /run/bedplate/install/report.json", limit)?;
    let report: Value = serde_json::from_str(&report).context("the report is not JSON")?;
    let text = report.to_string();
    ensure!(
        report.get("result").and_then(Value::as_str) == Some("failed"),
        "the report's result is {:?}",
        report.get("result")
    );
    for word in &boot.says {
        // Quotes of a message are escaped in JSON.
        ensure!(
            text.contains(word),
            "the report does not say `{word}`:\n{text}"
        );
    }
    let status = shell.must(
        "systemctl show --property ExecMainStatus --value bedplate-install.service",
        limit,
    )?;
    ensure!(
        status.trim() == boot.status,
        "the installer ended with status {status} and should with {}",
        boot.status
    );
    Ok(())
}

/// Boots Xen from the medium by either firmware, on a machine without a disk, and asks it.
///
/// # Errors
/// What does not work.
pub fn medium_xen(run: &mut Run) -> Result<()> {
    asked_xen(run, "BIOS", Firmware::Bios)?;
    let variables = run.file("variables");
    machine::empty_variables(&run.bench.tools, &variables)?;
    asked_xen(run, "UEFI", Firmware::uefi(&variables))
}

fn asked_xen(run: &mut Run, name: &str, firmware: Firmware) -> Result<()> {
    let iso = run.bench.workspace.iso()?.to_path_buf();
    let spec = Spec {
        boot: Boot::Optical,
        optical: Some(iso),
        nic: Some(Nic::Virtio),
        firmware,
        ..Spec::new()
    };
    let mut machine = run.start(&spec, &format!("xen-{name}"))?;
    run.phase(&format!("{name}: boot Xen from the medium"), |run| {
        let title = boot_menu::choose(&mut machine, "Boot Xen", run.bench.limit(20))?;
        run.note(&format!("took `{title}`"));
        machine.serial.expect(&[ROOT_OPEN], run.bench.limit(60))?;
        machine
            .serial
            .expect(&["root@"], run.bench.limit(60))
            .context("no shell on the hypervisor's console")?;
        run.screenshot(&mut machine, &format!("xen-{name}"))
    })?;
    run.phase(&format!("{name}: ask it"), |run| {
        let mut shell = Shell::attach(&mut machine, run.bench.limit(20))?;
        let limit = run.bench.limit(20);
        for (command, words) in [
            ("cat /proc/xen/capabilities", &["control_d"][..]),
            (
                "for i in $(seq 60); do xl list >/dev/null 2>&1 && break; sleep 1; done; xl list",
                &["Domain-0"],
            ),
            (
                "xl info",
                &["xen_major              : 4", "xen_minor              : 20"],
            ),
        ] {
            let said = shell.must(command, limit)?;
            for word in words {
                if !said.contains(word) {
                    bail!("`{command}` does not say `{word}`:\n{said}");
                }
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_answers_are_bad_and_the_good_ones_good() {
        for boot in boots() {
            let Some(answers) = &boot.answers else {
                continue;
            };
            assert_ne!(
                answers.contains("[system]\n") && answers.contains("hostname ="),
                boot.status == "2",
                "{}",
                boot.name
            );
            assert!(answers.contains("on_failure = \"shell\""), "{}", boot.name);
        }
    }
}
