//! Disks: written, flushed, verified, and read at random while they are written. Their content is lost.

mod direct;
mod spread;

pub use direct::DirectDevice;

use super::amount::{self, DISK_SIZE, DISK_WRITTEN, READ_TIME, WRITE_TIME};
use super::plan::duration;
use super::{Bench, Outcome, Target, TestError};
use crate::facts::{Disk, Facts};
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slots::block::BlockDevice;
use spread::{BLOCK, READ, Spread};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Blocks between two flushes: data of a database is flushed, not only streamed.
const FLUSH_EVERY: u64 = 64;
/// Threads that read at random.
const READERS: u64 = 4;
/// Reads of one thread, at most: their latencies are kept.
const READS: usize = 1 << 20;

/// A test of a disk or volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageTest {
    /// What may be erased.
    pub path: PathBuf,
    /// Kernel name, where it is a disk of the facts.
    pub disk: Option<String>,
    /// Its serial number by the facts.
    pub serial: Option<String>,
    /// Its WWN by the facts.
    pub wwn: Option<String>,
    /// Its size by the facts.
    pub size_bytes: Option<u64>,
    /// Seconds for writing and verifying together; random reads take half of that more.
    pub seconds: u64,
    /// Bytes to write at most.
    pub limit_bytes: u64,
}

/// Runs the test.
pub(super) fn run(bench: &mut Bench<'_>, test: &StorageTest) -> Result<Outcome, TestError> {
    identify(test)?;
    let used = Target::read(bench.system, &test.path).used_by;
    if !used.is_empty() {
        return Err(TestError::CannotRun(format!(
            "{} came into use since the plan was made ({}): nothing was written",
            test.path.display(),
            used.join(", ")
        )));
    }
    let device =
        DirectDevice::open(&test.path).map_err(|error| TestError::CannotRun(error.to_string()))?;
    if let Some(size) = test.size_bytes
        && size != device.size()
    {
        return Err(TestError::Trouble(format!(
            "{} has {} bytes and had {size} when the plan was made: nothing was written",
            test.path.display(),
            device.size()
        )));
    }
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(device.again()?);
    }
    exercise(bench, test, device, readers)
}

/// Looks again whether the path still leads to the disk of the plan: names change, and this is the last look before its
/// content is lost.
fn identify(test: &StorageTest) -> Result<(), TestError> {
    let Some(name) = &test.disk else {
        return Ok(());
    };
    let root = Root::at(std::path::Path::new("/"))?;
    let facts = Facts::read(&root);
    let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
    let disk = disks.iter().find(|disk| disk.name == *name);
    match disk {
        None => Err(TestError::Trouble(format!(
            "{name} is gone: nothing was written"
        ))),
        Some(disk) => match differs(test, disk) {
            None => Ok(()),
            Some(why) => Err(TestError::Trouble(format!("{why}: nothing was written"))),
        },
    }
}

/// Why this is not the disk of the plan.
fn differs(test: &StorageTest, disk: &Disk) -> Option<String> {
    let is = |what: &str, planned: Option<String>, found: Option<String>| {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        (planned != found).then(|| {
            format!(
                "{} has {what} {} and had {} when the plan was made",
                disk.path,
                show(&found),
                show(&planned)
            )
        })
    };
    let number = |size: Option<u64>| size.map(|size| size.to_string());
    if disk.is_in_use() {
        return Some(format!("{} came into use", disk.path));
    }
    is(
        "serial number",
        test.serial.clone(),
        disk.serial.value().cloned(),
    )
    .or_else(|| is("WWN", test.wwn.clone(), disk.wwn.value().cloned()))
    .or_else(|| {
        let size = disk.size_bytes.value().copied();
        is("size", number(test.size_bytes), number(size))
    })
}

