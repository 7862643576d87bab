//! Making a delta.

use super::{Base, DeltaError, Header, MAX_PACKED, Record, SEGMENT, WINDOW, codec};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

/// With long-distance matching, level 6 finds the base again right behind a change; levels 2 to 4 lose 4 KiB each time. Level 19
/// took a hundred times as long and was no smaller (measured on pairs of root images).
const LEVEL: i32 = 6;
/// The encoder looks back over window and segment together: 2^27 is 128 MiB.
const ENCODER_LOG: u32 = 27;
/// Distance between the windows that are tried for a segment when none of the likely ones fits, in bytes.
const STRIDE: u64 = SEGMENT as u64;
/// A segment whose frame is smaller than one part in this many is good enough: no other window is tried.
const GOOD_ENOUGH: u64 = 50;
/// All windows of a base are tried only up to this size: the joined boot files. In a root image, what fits is near.
const TRY_ALL: u64 = 256 * 1024 * 1024;

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaSummary {
    /// Bytes of the target.
    pub target_size: u64,
    /// Bytes of the delta.
    pub delta_size: u64,
    /// Segments.
    pub segments: u64,
}

/// Writes to `out` how `target`, of `target_size` bytes, is made from `base`. The same input makes the same bytes with the
/// same version of zstd.
///
/// # Errors
/// When something cannot be read or written, or the target has another size.
pub fn make_delta(
    base: &mut Base,
    target: &mut dyn Read,
    target_size: u64,
    out: &mut dyn Write,
) -> Result<DeltaSummary, DeltaError> {
    let header = Header {
        base_size: base.size(),
        target_size,
    };
    let write = || DeltaError::io("write the delta");
    out.write_all(&header.to_bytes()).map_err(write())?;
    let mut summary = DeltaSummary {
        target_size,
        delta_size: super::HEADER as u64,
        segments: 0,
    };
    let mut done = 0;
    let (mut segment, mut window) = (Vec::new(), Vec::new());
    let (mut frame, mut best) = (Vec::new(), Vec::new());
    while done < target_size {
        let len = (target_size - done).min(SEGMENT.into());
        segment.resize(len as usize, 0);
        target
            .read_exact(&mut segment)
            .map_err(DeltaError::io(format!("read the target at byte {done}")))?;
        let mut chosen: Option<Record> = None;
        for (start, window_len) in windows(&header, done, len) {
            if chosen.is_some_and(|record| u64::from(record.packed) * GOOD_ENOUGH < len) {
                break;
            }
            window.resize(window_len as usize, 0);
            base.read_at(start, &mut window)?;
            compress(&window, &segment, &mut frame)?;
            if chosen.is_none_or(|record| frame.len() < record.packed as usize) {
                std::mem::swap(&mut frame, &mut best);
                chosen = Some(Record {
                    start,
                    window: window_len,
                    len: len as u32,
                    packed: best.len() as u32,
                    window_sha256: Sha256::digest(&window).into(),
                    sha256: Sha256::digest(&segment).into(),
                });
            }
        }
        let record = chosen.ok_or(DeltaError::Codec("no window was tried"))?;
        out.write_all(&record.to_bytes())
            .and_then(|()| out.write_all(&best))
            .map_err(write())?;
        summary.delta_size += (super::RECORD + best.len()) as u64;
        summary.segments += 1;
        done += len;
    }
    match target.read(&mut [0]) {
        Ok(0) => Ok(summary),
        Ok(_) => Err(DeltaError::damaged(format!(
            "the target has more than the {target_size} bytes that it should have"
        ))),
        Err(source) => Err(DeltaError::io("read the end of the target")(source)),
    }
}

/// The windows to try for the segment of `len` bytes at `at`, the likely ones first.
fn windows(header: &Header, at: u64, len: u64) -> Vec<(u64, u32)> {
    let base = header.base_size;
    let window = base.min(WINDOW.into());
    let last = base - window;
    // The same place, with as much around it on both sides.
    let around = |place: u64| {
        place
            .saturating_sub((u64::from(WINDOW) - len) / 2)
            .min(last)
    };
    let mut starts = vec![around(at)];
    // And the same distance from the end, where something was inserted or removed in front.
    starts.push(around(
        base.saturating_sub(header.target_size.saturating_sub(at)),
    ));
    if base <= TRY_ALL {
        starts.extend((0..=last).step_by(STRIDE as usize));
        starts.push(last);
    }
    let mut seen = Vec::new();
    starts.retain(|start| !seen.contains(start) && (seen.push(*start), true).1);
    starts
        .into_iter()
        .map(|start| (start, window as u32))
        .collect()
}

/// One frame with the size of its content in its head, so that the decoder needs a window of no more than that.
fn compress(window: &[u8], segment: &[u8], frame: &mut Vec<u8>) -> Result<(), DeltaError> {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(LEVEL),
        CParameter::WindowLog(ENCODER_LOG),
        CParameter::EnableLongDistanceMatching(true),
        CParameter::ContentSizeFlag(true),
        // Each segment has a SHA-256.
        CParameter::ChecksumFlag(false),
    ] {
        context.set_parameter(parameter).map_err(codec)?;
    }
    context
        .set_pledged_src_size(Some(segment.len() as u64))
        .map_err(codec)?;
    context.ref_prefix(window).map_err(codec)?;
    frame.clear();
    frame.reserve(MAX_PACKED as usize);
    let mut input = InBuffer::around(segment);
    let mut output = OutBuffer::around(frame);
    let left = context
        .compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_end)
        .map_err(codec)?;
    match left {
        0 => Ok(()),
        _ => Err(DeltaError::Codec("the frame is larger than it can be")),
    }
}
