//! CPUs: each runs, all calculate the same, and Xen can virtualize with them.

use super::amount::{self, LOAD_TIME};
use super::change::read_text;
use super::plan::duration;
use super::{Bench, Outcome, TestError};
use crate::facts::{Context, Facts, Virtualization};
use crate::known::Known;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// The calling thread.
const ME: Pid = Pid::from_raw(0);
/// Links of a chain of digests: some milliseconds.
const CHAIN: u32 = 20_000;

/// CPUs that this process may run on. A mask of the C library ends at 1024 CPUs, four times what Debian's Xen uses.
fn usable() -> Result<Vec<usize>, TestError> {
    let set = sched_getaffinity(ME).map_err(std::io::Error::from)?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// Keeps the calling thread on one CPU.
fn stay_on(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(ME, &set)?)
}

/// Runs a thread on each CPU and notes how CPUs were counted.
pub(super) fn topology(bench: &mut Bench<'_>) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let topology = &bench.facts.topology;
    let source = topology.sources.join(", ");
    for (name, number) in [
        ("sockets", &topology.sockets),
        ("cores", &topology.cores),
        ("threads", &topology.threads),
        ("NUMA nodes", &topology.numa_nodes),
    ] {
        outcome.measured(name, number.to_string(), "a number", source.clone());
        outcome.expect(number.value().is_some_and(|&number| number > 0), || {
            format!("{name}: {number}")
        });
    }
    let cpus = usable()?;
    let mut wrong = Vec::new();
    for &cpu in &cpus {
        bench.go_on()?;
        let ran = std::thread::spawn(move || -> std::io::Result<usize> {
            stay_on(cpu)?;
            Ok(sched_getcpu()?)
        })
        .join();
        match ran {
            Ok(Ok(on)) if on == cpu => {}
            Ok(Ok(on)) => wrong.push(format!("CPU {cpu} (ran on {on})")),
            Ok(Err(error)) => wrong.push(format!("CPU {cpu} ({error})")),
            Err(_) => wrong.push(format!("CPU {cpu} (the thread died)")),
        }
    }
    outcome.measured(
        "CPUs that ran a thread",
        (cpus.len() - wrong.len()).to_string(),
        cpus.len().to_string(),
        "sched_setaffinity, sched_getcpu",
    );
    outcome.expect(wrong.is_empty(), || {
        format!("no thread ran on {}", wrong.join(", "))
    });
    Ok(outcome)
}

/// What the facts say about virtualization. In dom0 this is Xen's own word.
pub(super) fn virtualization(bench: &mut Bench<'_>) -> Result<Outcome, TestError> {
    Ok(judge_virtualization(bench.facts))
}

fn judge_virtualization(facts: &Facts) -> Outcome {
    let mut outcome = Outcome::new();
    let cpu = &facts.cpu;
    let source = cpu.sources.join(", ");
    let found = cpu
        .virtualization
        .clone()
        .map(|found| format!("{found:?}").to_lowercase());
    outcome.measured(
        "virtualization",
        found.to_string(),
        "vmx, svm or hvm",
        source.clone(),
    );
    outcome.measured(
        "nested paging",
        cpu.nested_paging.to_string(),
        "true",
        source,
    );
    let usable = matches!(
        cpu.virtualization.value(),
        Some(Virtualization::Vmx | Virtualization::Svm | Virtualization::Hvm)
    );
    outcome.expect(usable, || format!("virtualization is {found}"));
    outcome.expect(cpu.nested_paging == Known::Value(true), || {
        format!("nested paging: {}", cpu.nested_paging)
    });
    if facts.context.value() == Some(&Context::Dom0) {
        let caps = match &facts.xen {
            Known::Value(xen) => xen.virt_caps.clone().map(|caps| caps.join(" ")),
            other => other.clone().map(|_| String::new()),
        };
        outcome.measured(
            "virt_caps of Xen",
            caps.to_string(),
            "with pv, hvm and hap",
            "xl info",
        );
        for wanted in ["pv", "hvm", "hap"] {
            let has = caps
                .value()
                .is_some_and(|caps| caps.split(' ').any(|cap| cap == wanted));
            outcome.expect(has, || format!("Xen does not offer {wanted}"));
        }
    }
    outcome
}

/// A chain of digests and a sum in floating point: the same on every CPU that works.
fn calculate() -> ([u8; 32], u64) {
    let mut link = [0_u8; 32];
    let mut sum = 0.0_f64;
    for number in 0..CHAIN {
        link = Sha256::digest(link).into();
        sum += f64::from(number).sqrt() * f64::from(link[0]);
    }
    (link, sum.to_bits())
}

/// Calculates on every CPU at once and compares all results with the first.
pub(super) fn load(bench: &mut Bench<'_>, seconds: u64) -> Result<Outcome, TestError> {
    let cpus = usable()?;
    let right = calculate();
    let throttled = throttles(bench);
    let start = Instant::now();
    let end = start + duration(seconds);
    let stop = bench.stop.clone();
    let ended: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = cpus
            .iter()
            .map(|&cpu| {
                let stop = &stop;
                let worker = scope.spawn(move || -> Result<u64, String> {
                    stay_on(cpu).map_err(|error| error.to_string())?;
                    let mut rounds = 0;
                    while Instant::now() < end && !stop.is_asked() {
                        if calculate() != right {
                            return Err("calculated wrong".to_owned());
                        }
                        rounds += 1;
                    }
                    Ok(rounds)
                });
                (cpu, worker)
            })
            .collect();
        while Instant::now() < end && !stop.is_asked() {
            bench.progress(start.elapsed().as_secs(), seconds);
            std::thread::sleep(Duration::from_millis(100));
        }
        let ended = workers
            .into_iter()
            .map(|(cpu, worker)| match worker.join() {
                Ok(Ok(rounds)) => Ok(rounds),
                Ok(Err(error)) => Err(format!("CPU {cpu}: {error}")),
                Err(_) => Err(format!("CPU {cpu}: its thread died")),
            });
        ended.collect()
    });
    let took = start.elapsed();
    bench.go_on()?;
    let mut outcome = judge_load(&ended, seconds, took)?;
    if let (Some(before), Some(after)) = (throttled, throttles(bench)) {
        outcome.measured(
            "times that heat slowed a CPU",
            after.saturating_sub(before).to_string(),
            "",
            "/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count",
        );
    }
    Ok(outcome)
}

