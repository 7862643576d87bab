//! The report for people: one file that needs nothing else, made from the report alone.

use super::{CertificationResult, Report, Serials};
use crate::certify::{Measurement, Status, TestResult};
use crate::facts::{Context, Facts, FirmwareKind};
use crate::known::Known;
use crate::root::steers;
use crate::text;
use crate::verdict::Severity;
use sha2::{Digest, Sha256};
use std::fmt::{Display, Write};

const STYLE: &str = include_str!("report.css");

/// The page. `signed` are the bytes of the signed file: their digest ties the page to it.
pub fn html(report: &Report, signed: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(signed));
    let name = machine(report);
    let mut page = Page(String::new());
    page.add(format_args!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n",
        escape(&format!("Certification of {name}"))
    ));
    page.add(format_args!(
        "<h1>{}</h1>\n<p class=\"soft\">Certification for Xen by hcl-checker {}, {}</p>\n",
        escape(&name),
        escape(&report.tool.version),
        escape(&day(&report.finished))
    ));
    result(&mut page, report);
    facts(&mut page, report);
    tests(&mut page, report);
    measurements(&mut page, report);
    checks(&mut page, report);
    devices(&mut page, report);
    origin(&mut page, report, &digest);
    page.add(format_args!("</main>\n</body>\n</html>\n"));
    page.0
}

/// A page that grows. Writing to a String cannot fail.
struct Page(String);

impl Page {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }
}

/// Text that is no markup, whatever is in it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if steers(c) && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn known<T: Display>(value: &Known<T>) -> String {
    match value {
        Known::Value(value) => escape(&value.to_string()),
        Known::Absent => "none".to_owned(),
        Known::Unknown(_) => "unknown".to_owned(),
    }
}

fn machine(report: &Report) -> String {
    let dmi = &report.facts.dmi;
    let names = [&dmi.system_vendor, &dmi.product];
    let named: Vec<&str> = names
        .iter()
        .filter_map(|name| name.value())
        .map(String::as_str)
        .collect();
    if named.is_empty() {
        "a machine without a name".to_owned()
    } else {
        named.join(" ")
    }
}

/// `2026-11-25 21:08 UTC` of an RFC 3339 time.
fn day(stamp: &str) -> String {
    let minutes = stamp.get(..16).unwrap_or(stamp);
    format!("{} UTC", minutes.replace('T', " "))
}

