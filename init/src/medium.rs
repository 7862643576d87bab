//! The medium that the live system came from: finding it, and taking the release from it into memory.

use crate::block::{self, Block, human};
use crate::choice::Fit;
use crate::console::Console;
use crate::copy::{self, Memory};
use crate::loader::ModuleLoader;
use crate::root;
use crate::search::{Patience, RETRY};
use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use slots::names::{ISO_REPOSITORY, LIVE_MEDIUM};
use slots::{Medium, RootIdentity};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest time to the medium: a virtual one of a management controller appears late and reads slowly.
const LIMIT: Duration = Duration::from_secs(120);

/// How long another medium is hoped for when the one of this release is damaged.
const HOPE: Duration = Duration::from_secs(10);

/// Where a medium is mounted before it is known to be the right one, and while it is copied.
const CANDIDATE: &str = "/run/bedplate/candidate";

/// The one folder of the medium that is copied: everything that Bedplate reads later is in it.
const FOLDER: &str = "bedplate";

/// Bytes of memory file system beyond the files themselves.
const SLACK: u64 = 16 << 20;

/// Where an ISO 9660 volume says so: the identifier of the first volume descriptor, in sector 16 of 2048 bytes.
const ISO_MAGIC_AT: u64 = 16 * 2048 + 1;

/// The identifier.
const ISO_MAGIC: &[u8; 5] = b"CD001";

/// What a candidate was found to be.
enum Look {
    /// It is mounted at [`CANDIDATE`].
    Found,
    /// It is not; the reason stays the same until the device changes.
    Other(String),
    /// It is the medium of this release, and not whole; the reason.
    Damaged(String),
    /// It could not be read; another try may.
    Unread(String),
}

/// What each device was found to be and when, by name and size: another disc in the same drive is another candidate.
type Looks = BTreeMap<(String, u64), (Look, Instant)>;

/// The medium and the root image on it.
pub struct Opened {
    /// For the boot record.
    pub medium: Medium,
    /// The root image.
    pub image: PathBuf,
    /// What went wrong but did not stop the boot.
    pub warnings: Vec<String>,
}

/// Waits for the medium that holds this initrd's root image, and mounts or copies it to [`LIVE_MEDIUM`].
///
/// # Errors
/// Not found in time; what was seen is on the console then.
pub fn open(console: &Console, loader: &ModuleLoader, identity: &RootIdentity) -> Result<Opened> {
    let block = find(console, loader, identity)?;
    let mut warnings = Vec::new();
    let mut medium = Medium {
        device: block.node.display().to_string(),
        in_memory: false,
        copied_bytes: 0,
        copied_ms: 0,
    };
    let started = Instant::now();
    match take(console) {
        Ok(Taken::Copied(bytes)) => {
            medium.in_memory = true;
            medium.copied_bytes = bytes;
            medium.copied_ms = started.elapsed().as_millis() as u64;
            console.info(&format!(
                "the release is in memory ({}); the medium {} is no longer needed",
                copy::progress(bytes, bytes, started.elapsed()),
                medium.device
            ));
        }
        Ok(Taken::Refused(reason)) => {
            stay(
                &mut warnings,
                console,
                &format!("the medium stays in use, and must not be removed: {reason}"),
            )?;
        }
        Err(error) => {
            stay(
                &mut warnings,
                console,
                &format!("the medium stays in use: it could not be copied: {error:#}"),
            )?;
        }
    }
    Ok(Opened {
        medium,
        image: image(Path::new(LIVE_MEDIUM), identity),
        warnings,
    })
}

/// Where the root image is on a medium mounted at `root`.
fn image(root: &Path, identity: &RootIdentity) -> PathBuf {
    root.join(ISO_REPOSITORY)
        .join("targets")
        .join(&identity.image_name)
}