/// Everything after the disk is open.
fn exercise<D: BlockDevice + Send>(
    bench: &mut Bench<'_>,
    test: &StorageTest,
    mut device: D,
    readers: Vec<D>,
) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let path = test.path.display().to_string();
    // Another one in each run: what an earlier run left does not pass for what this one wrote.
    let seed = random()?;
    let spread = Spread::new(device.size(), test.limit_bytes, seed);
    if spread.blocks() == 0 {
        return Err(TestError::CannotRun(format!(
            "{path} is smaller than 1 MiB"
        )));
    }
    let half = duration(test.seconds) / 2;
    let written = write(bench, &mut device, &spread, half)?;
    outcome.measured(DISK_SIZE, device.size().to_string(), "", &path);
    outcome.measured(DISK_WRITTEN, written.bytes().to_string(), "", &path);
    let took = amount::seconds(written.time);
    outcome.measured(WRITE_TIME, took, "", "this program");
    outcome.measured(
        "write rate",
        written.rate(),
        "",
        format!("{path}, O_DIRECT"),
    );
    outcome.measured(
        "longest flush",
        millis(written.longest_flush),
        "",
        "fdatasync",
    );

    let read = verify(bench, &mut device, &spread, written.blocks)?;
    outcome.measured("read rate", read.rate(), "", format!("{path}, O_DIRECT"));
    outcome.measured(
        "blocks of 1 MiB that differ",
        read.wrong.len().to_string(),
        "0",
        &path,
    );
    outcome.expect(read.wrong.is_empty(), || {
        let places: Vec<String> = read
            .wrong
            .iter()
            .take(8)
            .map(|at| format!("{at:#x}"))
            .collect();
        format!(
            "{path} does not hold what was written at {}",
            places.join(", ")
        )
    });

    if outcome.status == super::Status::Passed {
        let time = half.max(Duration::from_secs(1));
        let random = random_reads(bench, device, readers, &spread, written.blocks, time)?;
        let per_second = random.latencies.len() as u128 * 1000 / random.time.as_millis().max(1);
        outcome.measured(
            "random reads of 4 KiB while writing",
            format!("{per_second} a second by {READERS} threads"),
            "",
            format!("{path}, O_DIRECT"),
        );
        let took = amount::seconds(random.time);
        outcome.measured(READ_TIME, took, "", "this program");
        for (name, part) in [("half", 500), ("99 of 100", 990), ("999 of 1000", 999)] {
            outcome.measured(
                &format!("{name} of these reads took at most"),
                millis(random.quantile(part)),
                "",
                "this program",
            );
        }
        outcome.measured("reads that differ", random.wrong.to_string(), "0", &path);
        outcome.expect(random.wrong == 0, || {
            format!(
                "{} random reads of {path} differ from what was written",
                random.wrong
            )
        });
    }
    Ok(outcome)
}

fn random() -> Result<u64, TestError> {
    use std::io::Read;
    let mut seed = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(u64::from_ne_bytes(seed))
}

fn millis(time: Duration) -> String {
    format!("{}.{:03} ms", time.as_millis(), time.as_micros() % 1000)
}

/// MB/s of so many blocks.
fn rate(blocks: u64, time: Duration) -> String {
    let bytes = u128::from(blocks) * BLOCK as u128;
    let per_second = bytes * 1000 / time.as_millis().max(1);
    format!("{} MB/s", per_second / 1_000_000)
}

struct Written {
    blocks: u64,
    time: Duration,
    longest_flush: Duration,
}

impl Written {
    fn bytes(&self) -> u64 {
        self.blocks * BLOCK as u64
    }

    fn rate(&self) -> String {
        rate(self.blocks, self.time)
    }
}

/// Writes blocks until all are written or the time is up; the last one is flushed.
fn write(
    bench: &mut Bench<'_>,
    device: &mut impl BlockDevice,
    spread: &Spread,
    limit: Duration,
) -> Result<Written, TestError> {
    let start = Instant::now();
    let mut block = vec![0; BLOCK];
    let mut longest_flush = Duration::ZERO;
    let mut flush = |device: &mut dyn BlockDevice| -> Result<(), TestError> {
        let start = Instant::now();
        device
            .flush()
            .map_err(|error| TestError::Trouble(format!("flush: {error}")))?;
        longest_flush = longest_flush.max(start.elapsed());
        Ok(())
    };
    let mut blocks = 0;
    while blocks < spread.blocks() && (blocks == 0 || start.elapsed() < limit) {
        bench.go_on()?;
        let offset = spread.offset(blocks);
        spread.fill(offset, &mut block);
        device
            .write_at(offset, &block)
            .map_err(|error| TestError::Trouble(format!("write at {offset:#x}: {error}")))?;
        blocks += 1;
        if blocks % FLUSH_EVERY == 0 {
            flush(device)?;
        }
        bench.progress(blocks, 3 * spread.blocks());
    }
    flush(device)?;
    Ok(Written {
        blocks,
        time: start.elapsed(),
        longest_flush,
    })
}

struct Verified {
    blocks: u64,
    time: Duration,
    /// Offsets of blocks that differ.
    wrong: Vec<u64>,
}

impl Verified {
    fn rate(&self) -> String {
        rate(self.blocks, self.time)
    }
}

