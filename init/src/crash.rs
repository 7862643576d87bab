//! The crash kernel: what Xen starts when it, or dom0's kernel, has crashed. It writes what was said last to the state
//! partition and restarts the machine. No root is opened and nothing of the system that crashed runs.

use crate::boot::{Arrays, needed_modules, open_installed};
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::console_ring::ConsoleRing;
use crate::loader::ModuleLoader;
use crate::root;
use crate::state::DISK_OPTIONS;
use crate::stop;
use crate::vmcore::Vmcore;
use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::mount::{MsFlags, mount, umount};
use slots::Mode;
use slots::names::{CRASHES, INITRD_IDENTITY};
use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The memory of what crashed. Only a crash kernel has it (Linux `fs/proc/vmcore.c`).
const VMCORE: &str = "/proc/vmcore";
/// Where the state partition is mounted meanwhile.
const STATE: &str = "/crash-state";
/// After this time the machine restarts, with or without the dump: a host that is up again is worth more.
const LIMIT: Duration = Duration::from_secs(300);
/// How the kernel is told to restart at once, without asking drivers: they may be what hangs (Linux
/// `Documentation/admin-guide/sysrq.rst`).
const RESTART_AT_ONCE: (&str, &str) = ("/proc/sysrq-trigger", "b");
/// So many dumps are kept, the newest: a host that crashes again and again must not fill its disk.
const KEPT: usize = 10;
/// How the name of a dump's folder ends, and of one that is not whole.
const ENDING: &str = "-xen";
const PART: &str = ".part";
/// Lines of the hypervisor's console that are shown where it cannot be written.
const SHOWN_LINES: usize = 40;
/// How long the reason stays on the consoles where there is no dump.
const SHOWN: Duration = Duration::from_secs(10);

/// A file of a dump: name and content.
type Part<'a> = (&'static str, Cow<'a, [u8]>);

/// Collects the dump and restarts. Never returns.
pub fn process_one(console: &Console, cmdline: &Cmdline, mounted: Result<()>) -> ! {
    thread::spawn(|| {
        thread::sleep(LIMIT);
        let (place, word) = RESTART_AT_ONCE;
        let _ = fs::write(place, word);
    });
    match mounted.and_then(|()| collect(console, cmdline)) {
        Ok(folder) => console.error(&format!(
            "The host crashed. What was said last is in {}. The machine restarts.",
            folder.display()
        )),
        Err(error) => {
            console.error(&format!(
                "The host crashed, and the dump was not written: {error:#}"
            ));
            thread::sleep(SHOWN);
        }
    }
    stop::restart(console);
    // The thread above ends this.
    loop {
        thread::sleep(LIMIT);
    }
}

/// Reads what is in memory, and writes it to the disk; shows its end where that fails.
fn collect(console: &Console, cmdline: &Cmdline) -> Result<PathBuf> {
    let file =
        File::open(VMCORE).context("there is no memory of a system that crashed (/proc/vmcore)")?;
    let mut dump = Vmcore::open(file).context(VMCORE)?;
    let log = cmdline
        .console_ring()
        .context("the service that loads the crash kernel did not find it")
        .and_then(|text| text.parse::<ConsoleRing>()?.read(&mut dump));
    let written = keep(console, cmdline, &parts(&dump, &log));
    if let (Err(_), Ok(log)) = (&written, &log) {
        let text = String::from_utf8_lossy(log);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            console.error(line);
        }
    }
    written
}

