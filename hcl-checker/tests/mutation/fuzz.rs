//! Damage at random, on stable Rust and without a fuzzing engine; other packages use this file, too.
//!
//! `BEDPLATE_FUZZ_SECONDS` says for how long (2 by default; `./ci/test --long` says 120), `BEDPLATE_FUZZ_SEED` repeats a run.

use crate::allocations::peak;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds where nobody asks for more.
pub const SHORT: u64 = 2;
/// Not a measure of speed: whatever takes this long hangs.
const HANGS: Duration = Duration::from_secs(60);
/// Times that a piece is repeated, to find what grows faster than its input.
const REPEATS: usize = 2000;

/// Marsaglia's xorshift64: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One that is less; 0 where none is.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        (self.next() % limit as u64) as usize
    }
}

/// For how long each test runs.
pub fn seconds() -> u64 {
    number("BEDPLATE_FUZZ_SECONDS", SHORT)
}

/// Where the numbers start. The short run is the same every time: a finding of a new one belongs to whoever runs `--long`,
/// not to the next change.
pub fn seed() -> u64 {
    let another = if seconds() > SHORT {
        u64::from(std::process::id()) | 1 << 40
    } else {
        1
    };
    number("BEDPLATE_FUZZ_SEED", another)
}

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: `{text}` is no number"))
    })
}

/// Some bytes are others; the end may be missing.
pub fn damaged(content: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        let value = match random.below(4) {
            0 => 0,
            1 => 0xff,
            2 => b'-',
            _ => random.next() as u8,
        };
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len() + 1));
    }
    bytes
}

/// Reads input, whatever comes of it.
pub type Read = Box<dyn Fn(&[u8])>;

/// Something that reads input.
pub struct Parser {
    /// What it is called.
    pub name: &'static str,
    /// What is damaged.
    pub seeds: Vec<Vec<u8>>,
    /// Reads it.
    pub read: Read,
}

/// What memory a parser may take.
pub struct Measure {
    /// Bytes for a byte of input.
    pub factor: usize,
    /// Bytes whatever the input.
    pub base: usize,
    /// Bytes of the longest input.
    pub longest: usize,
}

/// Every parser alone, on its seeds and on what damage makes of them.
pub fn run(parsers: Vec<Parser>, measure: &Measure) {
    let (seconds, seed) = (seconds(), seed());
    println!("seed {seed}");
    let mut random = Random(seed.max(1));
    let each = Duration::from_secs(seconds) / parsers.len() as u32;
    let watched = Watched::new();
    for parser in &parsers {
        let (started, mut read) = (Instant::now(), 0_u64);
        for input in &parser.seeds {
            hold(parser, input, measure, seed, &watched);
        }
        while started.elapsed() < each || read < 20 {
            let input = mutated(&parser.seeds, &mut random, measure.longest);
            hold(parser, &input, measure, seed, &watched);
            read += 1;
        }
        println!("{:10} {read} inputs", parser.name);
    }
}

/// Held to the measure.
fn hold(parser: &Parser, input: &[u8], measure: &Measure, seed: u64, watched: &Watched) {
    let (name, length) = (parser.name, input.len());
    watched.begins(name, seed, input);
    let used = peak(|| (parser.read)(input));
    watched.ends();
    assert!(
        used <= measure.base + length * measure.factor,
        "seed {seed}: {name} took {used} bytes for {length}: {:?}",
        String::from_utf8_lossy(&input[..length.min(300)])
    );
}

/// A thread that looks on: a parser that never returns cannot be asked how long it took, and the whole test would hang without a
/// word about the input.
struct Watched(mpsc::Sender<Option<Reading>>);

/// What is read now.
struct Reading {
    name: &'static str,
    seed: u64,
    input: Vec<u8>,
}

impl Watched {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        // It ends with the sender.
        thread::spawn(move || {
            if let Some(reading) = hanging(&receiver, HANGS) {
                eprintln!("{}", reading.told());
                // A panic here would end this thread alone.
                std::process::abort();
            }
        });
        Watched(sender)
    }

    fn begins(&self, name: &'static str, seed: u64, input: &[u8]) {
        let input = input.to_vec();
        let sent = self.0.send(Some(Reading { name, seed, input }));
        sent.expect("the thread looks on");
    }

    fn ends(&self) {
        self.0.send(None).expect("the thread looks on");
    }
}

/// Waits for a reading that does not end within `limit`; none where all ended.
fn hanging(receiver: &mpsc::Receiver<Option<Reading>>, limit: Duration) -> Option<Reading> {
    while let Ok(message) = receiver.recv() {
        let Some(reading) = message else { continue };
        match receiver.recv_timeout(limit) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Some(reading),
            // The test ended meanwhile, by a panic of the parser.
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

impl Reading {
    /// What hangs, and where its input is.
    fn told(&self) -> String {
        let Reading { name, seed, input } = self;
        let file = std::env::temp_dir().join(format!("hangs-{name}-{}", std::process::id()));
        let kept = match std::fs::write(&file, input) {
            Ok(()) => format!("the input is in {}", file.display()),
            Err(error) => format!("the input cannot be kept: {error}"),
        };
        let length = input.len();
        format!("seed {seed}: {name} hangs on {length} bytes; {kept}")
    }
}

/// Of the thread that looks on: with a short limit, as nothing hangs on purpose for a minute.
#[test]
fn what_hangs_is_named_and_its_input_kept() {
    let (sender, receiver) = mpsc::channel();
    let reading = |name, input: &[u8]| {
        Some(Reading {
            name,
            seed: 7,
            input: input.to_vec(),
        })
    };
    sender.send(reading("quick", b"a")).expect("sent");
    sender.send(None).expect("sent");
    sender.send(reading("slow", b"never ends")).expect("sent");
    let found = hanging(&receiver, Duration::from_millis(50)).expect("one hangs");
    let told = found.told();
    assert!(told.contains("seed 7: slow hangs on 10 bytes"), "{told}");
    let (_, path) = told.split_once("is in ").expect("a path");
    assert_eq!(std::fs::read(path).expect("the input"), b"never ends");
    std::fs::remove_file(path).expect("removed");
    sender.send(reading("quick", b"a")).expect("sent");
    drop(sender);
    let limit = Duration::from_secs(20);
    assert!(hanging(&receiver, limit).is_none());
}

/// One seed with damage, or pieces of two.
fn mutated(seeds: &[Vec<u8>], random: &mut Random, longest: usize) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    match random.below(8) {
        // A piece of another one in the middle.
        0 => {
            let other = &seeds[random.below(seeds.len())];
            let (from, at) = (random.below(other.len()), random.below(input.len()));
            let piece = &other[from..(from + random.below(200)).min(other.len())];
            input.splice(at..at, piece.iter().copied());
        }
        // A piece many times: lists that grow, brackets that nest.
        1 => {
            let from = random.below(input.len());
            let piece = input[from..(from + 1 + random.below(24)).min(input.len())].to_vec();
            let many = piece.repeat(1 + random.below(REPEATS));
            input.splice(from..from, many);
        }
        // A line is missing.
        2 => {
            let mut lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
            lines.remove(random.below(lines.len()));
            input = lines.join(&b'\n');
        }
        // Digits are others, so numbers get too big or make no sense.
        3 => {
            for byte in input.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                if random.below(6) == 0 {
                    *byte = b"0189ef-x"[random.below(8)];
                }
            }
        }
        _ => input = damaged(&input, random),
    }
    input.truncate(longest);
    input
}
