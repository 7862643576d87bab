//! The verified writer: what it says is on the disk has been read back from the disk.
//!
//! # Order of writes, and why
//!
//! 1. The first 4096 bytes of the target are zeroed and made durable. Whatever was there before is now neither a file
//!    system nor a slot: [`crate::verity::root_fits`] checks the first data block and refuses it.
//! 2. Everything behind the first 4096 bytes is written while the source is hashed. Zero runs are written like
//!    everything else: a disk need not read as zeros where nothing was written.
//! 3. The hash of the source is compared with the expected one.
//! 4. Everything behind the first 4096 bytes is read back from the disk and its hash compared.
//! 5. Only then the first 4096 bytes are written, made durable, and read back.
//!
//! A power cut, a failed read or write, or a wrong source at any point before the end of step 5 leaves a target whose
//! first block is zeros. A torn write in step 5 leaves a first block that does not fit its hash tree.
//!
//! # Memory
//!
//! Five buffers of 1 MiB at most, whatever the size of the source. Every 64 MiB the target is flushed and its page cache
//! dropped, so that a live system with little memory is not filled with dirty pages and the progress is that of the
//! disk and not of the cache.

use crate::block::BlockDevice;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

/// Bytes written last; one block of dm-verity.
pub const HEAD: u64 = 4096;
/// Bytes of one buffer.
const BUFFER: usize = 1024 * 1024;
/// Buffers that wait to be written; one more is being filled and one being written.
const QUEUE: usize = 3;
/// The target is flushed each time this many bytes were written.
const FLUSH_EVERY: u64 = 64 * 1024 * 1024;

/// What a source must be: nothing else is ever declared good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

impl Expected {
    /// From lowercase or uppercase hexadecimal; none when that is not 64 hexadecimal characters.
    pub fn from_hex(size: u64, sha256: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(sha256, &mut bytes).ok()?;
        Some(Expected {
            size,
            sha256: bytes,
        })
    }
}

/// What the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the source and writing the target.
    Write,
    /// Reading the target back.
    Verify,
}

/// How far it is. Bytes only grow within a phase and end at `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Bytes of this phase that are done.
    pub bytes: u64,
    /// Bytes of this phase.
    pub total: u64,
}

/// A finished write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReport {
    /// Bytes written and read back.
    pub bytes: u64,
    /// SHA-256 of source and target.
    pub sha256: [u8; 32],
    /// Time for reading the source and writing.
    pub write_time: Duration,
    /// Time for reading back.
    pub verify_time: Duration,
}

/// Why a write failed. The target holds nothing that looks whole (see the module).
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The image is larger than the room for it.
    #[error("the image has {size} bytes, but from offset {offset} on the target has {room}")]
    NoRoom {
        /// Bytes of the image.
        size: u64,
        /// Where it should go.
        offset: u64,
        /// Bytes that are there.
        room: u64,
    },
    /// The source could not be read.
    #[error("cannot read the source at byte {at}; check the medium or the download and try again")]
    Source {
        /// Bytes read before.
        at: u64,
        /// What it said.
        source: io::Error,
    },
    /// The source has another size.
    #[error(
        "the source has {found} bytes and the release says {expected}; it is damaged, get it again"
    )]
    SourceSize {
        /// What the release says.
        expected: u64,
        /// What was read; one more than expected means at least that.
        found: u64,
    },
    /// The source has another hash.
    #[error(
        "the source has SHA-256 {} and the release says {}; it is damaged, get it again",
        hex::encode(found),
        hex::encode(expected)
    )]
    SourceHash {
        /// What the release says.
        expected: [u8; 32],
        /// What was read.
        found: [u8; 32],
    },
    /// The target failed.
    #[error(
        "cannot {action} the target at byte {at}; the disk may be failing, its kernel log and SMART data tell"
    )]
    Target {
        /// `write`, `read` or `flush`.
        action: &'static str,
        /// Offset on the target.
        at: u64,
        /// What it said.
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error(
        "the target reads back differently from what was written, near byte {at}; the disk cannot be trusted"
    )]
    ReadBack {
        /// First byte of the range that was compared.
        at: u64,
    },
    /// The reading thread ended without saying why.
    #[error(
        "the thread that reads the source stopped unexpectedly; this is a fault in the program"
    )]
    Internal,
}

