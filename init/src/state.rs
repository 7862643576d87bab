//! What the root needs to be written to: the state file system, the folders that live there, and /etc over the image's.
//! Runs after the root was switched to, so paths are those of the running system.

use crate::console::Console;
use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use slots::RootIdentity;
use slots::boot_state::is_id;
use slots::names::{ETC_FROM, ETC_OVERLAY_OPTIONS, FACTORY_VAR, STATE_MOUNT};
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of the root that lives on the state file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// In the root image: what it holds at first.
    pub factory: &'static str,
    /// Folder below [`STATE_MOUNT`].
    pub folder: &'static str,
    /// Where it is in the running system.
    pub mount_point: &'static str,
    /// Permissions, where the image has nothing to copy them from.
    pub mode: u32,
}

/// All of them, in the order of mounting.
pub const BINDINGS: [Binding; 6] = [
    Binding {
        factory: FACTORY_VAR,
        folder: "var",
        mount_point: "/var",
        mode: 0o755,
    },
    Binding {
        factory: "/root",
        folder: "root",
        mount_point: "/root",
        mode: 0o700,
    },
    Binding {
        factory: "/home",
        folder: "home",
        mount_point: "/home",
        mode: 0o755,
    },
    Binding {
        factory: "/opt",
        folder: "opt",
        mount_point: "/opt",
        mode: 0o755,
    },
    Binding {
        factory: "/srv",
        folder: "srv",
        mount_point: "/srv",
        mode: 0o755,
    },
    Binding {
        factory: "/usr/local",
        folder: "usr-local",
        mount_point: "/usr/local",
        mode: 0o755,
    },
];

/// The overlay over /etc: one upper folder for each release, so that edits made under a release do not outlive it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcOverlay {
    /// Holds what differs from the image.
    pub upper: PathBuf,
    /// The kernel's own, on the same file system.
    pub work: PathBuf,
}

impl EtcOverlay {
    /// Of the root with this short name.
    pub fn new(id: &str) -> Self {
        let folder = Path::new(STATE_MOUNT).join("etc").join(id);
        Self {
            upper: folder.join("upper"),
            work: folder.join("work"),
        }
    }

    /// Mount options.
    pub fn options(&self) -> String {
        format!(
            "lowerdir=/etc,upperdir={},workdir={},{ETC_OVERLAY_OPTIONS}",
            self.upper.display(),
            self.work.display()
        )
    }
}

/// The file system check changed something that only a restart makes safe.
#[derive(Debug)]
pub struct RestartNeeded(pub String);

impl fmt::Display for RestartNeeded {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(
            formatter,
            "e2fsck repaired the state file system on {} and asks for a restart",
            self.0
        )
    }
}

impl std::error::Error for RestartNeeded {}

/// What an exit status of e2fsck means (`man 8 e2fsck`: a sum of bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Clean,
    Repaired,
    Restart,
    Failed,
    Killed,
}

/// No status: it was killed by a signal, which says nothing about the file system.
fn judge(status: Option<i32>) -> Check {
    match status {
        Some(0) => Check::Clean,
        Some(1) => Check::Repaired,
        Some(2 | 3) => Check::Restart,
        Some(_) => Check::Failed,
        None => Check::Killed,
    }
}

/// Options that the state file system of a host is mounted with: on one that is damaged nothing more is written.
pub const DISK_OPTIONS: &str = "errors=remount-ro";

/// Checks the state file system of a host and mounts it. Returns a warning when it had to be repaired.
///
/// # Errors
/// The check found what it cannot repair by itself, or the mount fails. The host stops then: with an empty or half
/// readable state it would come up without its network, its licenses and its guests' definitions, and write over what
/// could still be saved.
pub fn mount_disk(console: &Console, node: &Path) -> Result<Option<String>> {
    let output = Command::new("/usr/sbin/e2fsck")
        .arg("-p")
        .arg(node)
        .stdin(Stdio::null())
        .output()
        .context("cannot start /usr/sbin/e2fsck of the root image")?;
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    let mut repaired = None;
    match judge(output.status.code()) {
        Check::Clean => {}
        Check::Repaired => {
            said.lines().for_each(|line| console.info(line));
            repaired = Some(format!(
                "the state file system on {} was repaired",
                node.display()
            ));
        }
        Check::Restart => {
            said.lines().for_each(|line| console.warning(line));
            return Err(RestartNeeded(node.display().to_string()).into());
        }
        Check::Failed => {
            said.lines().for_each(|line| console.error(line));
            bail!(
                "the state file system on {0} was not mounted: e2fsck cannot repair it by itself ({1}). Boot the ISO's \
                 rescue shell and run: e2fsck {0}",
                node.display(),
                output.status
            );
        }
        Check::Killed => bail!(
            "the state file system on {} was not mounted: e2fsck of the root image was killed ({}), as it is when its \
             slot cannot be read",
            node.display(),
            output.status
        ),
    }
    mount(
        Some(node),
        STATE_MOUNT,
        Some("ext4"),
        MsFlags::empty(),
        Some(DISK_OPTIONS),
    )
    .with_context(|| {
        format!(
            "cannot mount the state file system {} at {STATE_MOUNT}",
            node.display()
        )
    })?;
    Ok(repaired)
}

