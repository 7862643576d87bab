//! From Debian's tree to Bedplate's: cuts, moves what belongs elsewhere, adds our files and programs.
//!
//! The expensive half ([`settle`]) is done once per tree; [`lay_over`] is repeated by every build and takes seconds.

use crate::packages::Trim;
use crate::paths::Paths;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Programs of the workspace and where they go in the root image.
pub const PROGRAMS: [(&str, &str); 2] = [("installer", "usr/bin/installer"), ("xe", "usr/bin/xe")];

/// The checker is one static file: the same on the medium, in the live system and in the host, and on any other Linux.
pub const CHECKER: (&str, &str) = ("hcl-checker", "usr/bin/hcl-checker");

/// Where built programs are.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'a> {
    /// Those that need the image's C library.
    pub dynamic: &'a Path,
    /// Those that are static.
    pub fixed: &'a Path,
}

/// What the image trusts.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The public TUF root that signs releases.
    pub root: &'a Path,
    /// The public keys that sign licenses.
    pub license_keys: &'a Path,
    /// Names and signed contents of the EFI variables of Secure Boot, for the installer to enroll.
    pub boot_variables: &'a [(&'static str, Vec<u8>)],
    /// The public key that boot files are signed with for GRUB: the host checks them where it starts a kernel by itself.
    pub boot_files_key: &'a [u8],
}

/// Mount points and folders that the root must have.
const FOLDERS: [&str; 10] = [
    "state",
    "boot/efi",
    "root",
    "home",
    "opt",
    "srv",
    "usr/local",
    "mnt",
    "media",
    "var",
];

/// Boot files of Debian's packages, by the start of their name in /boot, and the name they are kept under.
const BOOT_FILES: [(&str, &str, &str); 5] = [
    ("vmlinuz-", "", "vmlinuz"),
    ("config-", "", "kernel.config"),
    ("xen-", ".gz", "xen.gz"),
    ("xen-", ".efi", "xen-unjoined.efi"),
    ("xen-", ".config", "xen.config"),
];

/// Cuts what `trim.toml` names, moves boot files and microcode out, /var to its factory place, and rebuilds the
/// module index. Done once for a tree.
///
/// # Errors
/// When a boot file is missing or ambiguous, or a tool fails.
pub fn settle(paths: &Paths, trim: &Trim) -> Result<()> {
    let tree = paths.tree();
    let boot = fresh_dir(&paths.boot_parts())?;
    for (prefix, suffix, kept) in BOOT_FILES {
        let found = files_like(&tree.join("boot"), prefix, suffix)?;
        let [file] = found.as_slice() else {
            bail!(
                "{}/boot holds {} files {prefix}*{suffix}, expected one",
                tree.display(),
                found.len()
            );
        };
        move_path(file, &boot.join(kept))?;
    }
    for vendor in ["intel-ucode", "amd-ucode"] {
        move_path(
            &tree.join("usr/lib/firmware").join(vendor),
            &boot.join(vendor),
        )?;
    }
    let globs: Vec<&String> = trim.cuts.iter().flat_map(|c| &c.paths).collect();
    // The globs are expanded by the shell inside of the tree; trim.rs has refused any that could leave it.
    Tool::host(paths, "bash")
        .args([
            "-O",
            "extglob",
            "-O",
            "nullglob",
            "-c",
            "cd \"$0\" && for glob; do rm -rf -- $glob; done",
        ])
        .arg(&tree)
        .args(globs)
        .quiet()
        .run()?;
    let kernel = kernel_release(paths)?;
    Tool::locked(paths, "depmod")
        .arg("--basedir")
        .arg(&tree)
        .arg(&kernel)
        .quiet()
        .run()?;
    // The package database belongs to the image, not to the state of a host.
    let sysimage = tree.join("usr/lib/sysimage");
    std::fs::create_dir_all(&sysimage)?;
    move_path(&tree.join("var/lib/dpkg"), &sysimage.join("dpkg"))?;
    symlink("/usr/lib/sysimage/dpkg", tree.join("var/lib/dpkg"))?;
    let factory = tree.join(slots::names::FACTORY_VAR.trim_start_matches('/'));
    remove_all(&factory)?;
    std::fs::create_dir_all(
        factory
            .parent()
            .context("the factory folder has a parent")?,
    )?;
    move_path(&tree.join("var"), &factory)?;
    for folder in FOLDERS {
        std::fs::create_dir_all(tree.join(folder))?;
    }
    remove_all(&tree.join("etc/initramfs-tools"))?;
    add_libvirt_cpu_model(&tree)?;
    copy_whole(paths, &tree.join("etc"), &settled_etc(paths))
}

