//! The crash kernel: what Xen starts when it, or dom0's kernel, has crashed. It writes what was said last to the state
//! partition and restarts the machine. No root is opened and nothing of the system that crashed runs.

use crate::boot::{needed_modules, open_installed};
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::console_ring::ConsoleRing;
use crate::loader::ModuleLoader;
use crate::root;
use crate::vmcore::{Processor, Vmcore};
use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::reboot::{RebootMode, reboot};
use slots::Mode;
use slots::names::INITRD_IDENTITY;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The memory of what crashed. Only a crash kernel has it (Linux `fs/proc/vmcore.c`).
const VMCORE: &str = "/proc/vmcore";
/// Where the state partition is mounted meanwhile.
const STATE: &str = "/crash-state";
/// After this time the machine restarts, with or without the dump: a host that is up again is worth more.
const LIMIT: Duration = Duration::from_secs(300);
/// How long the reason stays on the consoles where there is no dump.
const SHOWN: Duration = Duration::from_secs(10);

/// A file of a dump: name and content.
type Part = (&'static str, Vec<u8>);

/// Collects the dump and restarts. Never returns.
pub fn process_one(console: &Console, cmdline: &Cmdline, mounted: Result<()>) -> ! {
    thread::spawn(|| {
        thread::sleep(LIMIT);
        let _ = reboot(RebootMode::RB_AUTOBOOT);
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
    nix::unistd::sync();
    let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
    console.error(&format!("The machine does not restart ({error})."));
    loop {
        thread::sleep(LIMIT);
    }
}

/// Reads first and opens the disk after that: what is in memory is on the console even where the disk is what failed.
fn collect(console: &Console, cmdline: &Cmdline) -> Result<PathBuf> {
    let file =
        File::open(VMCORE).context("there is no memory of a system that crashed (/proc/vmcore)")?;
    let ring = cmdline.console_ring();
    let parts = parts(&mut Vmcore::open(file).context(VMCORE)?, ring);

    let identity = root::read_identity(Path::new(INITRD_IDENTITY))?;
    let loader = ModuleLoader::start(&needed_modules(Mode::Rescue, false))?;
    let opened = open_installed(console, cmdline, &loader, &identity)?;
    let state = opened.state.context("the host has no state partition")?;
    fs::create_dir_all(STATE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Not checked before: the journal is replayed, and e2fsck is in the root, which stays closed.
    mount(Some(&state), STATE, Some("ext4"), flags, None::<&str>)
        .with_context(|| format!("cannot mount the state file system {}", state.display()))?;
    // Sorts by time, and is a name on every file system.
    let name = format!("{}-xen", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let written = write(&Path::new(STATE).join("var/crash"), &name, &parts);
    let unmounted = umount(STATE).context("cannot unmount the state file system");
    written?;
    unmounted?;
    Ok(Path::new("/var/crash").join(name))
}

/// What can be had of a dump. Each part stands by itself: what cannot be read is told in the summary.
fn parts<F: Read + Seek>(dump: &mut Vmcore<F>, ring: Option<&str>) -> Vec<Part> {
    let log = ring
        .context("the service that loads the crash kernel did not find it")
        .and_then(|text| text.parse::<ConsoleRing>()?.read(dump));
    let summary = summary(dump.xen_version(), &dump.processors(), log.as_deref());
    let mut parts = vec![
        ("summary.txt", summary.into_bytes()),
        ("notes.bin", dump.notes_bytes().to_vec()),
    ];
    if let Ok(log) = log {
        parts.insert(0, ("xen.log", log));
    }
    parts
}

/// The summary in words.
fn summary(
    version: Option<(u64, u64)>,
    processors: &[Processor],
    log: Result<&[u8], &anyhow::Error>,
) -> String {
    let xen = match version {
        Some((major, minor)) => format!("Xen {major}.{minor}"),
        None => "Xen of an unknown version".to_owned(),
    };
    let mut text = format!("{xen} or its dom0 crashed.\n");
    text += &match log {
        Ok(log) => format!("xen.log: {} bytes of the hypervisor's console\n", log.len()),
        Err(error) => format!("The hypervisor's console could not be read: {error:#}\n"),
    };
    text += "notes.bin: ELF notes, the registers of each processor\n";
    for (number, processor) in processors.iter().enumerate() {
        text += &format!(
            "processor {number}: rip {:#018x} rsp {:#018x}\n",
            processor.rip, processor.rsp
        );
    }
    text
}

/// Writes the folder under a name that says it is not whole, and gives it its own when everything is on the disk.
fn write(crashes: &Path, name: &str, parts: &[Part]) -> Result<()> {
    let part = crashes.join(format!("{name}.part"));
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    for (file, content) in parts {
        let path = part.join(file);
        fs::write(&path, content)
            .and_then(|()| File::open(&path)?.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let whole = crashes.join(name);
    fs::rename(&part, &whole).with_context(|| format!("cannot make {}", whole.display()))?;
    File::open(crashes)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {}", crashes.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcore::made;

    #[test]
    fn a_dump_without_the_console_still_tells_where_processors_were() {
        let mut dump = made::dump(&made::notes(made::CR3), |_| {});
        let parts = parts(&mut dump, Some("ffff,1,2"));
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["summary.txt", "notes.bin"]);
        let text = String::from_utf8(parts[0].1.clone()).unwrap();
        assert!(
            text.starts_with("Xen 4.20 or its dom0 crashed.\n"),
            "{text}"
        );
        assert!(text.contains("could not be read: conring"), "{text}");
        assert!(
            text.contains("processor 0: rip 0x000000000000aaaa"),
            "{text}"
        );
    }

    #[test]
    fn a_dump_with_the_console_has_it_first() {
        let mut dump = made::dump(&made::notes(made::CR3), |memory| {
            memory[0x6000..0x6008].copy_from_slice(&(made::LARGE_PAGE).to_le_bytes());
            memory[0x6010..0x6014].copy_from_slice(&16_u32.to_le_bytes());
            memory[0x6020..0x6024].copy_from_slice(&4_u32.to_le_bytes());
            memory[0x20_0000..0x20_0004].copy_from_slice(b"oops");
        });
        let ring = format!(
            "{:x},{:x},{:x}",
            made::SMALL,
            made::SMALL + 16,
            made::SMALL + 32
        );
        let parts = parts(&mut dump, Some(&ring));
        assert_eq!(parts[0], ("xen.log", b"oops".to_vec()));
    }

    #[test]
    fn a_folder_gets_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let crashes = dir.path().join("var/crash");
        write(&crashes, "t-xen", &[("a", b"1".to_vec())]).unwrap();
        assert_eq!(fs::read(crashes.join("t-xen/a")).unwrap(), b"1");
        // What fails leaves no folder that looks whole.
        assert!(write(&crashes, "u-xen", &[("no/such", b"1".to_vec())]).is_err());
        assert!(!crashes.join("u-xen").exists());
    }
}
