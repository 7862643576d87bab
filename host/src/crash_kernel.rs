//! The kernel that Xen starts when it, or dom0's kernel, has crashed: it collects what was said last (`init/src/crash.rs`) and
//! restarts the machine.
//!
//! It is the release's own kernel and initrd from the ESP. GRUB does not start it, so that nobody but this has checked it:
//! what the release was not signed with is not loaded.

use crate::error::chain;
use crate::hotfix::Places;
use crate::local::{boot_record_at, short_text};
use slots::boot_options::crash_options;
use slots::boot_state::{BootState, Console, STATE_ENV};
use slots::env_block::EnvBlock;
use slots::names::BOOT_FILES_KEY;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::{Command, System};

/// The hypervisor's symbols, one a line: address, type, name.
const SYMBOLS: &str = "/proc/xen/xensyms";
/// What the console ring consists of, in the order of `slots::names::CMDLINE_CONSOLE_RING`.
const RING: [&str; 3] = ["conring", "conring_size", "conringp"];
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
        Ok(0) => return Ok(Loaded::NoMemory),
        Ok(_) => {}
        Err(_) => {
            return Err(format!(
                "kexec --print-ckr-size said `{reserved}`, which is no number of bytes"
            ));
        }
    }
    let root = boot_record_at(system, &places.boot_record)?.root;
    let folder = places.boot_files(root.id());
    let kernel = checked(system, folder.join("vmlinuz"))?;
    let initrd = checked(system, folder.join("initrd.img"))?;

    let esp = ask(Command::new("findmnt")
        .args(["--noheadings", "--output", "PARTUUID", "--mountpoint"])
        .arg(&places.esp))?;
    let symbols = short_text(system, SYMBOLS).unwrap_or_default();
    let ring = ring(&symbols);
    let console = console(system, &places.esp);
    ask(Command::new("kexec")
        .arg("--load-panic")
        .arg(format!("--initrd={}", initrd.display()))
        .arg(format!(
            "--append={}",
            crash_options(console, &esp, ring.as_deref())
        ))
        .arg(&kernel))?;
    Ok(Loaded::Yes {
        with_console: ring.is_some(),
    })
}

/// The boot file at `path`, if it is what the release was signed with.
fn checked(system: &dyn System, path: PathBuf) -> Result<PathBuf, String> {
    let read = |path: &Path| system.read_file(path).map_err(|e| chain(&e));
    let key = read(Path::new(BOOT_FILES_KEY))?;
    let mut signature = path.clone().into_os_string();
    signature.push(".sig");
    release::verify_boot_file(&key, read(&path)?, &read(Path::new(&signature))?).map_err(
        |problem| {
            format!(
                "{}: {problem}. It is not loaded; apply the newest hotfix, which writes boot files anew, and look who \
                 changed this one",
                path.display()
            )
        },
    )?;
    Ok(path)
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

/// The console of this host; the usual one where it cannot be read.
fn console(system: &dyn System, esp: &Path) -> Console {
    let bytes = system.read_file(&esp.join(STATE_ENV)).ok();
    let block = bytes.and_then(|bytes| EnvBlock::parse(&bytes).ok());
    block
        .map(|block| BootState::from_env(&block).console)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
