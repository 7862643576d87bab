//! The verdict on the hardware.

use super::super::app::App;
use super::super::field::Field;
use super::super::key::Key;
use super::super::page::Page;
use hcl_checker::verdict::{Finding, Severity, Verdict};

/// What F1 says.
pub const HELP: &str = "The machine is compared with the Hardware Compatibility List and with the drivers of this release. \
Enter opens a finding: what was seen, what should be there, and what to do.\n\n`!` is in the way, `-` is good to know, the \
rest is as it should be. What is not known is never taken for good. Where something is in the way, you can install all the \
same: say why, and the reason is kept in the report on the host.";

/// The field that has the focus.
pub fn field(app: &mut App) -> Option<&mut Field> {
    let at = findings(app).len();
    (blocks(app) && app.focus() == at && app.marks.finding.is_none())
        .then_some(&mut app.draft.reason)
}

fn findings(app: &App) -> &[Finding] {
    app.verdict
        .as_ref()
        .map_or(&[], |verdict| verdict.findings.as_slice())
}

fn blocks(app: &App) -> bool {
    app.verdict
        .as_ref()
        .is_some_and(|verdict| !verdict.allows_install())
}

fn items(app: &App) -> usize {
    findings(app).len() + usize::from(blocks(app)) + 1
}

/// Where the focus is at the first visit: the way on, or the reason that is needed.
pub fn first_focus(app: &App) -> usize {
    findings(app).len()
}

/// A disapproval needs a reason.
pub fn problem(app: &App) -> Option<String> {
    (blocks(app) && app.draft.reason.is_empty()).then(|| {
        "Something is in the way. To install all the same, say why in the field below.".to_owned()
    })
}

/// Takes a key.
pub fn key(app: &mut App, key: Key) {
    let count = findings(app).len();
    if let Some(open) = app.marks.finding {
        let next = match key {
            Key::Down | Key::Tab => (open + 1) % count.max(1),
            Key::Up | Key::BackTab => open.checked_sub(1).unwrap_or(count.saturating_sub(1)),
            _ => {
                app.marks.finding = None;
                return;
            }
        };
        app.marks.finding = Some(next);
        app.set_focus(next);
        return;
    }
    match key {
        Key::Esc => app.back(),
        Key::Enter if app.focus() < count => app.marks.finding = Some(app.focus()),
        Key::Enter => app.next(),
        _ => {
            if field(app).is_some_and(|field| field.key(key)) {
                return;
            }
            app.move_focus(key, items(app));
        }
    }
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocks => "!",
        Severity::Warns => "-",
        Severity::Fine => " ",
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let Some(verdict) = &app.verdict else {
        page.text("The machine is being looked at ...");
        return;
    };
    if let Some(finding) = app
        .marks
        .finding
        .and_then(|index| verdict.findings.get(index))
    {
        details(finding, page);
        return;
    }
    headline(verdict, page);
    page.gap();
    let count = verdict.findings.len();
    let lines: Vec<String> = verdict
        .findings
        .iter()
        .map(|finding| {
            let name = if finding.name.is_empty() {
                &finding.rule
            } else {
                &finding.name
            };
            let level = finding
                .level
                .map_or(String::new(), |level| format!(" ({level})"));
            format!(
                "{} {:<16} {name}{level}",
                mark(finding.severity),
                finding.subject.to_string()
            )
        })
        .collect();
    let blocked = blocks(app);
    let below = if blocked { 5 } else { 2 };
    let height = page.left().saturating_sub(below).min(count as u16);
    let focus = app.focus();
    let selected = (focus < count).then_some(focus);
    page.list(&lines, selected, height);
    page.gap();
    if blocked {
        page.text("To install all the same, say why. The reason is kept in the report.");
        page.field("Reason", &app.draft.reason, focus == count, "");
        page.gap();
    }
    page.button("Continue", focus >= count + usize::from(blocked));
}

fn headline(verdict: &Verdict, page: &mut Page<'_, '_>) {
    page.heading(&format!("This hardware is {}.", verdict.level));
    let count = |severity| verdict.of(severity).count();
    let (blocks, warns) = (count(Severity::Blocks), count(Severity::Warns));
    page.text(&match (blocks, warns) {
        (0, 0) => "Nothing is in the way.".to_owned(),
        (0, warns) => format!("Nothing is in the way; {warns} to know (-)."),
        (blocks, warns) => format!("{blocks} in the way (!), {warns} to know (-)."),
    });
}

fn details(finding: &Finding, page: &mut Page<'_, '_>) {
    page.heading(if finding.name.is_empty() {
        &finding.rule
    } else {
        &finding.name
    });
    page.gap();
    page.pair("About", &finding.subject.to_string());
    if let Some(level) = finding.level {
        page.pair("Level", &level.to_string());
    }
    let means = match (finding.severity, finding.essential) {
        (Severity::Blocks, _) => "in the way of the installation",
        (Severity::Warns, _) => "good to know",
        (Severity::Fine, true) => "as it should be; the machine cannot do without it",
        (Severity::Fine, false) => "as it should be",
    };
    page.pair("Means", means);
    for (name, text) in [
        ("Seen", &finding.observed),
        ("Expected", &finding.expected),
        ("What to do", &finding.advice),
        ("Notes", &finding.notes),
        ("Seen in", &finding.source),
        ("Rule", &finding.rule),
    ] {
        if !text.is_empty() {
            page.pair(name, text);
        }
    }
}