/// /etc as it is before [`lay_over`]: what that writes there (links of units that start, most of all) must not stay from one
/// build to the next.
fn settled_etc(paths: &Paths) -> PathBuf {
    paths.target.join("root/etc")
}

/// Copies a folder with owners, modes, links and times, in place of what is at `to`.
fn copy_whole(paths: &Paths, from: &Path, to: &Path) -> Result<()> {
    remove_all(to)?;
    Tool::host(paths, "cp")
        .args(["-a", "--"])
        .args([from, to])
        .quiet()
        .run()?;
    Ok(())
}

/// libvirt's Xen driver stops when no CPU model it knows is a subset of what Xen reports. Xen hides SYSENTER on AMD, which
/// nearly every 64-bit model of libvirt demands; what then still matches on real machines is a 32-bit Pentium, and under
/// emulation nothing does. This model is the 64-bit baseline without SYSENTER, so that the driver always starts.
fn add_libvirt_cpu_model(tree: &Path) -> Result<()> {
    const FEATURES: &str = "apic clflush cmov cx8 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse36 sse sse2 syscall tsc";
    let folder = tree.join("usr/share/libvirt/cpu_map");
    let features: String = FEATURES
        .split(' ')
        .map(|f| format!("    <feature name='{f}'/>\n"))
        .collect();
    let model = format!(
        "<cpus>\n  <model name='bedplate64'>\n    <check partial='compat'/>\n    <decode host='on' guest='off'/>\n{features}  </model>\n</cpus>\n"
    );
    std::fs::write(folder.join("x86_bedplate64.xml"), model)?;
    let index = folder.join("index.xml");
    let text = std::fs::read_to_string(&index)
        .with_context(|| format!("{} cannot be read", index.display()))?;
    let kvm64 = "      <include filename='x86_kvm64.xml'/>\n";
    if !text.contains(kvm64) {
        bail!(
            "{} has no line for the model kvm64: libvirt's CPU map has changed, look at add_libvirt_cpu_model",
            index.display()
        );
    }
    std::fs::write(
        &index,
        text.replacen(
            kvm64,
            &format!("{kvm64}      <include filename='x86_bedplate64.xml'/>\n"),
            1,
        ),
    )?;
    Ok(())
}

/// Debian's toolstack starts a QEMU that serves disk images to dom0. Nothing forbids it a network card, so it makes its default one:
/// dom0 gets an interface `enX1` that leads nowhere, and that looks like hardware to whoever counts cards.
fn no_card_for_dom0(tree: &Path) -> Result<()> {
    const BEFORE: &str = "-nographic -M xenpv -daemonize";
    const AFTER: &str = "-nographic -M xenpv -nic none -daemonize";
    let script = tree.join("etc/init.d/xen");
    let text = std::fs::read_to_string(&script)
        .with_context(|| format!("{} cannot be read", script.display()))?;
    if !text.contains(BEFORE) {
        bail!(
            "{} does not start QEMU with `{BEFORE}`: Debian's script has changed, look at no_card_for_dom0",
            script.display()
        );
    }
    std::fs::write(&script, text.replacen(BEFORE, AFTER, 1))
        .with_context(|| format!("{} cannot be written", script.display()))
}

