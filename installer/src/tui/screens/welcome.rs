//! What this is, and the keyboard.

use super::super::app::App;
use super::super::effects::Effects;
use super::super::field::Field;
use super::super::key::Key;
use super::super::page::Page;
use super::super::text::machine_lines;
use crate::values::KEYMAPS;

/// What F1 says.
pub const HELP: &str = "Choose the keyboard of this machine's own console with the arrows left and right, and try it in the \
field below. Consoles over a serial line use the keyboard of the terminal at their other end.\n\nThe installer shows on \
every console at once. The console on which a key is pressed first leads; the others show what it shows, and can take over \
with Ctrl-T.";

const ITEMS: usize = 3;

/// The field that has the focus.
pub fn field(app: &mut App) -> Option<&mut Field> {
    (app.focus() == 1).then_some(&mut app.marks.try_keys)
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, effects: &dyn Effects) {
    match (app.focus(), key) {
        (_, Key::Esc) => app.back(),
        (0, Key::Left) => turn(app, KEYMAPS.len() - 1),
        (0, Key::Right | Key::Char(' ')) => turn(app, 1),
        (0, Key::Char(letter)) => {
            // The next layout whose name begins so.
            let now = place(app);
            let next = (1..=KEYMAPS.len())
                .map(|step| (now + step) % KEYMAPS.len())
                .find(|index| KEYMAPS[*index].0.starts_with(letter.to_ascii_lowercase()));
            if let Some(index) = next {
                app.draft.keymap = KEYMAPS[index].0.to_owned();
            }
        }
        (_, Key::Enter) => {
            apply(app, effects);
            if app.focus() == 1 {
                app.set_focus(2);
            } else if app.message.is_none() {
                app.next();
            }
        }
        _ => {
            if field(app).is_some_and(|field| field.key(key)) {
                return;
            }
            if app.focus() == 0 {
                apply(app, effects);
            }
            app.move_focus(key, ITEMS);
        }
    }
}

fn place(app: &App) -> usize {
    KEYMAPS
        .iter()
        .position(|(name, _)| *name == app.draft.keymap)
        .unwrap_or(0)
}

fn turn(app: &mut App, by: usize) {
    app.draft.keymap = KEYMAPS[(place(app) + by) % KEYMAPS.len()].0.to_owned();
}

fn apply(app: &mut App, effects: &dyn Effects) {
    if app.marks.keymap_set.as_deref().unwrap_or("us") == app.draft.keymap {
        return;
    }
    match effects.set_keymap(&app.draft.keymap) {
        Ok(()) => app.marks.keymap_set = Some(app.draft.keymap.clone()),
        Err(error) => app.message = Some(error),
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    match &app.subject {
        Some(subject) => page.heading(&format!(
            "This installs Bedplate {} with Xen {} on this machine.",
            subject.version, subject.xen
        )),
        None => page.heading("This installs Bedplate on this machine."),
    }
    page.text("Nothing is written before you have seen the plan and agreed to it.");
    page.gap();
    let (name, words) = KEYMAPS[place(app)];
    page.pick("Keyboard", &format!("{name:<8} {words}"), app.focus() == 0);
    page.field(
        "Try it here",
        &app.marks.try_keys,
        app.focus() == 1,
        "z y - / @ #",
    );
    page.gap();
    page.button("Continue", app.focus() == 2);
    page.gap();
    page.heading("This machine");
    match app.facts() {
        Some(facts) => {
            for (name, value) in machine_lines(facts) {
                page.pair(name, &value);
            }
        }
        None => page.text("It is looked at ..."),
    }
    page.gap();
    page.text("No function keys on your terminal? Esc and a digit stand for them: Esc 1 is F1, Esc 0 is F10.");
}
