//! What is to be done about a Bedplate host that is there. Shown only where there is one.

use super::super::app::App;
use super::super::draft::Existing;
use super::super::effects::Subject;
use super::super::key::Key;
use super::super::page::Page;
use crate::plan::{holds_bedplate, upgradable};
use hcl_checker::facts::Disk;

/// What F1 says.
pub const HELP: &str = "A disk of this machine holds a Bedplate host. An upgrade writes the release of this medium into the slot \
that does not run, as a hotfix does on the host: settings, logins, network, license, guests and storage stay. The next start \
tries the new release once; where it does not come up, the host is back in the old one by itself. Nothing more is asked but \
for a last yes.\n\nTo install anew is to lose the host; on the screens that follow you say what stays of its storage, and on \
which disk.";

/// What an upgrade leaves as it is, in one sentence.
const STAYS: &str = "Settings, logins, network, license, guests and storage stay as they are. The release that runs now stays \
too, for the way back.";

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Upgrade the host on the disk with this path.
    Upgrade(String),
    /// Install anew, on whichever disk.
    Anew,
    /// Leave everything as it is.
    Stop,
}

/// The disks that hold Bedplate.
fn hosts(subject: &Subject) -> impl Iterator<Item = &Disk> {
    let disks = subject.facts.disks.value().map_or(&[][..], Vec::as_slice);
    disks.iter().filter(|disk| holds_bedplate(disk))
}

/// True where there is something to ask about.
pub fn is_asked(subject: Option<&Subject>) -> bool {
    subject.is_some_and(|subject| hosts(subject).next().is_some())
}

/// What can be done, in words.
pub fn ways(subject: &Subject) -> Vec<(Way, String)> {
    let upgrades = hosts(subject).filter_map(|disk| {
        let host = upgradable(disk, &subject.version, &subject.root_hash).ok()?;
        let label = format!(
            "Upgrade {} on {} from Bedplate {} to {}",
            host.hostname.as_deref().unwrap_or("the host"),
            disk.path,
            host.version,
            subject.version
        );
        Some((Way::Upgrade(disk.path.clone()), label))
    });
    let others = [
        (Way::Anew, "Install anew"),
        (Way::Stop, "Stop, and leave everything as it is"),
    ];
    upgrades
        .chain(others.map(|(way, label)| (way, label.to_owned())))
        .collect()
}

/// Why hosts cannot be upgraded, each with what to do.
pub fn refusals(subject: &Subject) -> Vec<String> {
    hosts(subject)
        .filter_map(|disk| upgradable(disk, &subject.version, &subject.root_hash).err())
        .map(|refusal| {
            format!(
                "No upgrade: {}. {}.",
                refusal.reason,
                capital(refusal.advice)
            )
        })
        .collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Without a choice there is no way on.
pub fn problem(app: &App) -> Option<String> {
    (app.draft.existing == Existing::Undecided)
        .then(|| "Choose with Enter what is to be done.".to_owned())
}

/// Takes a key.
pub fn key(app: &mut App, key: Key) {
    let ways = app.subject.as_ref().map(ways).unwrap_or_default();
    match key {
        Key::Esc => app.back(),
        Key::Enter => match ways.into_iter().nth(app.focus()) {
            Some((Way::Upgrade(path), _)) => {
                app.draft.existing = Existing::Upgrade(path);
                app.next();
            }
            Some((Way::Anew, _)) => {
                app.draft.existing = Existing::Anew;
                app.next();
            }
            Some((Way::Stop, _)) => app.leaving = true,
            None => {}
        },
        _ => {
            app.move_focus(key, ways.len());
        }
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let Some(subject) = &app.subject else {
        page.text("The machine is still being looked at.");
        return;
    };
    page.heading("Bedplate is on this machine already.");
    page.gap();
    let ways = ways(subject);
    let focus = app.focus().min(ways.len() - 1);
    for (index, (_, label)) in ways.iter().enumerate() {
        page.button(label, index == focus);
    }
    page.gap();
    match &ways[focus].0 {
        Way::Upgrade(_) => page.text(STAYS),
        Way::Anew => page.text(
            "The host would be lost. The next screens ask for the disk, and what stays of its storage.",
        ),
        Way::Stop => page.text("Nothing was written."),
    }
    for refusal in refusals(subject) {
        page.gap();
        page.text(&refusal);
    }
}
