//! From the ISO to an installed disk, headless: the medium with its answers in it, the boot, the install, power off.

use crate::answers;
use crate::boot_menu;
use crate::case::Run;
use crate::disk::Image;
use crate::machine::{self, Machine};
use crate::process;
use crate::qemu::{Boot, Bus, Disk, Firmware, Nic, OPTICAL_ID, Spec};
use crate::ssh::Key;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What the installer says at its end, on all consoles.
pub const FINISHED: &str = "Bedplate is installed.";
/// What it says after an upgrade.
const UPGRADED: &str = "The new release is written.";
/// What the installer says when it gives up, on all consoles; the reason is on the lines before.
pub const FAILED: &str = "Bedplate is NOT installed.";

/// What the initrd says when the root is verified and mounted, in every mode.
pub const ROOT_OPEN: &str = "everything mounted after";

/// Mebibytes of a disk: enough for the layout and some storage, written thinly.
pub const DISK_MIB: u64 = 24 * 1024;

/// What a machine of a case is made of.
#[derive(Debug, Clone, Copy)]
pub struct Hardware {
    /// UEFI or BIOS.
    pub uefi: bool,
    /// With UEFI: a firmware that enforces Secure Boot once it has a platform key, and is in setup mode before.
    pub secure_boot: bool,
    /// How the disk is connected.
    pub bus: Bus,
    /// The network card.
    pub nic: Nic,
    /// Serial number of the disk.
    pub serial: &'static str,
}

/// What the answers say beside root's logins.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// Name of the host.
    pub hostname: &'static str,
    /// The `[disk]` section.
    pub disk: &'static str,
    /// The `[network]` section.
    pub network: &'static str,
    /// Pull the medium once the live system runs: it has everything in memory then.
    pub pull_medium: bool,
}

/// An installed disk. It is never booted itself, only overlays on it.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The machine that it was installed in.
    pub hardware: Hardware,
    /// The disk.
    pub disk: Image,
    /// The firmware's variables as the install left them (UEFI).
    pub variables: Option<PathBuf>,
    /// Root's key.
    pub key: Key,
}

impl Hardware {
    /// The machine with `image` as its disk, started from the medium `iso` by BIOS.
    pub fn medium(self, image: &Image, iso: &Path) -> Spec {
        Spec {
            boot: Boot::Optical,
            optical: Some(iso.to_path_buf()),
            ..self.spec(image, None)
        }
    }

    /// The machine with `image` as its disk and `variables` as its firmware's memory (UEFI).
    pub fn spec(self, image: &Image, variables: Option<&Path>) -> Spec {
        let firmware = match variables {
            Some(variables) if self.secure_boot => Firmware::secure_boot(variables),
            Some(variables) => Firmware::uefi(variables),
            None => Firmware::Bios,
        };
        let disk = Disk {
            image: image.clone(),
            bus: self.bus,
            serial: self.serial.into(),
        };
        Spec {
            firmware,
            disks: vec![disk],
            nic: Some(self.nic),
            ..Spec::new()
        }
    }
}

/// Installs onto an empty disk, or takes the disk of an earlier run where that is asked for.
///
/// # Errors
/// When the install does not finish.
pub fn install(run: &mut Run, hardware: Hardware, wishes: Wishes) -> Result<Installation> {
    install_beside(run, hardware, wishes, &[])
}

/// As [`install`], with more disks in the machine.
///
/// # Errors
/// When the install does not finish.
pub fn install_beside(
    run: &mut Run,
    hardware: Hardware,
    wishes: Wishes,
    more: &[Disk],
) -> Result<Installation> {
    let disk = run.file("installed.raw");
    let variables = hardware.uefi.then(|| run.file("installed.variables"));
    if run.bench.reuse_install
        && disk.is_file()
        && variables.as_ref().is_none_or(|file| file.is_file())
    {
        run.note("takes the disk that an earlier run installed");
        let key = Key::open(run.dir())?;
        return Ok(Installation {
            hardware,
            disk: Image::raw(&disk),
            variables,
            key,
        });
    }
    let key = Key::make(run.dir())?;
    // Half an install must not look like a whole one to a later run.
    let unfinished = run.file("unfinished.raw");
    let image = Image::blank(&unfinished, DISK_MIB)?;
    if let Some(variables) = &variables {
        machine::empty_variables(&run.bench.tools, variables)?;
    }
    let mut spec = hardware.spec(&image, variables.as_deref());
    spec.disks.extend_from_slice(more);
    let iso = run.bench.workspace.iso()?.to_path_buf();
    from_medium(run, &iso, spec, wishes, &key, "install")?;
    std::fs::rename(&unfinished, &disk)
        .with_context(|| format!("{} cannot be renamed", unfinished.display()))?;
    Ok(Installation {
        hardware,
        disk: Image::raw(&disk),
        variables,
        key,
    })
}

/// Installs by `wishes` onto `image`, on which the host of `installation` is, with the same logins.
///
/// # Errors
/// When the install does not finish.
pub fn install_again(
    run: &mut Run,
    installation: &Installation,
    wishes: Wishes,
    image: &Image,
) -> Result<()> {
    let variables = installation.variables.as_deref();
    let spec = installation.hardware.spec(image, variables);
    let iso = run.bench.workspace.iso()?.to_path_buf();
    from_medium(run, &iso, spec, wishes, &installation.key, "install again")
}

/// Starts the machine of `installation`, with `image` as its disk, from the medium `iso`, which upgrades the host on it.
///
/// # Errors
/// When the upgrade does not finish.
pub fn upgrade(
    run: &mut Run,
    installation: &Installation,
    iso: &Path,
    wishes: Wishes,
    image: &Image,
) -> Result<()> {
    let variables = installation.variables.as_deref();
    let spec = installation.hardware.spec(image, variables);
    from_medium(run, iso, spec, wishes, &installation.key, "upgrade")
}