fn result(page: &mut Page, report: &Report) {
    let certification = &report.certification;
    let word = certification.result.name();
    let says = match certification.result {
        CertificationResult::Passed => "Every required test ran and passed.",
        CertificationResult::Failed => "Something is wrong with this machine.",
        CertificationResult::Incomplete => {
            "Nothing is known to be wrong, and not everything is known."
        }
    };
    let count = |status| {
        report
            .tests
            .iter()
            .filter(|test| test.status == status)
            .count()
    };
    page.add(format_args!(
        "<div class=\"result {word}\"><strong>{}</strong><span>{says}</span>\
         <span class=\"soft\">{} passed, {} failed, {} skipped</span></div>\n",
        capital(word),
        count(Status::Passed),
        count(Status::Failed),
        count(Status::Skipped),
    ));
    for (title, reasons) in [
        ("What is wrong", &certification.failed),
        ("What is missing", &certification.missing),
    ] {
        if reasons.is_empty() {
            continue;
        }
        page.add(format_args!("<h3>{title}</h3>\n<ul>\n"));
        for reason in reasons {
            page.add(format_args!("<li>{}</li>\n", escape(reason)));
        }
        page.add(format_args!("</ul>\n"));
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn facts(page: &mut Page, report: &Report) {
    let facts = &report.facts;
    let topology = &facts.topology;
    let runs_on = match &report.context {
        Known::Value(Context::Bare) => "Linux on the machine itself".to_owned(),
        Known::Value(Context::Dom0) => "dom0 of Xen".to_owned(),
        Known::Value(Context::Guest { hypervisor }) => {
            format!("a virtual machine ({})", escape(hypervisor))
        }
        Known::Absent | Known::Unknown(_) => "unknown".to_owned(),
    };
    let memory = facts
        .memory
        .total_bytes
        .clone()
        .map(|bytes| text::size(bytes, 1024));
    let rows = [
        ("Processor", known(&facts.cpu.model_name)),
        (
            "Sockets, cores, threads",
            format!(
                "{}, {}, {}",
                known(&topology.sockets),
                known(&topology.cores),
                known(&topology.threads)
            ),
        ),
        ("Memory", known(&memory)),
        ("Firmware", firmware(facts)),
        ("Kernel", known(&report.kernel)),
        ("Xen", known(&report.xen)),
        ("Tested on", runs_on),
        (
            "Verdict by the compatibility list",
            escape(&report.verdict.to_string()),
        ),
    ];
    page.add(format_args!("<h2>Machine</h2>\n<dl class=\"facts\">\n"));
    for (name, value) in rows {
        page.add(format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    }
    page.add(format_args!("</dl>\n"));
}

/// Kind, version and date. Without DMI neither version nor date is known, which is said once.
fn firmware(facts: &Facts) -> String {
    let kind = facts.firmware.kind.value().map(|kind| match kind {
        FirmwareKind::Uefi => "UEFI",
        FirmwareKind::Bios => "BIOS",
    });
    let named = |name: &str, value: &Known<String>| match value {
        Known::Value(value) => escape(value),
        other => format!("{name} {}", known(other)),
    };
    let (version, date) = (&facts.dmi.bios_version, &facts.dmi.bios_date);
    let neither = version.value().is_none() && date.value().is_none();
    match (kind, version) {
        (None, _) if neither => "unknown".to_owned(),
        (Some(kind), _) if neither => format!("{kind}, version unknown"),
        (Some(kind), Known::Value(version)) => {
            format!("{kind} {}, {}", escape(version), named("date", date))
        }
        (kind, version) => format!(
            "{}, {}, {}",
            kind.unwrap_or("kind unknown"),
            named("version", version),
            named("date", date)
        ),
    }
}

fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
    }
}

fn tests(page: &mut Page, report: &Report) {
    page.add(format_args!(
        "<h2>Tests</h2>\n<table>\n<thead><tr><th>Result</th><th>Test</th><th class=\"time\">Time</th></tr></thead>\n<tbody>\n"
    ));
    for test in &report.tests {
        let word = test.status.name();
        let why = if test.reason.is_empty() {
            String::new()
        } else {
            format!("<span class=\"why\">{}</span>", escape(&test.reason))
        };
        let time = match test.status {
            Status::Skipped => String::new(),
            Status::Passed | Status::Failed => duration(test.duration_ms),
        };
        page.add(format_args!(
            "<tr><td class=\"word {word}\">{}</td><td>{}{why}</td><td class=\"time\">{time}</td></tr>\n",
            capital(word),
            escape(&test.title)
        ));
    }
    page.add(format_args!("</tbody>\n</table>\n"));
}

fn measurements(page: &mut Page, report: &Report) {
    let measured = |test: &&TestResult| !test.measurements.is_empty();
    if report.tests.iter().filter(measured).count() == 0 {
        return;
    }
    page.add(format_args!("<h2>Measurements</h2>\n"));
    for test in report.tests.iter().filter(measured) {
        let open = if test.status == Status::Failed {
            " open"
        } else {
            ""
        };
        page.add(format_args!(
            "<details{open}><summary>{} <small>{}</small></summary>\n<table>\n\
             <thead><tr><th>What</th><th>Measured</th><th>Expected</th><th>Where</th></tr></thead>\n<tbody>\n",
            escape(&test.title),
            escape(&test.id)
        ));
        for Measurement {
            name,
            observed,
            expected,
            source,
        } in &test.measurements
        {
            page.add(format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
                escape(name),
                escape(observed),
                escape(expected),
                escape(source)
            ));
        }
        page.add(format_args!("</tbody>\n</table>\n</details>\n"));
    }
}

