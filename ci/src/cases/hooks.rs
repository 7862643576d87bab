//! Hooks of the answers: before the install, before the first boot and at the first boot.

use crate::case::Run;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::qemu::{Bus, Nic};
use anyhow::{Result, ensure};

/// The network of the answers, with the hooks behind it. The script of the first one prints the hash of root's password as it
/// finds it in the answers of the medium, which must be nowhere.
const ANSWERS: &str = r#"dhcp = true

[[hook]]
name = "look"
when = "before-install"
script = """
#!/bin/sh
echo "the disk is $BEDPLATE_DISK of $BEDPLATE_HOSTNAME"
tr -d '\\000' < /run/bedplate/medium/bedplate/answers.bin | grep -a root_password_hash
"""

[[hook]]
name = "change"
when = "before-first-boot"
script = """
#!/bin/sh -e
echo "changed by a hook" > "$BEDPLATE_TARGET/etc/motd"
echo "kept" > "$BEDPLATE_TARGET/var/lib/hook"
chroot "$BEDPLATE_TARGET" systemctl enable e2scrub_all.timer
chroot "$BEDPLATE_TARGET" groupadd --gid 4711 operators
"""

[[hook]]
name = "may-fail"
when = "first-boot"
may_fail = true
script = """
#!/bin/sh
echo no answer >&2
exit 3
"""

[[hook]]
name = "slow"
when = "first-boot"
time_limit = 5
may_fail = true
script = """
#!/bin/sh
sleep 1000
"""

[[hook]]
name = "once"
when = "first-boot"
script = """
#!/bin/sh
echo run >> /root/ran
grep ^root: /etc/shadow
"""
"#;

/// What the log and the report of an installation must not hold: the start of the hash of root's password.
const SECRET: &str = "$6$bedplatetest";

/// A host that hooks changed, and a second boot at which none runs.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        bus: Bus::Virtio,
        nic: Nic::Virtio,
        serial: "BPHOOKS001",
    };
    let wishes = Wishes {
        hostname: "bp-hooks",
        disk: "match = { serial = \"BPHOOKS001\" }",
        network: ANSWERS,
        pull_medium: false,
    };
    let installation = install(run, hardware, wishes)?;
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("what the hooks did", |run| {
        host_checks::run_all(run, &host.ssh, &checks(), "first-boot")?;
        for name in ["report.json", "first-boot.json", "first-boot.log"] {
            host.ssh.get(
                &format!("/state/bedplate/install/{name}"),
                &run.file(name),
                run.bench.limit(10),
            )?;
        }
        Ok(())
    })?;
    host.restart(run, None, "second boot")?;
    run.look("no hook runs twice", |run| {
        host_checks::run_all(run, &host.ssh, &checks(), "second-boot")
    })?;
    host.power_off(run)
}

fn checks() -> Vec<Check> {
    let install = "/state/bedplate/install";
    vec![
        // The hooks come last.
        Check::is(
            "the host has come up",
            "systemctl is-system-running --wait || true",
            "running",
        ),
        Check::is("/etc was changed", "cat /etc/motd", "changed by a hook"),
        Check::is("/var was changed", "cat /var/lib/hook", "kept"),
        Check::is(
            "a unit was enabled in the new root",
            "systemctl is-enabled e2scrub_all.timer",
            "enabled",
        ),
        Check::has(
            "a group was made in the new root",
            "getent group operators",
            &["operators:x:4711:"],
        ),
        Check::is(
            "the hook of the first boot ran once",
            "cat /root/ran",
            "run",
        ),
        Check::is(
            "nothing waits for another boot",
            "ls -A /state/bedplate/first-boot /run/bedplate/hooks | grep -v : || true",
            "",
        ),
        Check::has(
            "the report of the installation has what a hook printed",
            &format!("cat {install}/report.txt"),
            &[
                "Run the hook look before the installation",
                "| the disk is /dev/vda of bp-hooks",
                "| root_password_hash = \"(secret)\"",
                "Run the hook change before the first boot",
            ],
        ),
        Check::has(
            "the report of the first boot tells of all three",
            &format!("cat {install}/first-boot.json"),
            &[
                "the hook may-fail ended with exit code 3. Its last line: no answer",
                "the hook slow did not end within 5 s and was killed",
                "root:(secret):",
            ],
        ),
        Check::new(
            "no log and no report holds the secret",
            &format!("ls {install}; grep -rlF '{SECRET}' {install} | sed 's/^/SECRET in /'; true"),
            |output| {
                for file in [
                    "install.log",
                    "events.jsonl",
                    "report.json",
                    "first-boot.log",
                ] {
                    ensure!(output.contains(file), "{file} is missing");
                }
                ensure!(!output.contains("SECRET"), "a secret is shown");
                Ok(())
            },
        ),
    ]
}
