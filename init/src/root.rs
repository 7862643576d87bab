//! The root image: which one belongs to this initrd, and mounting it.

use crate::choice::Fit;
use crate::verity_device;
use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use slots::block::{Access, BlockDevice, FileDevice, Window};
use slots::{Mode, RootIdentity};
use std::path::Path;

/// Where the root is mounted before it becomes `/`.
pub const SYSROOT: &str = "/sysroot";

/// Reads the identity that is baked into the initrd.
///
/// # Errors
/// Absent, malformed, or not the parameters of an image. Without a root hash nothing is booted.
pub fn read_identity(path: &Path) -> Result<RootIdentity> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "the initrd has no root hash ({}): it was not built by image-build",
            path.display()
        )
    })?;
    let identity: RootIdentity = serde_json::from_str(&text)
        .with_context(|| format!("{} is no identity of a root", path.display()))?;
    check(&identity).with_context(|| format!("{} is no identity of a root", path.display()))?;
    Ok(identity)
}

/// What the table line and paths rely on.
fn check(identity: &RootIdentity) -> Result<()> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let verity = &identity.verity;
    ensure!(
        verity.root_hash.len() == 64 && hexadecimal(&verity.root_hash),
        "the root hash is not 64 hexadecimal digits"
    );
    ensure!(
        verity.salt.len().is_multiple_of(2) && hexadecimal(&verity.salt),
        "the salt is not hexadecimal"
    );
    ensure!(
        verity.data_blocks > 0 && verity.data_blocks < identity.image_size / 4096,
        "{} data blocks and a hash tree do not fit into {} bytes",
        verity.data_blocks,
        identity.image_size
    );
    ensure!(
        !identity.image_name.is_empty() && !identity.image_name.contains('/'),
        "the image name `{}` is no file name",
        identity.image_name
    );
    Ok(())
}

/// Whether the device or file holds the root, from byte `offset` on, as a member of an array has it: a quick look at a few
/// blocks. What is read later is checked by dm-verity.
pub fn fit(path: &Path, identity: &RootIdentity, offset: u64) -> Fit {
    let device = match FileDevice::open(path, Access::ReadOnly) {
        Ok(device) => device,
        // With its source: which of the two the kernel refused is the point.
        Err(error) => return Fit::Unread(format!("{:#}", anyhow::Error::new(error))),
    };
    let size = device.size().saturating_sub(offset);
    match Window::new(device, offset, size) {
        Ok(window) => holds(window, identity),
        Err(error) => Fit::Unread(error.to_string()),
    }
}

fn holds(mut device: impl BlockDevice, identity: &RootIdentity) -> Fit {
    match slots::verity::root_fits(&mut device, &identity.verity) {
        Ok(true) => Fit::Fits,
        Ok(false) => Fit::Other(format!("does not hold root {}", identity.id())),
        Err(error) => Fit::Unread(error.to_string()),
    }
}

/// Opens the root on the device with this `major:minor` under dm-verity and mounts it at [`SYSROOT`].
///
/// # Errors
/// The kernel refuses the dm-verity device or the file system.
pub fn mount_verified(identity: &RootIdentity, number: &str, mode: Mode) -> Result<()> {
    let node = verity_device::open(identity, number, mode)?;
    std::fs::create_dir_all(SYSROOT).with_context(|| format!("cannot make {SYSROOT}"))?;
    mount(Some(&node), SYSROOT, Some("squashfs"), MsFlags::MS_RDONLY, None::<&str>).with_context(|| {
        format!("cannot mount the root image {}: its first blocks do not have their hashes, or the initrd lacks squashfs", identity.id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slots::Verity;

    fn identity() -> RootIdentity {
        RootIdentity {
            version: "0.1.0".to_owned(),
            image_name: format!("{}.root.img", "0".repeat(64)),
            image_size: 5 * 4096,
            image_sha256: "0".repeat(64),
            verity: Verity {
                data_blocks: 4,
                salt: "00ff".to_owned(),
                root_hash: "a".repeat(64),
            },
        }
    }

    #[test]
    fn refuses_what_is_no_identity() {
        assert!(check(&identity()).is_ok());
        let broken = |change: fn(&mut RootIdentity)| {
            let mut identity = identity();
            change(&mut identity);
            check(&identity).expect_err("must be refused").to_string()
        };
        assert!(broken(|i| i.verity.root_hash.truncate(63)).contains("root hash"));
        assert!(broken(|i| i.verity.root_hash.replace_range(..1, " ")).contains("root hash"));
        assert!(broken(|i| i.verity.salt = "0".to_owned()).contains("salt"));
        assert!(broken(|i| i.verity.salt = "- 1".to_owned()).contains("salt"));
        assert!(broken(|i| i.verity.data_blocks = 5).contains("do not fit"));
        assert!(broken(|i| i.verity.data_blocks = 0).contains("do not fit"));
        assert!(broken(|i| i.image_name = "../x".to_owned()).contains("file name"));
    }

    #[test]
    fn reads_what_image_build_writes() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("root.json");
        let missing = read_identity(&path).expect_err("missing");
        assert!(missing.to_string().contains("no root hash"), "{missing}");
        std::fs::write(&path, serde_json::to_vec(&identity()).expect("json")).expect("write");
        assert_eq!(read_identity(&path).expect("reads"), identity());
        std::fs::write(&path, "{}").expect("write");
        assert!(read_identity(&path).is_err());
    }

    #[test]
    fn a_file_that_is_not_there_is_unread() {
        assert!(matches!(
            fit(Path::new("/nonexistent"), &identity(), 0),
            Fit::Unread(_)
        ));
    }
}
