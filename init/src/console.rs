//! Messages: the kernel log, and through it every console.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

/// Kernel log priorities that are used here (`man 3 syslog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The boot cannot go on.
    Error = 3,
    /// Something is wrong, and the boot goes on.
    Warning = 4,
    /// What is being done.
    Info = 6,
}

/// Longest text of one record in bytes. The kernel takes 1024 bytes with the prefix and refuses more.
const RECORD_BYTES: usize = 900;

/// Where `/dev/kmsg` limits each writer to ten records in five seconds, or does not.
const DEVKMSG: &str = "/proc/sys/kernel/printk_devkmsg";

/// Writes messages to the kernel log, which the kernel shows on all consoles.
///
/// With `quiet` on the kernel command line it does not show them; then they are written to the terminals of the active
/// consoles as well. One of the two, so no line is seen twice.
pub struct Console {
    kmsg: Option<File>,
    /// The kernel shows records whose priority is below this.
    level: u8,
    terminals: Vec<File>,
}

impl Console {
    /// Opens the kernel log and the active consoles. Works without either: a message that nobody can see is no reason
    /// to stop a boot. Needs /proc, /sys and /dev.
    pub fn open() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        // Later steps write bursts: a list of disks must not lose its middle. Without it only lines are lost.
        let _ = std::fs::write(DEVKMSG, "on\n");
        let everything = read("/sys/module/printk/parameters/ignore_loglevel").trim() == "Y";
        let level = if everything {
            8
        } else {
            console_level(&read("/proc/sys/kernel/printk"))
        };
        let terminals = read("/sys/class/tty/console/active")
            .split_ascii_whitespace()
            .filter_map(|name| {
                OpenOptions::new()
                    .write(true)
                    // A serial line without a reader must not block the boot.
                    .custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits())
                    .open(format!("/dev/{name}"))
                    .ok()
            })
            .collect();
        Self {
            kmsg: OpenOptions::new().write(true).open("/dev/kmsg").ok(),
            level,
            terminals,
        }
    }

    /// What is being done.
    pub fn info(&self, text: &str) {
        self.say(Priority::Info, text);
    }

    /// Something is wrong, and the boot goes on.
    pub fn warning(&self, text: &str) {
        self.say(Priority::Warning, text);
    }

    /// The boot cannot go on.
    pub fn error(&self, text: &str) {
        self.say(Priority::Error, text);
    }

    /// Gives `/dev/kmsg` back its limit, for the system that follows.
    pub fn close(&self) {
        let _ = std::fs::write(DEVKMSG, "ratelimit\n");
    }

    fn say(&self, priority: Priority, text: &str) {
        for line in text.lines().flat_map(pieces) {
            // A failed write leaves nobody to tell.
            if let Some(mut kmsg) = self.kmsg.as_ref() {
                let _ =
                    kmsg.write_all(format!("<{}>bedplate: {line}\n", priority as u8).as_bytes());
            }
            if self.kmsg.is_none() || hidden(priority, self.level) {
                for mut terminal in &self.terminals {
                    let _ = terminal.write_all(format!("bedplate: {line}\n").as_bytes());
                }
            }
        }
    }
}

/// Whether the kernel keeps a record of `priority` off the consoles when its console level is `level`.
fn hidden(priority: Priority, level: u8) -> bool {
    priority as u8 >= level
}

/// The console level from `/proc/sys/kernel/printk`: its first number. Unreadable: 0, so that nothing stays unseen.
fn console_level(printk: &str) -> u8 {
    printk
        .split_ascii_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Cuts a line into pieces that the kernel log takes, between characters.
fn pieces(line: &str) -> Vec<&str> {
    let mut rest = line;
    let mut pieces = Vec::new();
    while rest.len() > RECORD_BYTES {
        let (piece, tail) = rest.split_at(rest.floor_char_boundary(RECORD_BYTES));
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hides_information_and_warnings_only() {
        let quiet = console_level("4\t4\t1\t7\n");
        assert!(hidden(Priority::Info, quiet) && hidden(Priority::Warning, quiet));
        assert!(!hidden(Priority::Error, quiet));
        let usual = console_level("7 4 1 7\n");
        assert!(!hidden(Priority::Info, usual));
        assert!(hidden(Priority::Error, console_level("")));
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_nothing_is_lost() {
        let line = "ü".repeat(1000);
        let cut = pieces(&line);
        assert_eq!(cut.len(), 3);
        assert!(cut.iter().all(|piece| piece.len() <= RECORD_BYTES));
        assert_eq!(cut.concat(), line);
        assert_eq!(pieces(""), [""]);
    }
}
