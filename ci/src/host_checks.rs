//! What an installed host must show, asked over ssh. All checks run, and all that fail are told at once.

use crate::case::Run;
use crate::ssh::Ssh;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt::Write as _;

/// Says what is wrong with an output.
type Judge = Box<dyn Fn(&str) -> Result<()>>;

/// One question to a host.
pub struct Check {
    /// What is asked, for people.
    pub name: &'static str,
    /// The command line on the host.
    pub command: String,
    /// Says what is wrong with its output.
    pub judge: Judge,
}

impl Check {
    /// A check with a judge of its own.
    pub fn new(
        name: &'static str,
        command: &str,
        judge: impl Fn(&str) -> Result<()> + 'static,
    ) -> Check {
        Check {
            name,
            command: command.to_string(),
            judge: Box::new(judge),
        }
    }

    /// The output must hold all of `words`.
    pub fn has(name: &'static str, command: &str, words: &[&str]) -> Check {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Check::new(name, command, move |output| {
            for word in &words {
                ensure!(output.contains(word), "`{word}` is missing");
            }
            Ok(())
        })
    }

    /// The output must be exactly `text`, but for white space around it.
    pub fn is(name: &'static str, command: &str, text: &str) -> Check {
        let text = text.to_string();
        Check::new(name, command, move |output| {
            ensure!(output.trim() == text, "it should be `{text}`");
            Ok(())
        })
    }
}

/// Login works before the health check has ended.
const HEALTH: &str = "for i in $(seq 100); do test -s /run/bedplate/health.json && break; sleep 1; done; cat /run/bedplate/health.json";