/// What came of so many seconds of load, by the rounds of each CPU or what was wrong with it.
fn judge_load(
    ended: &[Result<u64, String>],
    seconds: u64,
    took: Duration,
) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let wrong: Vec<&str> = ended
        .iter()
        .filter_map(|one| one.as_ref().err().map(String::as_str))
        .collect();
    let rounds = || ended.iter().filter_map(|one| one.as_ref().ok()).copied();
    let slowest = rounds().min().unwrap_or(0);
    if slowest == 0 && wrong.is_empty() {
        return Err(TestError::CannotRun(format!(
            "{seconds} s are too short for one round on each of {} CPUs; give more with --cpu-time",
            ended.len()
        )));
    }
    outcome.measured(
        "CPUs under load",
        ended.len().to_string(),
        "",
        "sched_setaffinity",
    );
    outcome.measured(
        "rounds of SHA-256 and floating point",
        rounds().sum::<u64>().to_string(),
        "",
        "this program",
    );
    outcome.measured(
        "rounds of the slowest CPU",
        slowest.to_string(),
        "1 at least",
        "this program",
    );
    outcome.measured(
        "CPUs that calculated wrong",
        wrong.len().to_string(),
        "0",
        "this program",
    );
    outcome.measured(LOAD_TIME, amount::seconds(took), "", "this program");
    outcome.expect(wrong.is_empty(), || wrong.join("; "));
    Ok(outcome)
}

/// How often heat slowed CPUs since boot; none where the kernel does not count that.
fn throttles(bench: &Bench<'_>) -> Option<u64> {
    let counts = usable().ok()?.into_iter().filter_map(|cpu| {
        let file = format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count");
        read_text(bench.system, &file).ok()?.parse::<u64>().ok()
    });
    counts.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::Status;
    use crate::certify::bench::testing::Fixture;
    use crate::facts::Xen;

    #[test]
    fn the_chain_has_the_known_end() {
        // Two links by `printf '%064d' 0 | xxd -r -p | sha256sum | cut -c-64 | xxd -r -p | sha256sum`.
        let first: [u8; 32] = Sha256::digest([0_u8; 32]).into();
        let second = hex::encode(Sha256::digest(first));
        assert_eq!(
            second,
            "2b32db6c2c0a6235fb1397e8225ea85e0f0e6e8c7b126d0016ccbde0e667151e"
        );
        assert_eq!(calculate(), calculate());
    }

    #[test]
    fn no_load_is_no_pass_and_a_short_one_says_how_short() {
        let mut fixture = Fixture::new();
        let none = fixture.with(|bench| load(bench, 0));
        let reason = none.expect_err("not a round").to_string();
        assert!(
            reason.starts_with("0 s are too short for one round on each of ")
                && reason.ends_with("--cpu-time"),
            "{reason}"
        );
        let judged = |ended: &[Result<u64, String>]| {
            judge_load(ended, 5, Duration::from_millis(5012)).map(|outcome| {
                let told = |name: &str| {
                    let mut all = outcome.measurements.iter();
                    all.find(|one| one.name == name)
                        .map(|one| one.observed.clone())
                };
                let took = told(LOAD_TIME);
                let slowest = told("rounds of the slowest CPU");
                (outcome.status, took, slowest, outcome.reason)
            })
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            judged(&[Ok(7), Ok(1), Ok(9)]).expect("it ran"),
            (Status::Passed, text("5 s"), text("1"), String::new())
        );
        assert!(matches!(
            judged(&[Ok(7), Ok(0)]),
            Err(TestError::CannotRun(_))
        ));
        let wrong = "CPU 1: calculated wrong".to_owned();
        let broken = judged(&[Ok(7), Err(wrong.clone())]).expect("it ran");
        assert_eq!((broken.0, broken.3), (Status::Failed, wrong));
    }

    #[test]
    fn xen_must_offer_every_kind_of_guest() {
        let mut facts = Facts {
            context: Known::Value(Context::Dom0),
            ..Facts::default()
        };
        facts.cpu.virtualization = Known::Value(Virtualization::Hvm);
        facts.cpu.nested_paging = Known::Value(true);
        let caps = |caps: &str| {
            let caps = caps.split(' ').map(str::to_owned).collect();
            Known::Value(Xen {
                virt_caps: Known::Value(caps),
                ..Xen::default()
            })
        };
        facts.xen = caps("pv hvm hap hvm_directio");
        assert_eq!(judge_virtualization(&facts).status, Status::Passed);
        facts.xen = caps("pv hvm");
        let without = judge_virtualization(&facts);
        assert_eq!(
            (without.status, without.reason.as_str()),
            (Status::Failed, "Xen does not offer hap")
        );
        facts.cpu.virtualization = Known::unknown("not read");
        assert!(judge_virtualization(&facts).reason.contains("not read"));
    }
}
