//! A verdict that a tired administrator understands in ten seconds: the verdict, what blocks, what warns, the rest
//! folded.

use super::style::{Paint, Style};
use crate::facts::Facts;
use crate::verdict::{Finding, Level, Severity, Verdict};
use std::collections::HashMap;
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
    text += &style.lines("", 0, &super::facts::summary(facts));
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
    let groups = alike(verdict.of(severity));
    if groups.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{}", style.paint(paint, title));
    for group in groups {
        text.push_str(&item(
            &group,
            verdict.level,
            severity == Severity::Fine,
            style,
        ));
    }
}

/// Findings that differ in nothing but in which of several things they are about, as the ports of a card: said once. In the
/// order of the first of each.
fn alike<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Vec<&'a Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    let mut at: HashMap<[&str; 6], usize> = HashMap::new();
    for finding in findings {
        let said = [
            finding.subject.parts().0,
            &finding.rule,
            &finding.name,
            &finding.observed,
            &finding.expected,
            &finding.advice,
        ];
        let number = *at.entry(said).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

/// Names of a group that are written out; of the others their number.
const NAMED: usize = 4;

/// `pci 0000:18:00.0, 0000:18:00.1`.
fn subjects(group: &[&Finding]) -> String {
    let Some(first) = group.first() else {
        return String::new();
    };
    let which = group
        .iter()
        .filter_map(|finding| finding.subject.parts().1)
        .take(NAMED);
    let which: Vec<&str> = which.collect();
    let more = match group.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!("{} {}{more}", first.subject.parts().0, which.join(", "));
    text.trim_end().to_owned()
}

/// Columns before what is said about a thing.
const INDENT: usize = 6;
/// Columns before the text behind a label.
const LABELLED: usize = INDENT + 7;

/// What was found, about one thing or several.
fn item(group: &[&Finding], overall: Level, brief: bool, style: Style) -> String {
    let Some(finding) = group.first() else {
        return String::new();
    };
    let name = if finding.name.is_empty() {
        String::new()
    } else {
        format!(": {}", finding.name)
    };
    let head = style.paint(Paint::Strong, format!("{}{name}", subjects(group)));
    // Of a machine that is not certified a deviation is a plain warning.
    let deviation = Level::CertifiedWithDeviation;
    let level = finding
        .level
        .filter(|&level| level != deviation || overall == deviation);
    let level = level.map_or(String::new(), |level| format!("{level}, "));
    let rule = style.paint(Paint::Dim, format!("({level}{})", finding.rule));
    let mut text = style.lines("  ", INDENT, &format!("{head} {rule}"));
    let labelled = |label: &str| format!("{:INDENT$}{label:<7}", "");
    if brief {
        let observed = Some(&finding.observed).filter(|&observed| *observed != finding.name);
        for said in observed.into_iter().chain([&finding.notes]) {
            if !said.is_empty() {
                text += &style.lines(&" ".repeat(INDENT), INDENT, said);
            }
        }
        return text;
    }
    for (label, value) in [
        ("seen", &finding.observed),
        ("wanted", &finding.expected),
        ("do", &finding.advice),
        ("note", &finding.notes),
    ] {
        if !value.is_empty() && *value != finding.name {
            text += &style.lines(&labelled(label), LABELLED, value);
        }
    }
    if !finding.source.is_empty() {
        let more = match group.len() {
            1 => String::new(),
            _ => " and the like".to_owned(),
        };
        let source = style.lines(
            &labelled("in"),
            LABELLED,
            &format!("{}{more}", finding.source),
        );
        text += &style.paint(Paint::Dim, source.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Subject;

    fn port(address: &str, observed: &str) -> Finding {
        Finding {
            rule: "nic-old".to_owned(),
            subject: Subject::Pci(address.to_owned()),
            name: "X710".to_owned(),
            level: Some(Level::Compatible),
            essential: false,
            severity: Severity::Warns,
            observed: observed.to_owned(),
            source: format!("/sys/bus/pci/devices/{address}"),
            expected: "firmware 8.20 or newer".to_owned(),
            advice: "update it".to_owned(),
            notes: "Known since 2019.".to_owned(),
        }
    }

    #[test]
    fn ports_of_which_the_same_is_said_are_named_together() {
        let ports = [
            port("0000:18:00.0", "firmware 7"),
            port("0000:18:00.1", "firmware 6"),
            port("0000:18:00.2", "firmware 7"),
        ];
        let groups = alike(ports.iter());
        let shown = groups
            .iter()
            .map(|group| item(group, Level::Compatible, false, Style::PLAIN));
        assert_eq!(
            shown.collect::<String>(),
            [
                "  pci 0000:18:00.0, 0000:18:00.2: X710 (compatible, nic-old)",
                "      seen   firmware 7",
                "      wanted firmware 8.20 or newer",
                "      do     update it",
                "      note   Known since 2019.",
                "      in     /sys/bus/pci/devices/0000:18:00.0 and the like",
                "  pci 0000:18:00.1: X710 (compatible, nic-old)",
                "      seen   firmware 6",
                "      wanted firmware 8.20 or newer",
                "      do     update it",
                "      note   Known since 2019.",
                "      in     /sys/bus/pci/devices/0000:18:00.1",
                "",
            ]
            .join("\n")
        );
    }

    #[test]
    fn of_many_alike_a_few_are_named() {
        let ports: Vec<Finding> = (0..6)
            .map(|port_number| port(&format!("0000:18:00.{port_number}"), ""))
            .collect();
        let group: Vec<&Finding> = ports.iter().collect();
        assert_eq!(
            subjects(&group),
            "pci 0000:18:00.0, 0000:18:00.1, 0000:18:00.2, 0000:18:00.3 and 2 more"
        );
    }
}
