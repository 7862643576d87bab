//! The two keys that sign licenses. They are not those that sign releases, and lie in a folder of their own that can be
//! taken elsewhere: `license/1.secret`, `license/2.secret` and the public `license/license-keys.json`.
//!
//! Two, so that one can be replaced: hosts know both, licenses are signed by the first. When it has to go, the next release
//! carries the second and a new one, and licenses are signed by the second, which every host knows already.

use anyhow::{Context, Result, bail};
use license::{KeyPair, PublicKeys};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Keys in a folder.
const KEYS: u8 = 2;

/// Where the public keys lie below a folder of keys: what the image carries as [`license::KEYS_FILE`].
pub fn public_keys_path(dir: &Path) -> PathBuf {
    folder(dir).join("license-keys.json")
}

fn folder(dir: &Path) -> PathBuf {
    dir.join("license")
}

fn secret_path(dir: &Path, number: u8) -> PathBuf {
    folder(dir).join(format!("{number}.secret"))
}

/// The keys below a folder of keys.
#[derive(Debug, Clone)]
pub struct LicenseKeys {
    dir: PathBuf,
}

impl LicenseKeys {
    /// Those below `dir`, where [`LicenseKeys::generate`] put them.
    pub fn at(dir: &Path) -> LicenseKeys {
        LicenseKeys {
            dir: dir.to_owned(),
        }
    }

    /// Whether there are any.
    pub fn exist(&self) -> bool {
        folder(&self.dir).exists()
    }

    /// Makes two new ones; never over others. Secret keys have mode 0600, their folder 0700.
    ///
    /// # Errors
    /// There are keys, or they cannot be written.
    pub fn generate(&self) -> Result<()> {
        let dir = folder(&self.dir);
        if self.exist() {
            bail!("{} exists: keys are not written over", dir.display());
        }
        // All of it or nothing: a folder with half of the keys would never be completed.
        let new = self
            .dir
            .join(format!(".license.new-{}", std::process::id()));
        let made = self.fill(&new).and_then(|()| {
            fs::rename(&new, &dir).with_context(|| format!("cannot make {}", dir.display()))
        });
        if made.is_err() {
            // Best effort: what failed is told, and nothing trusts these keys.
            let _ = fs::remove_dir_all(&new);
        }
        made
    }

    fn fill(&self, new: &Path) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(new)
            .with_context(|| format!("cannot make {}", new.display()))?;
        let mut public = Vec::new();
        for number in 1..=KEYS {
            let pair = KeyPair::generate()?;
            public.push(pair.public_text()?);
            let name = new.join(format!("{number}.secret"));
            write_new(&name, &(pair.to_secret_text()? + "\n"), 0o600)?;
        }
        let keys = PublicKeys::from_texts(public.iter().map(String::as_str))?;
        write_new(
            &new.join("license-keys.json"),
            &(keys.to_json()? + "\n"),
            0o644,
        )
    }

    /// A secret key, to sign with: 1 or 2.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn secret(&self, number: u8) -> Result<KeyPair> {
        let path = secret_path(&self.dir, number);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "the key {} cannot be read; `image-build keys new` makes keys",
                path.display()
            )
        })?;
        KeyPair::from_secret_text(&text).with_context(|| path.display().to_string())
    }

    /// The public keys.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn public(&self) -> Result<PublicKeys> {
        let path = public_keys_path(&self.dir);
        let json = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        PublicKeys::from_json(&json).with_context(|| path.display().to_string())
    }
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
