//! The order of a boot.

use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::loader::ModuleLoader;
use crate::search::Install;
use crate::{
    crash, loader_hint, loop_device, md, medium, root, search, state, stop, switch_root, watchdog,
};
use anyhow::{Context, Error, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::time::{ClockId, clock_gettime};
use slots::names::{BOOT_RECORD, ESP_LINK, ESP_RULE, INITRD_IDENTITY};
use slots::{BootRecord, Medium, MirrorBoot, Mode, PartitionKind, RootIdentity};
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// The system's own init, in the root image.
const SYSTEM_INIT: &str = "/sbin/init";

/// How often to look whether the drivers are ready, before the disk is sought without the hint of the loader: 15 s in all.
const HINT_LOOKS: u32 = 500;

/// Boots. Returns never but for the type: it becomes the system's init, or stops with a reason.
pub fn process_one() -> ExitCode {
    let mounted = mount_kernel_file_systems();
    let console = Arc::new(Console::open());
    // A defect of this program ends like every other failure: with its text on the consoles.
    let for_panic = Arc::clone(&console);
    std::panic::set_hook(Box::new(move |info| for_panic.error(&info.to_string())));
    let cmdline = std::fs::read_to_string("/proc/cmdline")
        .map(|text| Cmdline::parse(&text))
        .unwrap_or_default();
    if cmdline.is_crash() {
        crash::process_one(&console, &cmdline, mounted);
    }
    let boot = || mounted.and_then(|()| boot(&console, &cmdline));
    let error = match catch_unwind(AssertUnwindSafe(boot)) {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => error,
        Err(_) => anyhow!("the initrd has a defect, told above"),
    };
    stop::stop(
        &console,
        cmdline.mode().ok(),
        cmdline.panic_seconds(),
        &error,
    )
}

/// Mounts what every later step reads: /dev, /proc, /sys and /run.
fn mount_kernel_file_systems() -> Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    for (kind, path, flags, options) in [
        ("devtmpfs", "/dev", MsFlags::MS_NOSUID, Some("mode=0755")),
        ("proc", "/proc", quiet, None),
        ("sysfs", "/sys", quiet, None),
        (
            "tmpfs",
            "/run",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=0755"),
        ),
    ] {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
        mount(Some(kind), path, Some(kind), flags, options)
            .with_context(|| format!("cannot mount {path}"))?;
    }
    Ok(())
}

/// Which arrays of a mirror are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrays {
    /// All of them: a host runs on them.
    All,
    /// That of the state partition: a crash kernel writes nothing else, and what stays closed stays as it is.
    State,
}

/// What was opened, for the boot record.
pub struct Opened {
    root_device: PathBuf,
    medium: Option<Medium>,
    /// The state partition or array.
    pub state: Option<PathBuf>,
    mirror: Option<MirrorBoot>,
    warnings: Vec<String>,
}

