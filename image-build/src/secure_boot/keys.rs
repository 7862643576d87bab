//! The keys of Secure Boot: `secure-boot/{PK,KEK,db}.{key,crt}` below a folder of keys, PEM, as `openssl` writes them too.

use super::certificate;
use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use pem::Pem;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What OpenSSL and PKCS #8 call a private key in PEM.
const PRIVATE: &str = "PRIVATE KEY";
/// A certificate in PEM.
const CERTIFICATE: &str = "CERTIFICATE";
/// Bytes of an RSA modulus that firmware is known to take: 2048 bits everywhere, 4096 in all that is recent.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

/// An RSA key with its certificate.
pub struct Signer {
    key: KeyPair,
    certificate: Vec<u8>,
}

/// The three keys, and who owns them.
pub struct BootKeys {
    /// Platform key: who owns the machine.
    pub platform: Signer,
    /// Key exchange key: who may change what is allowed to start.
    pub exchange: Signer,
    /// What is signed with this may start; GRUB knows it, too.
    pub database: Signer,
}

impl Signer {
    /// Makes a key and a certificate that is called `name`, valid from `now` (seconds since 1970).
    fn generate(name: &str, now: u64) -> Result<Signer> {
        let key = KeyPair::generate(KeySize::Rsa2048).context("no RSA key could be made")?;
        let certificate = certificate::self_signed(&key, name, now)?;
        Ok(Signer { key, certificate })
    }

    fn read(dir: &Path, name: &str) -> Result<Signer> {
        let key_path = dir.join(format!("{name}.key"));
        let certificate_path = dir.join(format!("{name}.crt"));
        let key = KeyPair::from_pkcs8(&read_pem(&key_path, PRIVATE)?)
            .map_err(|error| anyhow::anyhow!("{} is no RSA key ({error})", key_path.display()))?;
        ensure!(
            MODULUS.contains(&key.public_modulus_len())
                && key.public_modulus_len().is_multiple_of(64),
            "{} has {} bits; firmware takes 2048 to 4096, and hosts a multiple of 512",
            key_path.display(),
            key.public_modulus_len() * 8
        );
        let certificate = read_pem(&certificate_path, CERTIFICATE)?;
        let parts = certificate::Parts::of(&certificate)
            .with_context(|| certificate_path.display().to_string())?;
        ensure!(
            parts.public_key.ends_with(key.public_key().as_ref()),
            "{} is not the certificate of {}",
            certificate_path.display(),
            key_path.display()
        );
        Ok(Signer { key, certificate })
    }

    fn write(&self, dir: &Path, name: &str) -> Result<()> {
        let key = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&self.key)
            .context("a key cannot be written down")?;
        let key = pem::encode(&Pem::new(PRIVATE, key.as_ref()));
        let certificate = pem::encode(&Pem::new(CERTIFICATE, self.certificate.as_slice()));
        write_new(&dir.join(format!("{name}.key")), &key, 0o600)?;
        write_new(&dir.join(format!("{name}.crt")), &certificate, 0o644)
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The public key, DER (PKCS #1).
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The RSA key that signs and is checked with.
    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Signs `message`: RSA PKCS #1 v1.5 with SHA-256, which has no random part.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        sign(&self.key, message)
    }
}

/// As [`Signer::sign`].
pub(super) fn sign(key: &KeyPair, message: &[u8]) -> Result<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )
    .context("signing failed")?;
    Ok(signature)
}

impl BootKeys {
    /// Names of the keys' files and of the variables that they go into.
    const NAMES: [&str; 3] = ["PK", "KEK", "db"];

    /// Where they lie below a folder of keys.
    pub fn folder(keys: &Path) -> PathBuf {
        keys.join("secure-boot")
    }

    /// Makes new ones; never over others. Private keys have mode 0600, their folder 0700.
    ///
    /// # Errors
    /// There are keys, or they cannot be written.
    pub fn generate(keys: &Path, now: u64) -> Result<()> {
        let dir = Self::folder(keys);
        if dir.exists() {
            bail!("{} exists: keys are not written over", dir.display());
        }
        // All of it or nothing: a folder with half of the keys would never be completed.
        let new = keys.join(format!(".secure-boot.new-{}", std::process::id()));
        let made = Self::fill(&new, now).and_then(|()| {
            std::fs::rename(&new, &dir).with_context(|| format!("cannot make {}", dir.display()))
        });
        if made.is_err() {
            // Best effort: what failed is told, and nothing trusts these keys.
            let _ = std::fs::remove_dir_all(&new);
        }
        made
    }

    fn fill(dir: &Path, now: u64) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        for (name, title) in Self::NAMES.into_iter().zip([
            "Bedplate platform key",
            "Bedplate key exchange key",
            "Bedplate boot files",
        ]) {
            Signer::generate(title, now)?.write(dir, name)?;
        }
        Ok(())
    }

    /// Reads those below the folder `keys`.
    ///
    /// # Errors
    /// One is missing, no RSA key of 2048 to 4096 bits, or not the one of its certificate.
    pub fn read(keys: &Path) -> Result<BootKeys> {
        let dir = Self::folder(keys);
        let [platform, exchange, database] = Self::NAMES;
        Ok(BootKeys {
            platform: Signer::read(&dir, platform)?,
            exchange: Signer::read(&dir, exchange)?,
            database: Signer::read(&dir, database)?,
        })
    }

    /// Who owns the entries in the firmware's lists: a name made of the platform key, so that it needs no place of its own.
    pub fn owner(&self) -> Uuid {
        let digest = Sha256::digest(self.platform.certificate());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

fn read_pem(path: &Path, kind: &str) -> Result<Vec<u8>> {
    let text = std::fs::read(path).with_context(|| {
        format!(
            "{} cannot be read; `image-build keys new` makes keys of Secure Boot",
            path.display()
        )
    })?;
    let parsed = pem::parse(&text).with_context(|| format!("{} is no PEM", path.display()))?;
    ensure!(
        parsed.tag() == kind,
        "{} holds a {} and not a {kind}",
        path.display(),
        parsed.tag()
    );
    Ok(parsed.into_contents())
}

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
