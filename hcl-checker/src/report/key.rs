//! The submitter's key: it signs reports, and serial numbers are hashed with a key derived from it.

use ed25519_compact::{KeyPair, Seed, Signature};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Keys in PEM have some hundred bytes.
const LIMIT: u64 = 16 * 1024;
/// What the derived key is for, so that no other use of the seed gives the same one.
const PURPOSE: &[u8] = b"bedplate certification report: serial numbers and addresses";
/// Hexadecimal digits of a hash in a report: 128 bits.
const DIGITS: usize = 32;

/// A key that signs. It is shown nowhere.
pub struct SubmitterKey {
    pair: KeyPair,
}

/// A key that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_compact::PublicKey);

/// A key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no such key.
    #[error("{path}: no {kind} Ed25519 key in PEM")]
    NoKey {
        /// Which.
        path: PathBuf,
        /// `private` or `public`.
        kind: &'static str,
    },
    /// Others can read it.
    #[error(
        "{path}: others can read this private key; `chmod 600` it, or make a new one if they may have"
    )]
    Open {
        /// Which.
        path: PathBuf,
    },
    /// No random numbers.
    #[error("the system gave no random numbers: {0}")]
    Random(io::Error),
}

impl KeyError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Debug for SubmitterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubmitterKey(public {})", self.public().hex())
    }
}

/// So many random bytes of the system.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<String, KeyError> {
    let file = std::fs::File::open(path).map_err(KeyError::io(path))?;
    let mut text = String::new();
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(KeyError::io(path))?;
    Ok(text)
}

impl SubmitterKey {
    /// From 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            pair: KeyPair::from_seed(Seed::new(seed)),
        }
    }

    /// A new one, which is kept nowhere.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::from_seed(random().map_err(KeyError::Random)?))
    }

    /// Reads the key in `path`, or makes one there (mode 0600).
    ///
    /// # Errors
    /// The file cannot be read or made, holds no key, or others can read it.
    pub fn open_or_make(path: &Path) -> Result<Self, KeyError> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.mode() & 0o077 != 0 => Err(KeyError::Open {
                path: path.to_owned(),
            }),
            Ok(_) => Self::open(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(KeyError::io(path)(error)),
        }
    }

    fn open(path: &Path) -> Result<Self, KeyError> {
        let pem = read(path)?;
        match KeyPair::from_pem(&pem) {
            Ok(pair) => Ok(Self { pair }),
            Err(_) => Err(KeyError::NoKey {
                path: path.to_owned(),
                kind: "private",
            }),
        }
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(KeyError::io(path))?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(KeyError::io(path))?;
        file.write_all(key.pair.to_pem().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(KeyError::io(path))?;
        Ok(key)
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.pk)
    }

    /// 64 bytes, by RFC 8032.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sk.sign(message, None).to_vec()
    }

    /// What stands for a serial number or address in this submitter's reports.
    pub(super) fn hash(&self, secret: &str) -> String {
        let derived = mac(&*self.pair.sk.seed(), PURPOSE);
        let hash = mac(&derived, secret.as_bytes());
        format!("hmac-sha256:{}", &hex::encode(hash)[..DIGITS])
    }
}

/// HMAC-SHA256 (RFC 2104). It takes keys of every length.
fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length")
    };
    mac.chain_update(message).finalize().into_bytes().into()
}

impl PublicKey {
    /// Reads a key in PEM, as [`SubmitterKey`] and OpenSSL write it.
    ///
    /// # Errors
    /// The file cannot be read or holds no such key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let pem = read(path)?;
        match ed25519_compact::PublicKey::from_pem(&pem) {
            Ok(key) => Ok(Self(key)),
            Err(_) => Err(KeyError::NoKey {
                path: path.to_owned(),
                kind: "public",
            }),
        }
    }

    /// From 64 hexadecimal digits; none where it is no key.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        ed25519_compact::PublicKey::from_slice(&bytes)
            .ok()
            .map(Self)
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        hex::encode(*self.0)
    }

    /// For a file that OpenSSL reads, too.
    pub fn pem(&self) -> String {
        self.0.to_pem()
    }

    /// Whether this key signed that message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_vector_of_rfc_8032() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
            .expect("hex");
        let key = SubmitterKey::from_seed(seed.try_into().expect("32 bytes"));
        assert_eq!(
            key.public().hex(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = key.sign(b"");
        assert_eq!(
            hex::encode(&signature),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        assert!(key.public().verifies(b"", &signature));
        assert!(
            !key.public().verifies(b"x", &signature)
                && !key.public().verifies(b"", &signature[1..])
        );
    }

    #[test]
    fn hmac_as_in_rfc_4231() {
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(mac(&[0x0b; 20], b"Hi There")), expected);
    }

    #[test]
    fn hashes_differ_by_submitter_and_are_stable() {
        let (one, other) = (
            SubmitterKey::from_seed([1; 32]),
            SubmitterKey::from_seed([2; 32]),
        );
        assert_eq!(
            one.hash("S123"),
            SubmitterKey::from_seed([1; 32]).hash("S123")
        );
        assert_ne!(one.hash("S123"), other.hash("S123"));
        assert_ne!(one.hash("S123"), one.hash("S124"));
        assert_eq!(one.hash("S123").len(), "hmac-sha256:".len() + 32);
    }

    #[test]
    fn a_key_is_made_once_kept_private_and_never_shown() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("new/key.pem");
        let key = SubmitterKey::open_or_make(&path).expect("made");
        let again = SubmitterKey::open_or_make(&path).expect("read");
        assert_eq!(key.public(), again.public());
        let mode =
            |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
        mode(0o640);
        assert!(matches!(
            SubmitterKey::open_or_make(&path),
            Err(KeyError::Open { .. })
        ));
        mode(0o600);
        std::fs::write(&path, "nonsense").expect("write");
        assert!(matches!(
            SubmitterKey::open_or_make(&path),
            Err(KeyError::NoKey { .. })
        ));
        let seed = hex::encode([7; 32]);
        assert!(!format!("{:?}", SubmitterKey::from_seed([7; 32])).contains(&seed));

        let public = folder.path().join("public.pem");
        std::fs::write(&public, key.public().pem()).expect("write");
        assert_eq!(PublicKey::open(&public).expect("read"), key.public());
        assert_eq!(PublicKey::from_hex(&key.public().hex()), Some(key.public()));
        assert_eq!(PublicKey::from_hex("00"), None);
    }
}
