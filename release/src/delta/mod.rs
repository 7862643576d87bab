//! Deltas: a file of the next release, told as what differs from files that the host has already.
//!
//! # Format
//!
//! All numbers are little-endian. A header, and then one record for each [`SEGMENT`] of the target, in order:
//!
//! | field | bytes | |
//! |---|---|---|
//! | magic | 8 | `BPDELTA1` |
//! | base size | 8 | bytes of the base |
//! | target size | 8 | bytes of the target |
//!
//! | field | bytes | |
//! |---|---|---|
//! | window start | 8 | first byte in the base that the segment is made from |
//! | window length | 4 | at most [`WINDOW`]; 0: made from nothing |
//! | length | 4 | bytes of the segment: [`SEGMENT`], and the rest in the last one |
//! | packed length | 4 | bytes of the frame that follows |
//! | window SHA-256 | 32 | |
//! | segment SHA-256 | 32 | |
//! | frame | packed length | one zstd frame whose prefix is the window (`zstd --patch-from`) |
//!
//! # Memory
//!
//! The window of the base (64 MiB at most) and the window of the decoder (32 MiB, as the segment) are held, and nothing
//! else of note: 100 MB however large the files are, and however hostile the delta is. Twice the segment for the window,
//! because what is inserted in front moves everything behind it.

mod apply;
mod base;
mod make;

pub use apply::{DeltaStream, apply};
pub use base::Base;
pub use make::{DeltaSummary, make_delta};

use std::io;

/// Bytes of the target in one record.
pub const SEGMENT: u32 = 32 * 1024 * 1024;
/// Most bytes of the base that one record refers to.
pub const WINDOW: u32 = 64 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"BPDELTA1";
const HEADER: usize = 24;
const RECORD: usize = 84;
/// A frame of one segment is never longer: `ZSTD_COMPRESSBOUND` adds 1/256 from 128 KiB on.
const MAX_PACKED: u32 = SEGMENT + SEGMENT / 256 + 1024;
/// Window of the decoder, as a power of two: 2^25 is [`SEGMENT`].
const DECODER_LOG: u32 = SEGMENT.trailing_zeros();

/// Why a delta could not be made or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// A file could not be read or written.
    #[error("cannot {action}")]
    Io {
        /// What was tried: `read the base at byte 0`.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// The delta is none, or it is damaged.
    #[error("the delta is damaged: {problem}; get the hotfix again")]
    Damaged {
        /// What is wrong.
        problem: String,
    },
    /// The base is another file than the delta was made from, or the disk gives something else back.
    #[error(
        "the base of the delta is not what it was made from, in the {len} bytes at {start}: the disk holds something else \
         or fails; use a hotfix with the full image"
    )]
    Base {
        /// First byte.
        start: u64,
        /// Bytes.
        len: u32,
    },
    /// The base has another size.
    #[error(
        "the base of the delta has {found} bytes and should have {expected}; this delta is for another release"
    )]
    BaseSize {
        /// What the delta says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// A segment came out wrong.
    #[error(
        "the delta gives something else than it says at byte {at} of the target; get the hotfix again"
    )]
    Segment {
        /// First byte of the segment in the target.
        at: u64,
    },
    /// zstd failed.
    #[error("zstd: {0}")]
    Codec(&'static str),
    /// Whoever takes the target wants no more of it.
    #[error("the target is not taken any more")]
    Closed,
}

impl DeltaError {
    fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> DeltaError {
        let action = action.into();
        move |source| DeltaError::Io { action, source }
    }

    fn damaged(problem: impl Into<String>) -> DeltaError {
        DeltaError::Damaged {
            problem: problem.into(),
        }
    }
}

fn codec(code: usize) -> DeltaError {
    DeltaError::Codec(zstd::zstd_safe::get_error_name(code))
}

/// The head of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    base_size: u64,
    target_size: u64,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.base_size.to_le_bytes());
        bytes[16..].copy_from_slice(&self.target_size.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEADER]) -> Result<Header, DeltaError> {
        if bytes[..8] != MAGIC {
            return Err(DeltaError::damaged("it does not begin as a delta does"));
        }
        Ok(Header {
            base_size: u64_at(bytes, 8),
            target_size: u64_at(bytes, 16),
        })
    }
}

/// What stands before the frame of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    start: u64,
    window: u32,
    len: u32,
    packed: u32,
    window_sha256: [u8; 32],
    sha256: [u8; 32],
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.window.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.len.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.packed.to_le_bytes());
        bytes[20..52].copy_from_slice(&self.window_sha256);
        bytes[52..].copy_from_slice(&self.sha256);
        bytes
    }

    /// Nothing that is allowed here makes anybody read outside of the base or reserve more than the format says.
    fn parse(bytes: &[u8; RECORD], header: &Header, done: u64) -> Result<Record, DeltaError> {
        let array = |at: usize| {
            let mut array = [0; 32];
            array.copy_from_slice(&bytes[at..at + 32]);
            array
        };
        let record = Record {
            start: u64_at(bytes, 0),
            window: u32_at(bytes, 8),
            len: u32_at(bytes, 12),
            packed: u32_at(bytes, 16),
            window_sha256: array(20),
            sha256: array(52),
        };
        let left = header.target_size - done;
        let inside = record
            .start
            .checked_add(record.window.into())
            .is_some_and(|end| end <= header.base_size);
        let problem = if record.window > WINDOW || !inside {
            "a window that is not in the base"
        } else if u64::from(record.len) != left.min(SEGMENT.into()) {
            "a segment of a wrong length"
        } else if record.packed == 0 || record.packed > MAX_PACKED {
            "a frame of an impossible length"
        } else {
            return Ok(record);
        };
        Err(DeltaError::damaged(problem))
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

#[cfg(test)]
mod tests;
