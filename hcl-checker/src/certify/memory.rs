//! Memory: patterns are written to all of it that is free, and read again.

use super::amount::{self, MEMORY_FREE, MEMORY_TESTED, PATTERN_TIME};
use super::change::read_text;
use super::plan::duration;
use super::{Bench, Outcome, TestError};
use nix::sys::mman::{MlockAllFlags, mlockall, munlockall};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use steps::System;

/// Words of 64 bits in a chunk: 64 MiB.
const CHUNK: usize = 8 << 20;
const WORD: u64 = 8;
/// Words that differ and are told; broken memory has millions.
const TOLD: usize = 16;
/// Left to everybody else, at least.
const RESERVE: u64 = 256 << 20;

/// Patterns in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryTest {
    /// Seconds that it may take.
    pub seconds: u64,
    /// Bytes at most; none for all that is free, less a reserve.
    pub limit_bytes: Option<u64>,
}

/// What a word holds, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// Every word another value: finds address lines that are stuck or shorted.
    Number,
    /// Its complement, so that every bit of every word was 0 and 1.
    NumberInverted,
    /// The same byte everywhere.
    Byte(u8),
    /// A single 1 that walks through the word.
    Walking,
    /// Noise, another one in each round.
    Noise(u64),
}

impl Pattern {
    /// Those of a round, the most telling first: a short time still covers addresses and every bit.
    fn round(round: u64) -> [Self; 8] {
        [
            Self::Number,
            Self::NumberInverted,
            Self::Byte(0xaa),
            Self::Byte(0x55),
            Self::Walking,
            Self::Noise(round),
            Self::Byte(0x00),
            Self::Byte(0xff),
        ]
    }

    fn word(self, number: u64) -> u64 {
        match self {
            Self::Number => number,
            Self::NumberInverted => !number,
            Self::Byte(byte) => u64::from_ne_bytes([byte; 8]),
            Self::Walking => 1 << (number % 64),
            Self::Noise(round) => mix(number ^ round.rotate_left(48)),
        }
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the number counts for every bit of the result.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A word that did not hold what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    /// Its place in this process.
    address: usize,
    wanted: u64,
    found: u64,
}

fn fill(chunk: &mut [u64], first: u64, pattern: Pattern) {
    for (number, word) in (first..).zip(chunk.iter_mut()) {
        *word = pattern.word(number);
    }
    // The words are read again by a program that could know them: this keeps the compiler from knowing.
    black_box(chunk);
}

/// Compares; tells the first words that differ and how many there are.
fn verify(chunk: &[u64], first: u64, pattern: Pattern) -> (u64, Vec<Wrong>) {
    let chunk = black_box(chunk);
    let (mut count, mut told) = (0, Vec::new());
    for (number, word) in (first..).zip(chunk) {
        let wanted = pattern.word(number);
        if *word != wanted {
            count += 1;
            if told.len() < TOLD {
                told.push(Wrong {
                    address: std::ptr::from_ref(word).addr(),
                    wanted,
                    found: *word,
                });
            }
        }
    }
    (count, told)
}

/// Runs the test.
pub(super) fn run(bench: &mut Bench<'_>, test: &MemoryTest) -> Result<Outcome, TestError> {
    let start = Instant::now();
    let deadline = start + duration(test.seconds);
    let free = available(bench.system)?;
    let bytes = to_test(free, test.limit_bytes);
    let words = usize::try_from(bytes / WORD).unwrap_or(usize::MAX);
    if words == 0 {
        return Err(TestError::CannotRun(format!(
            "only {} MiB of memory are free, and {} MiB are left to others",
            free >> 20,
            RESERVE >> 20
        )));
    }
    let before = ecc_errors(bench.system);
    let mut chunks = allocate(words)?;
    let mut outcome = Outcome::new();
    let mut work = Work {
        bench,
        chunks: &mut chunks,
        deadline,
        seconds: test.seconds,
    };
    let (mut passes, mut wrong, mut told) = (0_u64, 0_u64, Vec::new());
    let mut locked = None;
    'rounds: for round in 0.. {
        for pattern in Pattern::round(round) {
            let Some(found) = work.pass(pattern, &mut locked)? else {
                break 'rounds;
            };
            passes += 1;
            wrong += found.0;
            told.extend(found.1);
            told.truncate(TOLD);
            // Broken is broken; more patterns would not make it more so.
            if wrong > 0 {
                break 'rounds;
            }
        }
    }
    let took = start.elapsed();
    // Physical places can be told while the memory is still there.
    let places: Vec<String> = told.iter().map(describe).collect();
    if locked == Some(true) {
        munlockall().map_err(std::io::Error::from)?;
    }
    drop(chunks);
    bench.go_on()?;
    if passes == 0 {
        return Err(TestError::CannotRun(format!(
            "{} s are too short to write and read {} MiB once; give more with --memory-time",
            test.seconds,
            bytes >> 20
        )));
    }
    outcome.measured(
        MEMORY_TESTED,
        format!("{} MiB", bytes >> 20),
        "",
        "this program",
    );
    outcome.measured(
        MEMORY_FREE,
        format!("{} MiB", to_test(free, None) >> 20),
        "",
        "/proc/meminfo",
    );
    outcome.measured(PATTERN_TIME, amount::seconds(took), "", "this program");
    outcome.measured("passes", passes.to_string(), "1 at least", "this program");
    let kept = if locked == Some(true) { "yes" } else { "no" };
    outcome.measured("kept from being swapped", kept, "yes", "mlockall");
    outcome.measured("words that differ", wrong.to_string(), "0", "this program");
    outcome.expect(locked == Some(true), || {
        "the memory could not be locked, so a pass may have tested the swap disk".to_owned()
    });
    outcome.expect(wrong == 0, || {
        format!(
            "{wrong} words did not hold what was written: {}",
            places.join("; ")
        )
    });
    if let (Some(before), Some(after)) = (before, ecc_errors(bench.system)) {
        let new = after.saturating_sub(before);
        outcome.measured(
            "errors that ECC saw",
            new.to_string(),
            "0",
            "/sys/devices/system/edac/mc/mc*/{ce,ue}_count",
        );
        outcome.expect(new == 0, || format!("ECC saw {new} errors"));
    }
    Ok(outcome)
}

