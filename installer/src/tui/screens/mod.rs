//! The screens, in their order.

pub mod confirm;
pub mod disks;
pub mod existing;
pub mod finish;
pub mod hardware;
pub mod layout;
pub mod license;
pub mod network;
pub mod progress;
pub mod summary;
pub mod system;
pub mod verify;
pub mod welcome;

use super::app::App;
use super::effects::{Effects, Job};
use super::key::Key;
use super::page::Page;
use serde::{Deserialize, Serialize};

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Screen {
    /// What this is, and the keyboard.
    Welcome,
    /// The medium is what its maker signed.
    Verify,
    /// The verdict on the hardware.
    Hardware,
    /// What is to be done about a host that is there.
    Existing,
    /// Where to install.
    Disks,
    /// What the disk will look like.
    Layout,
    /// How the host is reached.
    Network,
    /// Name, clock, logins.
    System,
    /// The license, which is optional.
    License,
    /// The exact plan.
    Summary,
    /// The typed consent.
    Confirm,
    /// The installation.
    Progress,
    /// What to do next.
    Finish,
}

impl Screen {
    /// All, in order.
    pub const ALL: [Screen; 13] = [
        Screen::Welcome,
        Screen::Verify,
        Screen::Hardware,
        Screen::Existing,
        Screen::Disks,
        Screen::Layout,
        Screen::Network,
        Screen::System,
        Screen::License,
        Screen::Summary,
        Screen::Confirm,
        Screen::Progress,
        Screen::Finish,
    ];

    /// Its place in [`Screen::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Screen::Welcome => "Welcome",
            Screen::Verify => "Medium",
            Screen::Hardware => "Hardware",
            Screen::Existing => "Host",
            Screen::Disks => "Disks",
            Screen::Layout => "Layout",
            Screen::Network => "Network",
            Screen::System => "System",
            Screen::License => "License",
            Screen::Summary => "Plan",
            Screen::Confirm => "Confirm",
            Screen::Progress => "Install",
            Screen::Finish => "Finish",
        }
    }

    /// The one behind it; none where the way on is another one.
    pub fn next(self) -> Option<Screen> {
        self.is_form()
            .then(|| Screen::ALL.get(self.index() + 1).copied())
            .flatten()
            .filter(|_| self != Screen::Confirm)
    }

    /// The one before it; none where there is no way back.
    pub fn back(self) -> Option<Screen> {
        self.is_form()
            .then(|| self.index().checked_sub(1))
            .flatten()
            .map(|index| Screen::ALL[index])
    }

    /// True where something is asked.
    pub fn is_form(self) -> bool {
        !matches!(self, Screen::Progress | Screen::Finish)
    }
}

/// True for a screen that asks nothing here: about a host where there is none, and for a new one where the host is upgraded.
pub fn is_skipped(app: &App, screen: Screen) -> bool {
    match screen {
        Screen::Existing => !existing::is_asked(app.subject.as_ref()),
        Screen::Disks | Screen::Layout | Screen::Network | Screen::System | Screen::License => {
            app.draft.upgrades().is_some()
        }
        _ => false,
    }
}

/// The screens that are shown.
pub fn shown(app: &App) -> Vec<Screen> {
    let mut shown = Screen::ALL.to_vec();
    shown.retain(|screen| !is_skipped(app, *screen));
    shown
}

/// Gives a key to the screen.
pub fn key(app: &mut App, key: Key, effects: &dyn Effects, jobs: &mut Vec<Job>) {
    match app.screen {
        Screen::Welcome => welcome::key(app, key, effects),
        Screen::Verify => verify::key(app, key, jobs),
        Screen::Hardware => hardware::key(app, key),
        Screen::Existing => existing::key(app, key),
        Screen::Disks => disks::key(app, key, jobs),
        Screen::Layout => layout::key(app, key),
        Screen::Network => network::key(app, key, jobs),
        Screen::System => system::key(app, key, effects),
        Screen::License => license::key(app, key, effects, jobs),
        Screen::Summary => summary::key(app, key, jobs),
        Screen::Confirm => confirm::key(app, key, jobs),
        Screen::Progress => progress::key(app, key),
        Screen::Finish => finish::key(app, key),
    }
}