/// Puts our files and programs into the tree and sets what starts at boot. `overlays` are folders of files, a later one over
/// an earlier one.
///
/// # Errors
/// When a program has not been built, or the tree does not take a file.
pub fn lay_over(
    paths: &Paths,
    version: &str,
    epoch: u64,
    overlays: &[PathBuf],
    programs: Programs<'_>,
    trust: Trust<'_>,
) -> Result<()> {
    let tree = paths.tree();
    let listing = paths.target.join("root/overlay.list");
    // What an earlier build added and this one does not know any more goes away first.
    for old in std::fs::read_to_string(&listing)
        .unwrap_or_default()
        .lines()
    {
        remove_all(&tree.join(old))?;
    }
    copy_whole(paths, &settled_etc(paths), &tree.join("etc"))?;
    no_card_for_dom0(&tree)?;
    let mut added = Vec::new();
    for overlay in overlays {
        copy_tree(overlay, overlay, &tree, &mut added)?;
    }
    let all = PROGRAMS
        .iter()
        .map(|program| (programs.dynamic, program))
        .chain([(programs.fixed, &CHECKER)]);
    for (folder, (program, place)) in all {
        let from = folder.join(program);
        install(&from, &tree.join(place), 0o755).with_context(|| {
            format!("the program {program} is not built: run `image-build root`, which builds it")
        })?;
        added.push((*place).to_string());
    }
    added.extend(link_services(&tree)?);
    for (from, place) in [
        (trust.root, slots::names::TRUSTED_ROOT),
        (trust.license_keys, license::KEYS_FILE),
    ] {
        let place = place.trim_start_matches('/');
        install(from, &tree.join(place), 0o644)?;
        added.push(place.to_string());
    }
    let folder = slots::names::SECURE_BOOT_KEYS.trim_start_matches('/');
    std::fs::create_dir_all(tree.join(folder))?;
    for (name, content) in trust.boot_variables {
        let place = format!("{folder}/{name}.auth");
        std::fs::write(tree.join(&place), content)?;
        added.push(place);
    }
    let place = slots::names::BOOT_FILES_KEY.trim_start_matches('/');
    std::fs::write(tree.join(place), trust.boot_files_key)?;
    added.push(place.to_string());
    let released = license::RELEASED_FILE.trim_start_matches('/');
    std::fs::write(tree.join(released), format!("{epoch}\n"))?;
    added.push(released.to_string());
    std::fs::write(
        tree.join("usr/share/bedplate/version"),
        format!("{version}\n"),
    )?;
    set_oldest_time(&tree, epoch)?;
    // /usr never changes under a host: nothing has to be rebuilt at boot for its sake (systemd's ConditionNeedsUpdate=).
    for stamp in ["etc/.updated", "usr/share/factory/var/.updated"] {
        std::fs::write(tree.join(stamp), "TIMESTAMP_NSEC=18446744073709551615\n")?;
    }
    // An empty machine-id is filled at the first boot of each host and kept on its state partition.
    std::fs::write(tree.join("etc/machine-id"), "")?;
    remove_all(&tree.join("etc/resolv.conf"))?;
    symlink(
        "../run/systemd/resolve/stub-resolv.conf",
        tree.join("etc/resolv.conf"),
    )?;
    remove_all(&tree.join("etc/localtime"))?;
    symlink("/usr/share/zoneinfo/Etc/UTC", tree.join("etc/localtime"))?;
    std::fs::write(&listing, added.join("\n"))?;
    apply_presets(paths, &tree)
}

/// Lays the services of the host beside `xe` as links to it, and returns their places.
fn link_services(tree: &Path) -> Result<Vec<String>> {
    let mut places = Vec::new();
    for name in slots::names::XE_LINKS {
        let place = format!("usr/bin/{name}");
        let link = tree.join(&place);
        remove_all(&link)?;
        symlink("xe", &link).with_context(|| format!("{} cannot be made", link.display()))?;
        places.push(place);
    }
    Ok(places)
}

/// Has systemd set a clock that runs behind the release to the time of the release, before it starts anything: it takes the
/// time at which this file was changed for the earliest that there can be (`clock_apply_epoch` in src/core/clock-warp.c of
/// systemd; without the file it takes the time of its own source). A machine whose battery is empty wakes up in 1970, where no
/// certificate of a server is valid yet.
fn set_oldest_time(tree: &Path, epoch: u64) -> Result<()> {
    let path = tree.join("usr/lib/clock-epoch");
    let file = std::fs::File::create(&path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(epoch))?;
    Ok(())
}