/// Finds the state partition and writes the parts there.
fn keep(console: &Console, cmdline: &Cmdline, parts: &[Part<'_>]) -> Result<PathBuf> {
    let identity = root::read_identity(Path::new(INITRD_IDENTITY))?;
    let loader = ModuleLoader::start(&needed_modules(Mode::Rescue, false))?;
    let opened = open_installed(console, cmdline, &loader, &identity, Arrays::State)?;
    let state = opened.state.context("the host has no state partition")?;
    fs::create_dir_all(STATE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Not checked before: the journal is replayed, and e2fsck is in the root, which stays closed.
    mount(Some(&state), STATE, Some("ext4"), flags, Some(DISK_OPTIONS))
        .with_context(|| format!("cannot mount the state file system {}", state.display()))?;
    // Sorts by time, and is a name on every file system.
    let name = format!("{}{ENDING}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let written = write(
        &Path::new(STATE).join(CRASHES.trim_start_matches('/')),
        &name,
        parts,
    );
    let unmounted = umount(STATE).context("cannot unmount the state file system");
    written?;
    unmounted?;
    Ok(Path::new(CRASHES).join(name))
}

/// What can be had of a dump. Each part stands by itself: what cannot be read is told in the summary.
fn parts<'a, F: Read + Seek>(dump: &'a Vmcore<F>, log: &'a Result<Vec<u8>>) -> Vec<Part<'a>> {
    let summary = summary(dump.xen_version(), dump.processors(), log);
    let mut parts = vec![
        ("summary.txt", Cow::Owned(summary.into_bytes())),
        ("notes.bin", Cow::Borrowed(dump.notes_bytes())),
    ];
    if let Ok(log) = log {
        parts.insert(0, ("xen.log", Cow::Borrowed(log)));
    }
    parts
}

/// The summary in words.
fn summary(version: Option<(u64, u64)>, processors: usize, log: &Result<Vec<u8>>) -> String {
    let xen = match version {
        Some((major, minor)) => format!("Xen {major}.{minor}"),
        None => "Xen of an unknown version".to_owned(),
    };
    let mut text = format!("{xen} or its dom0 crashed, or a watchdog's time was over.\n");
    text += &match log {
        Ok(log) => format!("xen.log: {} bytes of the hypervisor's console\n", log.len()),
        Err(error) => format!("The hypervisor's console could not be read: {error:#}\n"),
    };
    text += &format!("notes.bin: ELF notes, registers of {processors} processor(s)\n");
    text
}

/// Writes the folder under a name that says it is not whole, and gives it its own when everything is on the disk. Only root reads it:
/// what was typed at the serial console is in the log as well.
fn write(crashes: &Path, name: &str, parts: &[Part<'_>]) -> Result<()> {
    fs::create_dir_all(crashes).with_context(|| format!("cannot make {}", crashes.display()))?;
    make_room(crashes)?;
    let part = crashes.join(format!("{name}{PART}"));
    DirBuilder::new()
        .mode(0o700)
        .create(&part)
        .with_context(|| format!("cannot make {}", part.display()))?;
    for (file, content) in parts {
        let path = part.join(file);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let whole = crashes.join(name);
    fs::rename(&part, &whole).with_context(|| format!("cannot make {}", whole.display()))?;
    File::open(crashes)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {}", crashes.display()))
}

/// Removes dumps that are not whole, and the oldest, so that one more is as many as are kept. What others put there stays.
fn make_room(crashes: &Path) -> Result<()> {
    let entries =
        fs::read_dir(crashes).with_context(|| format!("cannot list {}", crashes.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (mut old, mut whole): (Vec<String>, Vec<String>) = names
        .filter(|name| name.trim_end_matches(PART).ends_with(ENDING))
        .partition(|name| name.ends_with(PART));
    whole.sort();
    let surplus = (whole.len() + 1).saturating_sub(KEPT);
    old.extend(whole.drain(..surplus));
    for name in old {
        let folder = crashes.join(name);
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcore::made;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_dump_without_the_console_still_has_the_registers() {
        let dump = made::dump(&made::notes(made::CR3), |_| {});
        let log = Err(anyhow::anyhow!("gone"));
        let parts = parts(&dump, &log);
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["summary.txt", "notes.bin"]);
        let text = String::from_utf8(parts[0].1.to_vec()).unwrap();
        assert!(text.starts_with("Xen 4.20 or its dom0 crashed"), "{text}");
        assert!(text.contains("could not be read: gone"), "{text}");
        assert!(text.contains("registers of 1 processor(s)"), "{text}");
        assert_eq!(*parts[1].1, *made::notes(made::CR3));
    }

    #[test]
    fn a_dump_with_the_console_has_it_first() {
        let dump = made::dump(&[], |_| {});
        let log = Ok(b"oops".to_vec());
        let parts = parts(&dump, &log);
        assert_eq!((parts[0].0, &*parts[0].1), ("xen.log", b"oops".as_slice()));
    }

    fn one(name: &'static str) -> [Part<'static>; 1] {
        [(name, Cow::Borrowed(b"1"))]
    }

    #[test]
    fn a_folder_gets_its_name_when_it_is_whole_and_only_root_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let crashes = dir.path().join("var/crash");
        write(&crashes, "t-xen", &one("a")).unwrap();
        assert_eq!(fs::read(crashes.join("t-xen/a")).unwrap(), b"1");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&crashes.join("t-xen")), 0o700);
        assert_eq!(mode(&crashes.join("t-xen/a")), 0o600);
        // What fails leaves no folder that looks whole, and the next one takes it away.
        assert!(write(&crashes, "u-xen", &one("no/such")).is_err());
        assert!(crashes.join("u-xen.part").exists() && !crashes.join("u-xen").exists());
        write(&crashes, "v-xen", &one("a")).unwrap();
        assert!(!crashes.join("u-xen.part").exists());
    }

    #[test]
    fn the_newest_are_kept_and_what_others_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("of-kdump")).unwrap();
        for number in 10..25 {
            write(dir.path(), &format!("{number}-xen"), &one("a")).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected: Vec<String> = (15..25).map(|number| format!("{number}-xen")).collect();
        expected.push("of-kdump".to_owned());
        assert_eq!(names, expected);
    }
}
