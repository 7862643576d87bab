//! The kernel that Xen starts when it, or dom0's kernel, has crashed: it collects what was said last (`init/src/crash.rs`) and
//! restarts the machine.
//!
//! It is the release's own kernel and initrd from the ESP. GRUB does not start it, so that nobody but this has checked it:
//! what the release was not signed with is not loaded.

use crate::error::chain;
use crate::hotfix::Places;
use crate::hotfix::boot_state;
use crate::local::{boot_record_at, short_text};
use release::beside::remove_folder;
use slots::Console;
use slots::boot_options::crash_options;
use slots::names::BOOT_FILES_KEY;
use std::path::Path;
use std::time::Duration;
use steps::{Command, System};

/// The hypervisor's symbols, one a line: address, type, name.
const SYMBOLS: &str = "/proc/xen/xensyms";
/// What the console ring consists of, in the order of `slots::names::CMDLINE_CONSOLE_RING`.
const RING: [&str; 3] = ["conring", "conring_size", "conringp"];
/// Where the files lie from which the kernel is loaded: in memory, so that what was checked is what is loaded.
const CHECKED: &str = "/run/bedplate/crash-kernel";
/// Time for one command: reading the kernel from a slow disk.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// The kernel is loaded. Without the place of the hypervisor's console a dump has no log.
    Yes {
        /// Whether the place is known.
        with_console: bool,
    },
    /// The hypervisor has set no memory aside for one (`crashkernel=`): the entry for machines in trouble leaves it out.
    NoMemory,
}

/// Loads the crash kernel of the root that runs into the hypervisor.
///
/// # Errors
/// In words: what is missing, was changed, or the hypervisor refuses.
pub fn load(system: &dyn System, places: &Places) -> Result<Loaded, String> {
    let ask = |command: Command| {
        let output = system.run(&command.timeout(TIMEOUT));
        output
            .map(|output| output.text().trim().to_owned())
            .map_err(|e| chain(&e))
    };
    let reserved = ask(Command::new("kexec").arg("--print-ckr-size"))?;
    match reserved.parse::<u64>() {
        Ok(0) => {
            // The same where the hypervisor found no room, or could not be asked.
            let wanted = ask(Command::new("xl").arg("info"))?;
            let mut lines = wanted
                .lines()
                .filter(|line| line.starts_with("xen_commandline"));
            if lines.any(|line| line.contains(" crashkernel=")) {
                return Err("the hypervisor was told to set memory aside for it (crashkernel=), and has none: look into xl dmesg"
                    .to_owned());
            }
            return Ok(Loaded::NoMemory);
        }
        Ok(_) => {}
        Err(_) => {
            return Err(format!(
                "kexec --print-ckr-size said `{reserved}`, which is no number of bytes"
            ));
        }
    }
    let root = boot_record_at(system, &places.boot_record)?.root;
    let folder = places.boot_files(root.id());
    let console =
        boot_state(&places.esp).map_or_else(|_| Console::default(), |state| state.console);
    let esp = ask(Command::new("findmnt")
        .args(["--noheadings", "--output", "PARTUUID", "--mountpoint"])
        .arg(&places.esp))?;
    let symbols = short_text(system, SYMBOLS).unwrap_or_default();
    let ring = ring(&symbols);

    let checked = Path::new(CHECKED);
    system.create_dir_all(checked).map_err(|e| chain(&e))?;
    let loaded = ["vmlinuz", "initrd.img"]
        .into_iter()
        .try_for_each(|name| check(system, &folder.join(name), &checked.join(name)))
        .and_then(|()| {
            ask(Command::new("kexec")
                .arg("--load-panic")
                .arg(format!("--initrd={CHECKED}/initrd.img"))
                .arg(format!(
                    "--append={}",
                    crash_options(console, &esp, ring.as_deref())
                ))
                .arg(format!("{CHECKED}/vmlinuz")))
        });
    // 25 MB of dom0's memory.
    remove_folder(system, checked).map_err(|e| chain(&e))?;
    loaded?;
    Ok(Loaded::Yes {
        with_console: ring.is_some(),
    })
}

/// Copies the boot file at `path` to `to`, if it is what the release was signed with.
fn check(system: &dyn System, path: &Path, to: &Path) -> Result<(), String> {
    let read = |path: &Path| system.read_file(path).map_err(|e| chain(&e));
    let key = read(Path::new(BOOT_FILES_KEY))?;
    let mut signature = path.as_os_str().to_owned();
    signature.push(".sig");
    let signature = read(Path::new(&signature))?;
    let bytes = release::verify_boot_file(&key, read(path)?, &signature).map_err(|problem| {
        format!(
            "{}: {problem}. It is not loaded; apply the newest hotfix, which writes boot files anew, and look who \
             changed this one",
            path.display()
        )
    })?;
    system.write_file(to, &bytes, 0o600).map_err(|e| chain(&e))
}

/// Addresses of the console ring's variables, in the form of the command line. A static variable has the file that it is from in
/// front of its name.
fn ring(symbols: &str) -> Option<String> {
    let address = |wanted: &str| {
        symbols.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (address, name) = (words.next()?, words.nth(1)?);
            let name = name.rsplit('#').next()?;
            let address = (name == wanted).then(|| u64::from_str_radix(address, 16))?;
            Some(format!("{:x}", address.ok()?))
        })
    };
    let found: Option<Vec<String>> = RING.into_iter().map(address).collect();
    found.map(|addresses| addresses.join(","))
}

#[cfg(test)]
mod tests;