/// Starts the machine from the medium with answers in it, and waits until it is off again.
fn from_medium(
    run: &mut Run,
    iso: &Path,
    spec: Spec,
    wishes: Wishes,
    key: &Key,
    name: &str,
) -> Result<()> {
    let text = answers::file(wishes.hostname, wishes.disk, wishes.network, Some(key));
    let medium = run.phase("embed the answers", |run| embed(run, iso, &text))?;
    let spec = Spec {
        boot: Boot::Optical,
        optical: Some(medium.clone()),
        ..spec
    };
    let mut machine = run.start(&spec, &name.replace(' ', "-"))?;
    boot_medium(run, &mut machine)?;
    if wishes.pull_medium {
        machine.qmp.eject(OPTICAL_ID)?;
        run.note("pulled the medium");
    }
    run.phase(name, |run| {
        let found = machine
            .serial
            .expect(&[FAILED, FINISHED, UPGRADED], run.bench.limit(200))?;
        run.screenshot(&mut machine, name)?;
        if found.index == 0 {
            // So that everything reaches the log.
            let _ = machine.wait_off(run.bench.limit(10));
            bail!(
                "the install failed; the last lines:\n{}",
                machine.serial.tail(20)
            );
        }
        Ok(())
    })?;
    run.phase("power off after the install", |run| {
        machine.wait_off(run.bench.limit(30))
    })?;
    drop(machine);
    std::fs::remove_file(&medium).with_context(|| format!("{} cannot be removed", medium.display()))
}

/// Waits from power-on until the live system runs, with a picture of the menu and of the live system.
///
/// # Errors
/// When it does not come up.
pub fn boot_medium(run: &mut Run, machine: &mut Machine) -> Result<()> {
    run.phase("medium: power on to the boot menu", |run| {
        boot_menu::wait_painted(machine, run.bench.limit(20))?;
        run.screenshot(machine, "medium-menu")
    })?;
    run.phase("medium: loader, kernel, copy into memory", |run| {
        machine.serial.expect(&[ROOT_OPEN], run.bench.limit(60))?;
        Ok(())
    })?;
    run.phase("medium: to the installer", |run| {
        machine
            .serial
            .expect(&["Bedplate installer"], run.bench.limit(20))?;
        run.screenshot(machine, "live")
    })
}

/// A copy of `iso` with `answers` in it.
///
/// # Errors
/// When `image-build embed` fails, or the answers are not good.
pub fn embed(run: &Run, iso: &Path, answers: &str) -> Result<PathBuf> {
    embed_with(run, iso, answers, &[])
}

/// The same with answers that are not good.
///
/// # Errors
/// When `image-build embed` fails.
pub fn embed_unchecked(run: &Run, iso: &Path, answers: &str) -> Result<PathBuf> {
    embed_with(run, iso, answers, &["--unchecked"])
}

fn embed_with(run: &Run, iso: &Path, answers: &str, more: &[&str]) -> Result<PathBuf> {
    let file = run.file("answers.toml");
    std::fs::write(&file, answers)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    let copy = run.file("medium.iso");
    let mut command = Command::new(run.bench.workspace.program("image-build")?);
    command
        .arg("embed")
        .args(more)
        .arg(iso)
        .arg(&file)
        .arg("--output")
        .arg(&copy);
    command.current_dir(run.bench.workspace.root());
    process::run(&mut command, b"", Duration::from_secs(300))?;
    Ok(copy)
}

/// The firmware's memory when an installed host is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// As the install left it: the host is booted by its own entry.
    Kept,
    /// Empty, as after a new main board: the host is booted by the fallback path.
    Lost,
}

impl Installation {
    /// Boots the host on a fresh overlay, so that the installed disk stays as it is.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn boot(&self, run: &Run, entries: Entries, name: &str) -> Result<Machine> {
        self.boot_beside(run, entries, name, Vec::new())
    }

    /// As [`Installation::boot`], with more disks in the machine.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn boot_beside(
        &self,
        run: &Run,
        entries: Entries,
        name: &str,
        more: Vec<Disk>,
    ) -> Result<Machine> {
        self.boot_as(run, entries, name, |spec| spec.disks.extend(more))
    }

    /// As [`Installation::boot`], in a machine that `change` changes.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn boot_as(
        &self,
        run: &Run,
        entries: Entries,
        name: &str,
        change: impl FnOnce(&mut Spec),
    ) -> Result<Machine> {
        let overlay = run.file(&format!("{name}.qcow2"));
        let image = Image::overlay(&run.bench.tools, &overlay, &self.disk)?;
        let variables = match &self.variables {
            Some(installed) => {
                let copy = run.file(&format!("{name}.variables"));
                match entries {
                    Entries::Kept => std::fs::copy(installed, &copy)
                        .map(drop)
                        .with_context(|| format!("{} cannot be copied", installed.display()))?,
                    Entries::Lost => machine::empty_variables(&run.bench.tools, &copy)?,
                }
                Some(copy)
            }
            None => None,
        };
        // An order from QEMU would come before the host's own boot entry.
        let own_entry = variables.is_some() && entries == Entries::Kept;
        let boot = if own_entry {
            Boot::Firmware
        } else {
            Boot::Disk
        };
        let mut spec = Spec {
            boot,
            ..self.hardware.spec(&image, variables.as_deref())
        };
        change(&mut spec);
        run.start(&spec, name)
    }
}