/// Looks at every device until one is the medium; it is mounted at [`CANDIDATE`] then.
fn find(console: &Console, loader: &ModuleLoader, identity: &RootIdentity) -> Result<Block> {
    std::fs::create_dir_all(CANDIDATE).with_context(|| format!("cannot make {CANDIDATE}"))?;
    let mut patience = Patience::new(LIMIT);
    let mut looks = Looks::new();
    let mut damaged: Option<Instant> = None;
    loop {
        let mut blocks = block::scan(Path::new(block::CLASS_BLOCK));
        // A stick written with the ISO shows it as a whole, and often as its first partition too: the whole is meant.
        blocks.sort_by_key(|block| !block.is_disk());
        // No file system before its driver is loaded.
        for block in blocks.iter().filter(|_| loader.is_ready()) {
            let key = (block.name.clone(), block.size);
            let due = match looks.get(&key) {
                None => true,
                Some((Look::Unread(_), at)) => at.elapsed() >= RETRY,
                Some((Look::Found | Look::Other(_) | Look::Damaged(_), _)) => false,
            };
            if due {
                let look = look(block, identity);
                match &look {
                    Look::Found => return Ok(block.clone()),
                    Look::Damaged(reason) => {
                        console.warning(&format!("the medium {} is damaged: {reason}", block.name));
                        damaged.get_or_insert_with(Instant::now);
                    }
                    Look::Other(_) | Look::Unread(_) => {}
                }
                looks.insert(key, (look, Instant::now()));
            }
        }
        let reason = format!("no whole medium with version {} was seen", identity.version);
        let hopeless = damaged.is_some_and(|at| at.elapsed() >= HOPE);
        if !hopeless && patience.wait(console, loader, &reason) {
            continue;
        }
        tell(console, identity, &blocks, &looks);
        if hopeless {
            bail!("the medium of this release is damaged: write it again, or use another one");
        }
        bail!(
            "the medium with this release was not found in {} seconds",
            LIMIT.as_secs()
        );
    }
}

/// Says what was looked for and what was seen.
fn tell(console: &Console, identity: &RootIdentity, blocks: &[Block], looks: &Looks) {
    console.error(&format!(
        "Looked for a medium (ISO 9660) with {ISO_REPOSITORY}/targets/{}, version {}. Seen:",
        identity.image_name, identity.version
    ));
    if blocks.is_empty() {
        console.error("No drive or disk was seen: its controller has no driver in this release, or it does not answer.");
    }
    for block in blocks {
        let model = block
            .model
            .as_deref()
            .map(|model| format!(", {model}"))
            .unwrap_or_default();
        let reason = match looks.get(&(block.name.clone(), block.size)) {
            Some((Look::Other(reason) | Look::Damaged(reason) | Look::Unread(reason), _)) => reason,
            Some((Look::Found, _)) | None => "not looked at",
        };
        console.error(&format!(
            "{} ({}{model}): {reason}",
            block.name,
            human(block.size)
        ));
    }
}

/// Looks at one device.
fn look(block: &Block, identity: &RootIdentity) -> Look {
    match is_iso(&block.node) {
        Ok(true) => {}
        Ok(false) => return Look::Other("not an ISO 9660 medium".to_owned()),
        Err(error) => return Look::Unread(error.to_string()),
    }
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if let Err(error) = mount(
        Some(&block.node),
        CANDIDATE,
        Some("iso9660"),
        flags,
        None::<&str>,
    ) {
        return Look::Unread(format!("cannot be mounted: {error}"));
    }
    let look = examine(Path::new(CANDIDATE), identity);
    if !matches!(look, Look::Found) {
        // Lazily: nothing of it is open, and a failure here must not end the search.
        let _ = umount2(CANDIDATE, MntFlags::MNT_DETACH);
    }
    look
}

