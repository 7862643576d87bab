//! Requests: what a host without a network tells whoever issues its license.
//!
//! A request is one word of capital letters, digits and a dash, so that it fits a small QR code (alphanumeric mode) and can
//! be read out. It is not signed and holds no secret: shortened hashes, two identifiers and the number of sockets.

use crate::fingerprint::{DIGEST, PartDigest};
use crate::{Error, Fingerprint, Kind, Machine};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

const PREFIX: &str = "BEDPLATE1-";
/// Bytes at the end that notice a mistake in typing.
const CHECK: usize = 4;
/// RFC 4648, section 6: no 0, 1 and 8, which look like letters.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of the longest request.
const LONGEST: usize = 1024;

/// A host that asks for a license or an activation record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The installation: its machine id.
    pub installation: Uuid,
    /// Populated sockets; none where they could not be counted.
    pub sockets: Option<u16>,
    /// UUID of the system from its firmware.
    pub hardware: Option<Uuid>,
    /// By what the machine is recognized.
    pub fingerprint: Fingerprint,
}

impl Request {
    /// The request of a machine.
    pub fn of(installation: Uuid, machine: &Machine) -> Request {
        Request {
            installation,
            sockets: machine.sockets.and_then(|n| u16::try_from(n).ok()),
            hardware: machine
                .hardware
                .as_deref()
                .and_then(|uuid| Uuid::parse_str(uuid).ok()),
            fingerprint: machine.fingerprint.recorded(),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        bytes.extend(self.installation.as_bytes());
        bytes.extend(self.sockets.unwrap_or(0).to_be_bytes());
        // No machine has the UUID of zeros: it stands for none.
        bytes.extend(self.hardware.unwrap_or_default().as_bytes());
        for (kind, digest) in self.fingerprint.parts() {
            bytes.push(kind as u8);
            bytes.extend(digest.0);
        }
        bytes.extend(check_of(&bytes));
        f.write_str(PREFIX)?;
        f.write_str(&to_base32(&bytes))
    }
}

impl FromStr for Request {
    type Err = Error;

    /// Reads a request; blanks, line breaks and small letters do not matter.
    fn from_str(text: &str) -> Result<Request, Error> {
        let problem = |problem: &str| Error::NotARequest {
            problem: problem.to_owned(),
        };
        if text.len() > LONGEST {
            return Err(problem("it is too long"));
        }
        let text: String = text
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let body = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| problem("it must start with BEDPLATE1-"))?;
        let bytes = from_base32(body).ok_or_else(|| problem("it has wrong characters"))?;
        let cut = || problem("it is cut off or mistyped");
        let (bytes, check) = bytes
            .split_last_chunk::<CHECK>()
            .filter(|(bytes, check)| check_of(bytes) == **check)
            .ok_or_else(cut)?;
        let _ = check;
        let (installation, rest) = bytes.split_first_chunk::<16>().ok_or_else(cut)?;
        let (sockets, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (hardware, rest) = rest.split_first_chunk::<16>().ok_or_else(cut)?;
        let mut fingerprint = Fingerprint::new();
        let mut parts = rest.chunks_exact(1 + DIGEST);
        for part in &mut parts {
            let kind = *Kind::ALL
                .get(usize::from(part[0]))
                .ok_or_else(|| problem("a newer release made it"))?;
            let mut digest = [0; DIGEST];
            digest.copy_from_slice(&part[1..]);
            fingerprint.insert(kind, PartDigest(digest));
        }
        if !parts.remainder().is_empty() {
            return Err(cut());
        }
        Ok(Request {
            installation: Uuid::from_bytes(*installation),
            sockets: Some(u16::from_be_bytes(*sockets)).filter(|n| *n > 0),
            hardware: Some(Uuid::from_bytes(*hardware)).filter(|uuid| !uuid.is_nil()),
            fingerprint,
        })
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&Sha256::digest(bytes)[..CHECK]);
    check
}

fn to_base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let group = u64::from_be_bytes(group);
        // n bytes need ceil(8n / 5) characters.
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            let index = (group >> (35 - 5 * at)) & 31;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// None for other characters, a length that no number of bytes gives, or bits that are left over and not zero.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(8) {
        let length = match chunk.len() {
            2 => 1,
            4 => 2,
            5 => 3,
            7 => 4,
            8 => 5,
            _ => return None,
        };
        let mut group: u64 = 0;
        for (at, letter) in chunk.iter().enumerate() {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            group |= (value as u64) << (35 - 5 * at);
        }
        let group = group.to_be_bytes();
        bytes.extend(&group[3..3 + length]);
        if group[3 + length..].iter().any(|rest| *rest != 0) {
            return None;
        }
    }
    Some(bytes)
}