fn checks(page: &mut Page, report: &Report) {
    page.add(format_args!("<h2>Compatibility list</h2>\n"));
    for (severity, title, word, open) in [
        (Severity::Blocks, "In the way", "blocks", " open"),
        (Severity::Warns, "To know", "warns", " open"),
        (Severity::Fine, "As it should be", "fine", ""),
    ] {
        let checks: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.result == severity)
            .collect();
        if checks.is_empty() {
            continue;
        }
        page.add(format_args!(
            "<details{open}><summary><span class=\"{word}\">{title}</span> <small>{}</small></summary>\n<table>\n\
             <thead><tr><th>About</th><th>Seen</th><th>Expected</th><th>Rule</th></tr></thead>\n<tbody>\n",
            checks.len()
        ));
        for check in checks {
            let name = if check.name.is_empty() {
                &check.id
            } else {
                &check.name
            };
            page.add(format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
                escape(name),
                escape(&check.observed),
                escape(&check.expected),
                escape(&check.rule)
            ));
        }
        page.add(format_args!("</tbody>\n</table>\n</details>\n"));
    }
}

fn devices(page: &mut Page, report: &Report) {
    let nics = report
        .facts
        .nics
        .value()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let disks = report
        .facts
        .disks
        .value()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if nics.is_empty() && disks.is_empty() {
        return;
    }
    page.add(format_args!(
        "<h2>Disks and network interfaces</h2>\n<table>\n\
         <thead><tr><th>Name</th><th>Kind</th><th>Driver or connection</th><th>Firmware</th></tr></thead>\n<tbody>\n"
    ));
    for disk in disks {
        let size = disk.size_bytes.clone().map(|bytes| text::size(bytes, 1000));
        page.add(format_args!(
            "<tr><td>{}</td><td>{}, {}</td><td>{}</td><td>{}</td></tr>\n",
            escape(&disk.name),
            known(&disk.model),
            known(&size),
            known(&disk.transport),
            known(&disk.firmware_version)
        ));
    }
    for nic in nics {
        let speed = match nic.speed_mbit.value() {
            Some(speed) => format!("{speed} Mbit/s"),
            None => "speed not known".to_owned(),
        };
        page.add(format_args!(
            "<tr><td>{}</td><td>network, {speed}</td><td>{}</td><td>{}</td></tr>\n",
            escape(&nic.name),
            known(&nic.driver),
            known(&nic.firmware_version)
        ));
    }
    page.add(format_args!("</tbody>\n</table>\n"));
}

fn origin(page: &mut Page, report: &Report, digest: &str) {
    let serials = match report.submitter.serials {
        Serials::Hashed => {
            "Serial numbers and hardware addresses are replaced by hashes that only the submitter can make."
        }
        Serials::Plain => "Serial numbers and hardware addresses are in it.",
    };
    page.add(format_args!(
        "<h2>Origin</h2>\n<dl class=\"facts\">\n\
         <div><dt>Run</dt><dd>{} to {}</dd></div>\n<div><dt>Nonce</dt><dd><code>{}</code></dd></div>\n\
         <div><dt>Key of the submitter (Ed25519)</dt><dd><code>{}</code></dd></div>\n\
         <div><dt>SHA-256 of report.json</dt><dd><code>{}</code></dd></div>\n\
         <div><dt>SHA-256 of the list</dt><dd><code>{}</code></dd></div>\n\
         <div><dt>SHA-256 of the program</dt><dd><code>{}</code></dd></div>\n</dl>\n",
        escape(&day(&report.started)),
        escape(&day(&report.finished)),
        escape(&report.nonce),
        escape(&report.submitter.public_key),
        escape(digest),
        escape(&report.list.sha256),
        escape(&report.tool.sha256),
    ));
    page.add(format_args!(
        "<footer><p>{serials}</p><p>This page is made from <code>report.json</code>, which is signed. To check it: \
         <code>hcl-checker report verify report.json</code></p></footer>\n"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_machine_is_markup() {
        assert_eq!(
            escape("<script>'a' & \"b\"\u{7}</script>"),
            "&lt;script&gt;&#39;a&#39; &amp; &quot;b&quot;\u{fffd}&lt;/script&gt;"
        );
    }

    #[test]
    fn times_as_people_read_them() {
        assert_eq!(day("2026-11-25T21:08:27Z"), "2026-11-25 21:08 UTC");
        assert_eq!(
            [duration(7), duration(1730), duration(125_000)],
            ["7 ms", "1.7 s", "2 min 05 s"]
        );
    }
}
