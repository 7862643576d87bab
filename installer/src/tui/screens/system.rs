//! Name, clock, logins, keys of Secure Boot.

use super::super::app::App;
use super::super::draft::ENROLL;
use super::super::effects::Effects;
use super::super::field::Field;
use super::super::key::Key;
use super::super::page::{Page, cut};
use crate::interview::SHORTEST_PASSWORD;
use crate::plan::SecureBoot;
use crate::values::{SshKey, Timezone, Zones};
use ratatui::text::Line;

/// What F1 says.
pub const HELP: &str = "The name of the host, with or without a domain. {serial}, {uuid}, {asset_tag} and {mac} in it stand for \
what the machine says.\n\nThe time zone is a name such as Europe/Berlin; the arrow right completes it.\n\nRoot logs in with the \
password, with an ssh key, or with both. Paste a public key and press Enter to add it; Delete on a key removes it. The password \
is never shown or kept: only its hash goes to the host.\n\nWhile the firmware is in setup mode, the keys of Secure Boot of this \
release can be enrolled: the firmware then starts what they signed, and nothing else, other systems and network cards' boot \
programs included. Only its own setup takes that back.";

/// What can have the focus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Hostname,
    Timezone,
    Password,
    Again,
    NewKey,
    Key(usize),
    SecureBoot,
    Continue,
}

fn items(app: &App) -> Vec<Item> {
    let mut items = vec![
        Item::Hostname,
        Item::Timezone,
        Item::Password,
        Item::Again,
        Item::NewKey,
    ];
    items.extend((0..app.draft.ssh_keys.len()).map(Item::Key));
    if firmware(app).takes_keys() {
        items.push(Item::SecureBoot);
    }
    items.push(Item::Continue);
    items
}

/// What the firmware of this machine makes of Secure Boot; nothing of it is shown before the machine was looked at.
fn firmware(app: &App) -> SecureBoot {
    app.facts()
        .map_or(SecureBoot::Without, |facts| SecureBoot::of(&facts.firmware))
}

fn here(app: &App) -> Item {
    let items = items(app);
    items[app.focus().min(items.len() - 1)]
}

/// The field that has the focus.
pub fn field(app: &mut App) -> Option<&mut Field> {
    Some(match here(app) {
        Item::Hostname => &mut app.draft.hostname,
        Item::Timezone => &mut app.draft.timezone,
        Item::Password => &mut app.marks.password,
        Item::Again => &mut app.marks.password_again,
        Item::NewKey => &mut app.marks.ssh_key,
        Item::Key(_) | Item::SecureBoot | Item::Continue => return None,
    })
}

/// Half-typed passwords and keys must not be forgotten silently.
pub fn problem(app: &App) -> Option<String> {
    if let Some(problem) = password_problem(app) {
        return Some(problem);
    }
    (!app.marks.ssh_key.is_empty()).then(|| {
        "An ssh key is typed and not added: press Enter in its field, or empty it.".to_owned()
    })
}

fn password_problem(app: &App) -> Option<String> {
    let (first, again) = (app.marks.password.text(), app.marks.password_again.text());
    if first.is_empty() && again.is_empty() {
        return None;
    }
    if first.chars().count() < SHORTEST_PASSWORD {
        return Some(format!(
            "A password needs {SHORTEST_PASSWORD} characters or more."
        ));
    }
    (first != again).then(|| "The two passwords are not the same.".to_owned())
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, effects: &dyn Effects) {
    let item = here(app);
    let count = items(app).len();
    match (item, key) {
        (_, Key::Esc) => {
            hash(app, effects);
            app.back();
        }
        (Item::Timezone, Key::Right) => {
            let matching = matching_zones(app.draft.timezone.value(), effects.zones(), 1);
            match matching.first() {
                Some(zone)
                    if app.draft.timezone.cursor() >= app.draft.timezone.text().chars().count() =>
                {
                    app.draft.timezone = Field::with(zone.clone());
                }
                _ => {
                    app.draft.timezone.key(key);
                }
            }
        }
        (Item::NewKey, Key::Enter) if !app.marks.ssh_key.is_empty() => {
            match SshKey::parse(app.marks.ssh_key.value()) {
                Ok(key) => {
                    let text = key.as_str().to_owned();
                    if !app.draft.ssh_keys.contains(&text) {
                        app.draft.ssh_keys.push(text);
                    }
                    app.marks.ssh_key.clear();
                }
                Err(error) => app.message = Some(format!("The ssh key {error}.")),
            }
        }
        (Item::Key(index), Key::Delete | Key::Backspace) => {
            app.draft.ssh_keys.remove(index);
        }
        (Item::SecureBoot, Key::Left | Key::Right | Key::Char(' ')) => {
            app.draft.enroll_keys = !app.draft.enroll_keys;
        }
        (Item::Continue, Key::Enter) => {
            hash(app, effects);
            // What the hash changes is part of what is checked.
            app.replan(effects);
            app.next();
        }
        (_, Key::Enter) => {
            leave(app, item, effects);
            app.move_focus(Key::Down, count);
        }
        _ => {
            if field(app).is_some_and(|field| field.key(key)) {
                return;
            }
            leave(app, item, effects);
            app.move_focus(key, count);
        }
    }
}