/// All steps. Returns only with an error.
fn boot(console: &Console, cmdline: &Cmdline) -> Result<Infallible> {
    let mode = cmdline.mode()?;
    let identity = root::read_identity(Path::new(INITRD_IDENTITY))?;
    console.info(&format!(
        "{} of version {}, root {}",
        describe(mode),
        identity.version,
        identity.id()
    ));
    let ask_firmware = mode != Mode::Live && cmdline.esp().is_none() && loader_hint::is_possible();
    let loader = ModuleLoader::start(&needed_modules(mode, ask_firmware))?;

    let mut opened = match mode {
        Mode::Live => open_live(console, &loader, &identity)?,
        Mode::Host | Mode::Rescue => {
            open_installed(console, cmdline, &loader, &identity, Arrays::All)?
        }
    };
    // The drivers are loaded when the root was found, or the wait for it was bounded.
    if mode == Mode::Host
        && let Err(error) = watchdog::arm()
    {
        opened.warnings.push(format!("{error:#}"));
        console.warning(&format!("{error:#}"));
    }
    // Before the root is mounted: what is missing may be the reason why it cannot be.
    let mut warnings = opened.warnings;
    for failure in loader.take_failures() {
        console.warning(&failure);
        warnings.push(failure);
    }
    root::mount_verified(&identity, &device_number(&opened.root_device)?, mode)?;
    let root_opened_ms = since_kernel_start()?;

    let initrd = switch_root::switch(Path::new(root::SYSROOT))?;
    let mut told = Vec::new();
    match &opened.state {
        Some(state) => told.extend(state::mount_disk(console, state)?),
        None => state::mount_memory()?,
    }
    told.extend(state::mount_all(&identity)?);
    if let Err(error) = initrd.remove() {
        told.push(format!("memory of the initrd is lost: {error:#}"));
    }
    told.iter().for_each(|warning| console.warning(warning));
    warnings.extend(told);

    let record = BootRecord {
        mode,
        root: identity,
        root_device: opened.root_device.display().to_string(),
        medium: opened.medium,
        state_device: opened.state.map(|state| state.display().to_string()),
        mirror: opened.mirror,
        root_opened_ms,
        warnings,
    };
    write_record(&record)?;
    if let Some(mirror) = &record.mirror {
        write_esp_rule(&mirror.esp)?;
    }
    console.info(&format!(
        "root {} from {} opened after {root_opened_ms} ms, state on {}, everything mounted after {} ms",
        record.root.id(),
        record.root_device,
        record.state_device.as_deref().unwrap_or("memory"),
        since_kernel_start()?
    ));
    Err(become_system(console))
}

/// Modules that the later steps use, beside those that devices ask for. Each costs time at every boot.
pub fn needed_modules(mode: Mode, ask_firmware: bool) -> Vec<&'static str> {
    let mut needed = vec!["dm_verity", "squashfs"];
    match mode {
        Mode::Live => needed.extend(["loop", "isofs"]),
        Mode::Host | Mode::Rescue => needed.extend(["ext4", md::MODULE]),
    }
    if mode == Mode::Host {
        needed.push(watchdog::MODULE);
    }
    if ask_firmware {
        needed.push("efivarfs");
    }
    needed.push("overlay");
    needed
}

/// The mode in words.
fn describe(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live system",
        Mode::Host => "host",
        Mode::Rescue => "rescue system",
    }
}

/// Finds slot and state on the disk of this host.
pub fn open_installed(
    console: &Console,
    cmdline: &Cmdline,
    loader: &ModuleLoader,
    identity: &RootIdentity,
    arrays: Arrays,
) -> Result<Opened> {
    let esp = match cmdline.esp() {
        Some(esp) => Some(esp.to_owned()),
        None => {
            // The variable can be read once its file system is loaded.
            // A driver that never returns must not keep the host from looking for its disk: without the hint a single
            // install is still found.
            let mut looks = 0;
            while !loader.is_ready() && looks < HINT_LOOKS {
                std::thread::sleep(search::LOOK_EVERY);
                looks += 1;
            }
            loader_hint::read()
        }
    };
    let (slot, mirror, esp) = match search::install(console, loader, identity, esp.as_deref())? {
        Install::Disk { slot, state } => {
            return Ok(Opened {
                root_device: slot.node,
                medium: None,
                state: Some(state.node),
                mirror: None,
                warnings: Vec::new(),
            });
        }
        Install::Mirror { slot, mirror, esp } => (slot, mirror, esp),
    };
    let mut warnings = Vec::new();
    if mirror.kept != mirror.booted {
        warnings.push(format!(
            "the loader came from {}, which is an older half of the mirror; {} counts",
            mirror.booted, mirror.kept
        ));
    }
    for array in &mirror.arrays {
        if arrays == Arrays::State && array.kind != PartitionKind::State {
            continue;
        }
        let names: Vec<&str> = array
            .members
            .iter()
            .map(|block| block.name.as_str())
            .collect();
        let names = names.join(" and ");
        match md::start(array) {
            Ok(node) => console.info(&format!("{} is {names}", node.display())),
            // What this boot stands on, or not.
            Err(error) if array.kind == slot || array.kind == PartitionKind::State => {
                return Err(error);
            }
            Err(error) => warnings.push(format!("{error:#}")),
        }
        if array.members.len() < 2 {
            warnings.push(format!(
                "{} runs without its other half, on {names} alone",
                array.kind.array_name()
            ));
        }
    }
    warnings.iter().for_each(|warning| console.warning(warning));
    Ok(Opened {
        root_device: slot.array_device().into(),
        medium: None,
        state: Some(PartitionKind::State.array_device().into()),
        mirror: Some(MirrorBoot {
            booted: mirror.booted,
            kept: mirror.kept,
            esp: esp.unwrap_or_default(),
        }),
        warnings,
    })
}