/// Runs `checks`; what was asked and answered is kept as `NAME.txt`.
///
/// # Errors
/// When one fails; with all that did.
pub fn run_all(run: &Run, ssh: &Ssh, checks: &[Check], name: &str) -> Result<()> {
    let mut record = String::new();
    let mut wrong = String::new();
    for check in checks {
        let answer = ssh.run(&check.command, run.bench.limit(20));
        let verdict = match &answer {
            Ok(output) => {
                (check.judge)(output).with_context(|| format!("it said:\n{}", output.trim_end()))
            }
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let said = answer.unwrap_or_else(|error| format!("{error:#}"));
        // Writing to a String cannot fail.
        let _ = write!(
            record,
            "## {}\n$ {}\n{}\n",
            check.name,
            check.command,
            said.trim_end()
        );
        match verdict {
            Ok(()) => record.push_str("-> ok\n\n"),
            Err(error) => {
                let text = crate::process::last_lines(&format!("{error:#}"), 12);
                let _ = write!(record, "-> WRONG\n{text}\n\n");
                let _ = writeln!(wrong, "  {} (`{}`):\n{text}", check.name, check.command);
            }
        }
    }
    let path = run.file(&format!("{name}.txt"));
    std::fs::write(&path, record)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    if !wrong.is_empty() {
        // The reason is often there; a host that cannot even say this has told enough.
        if let Ok(journal) = ssh.run(
            "journalctl --boot --no-pager --output short-monotonic",
            run.bench.limit(20),
        ) {
            std::fs::write(run.file(&format!("{name}.journal")), journal)?;
        }
        bail!(
            "the host is not as it should be (all answers: {}):\n{wrong}",
            path.display()
        );
    }
    run.note(&format!("{} checks passed", checks.len()));
    Ok(())
}

/// The release that runs.
pub fn runs_release(version: &str) -> Check {
    Check::has(
        "the running release is the one that it should be",
        "cat /run/bedplate/boot.json",
        &[&format!("\"version\": \"{version}\"")],
    )
}

/// What every installed host must show when it was booted under Xen.
pub fn under_xen(hostname: &str, address: &str) -> Vec<Check> {
    let mut checks = vec![
        Check::is(
            "the host has come up",
            "systemctl is-system-running --wait || true",
            "running",
        ),
        Check::has(
            "the hypervisor is Xen 4.20",
            "xl info",
            &["xen_major              : 4", "xen_minor              : 20"],
        ),
        Check::new("dom0 is in the list of domains", "xl list", |output| {
            ensure!(
                output.lines().any(|line| line.starts_with("Domain-0 ")),
                "no line `Domain-0`"
            );
            Ok(())
        }),
        Check::has(
            "libvirt answers",
            "virsh -c xen:///system list",
            &["Domain-0", "running"],
        ),
        Check::is(
            "the storage repository is there",
            "vgs --noheadings -o vg_name bedplate",
            "bedplate",
        ),
        mode("host"),
        Check::new(
            "the initrd warned of nothing",
            "cat /run/bedplate/boot.json",
            |output| {
                let record: Value = serde_json::from_str(output).context("not JSON")?;
                let warnings = record.get("warnings").and_then(Value::as_array);
                ensure!(
                    warnings.is_some_and(Vec::is_empty),
                    "the warnings are {warnings:?}"
                );
                Ok(())
            },
        ),
        Check::new("the host is healthy", HEALTH, healthy),
        Check::is(
            "the watchdog was armed by the initrd and stopped by the health check",
            "cd /sys/class/watchdog/watchdog0 && cat identity timeout state; \
             dmesg | grep -c 'watchdog0: watchdog did not stop'",
            &format!(
                "xen_wdt\n{}\ninactive\n1",
                slots::boot_options::WATCHDOG_SECONDS
            ),
        ),
        // kexec(8) ends with 1 where the hypervisor has a crash kernel.
        Check::is(
            "a crash would leave a dump, with the hypervisor's console in it",
            "kexec --status > /dev/null; echo $?; \
             journalctl --boot --unit bedplate-crash-kernel --output cat | grep -c 'leaves a dump\\|no log'",
            "1\n1",
        ),
        Check::is(
            "the log of this start is on the disk, the first one's, too",
            "ls /var/log/journal/$(cat /etc/machine-id)/system.journal | wc -l",
            "1",
        ),
        Check::has("xe knows the host", "xe host-list", &[hostname]),
        // 1 GiB and 5 percent of 4095 MiB are 1228 MiB; the kernel keeps a little of it.
        Check::is(
            "dom0 has the memory that the rule gives it, and the rest is free",
            "xl list | awk '$1 == \"Domain-0\" { print ($3 > 1150 && $3 < 1300) }'; \
             xl info | awk '$1 == \"free_memory\" { print ($3 > 2000) }'",
            "1\n1",
        ),
    ];
    checks.extend(everywhere(hostname, address));
    checks
}

/// The initrd's record says how the host was started.
pub fn mode(expected: &'static str) -> Check {
    Check::new(
        "the initrd knows how it was started",
        "cat /run/bedplate/boot.json",
        move |output| {
            let record: Value = serde_json::from_str(output).context("not JSON")?;
            let mode = record.get("mode").and_then(Value::as_str);
            ensure!(
                mode == Some(expected),
                "the mode is {mode:?} and should be `{expected}`"
            );
            Ok(())
        },
    )
}

/// What every installed host must show however it was booted.
pub fn everywhere(hostname: &str, address: &str) -> Vec<Check> {
    let address = format!("{address}/24");
    vec![
        Check::new(
            "the root is squashfs on a device mapper",
            "findmnt -nro SOURCE,FSTYPE,OPTIONS /",
            |output| {
                let words: Vec<&str> = output.split_whitespace().collect();
                let [source, kind, options] = words[..] else {
                    bail!("not three words")
                };
                ensure!(
                    source.starts_with("/dev/dm-") || source.starts_with("/dev/mapper/"),
                    "its device is {source}"
                );
                ensure!(kind == "squashfs", "its type is {kind}");
                ensure!(
                    options.split(',').any(|option| option == "ro"),
                    "it can be written"
                );
                Ok(())
            },
        ),
        Check::has(
            "the kernel verifies the root",
            "dmsetup table --target verity",
            &[" verity 1 ", " sha256 "],
        ),
        Check::is("/etc is an overlay", "findmnt -nro FSTYPE /etc", "overlay"),
        Check::is(
            "/var is on the state partition",
            "findmnt -nro FSTYPE /var",
            "ext4",
        ),
        Check::is(
            "/root is on the state partition",
            "findmnt -nro FSTYPE /root",
            "ext4",
        ),
        Check::has(
            "the management bridge has its address",
            "ip -4 -brief address show xenbr0",
            &["UP", &address],
        ),
        Check::has(
            "there is a way out",
            "ip -4 route show default",
            &["default via 10.0.2.2 dev xenbr0"],
        ),
        Check::is("the host has its name", "hostname", hostname),
        Check::is(
            "the clock has its zone",
            "timedatectl show --property Timezone --value",
            crate::answers::TIMEZONE,
        ),
        Check::is(
            "no unit has failed",
            "systemctl list-units --failed --no-legend --plain",
            "",
        ),
        Check::new(
            "the report of the install is kept",
            "cat /state/bedplate/install/report.json",
            report,
        ),
    ]
}

/// The health file says that the boot is good, and why: every check passed, and there are checks.
fn healthy(output: &str) -> Result<()> {
    let health: Value = serde_json::from_str(output).context("not JSON")?;
    ensure!(
        health.get("passed").and_then(Value::as_bool) == Some(true),
        "it says that the boot is not good"
    );
    let checks = health
        .get("checks")
        .and_then(Value::as_array)
        .context("no checks")?;
    ensure!(!checks.is_empty(), "nothing was checked");
    for check in checks {
        ensure!(
            check.get("outcome").and_then(Value::as_str) == Some("pass"),
            "a check did not pass: {check}"
        );
    }
    Ok(())
}

/// The report says that the run ended well and that every step was done.
fn report(output: &str) -> Result<()> {
    let report: Value = serde_json::from_str(output).context("not JSON")?;
    ensure!(
        report.get("result").and_then(Value::as_str) == Some("ok"),
        "its result is {:?}",
        report.get("result")
    );
    let steps = report
        .get("steps")
        .and_then(Value::as_array)
        .context("no steps")?;
    ensure!(!steps.is_empty(), "it has no steps");
    for step in steps {
        ensure!(
            step.get("result").and_then(Value::as_str) == Some("done"),
            "a step is not done: {step}"
        );
    }
    Ok(())
}

/// The guest was shut down when the host last went down, and did not just lose its power.
///
/// # Errors
/// What was said instead.
pub fn was_shut_down(run: &Run, ssh: &Ssh, guest: &str) -> Result<()> {
    let said = ssh.run(
        "journalctl --boot=-1 --unit=libvirt-guests --output=cat --no-pager",
        run.bench.limit(20),
    )?;
    ensure!(
        said.contains(&format!("Shutdown of guest {guest} complete.")),
        "the guest {guest} was not shut down:\n{said}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_must_be_a_success_in_every_step() {
        let good = r#"{"schema":1,"result":"ok","steps":[{"id":"a","result":"done"}]}"#;
        report(good).unwrap();
        for bad in [
            good.replace("\"ok\"", "\"failed\""),
            good.replace("\"done\"", "\"not-run\""),
            good.replace(r#"{"id":"a","result":"done"}"#, ""),
            "{".to_string(),
        ] {
            assert!(report(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_health_is_not_health() {
        let good = r#"{"passed":true,"checks":[{"name":"xen","outcome":"pass"}]}"#;
        healthy(good).unwrap();
        for bad in [
            good.replace("true", "false"),
            good.replace("\"pass\"", "\"unknown\""),
            good.replace(r#"{"name":"xen","outcome":"pass"}"#, ""),
            "{}".to_string(),
            String::new(),
        ] {
            assert!(healthy(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn checks_can_fail() {
        let check = Check::has("x", "x", &["Domain-0"]);
        assert!((check.judge)("Name ID\nDomain-0 0").is_ok());
        assert!((check.judge)("Name ID").is_err());
        let check = Check::is("x", "x", "overlay");
        assert!((check.judge)("overlay\n").is_ok());
        assert!((check.judge)("overlayfs").is_err());
    }
}