/// Reads everything that was written.
fn verify(
    bench: &mut Bench<'_>,
    device: &mut impl BlockDevice,
    spread: &Spread,
    blocks: u64,
) -> Result<Verified, TestError> {
    let start = Instant::now();
    let (mut read, mut wanted) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut wrong = Vec::new();
    for number in 0..blocks {
        bench.go_on()?;
        let offset = spread.offset(number);
        device
            .drop_cache(offset, BLOCK as u64)
            .and_then(|()| device.read_at(offset, &mut read))
            .map_err(|error| TestError::Trouble(format!("read at {offset:#x}: {error}")))?;
        spread.fill(offset, &mut wanted);
        if read != wanted {
            wrong.push(offset);
        }
        bench.progress(blocks + number, 3 * blocks);
    }
    Ok(Verified {
        blocks,
        time: start.elapsed(),
        wrong,
    })
}

struct RandomReads {
    /// Sorted.
    latencies: Vec<Duration>,
    wrong: u64,
    time: Duration,
}

impl RandomReads {
    /// What so many of a thousand reads did not exceed.
    fn quantile(&self, of_thousand: usize) -> Duration {
        let place = self.latencies.len() * of_thousand / 1000;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(place.min(last))
            .copied()
            .unwrap_or_default()
    }
}

/// Reads 4 KiB at random places with several threads, while another one writes the same blocks again.
fn random_reads<D: BlockDevice + Send>(
    bench: &mut Bench<'_>,
    writer: D,
    readers: Vec<D>,
    spread: &Spread,
    blocks: u64,
    time: Duration,
) -> Result<RandomReads, TestError> {
    let start = Instant::now();
    let end = start + time;
    let stop = bench.stop.clone();
    let broken = AtomicBool::new(false);
    let goes_on = || !stop.is_asked() && !broken.load(Ordering::Relaxed) && Instant::now() < end;
    let ended = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let written = rewrite(writer, spread, blocks, &goes_on);
            broken.fetch_or(written.is_err(), Ordering::Relaxed);
            written
        });
        let reading: Vec<_> = readers
            .into_iter()
            .zip(1..)
            .map(|(device, number)| {
                let (goes_on, broken) = (&goes_on, &broken);
                scope.spawn(move || {
                    let read = read_some(device, spread, blocks, number, goes_on);
                    broken.fetch_or(read.is_err(), Ordering::Relaxed);
                    read
                })
            })
            .collect();
        while goes_on() {
            let past = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let all = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            bench.progress(
                all.saturating_mul(2).saturating_add(past),
                all.saturating_mul(3),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let died = || TestError::Trouble("a thread of the test died".to_owned());
        writing.join().map_err(|_| died())??;
        let mut all = Vec::new();
        for reader in reading {
            all.push(reader.join().map_err(|_| died())??);
        }
        Ok::<_, TestError>(all)
    })?;
    bench.go_on()?;
    let mut random = RandomReads {
        latencies: Vec::new(),
        wrong: 0,
        time: start.elapsed(),
    };
    for (latencies, wrong) in ended {
        random.latencies.extend(latencies);
        random.wrong += wrong;
    }
    random.latencies.sort_unstable();
    Ok(random)
}

fn rewrite(
    mut device: impl BlockDevice,
    spread: &Spread,
    blocks: u64,
    goes_on: &impl Fn() -> bool,
) -> Result<(), TestError> {
    let mut block = vec![0; BLOCK];
    let mut number = 0;
    while goes_on() {
        let offset = spread.offset(number % blocks);
        spread.fill(offset, &mut block);
        device
            .write_at(offset, &block)
            .map_err(|error| TestError::Trouble(format!("write at {offset:#x}: {error}")))?;
        number += 1;
    }
    device
        .flush()
        .map_err(|error| TestError::Trouble(format!("flush: {error}")))
}

fn read_some(
    mut device: impl BlockDevice,
    spread: &Spread,
    blocks: u64,
    reader: u64,
    goes_on: &impl Fn() -> bool,
) -> Result<(Vec<Duration>, u64), TestError> {
    let (mut read, mut wanted) = (vec![0; READ], vec![0; READ]);
    let (mut latencies, mut wrong, mut number) = (Vec::new(), 0, 0);
    while goes_on() && latencies.len() < READS {
        let offset = spread.random(reader, number, blocks);
        number += 1;
        let start = Instant::now();
        device
            .read_at(offset, &mut read)
            .map_err(|error| TestError::Trouble(format!("read at {offset:#x}: {error}")))?;
        latencies.push(start.elapsed());
        spread.fill(offset, &mut wanted);
        wrong += u64::from(read != wanted);
    }
    Ok((latencies, wrong))
}

#[cfg(test)]
mod tests;
