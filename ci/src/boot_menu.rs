//! GRUB's menu, driven by the serial console as a person at a terminal would.

use crate::machine::Machine;
use anyhow::{Result, bail};
use std::time::Duration;

/// What GRUB writes above its menu.
const HEADER: &str = "GNU GRUB";
/// The arrow key down, as a terminal sends it.
const DOWN: &str = "\x1b[B";
/// How long the menu is painted after its header came over the serial line.
const PAINTING: Duration = Duration::from_millis(700);
/// More entries than any menu of Bedplate has.
const MOST_ENTRIES: usize = 16;

/// Waits for the menu.
///
/// # Errors
/// When it does not come within `limit`.
pub fn wait(machine: &mut Machine, limit: Duration) -> Result<()> {
    machine.serial.expect(&[HEADER], limit)?;
    Ok(())
}

/// Waits for the menu, until its entries are painted too: for a picture.
///
/// # Errors
/// As [`wait`].
pub fn wait_painted(machine: &mut Machine, limit: Duration) -> Result<()> {
    wait(machine, limit)?;
    std::thread::sleep(PAINTING);
    Ok(())
}

/// Moves down until the highlighted entry's title has `word` in it (upper and lower case are one), and boots it.
/// Returns the title.
///
/// # Errors
/// When the menu is not there within `limit`, or no entry has the word; with the titles that were seen.
pub fn choose(machine: &mut Machine, word: &str, limit: Duration) -> Result<String> {
    wait(machine, limit)?;
    // Any key stops the countdown, also one that no entry has: on a busy machine it could end before the first arrow.
    machine.serial.send("z")?;
    let mut seen: Vec<String> = Vec::new();
    for step in 0..MOST_ENTRIES {
        // The first entry is drawn highlighted; every arrow draws the next one so.
        if step > 0 {
            machine.serial.send(DOWN)?;
        }
        let Some(title) = highlighted(machine) else {
            break;
        };
        if title.to_lowercase().contains(&word.to_lowercase()) {
            machine.serial.send("\r")?;
            return Ok(title);
        }
        if seen.contains(&title) {
            break;
        }
        seen.push(title);
    }
    bail!(
        "GRUB's menu has no entry with `{word}` in its title; seen: {seen:?}; see {}",
        machine.serial.log().display()
    )
}

/// The title that GRUB draws next behind its `*`.
fn highlighted(machine: &mut Machine) -> Option<String> {
    // A key is drawn within a moment; a slow machine gets a longer one.
    machine
        .serial
        .expect(&["*"], Duration::from_secs(20))
        .ok()?;
    let mut title = String::new();
    // The title is padded with blanks to the width of the menu, so two blanks end it.
    let found = machine
        .serial
        .expect(&["  ", "\n"], Duration::from_secs(5))
        .ok()?;
    title.push_str(found.before.trim());
    Some(title)
}