/// Bytes to test of those that are free.
fn to_test(free: u64, limit: Option<u64>) -> u64 {
    let most = free.saturating_sub(RESERVE.max(free / 16));
    limit.map_or(most, |limit| limit.min(most))
}

/// `MemAvailable` of /proc/meminfo, bytes.
fn available(system: &dyn System) -> Result<u64, TestError> {
    let text = read_text(system, "/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.and_then(|kib| kib.checked_mul(1024))
        .ok_or_else(|| TestError::Trouble("/proc/meminfo: no usable line MemAvailable".to_owned()))
}

/// Errors that the memory controllers counted, mended ones too; none where there is no driver for them.
fn ecc_errors(system: &dyn System) -> Option<u64> {
    const FOLDER: &str = "/sys/devices/system/edac/mc";
    let names = system.list_dir(std::path::Path::new(FOLDER)).ok()?;
    let files = names
        .iter()
        .filter(|name| name.starts_with("mc"))
        .flat_map(|name| ["ce_count", "ue_count"].map(|file| format!("{FOLDER}/{name}/{file}")));
    let counts = files.filter_map(|file| read_text(system, &file).ok()?.parse::<u64>().ok());
    counts.reduce(u64::saturating_add)
}

/// Takes the memory without touching it.
fn allocate(words: usize) -> Result<Vec<Vec<u64>>, TestError> {
    let mut chunks = Vec::new();
    let mut left = words;
    while left > 0 {
        let length = left.min(CHUNK);
        let mut chunk = Vec::new();
        chunk
            .try_reserve_exact(length)
            .map_err(|error| TestError::Trouble(format!("no memory: {error}")))?;
        chunks.push(chunk);
        left -= length;
    }
    Ok(chunks)
}

struct Work<'a, 'b> {
    bench: &'a mut Bench<'b>,
    chunks: &'a mut Vec<Vec<u64>>,
    deadline: Instant,
    seconds: u64,
}

impl Work<'_, '_> {
    /// Writes one pattern everywhere, then reads everything: caches are long full of other words by then. None where the
    /// time was up before the end.
    fn pass(
        &mut self,
        pattern: Pattern,
        locked: &mut Option<bool>,
    ) -> Result<Option<(u64, Vec<Wrong>)>, TestError> {
        let whole = self.in_parallel(|chunk, number| {
            // The first pass also takes the pages.
            let words = chunk.capacity().min(CHUNK);
            chunk.resize(words, 0);
            fill(chunk, number, pattern);
            (0, Vec::new())
        })?;
        if whole.is_none() {
            return Ok(None);
        }
        if locked.is_none() {
            *locked = Some(mlockall(MlockAllFlags::MCL_CURRENT).is_ok());
        }
        self.in_parallel(|chunk, number| verify(chunk, number, pattern))
    }

    /// Does something with every chunk, on all CPUs.
    fn in_parallel(
        &mut self,
        work: impl Fn(&mut Vec<u64>, u64) -> (u64, Vec<Wrong>) + Sync,
    ) -> Result<Option<(u64, Vec<Wrong>)>, TestError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (deadline, stop) = (self.deadline, self.bench.stop.clone());
        let cut = AtomicBool::new(false);
        let running = AtomicU64::new(0);
        let found: Mutex<(u64, Vec<Wrong>)> = Mutex::default();
        let start = deadline.checked_sub(duration(self.seconds));
        let queue: Mutex<_> = Mutex::new(self.chunks.iter_mut().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (bench, seconds) = (&mut *self.bench, self.seconds);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                running.fetch_add(1, Ordering::Relaxed);
                scope.spawn(|| {
                    while let Some((number, chunk)) = next() {
                        if stop.is_asked() || Instant::now() >= deadline {
                            cut.store(true, Ordering::Relaxed);
                            break;
                        }
                        let (count, told) = work(chunk, (number * CHUNK) as u64);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.0 += count;
                        if found.1.len() < TOLD {
                            found.1.extend(told);
                        }
                    }
                    running.fetch_sub(1, Ordering::Relaxed);
                });
            }
            while running.load(Ordering::Relaxed) > 0 {
                let past = start.map_or(0, |start| start.elapsed().as_secs());
                bench.progress(past, seconds);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        self.bench.go_on()?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((!cut.load(Ordering::Relaxed)).then_some(found))
    }
}

/// A wrong word for people, with its place in the machine where the kernel tells it: that names the module.
fn describe(wrong: &Wrong) -> String {
    let place = match physical(wrong.address) {
        Some(physical) => format!("at physical {physical:#x}"),
        None => format!("at virtual {:#x}", wrong.address),
    };
    format!(
        "{place} wrote {:#018x}, read {:#018x}",
        wrong.wanted, wrong.found
    )
}

/// By /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst): 64 bits a page, of which 55 are the frame's number,
/// zero without the right to see it; bit 63 tells that the page is there. Under Xen this is dom0's own counting.
fn physical(address: usize) -> Option<u64> {
    const PAGE: u64 = 4096;
    let address = address as u64;
    let mut file = std::fs::File::open("/proc/self/pagemap").ok()?;
    file.seek(SeekFrom::Start(address / PAGE * 8)).ok()?;
    let mut entry = [0; 8];
    file.read_exact(&mut entry).ok()?;
    let entry = u64::from_ne_bytes(entry);
    let frame = entry & ((1 << 55) - 1);
    (entry >> 63 == 1 && frame != 0).then_some(frame * PAGE + address % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_single_bit_is_found_in_every_pattern() {
        for pattern in Pattern::round(3) {
            let mut chunk = vec![0_u64; 1000];
            fill(&mut chunk, 5000, pattern);
            assert_eq!(verify(&chunk, 5000, pattern), (0, vec![]), "{pattern:?}");
            for (place, bit) in [(0, 0), (17, 63), (999, 31)] {
                chunk[place] ^= 1 << bit;
                let (count, told) = verify(&chunk, 5000, pattern);
                assert_eq!((count, told.len()), (1, 1), "{pattern:?} {place}");
                assert_eq!(told[0].wanted ^ told[0].found, 1 << bit);
                assert_eq!(told[0].address, std::ptr::from_ref(&chunk[place]).addr());
                chunk[place] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn a_shorted_address_line_is_found() {
        // Words that differ only in one line of the address get the same place: the later write wins.
        let mut chunk = vec![0_u64; 1024];
        fill(&mut chunk, 0, Pattern::Number);
        for place in 0..1024 {
            chunk[place] = chunk[place | 64];
        }
        assert_eq!(verify(&chunk, 0, Pattern::Number).0, 512);
    }

    #[test]
    fn every_bit_is_written_as_0_and_as_1() {
        let words: BTreeSet<u64> = Pattern::round(0)
            .iter()
            .map(|pattern| pattern.word(7))
            .collect();
        assert_eq!(words.iter().fold(0, |all, word| all | word), u64::MAX);
        assert_eq!(words.iter().fold(u64::MAX, |all, word| all & word), 0);
        // The value of splitmix64 for seed 0, from its reference code.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn others_keep_some_memory() {
        assert_eq!(to_test(200 << 20, None), 0);
        assert_eq!(to_test(1 << 30, None), 768 << 20);
        assert_eq!(to_test(64 << 30, None), 60 << 30);
        assert_eq!(to_test(64 << 30, Some(1 << 30)), 1 << 30);
    }
}
