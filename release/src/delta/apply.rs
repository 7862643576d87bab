//! Applying a delta.

use super::{Base, DECODER_LOG, DeltaError, HEADER, Header, RECORD, Record, codec};
use sha2::{Digest, Sha256};
use slots::verity::TreeBuilder;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Bytes that are handed on at once.
const CHUNK: usize = 1024 * 1024;
/// Bytes of a frame that are read at once.
const INPUT: usize = 128 * 1024;
/// Chunks that wait to be taken.
const QUEUE: usize = 2;

/// Makes the target from `delta` and `base`, and hands it to `sink` piece by piece.
///
/// What was handed on is only good once this has returned: a segment is compared with its hash at its end. Whoever needs
/// more than that compares the hash of the whole.
///
/// # Errors
/// When the delta or the base is not what it should be, or `sink` fails.
pub fn apply(
    delta: &mut dyn Read,
    base: &mut Base,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), DeltaError>,
) -> Result<(), DeltaError> {
    let mut bytes = [0; HEADER];
    fill(delta, &mut bytes)?;
    let header = Header::parse(&bytes)?;
    if header.base_size != base.size() {
        return Err(DeltaError::BaseSize {
            expected: header.base_size,
            found: base.size(),
        });
    }
    let mut window = Vec::new();
    let mut done = 0;
    while done < header.target_size {
        let mut bytes = [0; RECORD];
        fill(delta, &mut bytes)?;
        let record = Record::parse(&bytes, &header, done)?;
        window.resize(record.window as usize, 0);
        base.read_at(record.start, &mut window)?;
        if <[u8; 32]>::from(Sha256::digest(&window)) != record.window_sha256 {
            return Err(DeltaError::Base {
                start: record.start,
                len: record.window,
            });
        }
        segment(delta, &record, &window, done, sink)?;
        done += u64::from(record.len);
    }
    // To the very end, which is where a reader that verifies says whether all of it was good.
    match delta.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(DeltaError::damaged("something follows its last segment")),
        Err(source) => Err(DeltaError::io("read the delta")(source)),
    }
}

fn segment(
    delta: &mut dyn Read,
    record: &Record,
    window: &[u8],
    at: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), DeltaError>,
) -> Result<(), DeltaError> {
    let mut context = DCtx::create();
    context
        .set_parameter(DParameter::WindowLogMax(DECODER_LOG))
        .map_err(codec)?;
    context.ref_prefix(window).map_err(codec)?;
    let mut hasher = Sha256::new();
    let mut output = vec![0; CHUNK];
    let mut input = vec![0; INPUT];
    let (mut unread, mut made) = (record.packed as usize, 0);
    let mut ended = false;
    while unread > 0 {
        let n = unread.min(INPUT);
        fill(delta, &mut input[..n])?;
        unread -= n;
        let mut packed = InBuffer::around(&input[..n]);
        loop {
            let (got, hint) = {
                let mut out = OutBuffer::around(&mut output[..]);
                let hint = context
                    .decompress_stream(&mut out, &mut packed)
                    .map_err(|_| DeltaError::damaged("a frame cannot be decoded"))?;
                (out.pos(), hint)
            };
            made += got as u64;
            if made > u64::from(record.len) {
                return Err(DeltaError::damaged("a frame holds more than its segment"));
            }
            hasher.update(&output[..got]);
            if got > 0 {
                sink(&output[..got])?;
            }
            ended = hint == 0;
            let all_read = packed.pos() == n;
            if ended && !(all_read && unread == 0) {
                return Err(DeltaError::damaged("something follows a frame"));
            }
            // Output that did not fill the buffer means that the decoder has nothing more to give for now.
            if ended || (all_read && got < CHUNK) {
                break;
            }
        }
    }
    if !ended || made != u64::from(record.len) {
        return Err(DeltaError::damaged("a frame ends too early"));
    }
    match <[u8; 32]>::from(hasher.finalize()) == record.sha256 {
        true => Ok(()),
        false => Err(DeltaError::Segment { at }),
    }
}

fn fill(delta: &mut dyn Read, buffer: &mut [u8]) -> Result<(), DeltaError> {
    delta.read_exact(buffer).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => DeltaError::damaged("it ends too early"),
        _ => DeltaError::io("read the delta")(e),
    })
}

/// The target of a delta as a stream. It is made in a thread of its own, so that reading the base, decoding and whatever
/// the reader does go on at the same time. An error comes in place of the end.
#[derive(Debug)]
pub struct DeltaStream {
    pieces: Receiver<Result<Vec<u8>, DeltaError>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl DeltaStream {
    /// The target itself.
    pub fn new(delta: Box<dyn Read + Send>, base: Base) -> DeltaStream {
        DeltaStream::start(delta, base, None)
    }

    /// The target, and behind it the dm-verity tree over it: what an image holds behind its data follows from the data, and
    /// would be as much in a delta as in the image.
    pub fn with_tree(delta: Box<dyn Read + Send>, base: Base, tree: TreeBuilder) -> DeltaStream {
        DeltaStream::start(delta, base, Some(tree))
    }

    fn start(mut delta: Box<dyn Read + Send>, mut base: Base, tree: Option<TreeBuilder>) -> Self {
        let (sender, pieces) = mpsc::sync_channel(QUEUE);
        // Not joined: it ends by itself when the receiver is gone, and owns all that it uses.
        thread::spawn(move || {
            let result = make(&mut *delta, &mut base, tree, &sender);
            if let Err(error) = result {
                // Nobody is left to be told.
                let _ = sender.send(Err(error));
            } else {
                let _ = sender.send(Ok(Vec::new()));
            }
        });
        DeltaStream {
            pieces,
            piece: Vec::new(),
            at: 0,
            ended: false,
        }
    }
}

fn make(
    delta: &mut dyn Read,
    base: &mut Base,
    mut tree: Option<TreeBuilder>,
    sender: &SyncSender<Result<Vec<u8>, DeltaError>>,
) -> Result<(), DeltaError> {
    let send = |bytes: &[u8]| {
        sender
            .send(Ok(bytes.to_vec()))
            .map_err(|_| DeltaError::Closed)
    };
    apply(delta, base, &mut |bytes| {
        if let Some(tree) = &mut tree {
            tree.update(bytes);
        }
        send(bytes)
    })?;
    if let Some(tree) = tree {
        for piece in tree.finish().chunks(CHUNK) {
            send(piece)?;
        }
    }
    Ok(())
}

impl Read for DeltaStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.ended {
            return Ok(0);
        }
        if self.at == self.piece.len() {
            match self.pieces.recv() {
                Ok(Ok(piece)) if piece.is_empty() => {
                    self.ended = true;
                    return Ok(0);
                }
                Ok(Ok(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                // The thread is gone without a word: a panic, which printed its own.
                Err(_) => {
                    return Err(io::Error::other(
                        "the thread that applies the delta stopped",
                    ));
                }
            }
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