fn target(action: &'static str, at: u64) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError::Target { action, at, source }
}

/// [`write_verified`] at the start of `target`, with its progress as one number: bytes that are done, and those in all. Reading
/// back takes as long as writing, so it counts, too.
///
/// # Errors
/// As [`write_verified`].
pub fn write_counted(
    source: &mut (dyn Read + Send),
    expected: &Expected,
    target: &mut dyn BlockDevice,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<WriteReport, WriteError> {
    let total = expected.size.saturating_mul(2);
    write_verified(source, expected, target, 0, &mut |progress| {
        let before = match progress.phase {
            Phase::Write => 0,
            Phase::Verify => expected.size,
        };
        on_progress(before + progress.bytes, total);
    })
}

/// Copies `source` to `target` at `offset`, and reads it back. See the module for the order of writes.
///
/// `on_progress` is called about once a MiB, in this thread.
pub fn write_verified(
    source: &mut (dyn Read + Send),
    expected: &Expected,
    target_device: &mut dyn BlockDevice,
    offset: u64,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<WriteReport, WriteError> {
    let device = target_device;
    let room = device.size().saturating_sub(offset);
    if expected.size > room {
        return Err(WriteError::NoRoom {
            size: expected.size,
            offset,
            room,
        });
    }
    let head_len = expected.size.min(HEAD);
    let started = Instant::now();
    write_durable(device, offset, &vec![0; head_len as usize])?;

    let (head, found) = std::thread::scope(|scope| {
        let (full, filled) = mpsc::sync_channel(QUEUE);
        let (empty, recycled) = mpsc::sync_channel(QUEUE + 2);
        let size = expected.size;
        let reader = scope.spawn(move || read_all(source, size, &full, &recycled));
        let written = write_tail(device, offset, size, &filled, &empty, on_progress);
        // Ends a reader that waits for room in the queue after a failed write.
        drop(filled);
        let read = reader.join().map_err(|_| WriteError::Internal)?;
        // A failed write comes first: the reader then only says that its queue is gone.
        written?;
        read
    })?;
    if found != expected.sha256 {
        return Err(WriteError::SourceHash {
            expected: expected.sha256,
            found,
        });
    }
    device.flush().map_err(target("flush", offset))?;
    let write_time = started.elapsed();

    let started = Instant::now();
    let mut hasher = Sha256::new();
    hasher.update(&head);
    let tail = offset + head_len;
    let total = expected.size;
    let mut progress = |bytes| {
        on_progress(Progress {
            phase: Phase::Verify,
            bytes,
            total,
        })
    };
    hash_into(
        device,
        tail,
        expected.size - head_len,
        &mut hasher,
        &mut |n| progress(head_len + n),
    )?;
    if <[u8; 32]>::from(hasher.finalize()) != expected.sha256 {
        return Err(WriteError::ReadBack { at: tail });
    }
    write_durable(device, offset, &head)?;
    read_back(device, offset, &head)?;
    progress(total);
    Ok(WriteReport {
        bytes: total,
        sha256: found,
        write_time,
        verify_time: started.elapsed(),
    })
}

/// Zeroes the first block of an image at `offset`, so that there is none, and sees that the disk kept the zeros.
///
/// # Errors
/// The disk fails, or what was there is still there.
pub fn forget_image(device: &mut dyn BlockDevice, offset: u64) -> Result<(), WriteError> {
    let zeros = [0; HEAD as usize];
    write_durable(device, offset, &zeros)?;
    read_back(device, offset, &zeros)
}

/// SHA-256 of `size` bytes at `offset` as they are on the disk, not in the cache. `on_progress` gets the bytes done.
pub fn hash_range(
    device: &mut dyn BlockDevice,
    offset: u64,
    size: u64,
    on_progress: &mut dyn FnMut(u64),
) -> Result<[u8; 32], WriteError> {
    let mut hasher = Sha256::new();
    hash_into(device, offset, size, &mut hasher, on_progress)?;
    Ok(hasher.finalize().into())
}

fn hash_into(
    device: &mut dyn BlockDevice,
    offset: u64,
    size: u64,
    hasher: &mut Sha256,
    on_progress: &mut dyn FnMut(u64),
) -> Result<(), WriteError> {
    let mut buffer = vec![0; BUFFER];
    let mut done = 0;
    device
        .drop_cache(offset, size)
        .map_err(target("read", offset))?;
    while done < size {
        let n = (size - done).min(BUFFER as u64);
        let at = offset + done;
        let chunk = &mut buffer[..n as usize];
        device.read_at(at, chunk).map_err(target("read", at))?;
        hasher.update(&*chunk);
        done += n;
        // What was read back is not needed again, and must not push everything else out of memory.
        device.drop_cache(at, n).map_err(target("read", at))?;
        on_progress(done);
    }
    // The kernel reads ahead in larger pieces than these, and keeps a piece that is dropped only in part.
    device
        .drop_cache(offset, size)
        .map_err(target("read", offset))
}

fn write_durable(device: &mut dyn BlockDevice, at: u64, data: &[u8]) -> Result<(), WriteError> {
    device.write_at(at, data).map_err(target("write", at))?;
    device.flush().map_err(target("flush", at))
}

/// Compares what is on the disk with `data`.
fn read_back(device: &mut dyn BlockDevice, at: u64, data: &[u8]) -> Result<(), WriteError> {
    device
        .drop_cache(at, data.len() as u64)
        .map_err(target("read", at))?;
    let mut back = vec![0; data.len()];
    device.read_at(at, &mut back).map_err(target("read", at))?;
    match back == data {
        true => Ok(()),
        false => Err(WriteError::ReadBack { at }),
    }
}

/// The reading thread: reads and hashes exactly `size` bytes and checks that no more follow. The first [`HEAD`] bytes
/// are returned instead of being queued.
fn read_all(
    source: &mut (dyn Read + Send),
    size: u64,
    full: &SyncSender<Vec<u8>>,
    recycled: &Receiver<Vec<u8>>,
) -> Result<(Vec<u8>, [u8; 32]), WriteError> {
    let mut hasher = Sha256::new();
    let mut done = 0;
    let mut fill = |buffer: &mut Vec<u8>, len: u64| -> Result<(), WriteError> {
        buffer.resize(len as usize, 0);
        let mut got = 0;
        while got < buffer.len() {
            match source.read(&mut buffer[got..]) {
                Ok(0) => {
                    return Err(WriteError::SourceSize {
                        expected: size,
                        found: done + got as u64,
                    });
                }
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(WriteError::Source {
                        at: done + got as u64,
                        source,
                    });
                }
            }
        }
        hasher.update(&*buffer);
        done += len;
        Ok(())
    };
    let mut head = Vec::new();
    fill(&mut head, size.min(HEAD))?;
    let mut left = size - head.len() as u64;
    while left > 0 {
        let len = left.min(BUFFER as u64);
        let mut buffer = recycled.try_recv().unwrap_or_default();
        fill(&mut buffer, len)?;
        left -= len;
        if full.send(buffer).is_err() {
            // The writer failed and says why; what is returned here is not looked at.
            return Err(WriteError::Internal);
        }
    }
    loop {
        match source.read(&mut [0]) {
            Ok(0) => break,
            Ok(_) => {
                return Err(WriteError::SourceSize {
                    expected: size,
                    found: size + 1,
                });
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(WriteError::Source { at: size, source }),
        }
    }
    Ok((head, hasher.finalize().into()))
}

/// Writes what comes through the queue behind the head, until the reader ends.
fn write_tail(
    device: &mut dyn BlockDevice,
    offset: u64,
    total: u64,
    filled: &Receiver<Vec<u8>>,
    empty: &SyncSender<Vec<u8>>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), WriteError> {
    let mut done = total.min(HEAD);
    let mut flushed = done;
    for buffer in filled {
        let at = offset + done;
        device.write_at(at, &buffer).map_err(target("write", at))?;
        done += buffer.len() as u64;
        // A full return channel means enough spare buffers: this one is freed.
        let _ = empty.try_send(buffer);
        if done - flushed >= FLUSH_EVERY {
            device.flush().map_err(target("flush", at))?;
            device
                .drop_cache(offset + flushed, done - flushed)
                .map_err(target("flush", at))?;
            flushed = done;
        }
        on_progress(Progress {
            phase: Phase::Write,
            bytes: done,
            total,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Fault, FaultyDevice, MemoryDevice};
    use proptest::prelude::*;
    use std::io::Cursor;

    const SLOT: u64 = 4 * 1024 * 1024;
    const OFFSET: u64 = 8192;

    fn image(len: usize) -> Vec<u8> {
        // With long runs of zeros, and no two buffers alike.
        (0..len)
            .map(|i| {
                if i / 10_000 % 3 == 1 {
                    0
                } else {
                    (i * 31 + i / 4096) as u8 | 1
                }
            })
            .collect()
    }

    fn expected(image: &[u8]) -> Expected {
        Expected {
            size: image.len() as u64,
            sha256: Sha256::digest(image).into(),
        }
    }

    fn write(
        device: &mut dyn BlockDevice,
        source: &[u8],
        expected: &Expected,
    ) -> Result<WriteReport, WriteError> {
        write_verified(
            &mut Cursor::new(source),
            expected,
            device,
            OFFSET,
            &mut |_| {},
        )
    }

    /// An old slot full of something else.
    fn old_disk() -> MemoryDevice {
        MemoryDevice::new(SLOT).filled(0xee)
    }

    /// True when the first block is that of `image`: what a reader of the slot looks at first.
    fn looks_whole(disk: &MemoryDevice, image: &[u8]) -> bool {
        let head = image.len().min(HEAD as usize);
        disk.bytes(OFFSET, head) == image[..head]
    }

    #[test]
    fn writes_exactly_the_image_and_says_so() {
        for len in [0, 1, 4095, 4096, 4097, BUFFER + 4096, 3 * BUFFER + 5] {
            let image = image(len);
            let mut disk = old_disk();
            let mut seen = Vec::new();
            let report = write_verified(
                &mut Cursor::new(&image),
                &expected(&image),
                &mut disk,
                OFFSET,
                &mut |p| seen.push(p),
            )
            .unwrap();
            assert_eq!(
                (report.bytes, report.sha256),
                (len as u64, expected(&image).sha256)
            );
            assert_eq!(disk.bytes(OFFSET, len), image);
            assert_eq!(disk.bytes(0, OFFSET as usize), [0xee; OFFSET as usize]);
            assert_eq!(disk.bytes(OFFSET + len as u64, 1), [0xee]);
            assert!(
                seen.is_sorted_by_key(|p| (p.phase == Phase::Verify, p.bytes)),
                "{seen:?}"
            );
            assert_eq!(
                seen.last().map(|p| (p.phase, p.bytes, p.total)),
                Some((Phase::Verify, len as u64, len as u64))
            );
        }
    }

    #[test]
    fn hash_range_reads_what_is_there() {
        let image = image(BUFFER + 77);
        let mut disk = old_disk();
        write(&mut disk, &image, &expected(&image)).unwrap();
        let mut done = 0;
        let hash = hash_range(&mut disk, OFFSET, image.len() as u64, &mut |n| done = n).unwrap();
        assert_eq!((hash, done), (expected(&image).sha256, image.len() as u64));
        assert!(hash_range(&mut disk, SLOT - 1, 2, &mut |_| {}).is_err());
    }

    #[test]
    fn an_image_without_room_writes_nothing() {
        let image = image((SLOT - OFFSET + 1) as usize);
        let mut disk = old_disk();
        let error = write(&mut disk, &image, &expected(&image)).unwrap_err();
        assert!(
            matches!(error, WriteError::NoRoom { room, .. } if room == SLOT - OFFSET),
            "{error}"
        );
        assert_eq!(disk, old_disk());
        let error = write_verified(
            &mut io::empty(),
            &expected(b"x"),
            &mut disk,
            u64::MAX,
            &mut |_| {},
        )
        .unwrap_err();
        assert!(
            matches!(error, WriteError::NoRoom { room: 0, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_source_never_looks_whole() {
        let good = image(2 * BUFFER + 9);
        let expected = expected(&good);
        for at in [0, 4096, BUFFER + 3, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            let mut disk = old_disk();
            let error = write(&mut disk, &bad, &expected).unwrap_err();
            assert!(matches!(error, WriteError::SourceHash { .. }), "{error}");
            assert!(!looks_whole(&disk, &bad) && !looks_whole(&disk, &good));
        }
        let longer = [&good[..], b"x"].concat();
        for (source, found) in [
            (&good[..good.len() - 1], good.len() - 1),
            (&good[..100], 100),
            (&longer, longer.len()),
        ] {
            let mut disk = old_disk();
            let error = write(&mut disk, source, &expected).unwrap_err();
            assert!(
                matches!(error, WriteError::SourceSize { found: f, .. } if f == found as u64),
                "{error}"
            );
            assert!(!looks_whole(&disk, &good));
        }
    }

    /// Reads in odd pieces, is interrupted now and then, and fails at a given byte.
    struct Shaky<'a> {
        data: &'a [u8],
        at: usize,
        fail: usize,
        calls: usize,
    }

    impl Read for Shaky<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(7) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.at >= self.fail {
                return Err(io::Error::other("the medium was pulled"));
            }
            let n = buf
                .len()
                .min(5000)
                .min(self.data.len() - self.at)
                .min(self.fail - self.at);
            buf[..n].copy_from_slice(&self.data[self.at..self.at + n]);
            self.at += n;
            Ok(n)
        }
    }

    #[test]
    fn a_source_that_stutters_is_read_and_one_that_fails_is_told() {
        let image = image(BUFFER + 12_345);
        let expected = expected(&image);
        let run = |fail| {
            let mut disk = old_disk();
            let mut source = Shaky {
                data: &image,
                at: 0,
                fail,
                calls: 0,
            };
            (
                write_verified(&mut source, &expected, &mut disk, OFFSET, &mut |_| {}),
                disk,
            )
        };
        assert!(run(usize::MAX).0.is_ok());
        for fail in [0, 5000, BUFFER + 1] {
            let (result, disk) = run(fail);
            assert!(matches!(result, Err(WriteError::Source { at, .. }) if at == fail as u64));
            assert!(!looks_whole(&disk, &image));
        }
    }

    #[test]
    fn a_source_that_panics_is_an_error() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("fault in a decoder")
            }
        }
        let mut disk = old_disk();
        let result = write_verified(
            &mut Panics,
            &expected(b"abc"),
            &mut disk,
            OFFSET,
            &mut |_| {},
        );
        assert!(matches!(result, Err(WriteError::Internal)));
    }

    /// Every write, every kind of fault: an error, and a slot that does not look whole; or the whole image.
    #[test]
    fn no_fault_yields_a_slot_that_looks_whole_and_is_not() {
        let image = image(2 * BUFFER + 50_000);
        let expected = expected(&image);
        let mut counting = FaultyDevice::new(old_disk(), None);
        write(&mut counting, &image, &expected).unwrap();
        let writes = counting.writes();
        assert!(writes >= 4);
        for at in 0..writes {
            let mut faults = vec![
                Fault::PowerCut { at },
                Fault::WriteError { at },
                Fault::LostWrite { at },
                Fault::LostCache { at },
                Fault::NoSpace { at },
            ];
            faults.extend([0, 1, 2048, 4096].map(|bytes| Fault::TornWrite { at, bytes }));
            faults.extend([0, 4096 * 8 + 3, usize::MAX].map(|bit| Fault::FlippedWrite { at, bit }));
            for fault in faults {
                let mut device = FaultyDevice::new(old_disk(), Some(fault));
                let result = write(&mut device, &image, &expected);
                let disk = device.into_inner();
                let whole = disk.bytes(OFFSET, image.len()) == image;
                assert!(whole || !looks_whole(&disk, &image), "{fault:?}");
                // A fault in the zeroed block that is overwritten later may go unnoticed; nothing else may.
                assert!(result.is_err() || whole, "{fault:?}");
                let harmless = at == 0
                    && matches!(fault, Fault::LostWrite { .. } | Fault::FlippedWrite { .. });
                assert_eq!(result.is_ok(), harmless, "{fault:?}");
            }
        }
        for at in 0..counting.flushes() {
            let mut device = FaultyDevice::new(old_disk(), Some(Fault::FlushError { at }));
            assert!(write(&mut device, &image, &expected).is_err());
            // A disk that lies is found out by what the disk holds, not by what the cache does.
            let mut device = FaultyDevice::new(old_disk(), Some(Fault::LyingFlush { at }));
            let result = write(&mut device, &image, &expected);
            let disk = device.into_inner();
            let whole = disk.bytes(OFFSET, image.len()) == image;
            assert!(whole || !looks_whole(&disk, &image), "lie {at}");
            // The first flush is that of the zeroed block, which is overwritten later.
            assert_eq!((result.is_ok(), whole), (at == 0, at == 0), "lie {at}");
        }
        // At the end nothing waits for a flush that nobody asks for.
        let mut device = FaultyDevice::new(old_disk(), Some(Fault::LostCache { at: writes }));
        write(&mut device, &image, &expected).unwrap();
        assert_eq!(device.into_inner().bytes(OFFSET, image.len()), image);
        let unreadable = Some(Fault::ReadError {
            offset: OFFSET + 70_000,
        });
        let error = write(
            &mut FaultyDevice::new(old_disk(), unreadable),
            &image,
            &expected,
        )
        .unwrap_err();
        assert!(
            matches!(error, WriteError::Target { action: "read", .. }),
            "{error}"
        );
    }

    #[test]
    fn an_image_is_only_forgotten_where_the_disk_forgot_it() {
        for (fault, good) in [
            (None, true),
            (Some(Fault::LostWrite { at: 0 }), false),
            (Some(Fault::FlushError { at: 0 }), false),
            (Some(Fault::LyingFlush { at: 0 }), false),
        ] {
            let mut device = FaultyDevice::new(old_disk(), fault);
            let result = forget_image(&mut device, OFFSET);
            assert_eq!(result.is_ok(), good, "{fault:?}");
            // Where the flush failed it may be gone all the same; that was not promised.
            let head = device.into_inner().bytes(OFFSET, HEAD as usize);
            assert!(!good || head == [0; HEAD as usize], "{fault:?}");
        }
    }

    /// A device that keeps the order of what was asked of it.
    struct Ordered(MemoryDevice, Vec<(char, u64, u64)>);

    impl BlockDevice for Ordered {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn sector_size(&self) -> u32 {
            512
        }
        fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            self.1.push(('r', offset, buf.len() as u64));
            self.0.read_at(offset, buf)
        }
        fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.1.push(('w', offset, data.len() as u64));
            self.0.write_at(offset, data)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.1.push(('f', 0, 0));
            Ok(())
        }
        fn drop_cache(&mut self, offset: u64, len: u64) -> io::Result<()> {
            self.1.push(('d', offset, len));
            Ok(())
        }
    }

    #[test]
    fn the_order_is_invalidate_write_flush_drop_verify_head() {
        let image = image(10_000);
        let mut device = Ordered(old_disk(), Vec::new());
        write(&mut device, &image, &expected(&image)).unwrap();
        let (tail, rest) = (OFFSET + HEAD, 10_000 - HEAD);
        let calls = [
            ('w', OFFSET, HEAD),
            ('f', 0, 0),
            ('w', tail, rest),
            ('f', 0, 0),
            ('d', tail, rest),
            ('r', tail, rest),
            ('d', tail, rest),
            ('d', tail, rest),
            ('w', OFFSET, HEAD),
            ('f', 0, 0),
            ('d', OFFSET, HEAD),
            ('r', OFFSET, HEAD),
        ];
        assert_eq!(device.1, calls);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_faults_are_noticed_or_harmless(
            len in 1usize..200_000,
            at in 0u64..6,
            kind in 0..3,
            bit in any::<usize>(),
        ) {
            let image = image(len);
            let fault = match kind {
                0 => Fault::FlippedWrite { at, bit },
                1 => Fault::TornWrite { at, bytes: bit % (len + 1) },
                _ => Fault::LostWrite { at },
            };
            let mut device = FaultyDevice::new(old_disk(), Some(fault));
            let result = write(&mut device, &image, &expected(&image));
            let disk = device.into_inner();
            let whole = disk.bytes(OFFSET, len) == image;
            prop_assert!(result.is_err() || whole);
            // The image of a few bytes may be torn into its beginning; a slot is a whole block at least.
            prop_assert!(whole || len < HEAD as usize || !looks_whole(&disk, &image));
        }
    }
}