/// Whether the device starts like an ISO 9660 volume.
fn is_iso(node: &Path) -> std::io::Result<bool> {
    let mut magic = [0; ISO_MAGIC.len()];
    match File::open(node)?.read_exact_at(&mut magic, ISO_MAGIC_AT) {
        Ok(()) => Ok(magic == *ISO_MAGIC),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the medium mounted at `root` holds the root image.
fn examine(root: &Path, identity: &RootIdentity) -> Look {
    if !root.join(ISO_REPOSITORY).is_dir() {
        return Look::Other("an ISO 9660 medium without a Bedplate release".to_owned());
    }
    let image = image(root, identity);
    match image.metadata() {
        Ok(metadata) if metadata.len() == identity.image_size => {}
        Ok(metadata) => {
            return Look::Damaged(format!(
                "its root image has {} bytes, not {}: the medium is incomplete",
                metadata.len(),
                identity.image_size
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Look::Other("a Bedplate medium of another release".to_owned());
        }
        Err(error) => return Look::Unread(error.to_string()),
    }
    match root::fit(&image, identity, 0) {
        Fit::Fits => Look::Found,
        Fit::Other(_) => {
            Look::Damaged("its hash tree does not lead to the root hash of this initrd".to_owned())
        }
        Fit::Unread(error) => Look::Unread(format!("its root image cannot be read: {error}")),
    }
}

/// What became of the wish to copy the medium.
enum Taken {
    /// So many bytes are at [`LIVE_MEDIUM`], and the medium is unmounted.
    Copied(u64),
    /// The memory does not suffice.
    Refused(String),
}

/// Copies the mounted medium into memory. After a failure nothing is at [`LIVE_MEDIUM`].
fn take(console: &Console) -> Result<Taken> {
    let from = Path::new(CANDIDATE).join(FOLDER);
    let items = copy::list(&from)?;
    let bytes = copy::total(&items);
    let memory = Memory::parse(
        &std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?,
    )
    .context("/proc/meminfo does not tell the memory")?;
    if let Some(reason) = memory.refuses(bytes) {
        return Ok(Taken::Refused(reason));
    }
    console.info(&format!(
        "copying the release into memory, {} MB",
        bytes / 1_000_000
    ));
    std::fs::create_dir_all(LIVE_MEDIUM).with_context(|| format!("cannot make {LIVE_MEDIUM}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = format!("mode=0755,size={}", bytes.saturating_add(SLACK));
    mount(
        Some("tmpfs"),
        LIVE_MEDIUM,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
    .with_context(|| format!("cannot mount a tmpfs at {LIVE_MEDIUM}"))?;
    let to = Path::new(LIVE_MEDIUM).join(FOLDER);
    let copied = std::fs::create_dir(&to)
        .with_context(|| format!("cannot make {}", to.display()))
        .and_then(|()| {
            copy::copy(&items, &from, &to, &mut |line| {
                console.info(&format!("copied {line}"))
            })
        });
    match copied {
        Ok(bytes) => {
            // Nothing may change what was verified; the copy is used whether this succeeds or not.
            let _ = mount(
                None::<&str>,
                LIVE_MEDIUM,
                None::<&str>,
                flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
                None::<&str>,
            );
            let _ = umount2(CANDIDATE, MntFlags::MNT_DETACH);
            let _ = std::fs::remove_dir(CANDIDATE);
            Ok(Taken::Copied(bytes))
        }
        Err(error) => {
            umount2(LIVE_MEDIUM, MntFlags::MNT_DETACH)
                .with_context(|| format!("cannot unmount {LIVE_MEDIUM}"))?;
            Err(error)
        }
    }
}

/// Uses the medium where it is.
fn stay(warnings: &mut Vec<String>, console: &Console, warning: &str) -> Result<()> {
    console.warning(warning);
    warnings.push(warning.to_owned());
    std::fs::create_dir_all(LIVE_MEDIUM).with_context(|| format!("cannot make {LIVE_MEDIUM}"))?;
    mount(
        Some(CANDIDATE),
        LIVE_MEDIUM,
        None::<&str>,
        MsFlags::MS_MOVE,
        None::<&str>,
    )
    .with_context(|| format!("cannot move the medium to {LIVE_MEDIUM}"))?;
    let _ = std::fs::remove_dir(CANDIDATE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slots::Verity;

    fn identity(size: u64) -> RootIdentity {
        RootIdentity {
            version: "0.1.0".to_owned(),
            image_name: "x.root.img".to_owned(),
            image_size: size,
            image_sha256: "0".repeat(64),
            verity: Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: "a".repeat(64),
            },
        }
    }

    fn reason(look: Look) -> String {
        match look {
            Look::Other(reason) | Look::Damaged(reason) => reason,
            Look::Found => panic!("found"),
            Look::Unread(error) => panic!("unread: {error}"),
        }
    }

    #[test]
    fn says_why_a_medium_is_not_the_one() {
        let root = tempfile::tempdir().expect("temp dir");
        let identity = identity(8192);
        assert!(reason(examine(root.path(), &identity)).contains("without a Bedplate release"));
        let targets = root.path().join("bedplate/repository/targets");
        std::fs::create_dir_all(&targets).expect("targets");
        assert!(reason(examine(root.path(), &identity)).contains("another release"));
        std::fs::write(targets.join("x.root.img"), [0; 4096]).expect("image");
        assert!(reason(examine(root.path(), &identity)).contains("4096 bytes, not 8192"));
        std::fs::write(targets.join("x.root.img"), [0; 8192]).expect("image");
        assert!(reason(examine(root.path(), &identity)).contains("hash tree"));
    }

    #[test]
    fn tells_an_iso_by_its_descriptor() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("disk");
        std::fs::write(&path, [0; 40_000]).expect("write");
        assert!(!is_iso(&path).expect("reads"));
        std::fs::write(&path, [0; 100]).expect("write");
        assert!(!is_iso(&path).expect("too short is no error"));
        let mut bytes = vec![0; 40_000];
        bytes[32_769..32_774].copy_from_slice(b"CD001");
        std::fs::write(&path, bytes).expect("write");
        assert!(is_iso(&path).expect("reads"));
        assert!(is_iso(&folder.path().join("absent")).is_err());
    }
}