/// Finds the medium, and makes its root image a block device.
fn open_live(console: &Console, loader: &ModuleLoader, identity: &RootIdentity) -> Result<Opened> {
    let opened = medium::open(console, loader, identity)?;
    Ok(Opened {
        root_device: loop_device::attach(&opened.image)?,
        medium: Some(opened.medium),
        state: None,
        mirror: None,
        warnings: opened.warnings,
    })
}

/// `major:minor` of a node.
fn device_number(node: &Path) -> Result<String> {
    let number = std::fs::metadata(node)
        .with_context(|| format!("cannot look at {}", node.display()))?
        .rdev();
    Ok(format!(
        "{}:{}",
        nix::sys::stat::major(number),
        nix::sys::stat::minor(number)
    ))
}

/// Milliseconds since the kernel's start.
fn since_kernel_start() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .context("the kernel does not tell the time since its start")?;
    Ok(now.tv_sec() as u64 * 1000 + now.tv_nsec() as u64 / 1_000_000)
}

fn write_record(record: &BootRecord) -> Result<()> {
    let path = Path::new(BOOT_RECORD);
    let text =
        serde_json::to_string_pretty(record).context("cannot write the boot record as JSON")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {BOOT_RECORD}"))
}

/// Leaves a rule by which udev gives the ESP of this boot the name that fstab has.
fn write_esp_rule(esp: &str) -> Result<()> {
    let path = Path::new(ESP_RULE);
    let link = ESP_LINK.trim_start_matches("/dev/");
    let rule = format!(
        "SUBSYSTEM==\"block\", ENV{{ID_PART_ENTRY_UUID}}==\"{esp}\", SYMLINK+=\"{link}\"\n"
    );
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, rule).with_context(|| format!("cannot write {ESP_RULE}"))
}

/// Becomes the system's init, with the arguments and environment that the kernel gave this one.
fn become_system(console: &Console) -> Error {
    console.close();
    let error = Command::new(SYSTEM_INIT)
        .args(std::env::args_os().skip(1))
        .exec();
    Error::new(error).context(format!("cannot start {SYSTEM_INIT} of the root image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_loads_what_it_mounts() {
        for (mode, mounts, other) in [
            (Mode::Live, "isofs", "ext4"),
            (Mode::Host, "ext4", "isofs"),
            (Mode::Rescue, "ext4", "isofs"),
        ] {
            let needed = needed_modules(mode, false);
            assert!(needed.contains(&mounts) && !needed.contains(&other));
            for always in ["dm_verity", "squashfs", "overlay"] {
                assert!(needed.contains(&always), "{mode:?} {always}");
            }
            assert!(!needed.contains(&"efivarfs"));
            // Only the hypervisor has it, and only a host is on trial.
            assert_eq!(needed.contains(&"xen_wdt"), mode == Mode::Host);
            assert!(needed_modules(mode, true).contains(&"efivarfs"));
        }
    }
}
