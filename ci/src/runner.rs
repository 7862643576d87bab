//! Runs cases, one after the other or several at a time, and counts what came of them.

use crate::case::{Bench, Run};
use crate::cases::Case;
use crate::process;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Runs `cases`, `jobs` of them at a time; `left` more were left out. True when all passed.
pub fn run_all(bench: &Bench, cases: &[&Case], left: usize, jobs: usize) -> bool {
    let started = Instant::now();
    println!(
        "{} case(s) by {}, {jobs} at a time",
        cases.len(),
        bench.accelerator.name()
    );
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    // A machine is killed when the thread that started it ends: each case stays in one thread.
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = run_one(bench, case) {
                        failed
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .push((case.name, format!("{error:#}")));
                    }
                }
            });
        }
    });
    let failed = failed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("end to end: {:.0} s", started.elapsed().as_secs_f64());
    // Again, with the reason: who reads only the end of a long log should see it.
    for (name, error) in &failed {
        println!("FAILED: {name}: {}", process::last_lines(error, 30));
        println!("evidence in {}", bench.workspace.case(name).display());
    }
    println!(
        "{} passed, {} failed, {left} left out",
        cases.len() - failed.len(),
        failed.len()
    );
    failed.is_empty()
}

/// Runs one case and says what came of it.
fn run_one(bench: &Bench, case: &Case) -> anyhow::Result<()> {
    let name = case.name;
    println!("[{name}] {}", case.about);
    let mut run = match Run::begin(bench, name) {
        Ok(run) => run,
        Err(error) => {
            println!("[{name}] FAILED: {error:#}");
            return Err(error);
        }
    };
    let result = (case.run)(&mut run);
    let result = run.end(result);
    let total = run.timings().total();
    match &result {
        Ok(()) => println!("[{name}] passed in {total:.1} s"),
        Err(error) => {
            println!("[{name}] FAILED after {total:.1} s: {error:#}");
            show_evidence(run.dir(), name);
        }
    }
    result
}

/// The files that a failed case left, and the last lines of the machine that spoke last.
fn show_evidence(dir: &Path, name: &str) {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in &files {
        println!("[{name}] evidence: {}", file.display());
    }
    let serial = |file: &&std::path::PathBuf| file.to_string_lossy().ends_with(".serial.log");
    let changed =
        |file: &&std::path::PathBuf| file.metadata().and_then(|meta| meta.modified()).ok();
    if let Some(log) = files.iter().filter(serial).max_by_key(changed) {
        let text = std::fs::read(log).unwrap_or_default();
        println!("[{name}] the last lines of {}:", log.display());
        println!(
            "{}",
            process::last_lines(&String::from_utf8_lossy(&text), 40)
        );
    }
}