/// What is done when a field is left.
fn leave(app: &mut App, item: Item, effects: &dyn Effects) {
    match item {
        Item::Again => {
            app.message = password_problem(app);
            hash(app, effects);
        }
        Item::Timezone => {
            if let Err(error) = Timezone::parse(app.draft.timezone.value(), effects.zones()) {
                app.message = Some(format!("The time zone {error}."));
            }
        }
        _ => {}
    }
}

/// Replaces the typed password by its hash as soon as it is whole.
pub fn hash(app: &mut App, effects: &dyn Effects) {
    if app.marks.password.text().is_empty() || password_problem(app).is_some() {
        return;
    }
    match effects.hash_password(app.marks.password.text()) {
        Ok(hash) => {
            app.draft.root_password = Some(hash);
            app.marks.password.clear();
            app.marks.password_again.clear();
        }
        Err(error) => app.message = Some(error),
    }
}

/// Zones that begin so, or else have it in them.
fn matching_zones(text: &str, zones: &Zones, most: usize) -> Vec<String> {
    let wanted = text.to_lowercase();
    let begins = |zone: &&str| zone.to_lowercase().starts_with(&wanted);
    let holds = |zone: &&str| {
        let zone = zone.to_lowercase();
        !zone.starts_with(&wanted) && zone.contains(&wanted)
    };
    zones
        .names()
        .filter(begins)
        .chain(zones.names().filter(holds))
        .take(most)
        .map(str::to_owned)
        .collect()
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let item = here(app);
    page.heading("Who is the host, and who may log in?");
    page.gap();
    page.field(
        "Name",
        &app.draft.hostname,
        item == Item::Hostname,
        "xen1.example.org",
    );
    page.field(
        "Time zone",
        &app.draft.timezone,
        item == Item::Timezone,
        "Etc/UTC",
    );
    let zones = &app.zone_hints;
    if item == Item::Timezone && !zones.is_empty() {
        page.text(&format!("{:19}{}", "", zones.join("  ")));
    } else {
        page.gap();
    }
    let kept = if app.draft.root_password.is_some() {
        "kept as a hash; type to change it"
    } else {
        "none"
    };
    page.heading("Login of root");
    page.secret(
        "Password",
        &app.marks.password,
        item == Item::Password,
        kept,
    );
    page.secret(
        "The same again",
        &app.marks.password_again,
        item == Item::Again,
        "",
    );
    page.field(
        "Add an ssh key",
        &app.marks.ssh_key,
        item == Item::NewKey,
        "paste a public key",
    );
    for (index, key) in app.draft.ssh_keys.iter().enumerate() {
        let shown = SshKey::parse(key).map_or_else(
            |_| "not a key".to_owned(),
            |parsed| {
                let comment = key.split_whitespace().nth(2).unwrap_or_default();
                format!("{} {comment}", parsed.fingerprint())
            },
        );
        page.item(&format!("    key  {shown}"), item == Item::Key(index));
    }
    page.gap();
    secure_boot(app, item == Item::SecureBoot, page);
    page.button("Continue", item == Item::Continue);
}

/// What can be done about Secure Boot, or why nothing can.
fn secure_boot(app: &App, focused: bool, page: &mut Page<'_, '_>) {
    let state = match firmware(app) {
        SecureBoot::Without => return,
        SecureBoot::SetupMode => {
            let chosen = usize::from(app.draft.enroll_keys);
            page.choice("Secure Boot", &ENROLL, chosen, focused);
            if app.draft.enroll_keys {
                page.problem("This machine then starts nothing that was not signed by them.");
            } else {
                page.text("                   In setup mode, it takes the keys of this release.");
            }
            page.gap();
            return;
        }
        SecureBoot::On => "on; the keys that started this medium start the host".to_owned(),
        SecureBoot::Off => {
            "off; its keys can be changed in setup mode of the firmware only".to_owned()
        }
        SecureBoot::Unknown(reason) => format!("not known: {reason}"),
    };
    let text = cut(
        &format!("  Secure Boot      {state}"),
        page.width(),
        page.theme.glyphs.cut,
    );
    page.line(Line::styled(text, page.theme.quiet()));
    page.gap();
}

/// Zones that fit what is typed, for the line below the field.
pub fn zone_hints(app: &App, effects: &dyn Effects) -> Vec<String> {
    let typed = app.draft.timezone.value();
    if here(app) != Item::Timezone || effects.zones().names().any(|zone| zone == typed) {
        return Vec::new();
    }
    matching_zones(typed, effects.zones(), 3)
}
