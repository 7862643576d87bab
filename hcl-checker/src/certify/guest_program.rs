//! What runs as process 1 in a test guest: this same program. It says on the console every second what it sees.

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What every line of it starts with, before the kind of the guest.
pub const HELLO: &str = "hcl-checker-guest: hello from ";

/// Says hello for `seconds`, then switches the guest off. Returns only where it is not process 1.
///
/// # Errors
/// It is not process 1: it would switch off the machine that it runs on.
pub fn run(seconds: u64) -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::other(
            "this runs as process 1 of a test guest, nowhere else",
        ));
    }
    let mut out = io::stdout();
    let start = Instant::now();
    let mounted = mount_all();
    while start.elapsed().as_secs() < seconds {
        let line = match &mounted {
            Ok(()) => hello(start.elapsed().as_secs()),
            Err(error) => format!("{HELLO}unknown: {error}"),
        };
        // Nobody may be listening yet.
        let _ = writeln!(out, "{line}");
        std::thread::sleep(Duration::from_secs(1));
    }
    // Process 1 must not end: the kernel would panic.
    loop {
        let Err(error) = reboot(RebootMode::RB_POWER_OFF);
        let _ = writeln!(out, "hcl-checker-guest: power off failed: {error}");
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn mount_all() -> io::Result<()> {
    for (kind, folder) in [("sysfs", "/sys"), ("proc", "/proc")] {
        fs::create_dir_all(folder)?;
        mount(
            Some(kind),
            folder,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        )?;
    }
    Ok(())
}

/// The kind comes from the guest's own kernel (`/sys/hypervisor/guest_type`, Documentation/ABI/testing/sysfs-hypervisor-xen),
/// so a guest that was asked for as PVH and came up as something else is heard as what it is.
fn hello(seconds: u64) -> String {
    let text = |path: &str| {
        fs::read_to_string(path).map_or_else(
            |error| format!("unknown ({path}: {error})"),
            |text| text.trim().to_owned(),
        )
    };
    let kind = text("/sys/hypervisor/guest_type");
    let release = text("/proc/sys/kernel/osrelease");
    let cpus = text("/sys/devices/system/cpu/online");
    format!("{HELLO}{kind}, kernel {release}, CPUs {cpus}, up {seconds} s")
}

/// The kind of guest in the console's text, from the last whole line that says it.
pub(super) fn heard(console: &str) -> Option<&str> {
    let whole = console.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(HELLO)?;
        rest.split_once(", kernel ").map(|(kind, _)| kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_heard() {
        let line = format!("{HELLO}PVH, kernel 6.12, CPUs 0, up 3 s");
        assert_eq!(heard(&line), None, "its end may be missing");
        assert_eq!(heard(&format!("[ 0.1] Linux\r\n{line}\r\n")), Some("PVH"));
        assert_eq!(heard(&format!("{HELLO}unknown: no\n")), None);
        assert_eq!(heard(""), None);
    }

    #[test]
    fn it_runs_nowhere_else() {
        assert!(run(1).is_err());
    }
}
