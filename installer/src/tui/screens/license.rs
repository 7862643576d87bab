//! The license, which is optional.

use super::super::app::App;
use super::super::effects::{Effects, Job};
use super::super::field::Field;
use super::super::key::Key;
use super::super::page::Page;
use crate::values::LicenseToken;

/// What F1 says.
pub const HELP: &str = "Everything works without a license; a license adds automatic updates. It counts the populated \
processor sockets.\n\nPaste the token, or name a file that holds it: a path, a file on a device such as \
/dev/sdb1:/license.token, or a URL. You can also skip this and add one later, on the host.";

/// The ways to a license, as they are shown.
pub const WAYS: [&str; 3] = ["skip", "paste", "file"];
const PASTE: usize = 1;
const FILE: usize = 2;

/// What can have the focus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Way,
    Token,
    Place,
    Continue,
}

fn items(app: &App) -> Vec<Item> {
    match app.marks.license_way {
        PASTE => vec![Item::Way, Item::Token, Item::Continue],
        FILE => vec![Item::Way, Item::Place, Item::Continue],
        _ => vec![Item::Way, Item::Continue],
    }
}

fn here(app: &App) -> Item {
    let items = items(app);
    items[app.focus().min(items.len() - 1)]
}

/// The field that has the focus.
pub fn field(app: &mut App) -> Option<&mut Field> {
    match here(app) {
        Item::Token => Some(&mut app.marks.token),
        Item::Place => Some(&mut app.marks.license_place),
        Item::Way | Item::Continue => None,
    }
}

/// A license that was asked for must be there and fit.
pub fn problem(app: &App) -> Option<String> {
    let asked = app.marks.license_way != 0;
    (asked && app.draft.license.is_none())
        .then(|| "There is no usable license yet: enter one, or choose skip.".to_owned())
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, effects: &dyn Effects, jobs: &mut Vec<Job>) {
    let count = items(app).len();
    match (here(app), key) {
        (_, Key::Esc) => app.back(),
        (Item::Way, Key::Left | Key::Right | Key::Char(' ')) => {
            let step = if key == Key::Left { WAYS.len() - 1 } else { 1 };
            app.marks.license_way = (app.marks.license_way + step) % WAYS.len();
            app.draft.license = None;
            app.marks.license = None;
        }
        (Item::Token, Key::Enter) => {
            let text = app.marks.token.value().to_owned();
            if !text.is_empty() {
                take(app, &text, effects);
            }
            app.move_focus(Key::Down, count);
        }
        (Item::Place, Key::Enter) => {
            if !app.marks.license_place.is_empty() {
                app.message = Some("The license is being read ...".to_owned());
                jobs.push(Job::ReadLicense(app.marks.license_place.value().to_owned()));
            }
            app.move_focus(Key::Down, count);
        }
        (Item::Continue, Key::Enter) => app.next(),
        (_, Key::Enter) => {
            app.move_focus(Key::Down, count);
        }
        (item, key) => {
            if field(app).is_some_and(|field| field.key(key)) {
                return;
            }
            if item == Item::Token && !app.marks.token.is_empty() {
                let text = app.marks.token.value().to_owned();
                take(app, &text, effects);
            }
            app.move_focus(key, count);
        }
    }
}

/// Looks at a token, and keeps it where it can be used.
pub fn take(app: &mut App, text: &str, effects: &dyn Effects) {
    let Some(facts) = app.facts() else { return };
    let check = effects.check_license(text, facts);
    app.draft.license = LicenseToken::parse(text).ok().filter(|_| check.usable);
    if check.usable {
        app.marks.token.clear();
    }
    app.marks.license = Some(check);
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let item = here(app);
    page.heading("A license adds automatic updates. Everything else works without one.");
    page.gap();
    let sockets = app
        .facts()
        .and_then(|facts| facts.topology.sockets.value())
        .map_or("could not be counted".to_owned(), u32::to_string);
    page.pair("Sockets in use", &sockets);
    page.gap();
    page.choice("License", &WAYS, app.marks.license_way, item == Item::Way);
    match app.marks.license_way {
        PASTE => page.secret(
            "Token",
            &app.marks.token,
            item == Item::Token,
            "paste it here, then press Enter",
        ),
        FILE => page.field(
            "File",
            &app.marks.license_place,
            item == Item::Place,
            "/dev/sdb1:/license.token, a path or a URL",
        ),
        _ => page.text("                   It can be added later, on the host"),
    }
    page.gap();
    if let Some(check) = &app.marks.license {
        if let Some(about) = &check.about {
            page.pair("Issued to", about);
        }
        page.pair("State", &check.state);
        if check.usable {
            page.text(&format!("It is taken: {}.", check.reason));
        } else {
            page.problem(&format!("It cannot be used: {}.", check.reason));
        }
        page.gap();
    }
    page.button("Continue", item == Item::Continue);
}
