//! Damage at random, on stable Rust and without a fuzzing engine; other packages use this file, too.
//!
//! `BEDPLATE_FUZZ_SECONDS` says for how long (2 by default; `./ci/test --long` says 120), `BEDPLATE_FUZZ_SEED` repeats a run.

use crate::allocations::peak;
use std::time::{Duration, Instant};

/// Seconds where nobody asks for more.
pub const SHORT: u64 = 2;
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
    for parser in &parsers {
        let (started, mut read) = (Instant::now(), 0_u64);
        for input in &parser.seeds {
            hold(parser, input, measure, seed);
        }
        while started.elapsed() < each || read < 20 {
            let input = mutated(&parser.seeds, &mut random, measure.longest);
            hold(parser, &input, measure, seed);
            read += 1;
        }
        println!("{:10} {read} inputs", parser.name);
    }
}

/// Held to the measure.
fn hold(parser: &Parser, input: &[u8], measure: &Measure, seed: u64) {
    let started = Instant::now();
    let used = peak(|| (parser.read)(input));
    let (name, length) = (parser.name, input.len());
    assert!(
        used <= measure.base + length * measure.factor,
        "seed {seed}: {name} took {used} bytes for {length}: {:?}",
        String::from_utf8_lossy(&input[..length.min(300)])
    );
    // Not a measure of speed: whatever takes this long hangs.
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "seed {seed}: {name} hangs on {length} bytes"
    );
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
