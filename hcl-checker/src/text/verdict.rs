//! A verdict that a tired administrator understands in ten seconds: the verdict, what blocks, what warns, the rest
//! folded.

use super::style::{Paint, Style};
use crate::facts::Facts;
use crate::verdict::{Finding, Level, Severity, Verdict};
use std::fmt::Write;

/// The verdict as text. `all` unfolds what is as it should be.
pub(super) fn verdict(
    facts: &Facts,
    verdict: &Verdict,
    other_list: Option<&str>,
    style: Style,
    all: bool,
) -> String {
    let mut text = String::new();
    let blocking = verdict.of(Severity::Blocks).count();
    let warning = verdict.of(Severity::Warns).count();
    let fine = verdict.of(Severity::Fine).count();
    let paint = match verdict.level {
        Level::Unsupported | Level::UnlistedWithoutDriver | Level::Unknown => Paint::Bad,
        Level::CertifiedWithDeviation | Level::UnlistedWithDriver => Paint::Warning,
        Level::Certified | Level::Compatible if warning > 0 => Paint::Warning,
        Level::Certified | Level::Compatible => Paint::Good,
    };
    let install = if verdict.allows_install() {
        "can be installed"
    } else {
        "not to be installed"
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}  {install}",
        style.paint(paint, verdict.level.to_string().to_uppercase())
    );
    let _ = writeln!(text, "{}", super::facts::summary(facts));
    let judged = match &verdict.kernel {
        Some(kernel) => format!("drivers judged by kernel {kernel}"),
        None => "drivers not judged: no kernel's modules were given".to_owned(),
    };
    let _ = writeln!(text, "{}", style.paint(Paint::Dim, judged));
    if let Some(list) = other_list {
        let judged = format!("judged by the list {list}, not by that of this release");
        let _ = writeln!(text, "{}", style.paint(Paint::Warning, judged));
    }
    section(
        &mut text,
        verdict,
        Severity::Blocks,
        Paint::Bad,
        &format!("Blocks ({blocking})"),
        style,
    );
    section(
        &mut text,
        verdict,
        Severity::Warns,
        Paint::Warning,
        &format!("Warns ({warning})"),
        style,
    );
    if all {
        section(
            &mut text,
            verdict,
            Severity::Fine,
            Paint::Good,
            &format!("Fine ({fine})"),
            style,
        );
    } else if fine > 0 {
        let _ = writeln!(
            text,
            "\n{}",
            style.paint(Paint::Dim, format!("Fine ({fine}): shown with --all"))
        );
    }
    text
}

fn section(
    text: &mut String,
    verdict: &Verdict,
    severity: Severity,
    paint: Paint,
    title: &str,
    style: Style,
) {
    let mut findings = verdict.of(severity).peekable();
    if findings.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{}", style.paint(paint, title));
    for finding in findings {
        text.push_str(&item(
            finding,
            verdict.level,
            severity == Severity::Fine,
            style,
        ));
    }
}

fn item(finding: &Finding, overall: Level, brief: bool, style: Style) -> String {
    let mut text = String::new();
    let name = if finding.name.is_empty() {
        String::new()
    } else {
        format!(": {}", finding.name)
    };
    let head = style.paint(Paint::Strong, format!("{}{name}", finding.subject));
    // Of a machine that is not certified a deviation is a plain warning.
    let deviation = Level::CertifiedWithDeviation;
    let level = finding
        .level
        .filter(|&level| level != deviation || overall == deviation);
    let level = level.map_or(String::new(), |level| format!("{level}, "));
    let rule = style.paint(Paint::Dim, format!("({level}{})", finding.rule));
    let _ = writeln!(text, "  {head} {rule}");
    if brief {
        if !finding.observed.is_empty() && finding.observed != finding.name {
            let _ = writeln!(text, "      {}", finding.observed);
        }
        return text;
    }
    for (label, value) in [
        ("seen", &finding.observed),
        ("wanted", &finding.expected),
        ("do", &finding.advice),
    ] {
        if !value.is_empty() {
            let _ = writeln!(text, "      {label:<7}{value}");
        }
    }
    if !finding.source.is_empty() {
        let _ = writeln!(
            text,
            "      {}",
            style.paint(Paint::Dim, format!("{:<7}{}", "in", finding.source))
        );
    }
    text
}