/// Gives the live system a state in memory.
///
/// # Errors
/// The root image has no folder for it.
pub fn mount_memory() -> Result<()> {
    mount(
        Some("tmpfs"),
        STATE_MOUNT,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=0755"),
    )
    .with_context(|| format!("cannot mount a tmpfs at {STATE_MOUNT}"))
}

/// Mounts everything that lives on the state file system. Returns what went wrong without being worth a stop.
///
/// # Errors
/// A mount fails, or what it needs cannot be made.
pub fn mount_all(identity: &RootIdentity) -> Result<Vec<String>> {
    let etc = EtcOverlay::new(identity.id());
    inherit(&Path::new(STATE_MOUNT).join("etc"), identity.id())?;
    for folder in [&etc.upper, &etc.work] {
        make_folder(folder, 0o755)?;
    }
    let mut warnings = Vec::new();
    fill(&etc, &mut warnings)?;
    for binding in BINDINGS {
        let folder = Path::new(STATE_MOUNT).join(binding.folder);
        mount(
            Some(&folder),
            binding.mount_point,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .with_context(|| {
            format!(
                "cannot mount {} at {}: is it in the root image?",
                folder.display(),
                binding.mount_point
            )
        })?;
    }
    mount(
        Some("overlay"),
        "/etc",
        Some("overlay"),
        MsFlags::empty(),
        Some(etc.options().as_str()),
    )
    .context("cannot mount the overlay at /etc")?;
    Ok(warnings)
}

/// Makes the upper folder of a release that starts for the first time: a copy of that of the release before it, which the host
/// named when it applied the hotfix. `folders` holds one folder for each release.
///
/// Under a name of its own until it is whole, so that a start that is broken off begins anew.
///
/// # Errors
/// There should be settings and there are none, or they cannot be copied. The start ends then, and the release before it comes
/// back: without its network and its passwords a host is of no use.
fn inherit(folders: &Path, id: &str) -> Result<()> {
    let (upper, half) = (
        folders.join(id).join("upper"),
        folders.join(id).join("upper.new"),
    );
    let note = folders.join(id).join(ETC_FROM);
    if upper.exists() || !note.exists() {
        return Ok(());
    }
    let from =
        fs::read_to_string(&note).with_context(|| format!("cannot read {}", note.display()))?;
    let from = from.trim();
    ensure!(is_id(from), "{} names no release", note.display());
    let source = folders.join(from).join("upper");
    ensure!(
        source.is_dir(),
        "the settings of the release before this one are gone: there is no {}",
        source.display()
    );
    if half.exists() {
        fs::remove_dir_all(&half).with_context(|| format!("cannot remove {}", half.display()))?;
    }
    copy(&source, &half, &[])
        .with_context(|| format!("the settings in {} are not copied", source.display()))?;
    nix::unistd::sync();
    fs::rename(&half, &upper)
        .and_then(|()| File::open(folders.join(id))?.sync_all())
        .with_context(|| format!("cannot rename {}", half.display()))
}

/// Copies what the image holds at first to the state file system, where it is absent there; once for each release, so
/// that what an administrator removed does not come back with every boot.
fn fill(etc: &EtcOverlay, warnings: &mut Vec<String>) -> Result<()> {
    let marker = etc.upper.with_file_name("filled");
    if marker.exists() {
        return Ok(());
    }
    let before = warnings.len();
    for binding in BINDINGS {
        let folder = Path::new(STATE_MOUNT).join(binding.folder);
        if Path::new(binding.factory).is_dir() {
            if let Err(error) = copy(Path::new(binding.factory), &folder, &["--update=none"]) {
                warnings.push(format!(
                    "{} is not filled from {}: {error:#}",
                    folder.display(),
                    binding.factory
                ));
            }
        } else {
            warnings.push(format!("the root image has no {}", binding.factory));
        }
        // Whether there was something to copy or not, there must be something to mount.
        make_folder(&folder, binding.mode)?;
    }
    if warnings.len() == before {
        // The marker must not be on the disk before what it stands for.
        nix::unistd::sync();
        File::create(&marker)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("cannot write {}", marker.display()))?;
    }
    Ok(())
}