/// Gives pasted text to the field that has the focus.
pub fn paste(app: &mut App, text: &str) {
    let field = match app.screen {
        Screen::Welcome => welcome::field(app),
        Screen::Hardware => hardware::field(app),
        Screen::Network => network::field(app),
        Screen::System => system::field(app),
        Screen::License => license::field(app),
        Screen::Summary => app.marks.save.as_mut(),
        // Consent is typed.
        _ => None,
    };
    match field {
        Some(field) => field.insert(text),
        None => app.message = Some("There is no field here to paste into.".to_owned()),
    }
}

/// What is in the way of leaving the screen forward, beyond what the draft says.
pub fn problem(app: &App) -> Option<String> {
    match app.screen {
        Screen::Verify => verify::problem(app),
        Screen::Hardware => hardware::problem(app),
        Screen::Existing => existing::problem(app),
        Screen::System => system::problem(app),
        Screen::License => license::problem(app),
        Screen::Summary => summary::problem(app),
        _ => None,
    }
}

/// Where the focus is when the screen is shown for the first time.
pub fn first_focus(app: &App) -> usize {
    match app.screen {
        Screen::Welcome => 2,
        Screen::Hardware => hardware::first_focus(app),
        Screen::Disks => disks::first_focus(app),
        _ => 0,
    }
}

/// Draws the screen's body.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    match app.screen {
        Screen::Welcome => welcome::draw(app, page),
        Screen::Verify => verify::draw(app, page),
        Screen::Hardware => hardware::draw(app, page),
        Screen::Existing => existing::draw(app, page),
        Screen::Disks => disks::draw(app, page),
        Screen::Layout => layout::draw(app, page),
        Screen::Network => network::draw(app, page),
        Screen::System => system::draw(app, page),
        Screen::License => license::draw(app, page),
        Screen::Summary => summary::draw(app, page),
        Screen::Confirm => confirm::draw(app, page),
        Screen::Progress => progress::draw(app, page),
        Screen::Finish => finish::draw(app, page),
    }
}

/// What F1 says.
pub fn help(screen: Screen) -> &'static str {
    match screen {
        Screen::Welcome => welcome::HELP,
        Screen::Verify => verify::HELP,
        Screen::Hardware => hardware::HELP,
        Screen::Existing => existing::HELP,
        Screen::Disks => disks::HELP,
        Screen::Layout => layout::HELP,
        Screen::Network => network::HELP,
        Screen::System => system::HELP,
        Screen::License => license::HELP,
        Screen::Summary => summary::HELP,
        Screen::Confirm => confirm::HELP,
        Screen::Progress => progress::HELP,
        Screen::Finish => finish::HELP,
    }
}

/// The keys that matter on the screen now, for its last line.
pub fn hints(app: &App) -> &'static str {
    match app.screen {
        Screen::Welcome => "Enter next   Left/Right change   F1 help   Esc leave",
        Screen::Verify | Screen::Layout => "Enter next   Esc back   F1 help",
        Screen::Hardware if app.marks.finding.is_some() => "Up/Down next finding   Esc list",
        Screen::Hardware => "Up/Down move   Enter open   F10 next   Esc back   F1 help",
        Screen::Existing => "Up/Down move   Enter do it   Esc back   F1 help",
        Screen::Disks => "Up/Down move   Enter take it   M mirror   S storage   Esc back   F1 help",
        Screen::Network => "Up/Down move   Space choose   F10 next   Esc back   F1 help",
        Screen::System | Screen::License => {
            "Up/Down move   Enter next   F10 next screen   Esc back   F1 help"
        }
        Screen::Summary if app.marks.save.is_some() => "Enter save   Esc cancel",
        Screen::Summary => "Up/Down scroll   Enter next   F2 save answers   Esc back   F1 help",
        Screen::Confirm => "Enter install   Esc back   F1 help",
        Screen::Progress => "L log   F1 help",
        Screen::Finish => "Up/Down move   Enter do it   F1 help",
    }
}
