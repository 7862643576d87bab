//! The demonstration: from the ISO to a running host, and what runs there.

use crate::case::{Bench, Run};
use crate::host::Host;
use crate::installation::{Entries, Hardware, Wishes, install};
use crate::qemu::{Bus, Nic};
use anyhow::{Context, Result};
use serde_json::Value;

/// What is asked of the host.
const COMMANDS: [&str; 6] = [
    "cat /etc/os-release",
    "xl info",
    "xl list",
    "vgs bedplate",
    "findmnt /",
    "ip -brief address",
];

/// Installs, boots and prints.
///
/// # Errors
/// When the host does not come up.
pub fn show(bench: &Bench) -> Result<()> {
    let mut run = Run::begin(bench, "demo")?;
    run.note(&format!(
        "guests run by {}; everything is kept in {}",
        bench.accelerator.name(),
        run.dir().display()
    ));
    let hardware = Hardware {
        uefi: true,
        secure_boot: false,
        bus: Bus::Nvme,
        nic: Nic::Virtio,
        serial: "BPDEMO01",
    };
    let wishes = Wishes {
        hostname: "bedplate-demo",
        disk: "match = { serial = \"BPDEMO01\" }",
        network: "dhcp = true",
        pull_medium: false,
    };
    let installation = install(&mut run, hardware, wishes)?;
    let machine = installation.boot(&run, Entries::Kept, "host")?;
    let mut host = Host::come_up(&mut run, machine, &installation.key, None, "first boot")?;
    for command in COMMANDS {
        println!(
            "\nroot@bedplate-demo:~# {command}\n{}",
            host.ssh.run(command, bench.limit(20))?.trim_end()
        );
    }
    let report = host
        .ssh
        .run("cat /state/bedplate/install/report.json", bench.limit(20))?;
    std::fs::write(run.file("report.json"), &report)?;
    println!("\nThe report of the install:\n{}", summary(&report)?);
    host.power_off(&mut run)?;
    println!(
        "\nThe whole report, the console's log and pictures of the screen: {}",
        run.dir().display()
    );
    Ok(())
}

/// The report in a few lines.
fn summary(report: &str) -> Result<String> {
    let report: Value = serde_json::from_str(report).context("the report is not JSON")?;
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_string()
    };
    let seconds = |value: &Value| {
        value
            .get("took_ms")
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN)
            / 1000.0
    };
    let mut lines = vec![format!(
        "  release {}: {} in {:.1} s",
        text(&report, "version"),
        text(&report, "result"),
        seconds(&report)
    )];
    for step in report
        .get("steps")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(format!(
            "  {:>7.1} s  {:8}  {}",
            seconds(step),
            text(step, "result"),
            text(step, "title")
        ));
    }
    for warning in report
        .get("warnings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        lines.push(format!(
            "  warning: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_every_step_and_warning() {
        let report = r#"{"version":"0.1.0","result":"ok","took_ms":61500,"warnings":["no variable"],
            "steps":[{"title":"Write slot A","result":"done","took_ms":30250}]}"#;
        let text = summary(report).unwrap();
        assert!(text.contains("release 0.1.0: ok in 61.5 s"), "{text}");
        assert!(
            text.contains("30.2 s  done      Write slot A")
                || text.contains("30.3 s  done      Write slot A"),
            "{text}"
        );
        assert!(text.contains("warning: no variable"), "{text}");
        assert!(summary("nothing").is_err());
    }
}
