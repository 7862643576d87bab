//! Machines with damage: trees and tables whose files are changed at random, as broken firmware and hostile captures are.
//!
//! Whatever is in them, facts are read, judged, saved and read again; nothing panics, hangs or takes much memory. The
//! seeds are the machines of the other tests, the recorded ones, and dumps of real ones where they were fetched.
//!
//! For how long it goes on, and how a run is repeated, is in `fuzz.rs`.

mod allocations;
mod fuzz;
mod parsers;
#[path = "../machines/samples.rs"]
#[allow(dead_code, missing_docs)]
mod samples;
#[path = "../machines/tree.rs"]
#[allow(dead_code, missing_docs)]
mod tree;

use fuzz::{Random, SHORT, damaged, seconds, seed};
use hcl_checker::list::List;
use hcl_checker::root::steers;
use hcl_checker::{Facts, Root, text, verdict};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tree::Tree;

/// Memory of the whole test at its peak, in KiB; the program itself needs less than 20 MB.
const MOST_MEMORY: u64 = 400 * 1024;
/// Changes to one machine before it is read.
const CHANGES: u64 = 6;
/// Files bigger than this are not taken as seeds: copying them takes the time that reading should have.
const BIGGEST: u64 = 256 * 1024;

#[test]
fn damaged_machines_are_read_and_judged() {
    let (seconds, seed) = (seconds(), seed());
    println!("seed {seed}");
    let list = List::built_in().expect("list");
    let mut random = Random(seed.max(1));
    let started = Instant::now();
    let tables = tables();
    let mut read = 0_u64;
    let mut machines = vec![
        samples::qemu_virtio(),
        samples::nvme_uefi(),
        samples::sata(),
    ];
    // Copying these takes longer than the short run may.
    let real = if seconds > SHORT { trees() } else { Vec::new() };
    machines.extend(real.iter().map(|real| {
        let machine = Tree::empty();
        copy(real, machine.path()).expect("copy");
        machine
    }));
    let listed: Vec<Vec<PathBuf>> = machines
        .iter()
        .map(|machine| files(machine.path()))
        .collect();
    while started.elapsed() < Duration::from_secs(seconds) || read == 0 {
        let chosen = random.below(machines.len());
        let (machine, files) = (&machines[chosen], &listed[chosen]);
        if let Some(table) = tables.get(random.below(tables.len())) {
            machine.file("sys/firmware/dmi/tables/DMI", damaged(table, &mut random));
        }
        let mut changed = Vec::new();
        for _ in 0..1 + random.next() % CHANGES {
            changed.extend(damage(files, &mut random));
        }
        let before = Instant::now();
        judge(machine, &list);
        let took = before.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "seed {seed}, machine {read}: took {took:?}"
        );
        // The last change first: a file may have been changed twice.
        for (file, content) in changed.into_iter().rev() {
            remove(&file);
            fs::write(&file, content).expect("restore");
        }
        read += 1;
    }
    let peak = peak_memory();
    println!("{read} machines read, {peak} KiB at most");
    assert!(
        peak < MOST_MEMORY,
        "seed {seed}: {peak} KiB after {read} machines"
    );
}

/// What a person does with a captured tree.
fn judge(machine: &Tree, list: &List) {
    let facts = Facts::read(&Root::at(machine.path()).expect("root"));
    let json = serde_json::to_vec(&facts).expect("serialize");
    assert_eq!(Facts::from_json(&json).expect("deserialize"), facts);
    let judged = verdict::judge(&facts, list, None);
    let shown = text::verdict(&facts, &judged, None, text::Style::PLAIN, true)
        + &text::facts(&facts, text::Style::PLAIN);
    assert!(
        !shown.chars().any(|c| steers(c) && c != '\n'),
        "text steers the terminal: {shown:?}"
    );
}

/// One file becomes something else; returns it with what it was.
fn damage(files: &[PathBuf], random: &mut Random) -> Option<(PathBuf, Vec<u8>)> {
    let file = files.get(random.below(files.len()))?;
    // What was made a folder, a link or a huge file before stays so.
    let content = match fs::symlink_metadata(file) {
        Ok(kind) if kind.is_file() && kind.len() <= BIGGEST => fs::read(file).ok()?,
        _ => return None,
    };
    remove(file);
    let other = &files[random.below(files.len())];
    let done = match random.below(10) {
        0 => fs::create_dir(file),
        1 => symlink(file, file),
        2 => symlink("/../../../../../../dev/zero", file),
        3 => Ok(()),
        4 => fs::write(file, content.repeat(300)),
        5 => fs::File::create(file).and_then(|empty| empty.set_len(1 << 40)),
        6 => symlink(other, file),
        _ => fs::write(file, damaged(&content, random)),
    };
    done.expect("change");
    Some((file.clone(), content))
}

fn remove(file: &Path) {
    match fs::symlink_metadata(file) {
        Ok(kind) if kind.is_dir() => fs::remove_dir(file).expect("remove"),
        Ok(_) => fs::remove_file(file).expect("remove"),
        Err(_) => {}
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("kind");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if entry.metadata()?.len() <= BIGGEST {
            fs::write(&target, fs::read(&source)?)?;
        }
    }
    Ok(())
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/corpus")
}

/// Trees with PCI functions that are small enough to be copied often.
fn trees() -> Vec<PathBuf> {
    [
        "32intel64-2p8co2t+8ve",
        "2pa-pcidomain32bits",
        "8em64t-2s2ca2c",
        "offline-cpu0-node0",
    ]
    .iter()
    .map(|name| corpus().join("hwloc/linux").join(name))
    .filter(|tree| tree.is_dir())
    .collect()
}

/// SMBIOS tables of real machines, behind the entry point of their dumps.
fn tables() -> Vec<Vec<u8>> {
    let folder = fs::read_dir(corpus().join("systemd"))
        .into_iter()
        .flatten()
        .flatten();
    let dumps = folder
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "bin"));
    dumps
        .filter_map(|path| Some(fs::read(path).ok()?.get(0x20..)?.to_vec()))
        .collect()
}

fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}