/// Copies a folder with owners, permissions, times and attributes. `options` says what to do with what is there.
fn copy(from: &Path, to: &Path, options: &[&str]) -> Result<()> {
    let output = Command::new("/usr/bin/cp")
        .args(["--archive", "--no-target-directory"])
        .args(options)
        .args([from, to])
        .stdin(Stdio::null())
        .output()
        .context("cannot start /usr/bin/cp of the root image")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "cp: {}: {}",
            output.status,
            said.lines().next().unwrap_or("no reason given")
        );
    }
    Ok(())
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_are_those_that_the_installer_knows() {
        let ours = BINDINGS.map(|binding| (binding.folder, binding.mount_point, binding.factory));
        assert_eq!(ours, slots::names::STATE_FOLDERS);
    }

    #[test]
    fn what_e2fsck_says() {
        assert_eq!(judge(Some(0)), Check::Clean);
        assert_eq!(judge(Some(1)), Check::Repaired);
        assert_eq!(judge(Some(2)), Check::Restart);
        assert_eq!(judge(Some(3)), Check::Restart);
        // 5 is "repaired" and "errors left": the second counts.
        for status in [4, 5, 8, 12, 16, 32, 128] {
            assert_eq!(judge(Some(status)), Check::Failed, "{status}");
        }
        assert_eq!(judge(None), Check::Killed);
    }

    #[test]
    fn each_release_has_its_own_etc() {
        let etc = EtcOverlay::new("0123456789abcdef");
        assert_eq!(
            etc.options(),
            "lowerdir=/etc,upperdir=/state/etc/0123456789abcdef/upper,workdir=/state/etc/0123456789abcdef/work,\
             index=off,metacopy=off,redirect_dir=off,xino=off"
        );
        assert_ne!(EtcOverlay::new("a").upper, EtcOverlay::new("b").upper);
    }

    #[test]
    fn a_new_release_starts_with_the_settings_of_the_one_before() {
        use std::os::unix::fs::PermissionsExt;
        const OLD: &str = "0123456789abcdef";
        const NEW: &str = "fedcba9876543210";
        let root = tempfile::tempdir().expect("temp dir");
        let path = |rest: &str| root.path().join(rest);
        let old = path(OLD).join("upper");
        fs::create_dir_all(old.join("ssh")).expect("dir");
        fs::write(old.join("ssh/key"), "secret").expect("write");
        fs::set_permissions(old.join("ssh/key"), fs::Permissions::from_mode(0o600)).expect("mode");
        std::os::unix::fs::symlink("../zone", old.join("localtime")).expect("link");

        // The first release of a host: nothing to inherit.
        inherit(root.path(), NEW).expect("nothing to do");
        assert!(!path(NEW).exists());

        fs::create_dir_all(path(NEW).join("upper.new/left-by-a-power-cut")).expect("dir");
        fs::write(path(NEW).join(ETC_FROM), format!("{OLD}\n")).expect("write");
        inherit(root.path(), NEW).expect("copies");
        let new = path(NEW).join("upper");
        assert_eq!(
            fs::read_to_string(new.join("ssh/key")).expect("read"),
            "secret"
        );
        let mode = fs::metadata(new.join("ssh/key"))
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_link(new.join("localtime")).expect("link"),
            Path::new("../zone")
        );
        assert!(!new.join("left-by-a-power-cut").exists() && !path(NEW).join("upper.new").exists());

        // What is changed under the new release stays there, and a second start copies nothing.
        fs::write(new.join("ssh/key"), "changed").expect("write");
        inherit(root.path(), NEW).expect("nothing to do");
        assert_eq!(
            fs::read_to_string(new.join("ssh/key")).expect("read"),
            "changed"
        );
        assert_eq!(
            fs::read_to_string(old.join("ssh/key")).expect("read"),
            "secret"
        );
    }

    #[test]
    fn without_the_settings_that_there_should_be_nothing_starts() {
        const NEW: &str = "fedcba9876543210";
        let root = tempfile::tempdir().expect("temp dir");
        fs::create_dir_all(root.path().join(NEW)).expect("dir");
        for from in ["0123456789abcdef", "../../etc", ""] {
            fs::write(root.path().join(NEW).join(ETC_FROM), from).expect("write");
            assert!(inherit(root.path(), NEW).is_err(), "{from:?}");
            assert!(!root.path().join(NEW).join("upper").exists());
        }
    }

    #[test]
    fn every_binding_has_a_folder_and_a_place_of_its_own() {
        for (at, binding) in BINDINGS.iter().enumerate() {
            assert!(
                !binding.folder.contains('/') && binding.folder != "etc",
                "{binding:?}"
            );
            for other in &BINDINGS[at + 1..] {
                assert!(binding.folder != other.folder && binding.mount_point != other.mount_point);
            }
            // What is copied must not be hidden by an earlier step; only /var comes from elsewhere.
            assert!(binding.factory == binding.mount_point || binding.factory == FACTORY_VAR);
        }
    }

    #[test]
    fn folders_get_their_permissions_and_keep_them() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("temp dir");
        let folder = root.path().join("etc/x/upper");
        make_folder(&folder, 0o700).expect("makes");
        make_folder(&folder, 0o755).expect("is there");
        let mode = fs::metadata(&folder)
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