/// The kernel release of the tree, for example `6.12.107+deb13-amd64`.
///
/// # Errors
/// When the tree holds no kernel modules, or those of several kernels.
pub fn kernel_release(paths: &Paths) -> Result<String> {
    let modules = paths.tree().join("usr/lib/modules");
    let names: Vec<String> = std::fs::read_dir(&modules)
        .with_context(|| format!("{} cannot be read", modules.display()))?
        .filter_map(|e| e.ok().map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect();
    match names.as_slice() {
        [one] => Ok(one.clone()),
        _ => bail!(
            "{} holds modules of {} kernels ({}), expected one",
            modules.display(),
            names.len(),
            names.join(", ")
        ),
    }
}

/// Enables and disables the units that `10-bedplate.preset` names, by systemctl inside of the tree.
fn apply_presets(paths: &Paths, tree: &Path) -> Result<()> {
    let preset = tree.join("usr/lib/systemd/system-preset/10-bedplate.preset");
    let text = std::fs::read_to_string(&preset)?;
    for verb in ["disable", "enable"] {
        let mut units = Vec::new();
        for unit in text
            .lines()
            .filter_map(|l| l.strip_prefix(verb))
            .map(str::trim)
        {
            if !unit_exists(tree, unit) {
                bail!("{}: unit {unit} is not in the tree", preset.display());
            }
            units.push(unit.to_string());
        }
        Tool::host(paths, "chroot")
            .arg(tree)
            .args(["systemctl", "--quiet", verb])
            .args(units)
            .quiet()
            .run()?;
    }
    Tool::host(paths, "chroot")
        .arg(tree)
        .args(["systemctl", "--quiet", "set-default", "multi-user.target"])
        .quiet()
        .run()?;
    Ok(())
}

fn unit_exists(tree: &Path, unit: &str) -> bool {
    ["usr/lib/systemd/system", "etc/systemd/system"]
        .iter()
        .any(|d| tree.join(d).join(unit).symlink_metadata().is_ok())
        || tree
            .join("etc/init.d")
            .join(unit.trim_end_matches(".service"))
            .exists()
}

fn files_like(dir: &Path, prefix: &str, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Debian adds short names (xen.gz) as links to the real file.
        if name.starts_with(prefix) && name.ends_with(suffix) && !entry.file_type()?.is_symlink() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn move_path(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("{} cannot be moved to {}", from.display(), to.display()))
}

/// Copies a file, with the folders above it, as root's and with `mode`.
fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    remove_all(to)?;
    std::fs::copy(from, to)
        .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode))?;
    std::os::unix::fs::chown(to, Some(0), Some(0))?;
    Ok(())
}

fn copy_tree(top: &Path, dir: &Path, tree: &Path, added: &mut Vec<String>) -> Result<()> {
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?
    {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            copy_tree(top, &path, tree, added)?;
            continue;
        }
        let relative = path.strip_prefix(top)?;
        if kind.is_symlink() {
            let to = tree.join(relative);
            std::fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            remove_all(&to)?;
            symlink(std::fs::read_link(&path)?, &to)?;
            added.push(relative.to_string_lossy().into_owned());
            continue;
        }
        let executable = path.metadata()?.permissions().mode() & 0o111 != 0;
        install(
            &path,
            &tree.join(relative),
            if executable { 0o755 } else { 0o644 },
        )?;
        added.push(relative.to_string_lossy().into_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_time_is_that_of_the_release() {
        let tree = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir_all(tree.path().join("usr/lib")).expect("folders");
        set_oldest_time(tree.path(), 1_795_305_600).expect("set");
        let file = std::fs::metadata(tree.path().join("usr/lib/clock-epoch")).expect("a file");
        let changed = file.modified().expect("a time");
        assert_eq!(changed, UNIX_EPOCH + Duration::from_secs(1_795_305_600));
        assert_eq!(file.len(), 0);
    }

    #[test]
    fn services_are_links_to_xe_and_what_lay_there_goes_away() {
        let tree = tempfile::tempdir().expect("temp dir");
        let folder = tree.path().join("usr/bin");
        std::fs::create_dir_all(&folder).expect("folders");
        std::fs::write(folder.join("xe"), "xe").expect("a program");
        std::fs::write(folder.join("bedplate-health"), "of an older build").expect("a program");
        // As in a second build: links are there, and writing through them would change xe.
        for _ in 0..2 {
            let places = link_services(tree.path()).expect("links");
            assert!(places.contains(&"usr/bin/bedplate-health".to_owned()));
            for place in places {
                let link = std::fs::read_link(tree.path().join(&place)).expect("a link");
                assert_eq!(link, Path::new("xe"), "{place}");
            }
        }
        let text = std::fs::read_to_string(folder.join("bedplate-health")).expect("a program");
        assert_eq!(text, "xe");
    }
}
