//! The area on an ISO that an answer file can be embedded in after the ISO was made.
//!
//! It is one file of fixed size on the medium ([`crate::names::ISO_ANSWERS`]). Its content is outside of the signed
//! release: answers say what the operator wants, never what is trusted.
//!
//! ```text
//! BEDPLATE-ANSWERS 1\n        magic line
//! <length, decimal>\n         bytes of the content; 0 when nothing is embedded
//! <sha256, hexadecimal>\n     of the content
//! content
//! zeros up to the end of the area
//! ```

use sha2::{Digest, Sha256};

/// Bytes of the whole area.
pub const AREA_BYTES: usize = 64 * 1024;

/// First line of the area.
const MAGIC: &str = "BEDPLATE-ANSWERS 1\n";

/// Why an area could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerAreaError {
    /// The content is larger than the area.
    #[error(
        "the answers have {size} bytes; the area on the ISO holds {limit}; put them behind a URL or on a volume labelled BEDPLATE"
    )]
    TooLarge {
        /// Bytes of the content.
        size: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// The content is empty, which would mean a pristine area.
    #[error("the answers are empty; nothing to embed")]
    Empty,
    /// This is not an answer area.
    #[error(
        "this is not an answer area (its first line is not `BEDPLATE-ANSWERS 1`); was the ISO made by another release?"
    )]
    NotAnArea,
    /// The header or the padding is not as it was written.
    #[error("the answer area is damaged: {0}; embed the answers again")]
    Damaged(&'static str),
}

/// An area that holds nothing.
pub fn pristine() -> Vec<u8> {
    build(&[])
}

/// An area that holds `content`.
pub fn encode(content: &[u8]) -> Result<Vec<u8>, AnswerAreaError> {
    if content.is_empty() {
        return Err(AnswerAreaError::Empty);
    }
    let limit = AREA_BYTES - header(content).len();
    if content.len() > limit {
        return Err(AnswerAreaError::TooLarge {
            size: content.len(),
            limit,
        });
    }
    Ok(build(content))
}

/// The content of `area`, or `None` when it is pristine.
pub fn decode(area: &[u8]) -> Result<Option<Vec<u8>>, AnswerAreaError> {
    let rest = area
        .strip_prefix(MAGIC.as_bytes())
        .ok_or(AnswerAreaError::NotAnArea)?;
    if area.len() != AREA_BYTES {
        return Err(AnswerAreaError::Damaged("it does not have 65536 bytes"));
    }
    let (length, rest) = line(rest)?;
    let (hash, rest) = line(rest)?;
    let length: usize = length
        .parse()
        .map_err(|_| AnswerAreaError::Damaged("its length is not a number"))?;
    if length > rest.len() {
        return Err(AnswerAreaError::Damaged(
            "its length is larger than the area",
        ));
    }
    let (content, padding) = rest.split_at(length);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(AnswerAreaError::Damaged(
            "there is something behind the answers",
        ));
    }
    if hex::encode(Sha256::digest(content)) != hash {
        return Err(AnswerAreaError::Damaged(
            "the SHA-256 of the answers is not the one in the header",
        ));
    }
    Ok((!content.is_empty()).then(|| content.to_vec()))
}

fn header(content: &[u8]) -> String {
    format!(
        "{MAGIC}{}\n{}\n",
        content.len(),
        hex::encode(Sha256::digest(content))
    )
}

fn build(content: &[u8]) -> Vec<u8> {
    let mut area = header(content).into_bytes();
    area.extend_from_slice(content);
    area.resize(AREA_BYTES, 0);
    area
}

fn line(bytes: &[u8]) -> Result<(&str, &[u8]), AnswerAreaError> {
    const ERROR: AnswerAreaError = AnswerAreaError::Damaged("its header is cut");
    let end = bytes
        .iter()
        .take(100)
        .position(|byte| *byte == b'\n')
        .ok_or(ERROR)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| ERROR)?;
    Ok((text, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        assert_eq!(decode(&pristine()), Ok(None));
        let area = encode(b"schema = 1\n").unwrap();
        assert_eq!(area.len(), AREA_BYTES);
        assert_eq!(decode(&area), Ok(Some(b"schema = 1\n".to_vec())));
        let full = vec![b'#'; AREA_BYTES - header(&vec![b'#'; AREA_BYTES - 200]).len()];
        assert_eq!(decode(&encode(&full).unwrap()), Ok(Some(full.clone())));
        assert!(matches!(
            encode(&[full, vec![0]].concat()),
            Err(AnswerAreaError::TooLarge { .. })
        ));
        assert_eq!(encode(b""), Err(AnswerAreaError::Empty));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let area = encode(b"schema = 1\n").unwrap();
        for at in (0..200).chain([AREA_BYTES - 1]) {
            let mut damaged = area.clone();
            damaged[at] ^= 0x20;
            assert!(decode(&damaged).is_err(), "byte {at}");
        }
        assert!(decode(&area[..AREA_BYTES - 1]).is_err());
        assert!(decode(b"").is_err());
    }
}
