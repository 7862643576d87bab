//! `hcl-checker check` beside the programs that list hardware today, in a virtual machine with more than 100 PCI functions.
//!
//! All of them stand on one disk that is made for this, so none has a quicker medium than another. They run in turn, each
//! with the kernel's caches dropped before; what else the machine does meanwhile is in all of them. Of each the median counts.

use crate::apt::Apt;
use crate::case::{Bench, Run};
use crate::process;
use crate::record;
use crate::shell::Shell;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The suite that the live system is made of.
const SUITE: &str = "trixie";
/// The others, with the libraries that the live system may lack.
const PACKAGES: [&str; 10] = [
    "pciutils",
    "libpci3",
    "libkmod2",
    "pci.ids",
    "lshw",
    "hwinfo",
    "libhd21t64",
    "libx86emu3",
    "libstdc++6",
    "libgcc-s1",
];
const UNPACK: Duration = Duration::from_secs(120);

/// Where the guest has the disk.
const HERE: &str = "/run/bench";

/// A program that is measured, and how many times as long as it ours may take.
struct Program {
    name: &'static str,
    /// Its command line below [`HERE`].
    line: &'static str,
    /// Ours : theirs at most.
    most: Option<f64>,
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "hcl-checker check",
        line: "usr/bin/hcl-checker check",
        most: None,
    },
    Program {
        name: "lspci -nnvmk",
        line: "usr/bin/lspci -nnvmk",
        most: Some(1.0),
    },
    Program {
        name: "lshw",
        line: "usr/bin/lshw",
        most: Some(0.1),
    },
    Program {
        name: "hwinfo --short",
        line: "usr/sbin/hwinfo --short",
        most: Some(0.1),
    },
];

/// Measures, and prints a table that says which goals are met.
///
/// # Errors
/// When the packages cannot be fetched, or the machine or a program in it does not work.
pub fn measure(bench: &Bench, rounds: u32, program: Option<&Path>) -> Result<()> {
    let mut run = Run::begin(bench, "bench-checker")?;
    let result = in_machine(&mut run, rounds, program);
    run.end(result)
}

fn in_machine(run: &mut Run, rounds: u32, program: Option<&Path>) -> Result<()> {
    let disk = run.file("programs.raw");
    let built = run
        .bench
        .workspace
        .target()
        .join("static/x86_64-unknown-linux-gnu/release/hcl-checker");
    let program = program.unwrap_or(&built);
    run.phase("the disk with the programs", |run| {
        make_disk(run, program, &disk)
    })?;
    let (mut spec, functions) = record::busiest(run)?;
    let path = disk.display();
    spec.further.extend([
        "-blockdev".to_owned(),
        format!("driver=raw,node-name=programs,read-only=on,file.driver=file,file.filename={path}"),
        "-device".to_owned(),
        "virtio-blk-pci,drive=programs,serial=programs".to_owned(),
    ]);
    let mut guest = run.start(&spec, "guest")?;
    run.phase("to a shell", |run| {
        guest.serial.expect(&["root@", "~#"], run.bench.limit(60))?;
        Ok(())
    })?;
    let mut shell = Shell::attach(&mut guest, run.bench.limit(20))?;
    let limit = run.bench.limit(30);
    // The installer's own packages stay where they are: only what is measured comes from the disk.
    shell.must(
        &format!("mkdir -p {HERE} && mount -o ro /dev/disk/by-id/virtio-programs {HERE}"),
        limit,
    )?;
    shell.must(
        &format!("mount --bind {HERE}/usr/share/misc /usr/share/misc"),
        limit,
    )?;
    let there = shell.must("ls /sys/bus/pci/devices | wc -l", limit)?;
    let there: usize = there
        .trim()
        .parse()
        .context("the number of PCI functions")?;
    ensure!(
        there >= functions,
        "the machine has {there} PCI functions instead of {functions}"
    );
    // The shell's clock has microseconds, and no program of another is started to read it.
    shell.must(
        &format!(
            "measure() {{ sync; echo 3 > /proc/sys/vm/drop_caches; a=$EPOCHREALTIME; LD_LIBRARY_PATH={HERE}/usr/lib/x86_64-linux-gnu \"$@\" > /run/out 2> /run/err; s=$?; b=$EPOCHREALTIME; echo \"$((${{b/./}} - ${{a/./}})) $s $(wc -l < /run/out)\"; }}"
        ),
        limit,
    )?;
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); PROGRAMS.len()];
    run.phase("measure", |run| {
        for _ in 0..rounds {
            for (program, times) in PROGRAMS.iter().zip(&mut times) {
                let said = shell.must(
                    &format!("measure {HERE}/{}", program.line),
                    run.bench.limit(120),
                )?;
                times.push(seconds(program, &said)?);
            }
        }
        Ok(())
    })?;
    let table = table(&times);
    println!("{there} PCI functions, {rounds} rounds\n\n{table}");
    fs::write(run.file("table.md"), &table)?;
    Ok(())
}

/// What the shell printed of a run: microseconds, exit status, lines of output.
fn seconds(program: &Program, said: &str) -> Result<f64> {
    let words: Vec<&str> = said.split_whitespace().collect();
    let [micros, status, lines] = words[..] else {
        anyhow::bail!("{}: the shell said `{said}`", program.name);
    };
    let status: u8 = status.parse()?;
    // The checker's status is its verdict; 2 is wrong use, and 126 and more are no run at all.
    let ran = status == 0 || (program.most.is_none() && matches!(status, 1 | 3 | 4));
    ensure!(ran, "{} ended with status {status}", program.name);
    ensure!(
        lines.parse::<u32>()? > 5,
        "{} said {lines} lines",
        program.name
    );
    Ok(micros.parse::<f64>()? / 1e6)
}

fn table(times: &[Vec<f64>]) -> String {
    let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
    let ours = medians.first().copied().unwrap_or(f64::NAN);
    let mut text =
        "| program | median | least | ours : theirs | goal |\n| --- | ---: | ---: | ---: | --- |\n"
            .to_owned();
    for ((program, times), median) in PROGRAMS.iter().zip(times).zip(&medians) {
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let (ratio, goal) = match program.most {
            None => (String::new(), String::new()),
            Some(most) => {
                let ratio = ours / median;
                let is = if ratio <= most { "met" } else { "missed" };
                (format!("{ratio:.3}"), format!("at most {most}: {is}"))
            }
        };
        text += &format!(
            "| `{}` | {median:.3} s | {least:.3} s | {ratio} | {goal} |\n",
            program.name
        );
    }
    text
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// An ext4 image with the programs, ours among them.
fn make_disk(run: &Run, program: &Path, disk: &Path) -> Result<()> {
    let folder = run.bench.workspace.target().join("bench");
    let (packages, tree) = (folder.join("packages"), folder.join("tree"));
    if !packages.is_dir() {
        let partial = folder.join("partial");
        let mut words = vec!["download"];
        words.extend(PACKAGES);
        Apt::prepare(&partial, "deb", SUITE)?
            .fetch(&words)
            .context("lshw and hwinfo could not be fetched")?;
        fs::rename(partial.join("files"), &packages)?;
        fs::remove_dir_all(&partial)?;
    }
    if tree.is_dir() {
        fs::remove_dir_all(&tree)?;
    }
    fs::create_dir_all(&tree)?;
    for entry in fs::read_dir(&packages)? {
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(entry?.path()).arg(&tree);
        process::run(&mut unpack, b"", UNPACK)?;
    }
    let ours = tree.join("usr/bin/hcl-checker");
    fs::copy(program, &ours).with_context(|| {
        format!(
            "{} is not there: `cargo run --release -p image-build -- root` makes it",
            program.display()
        )
    })?;
    let mut make = run.bench.tools.command("mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-d"])
        .arg(&tree)
        .arg(disk)
        .arg("96M");
    process::run(&mut make, b"", UNPACK)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_held_against_the_medians() {
        let times = |ours: f64| vec![vec![9.0, ours, ours], vec![0.2], vec![2.0, 2.0], vec![2.0]];
        let text = table(&times(0.2));
        assert!(
            text.contains("1.000 | at most 1: met") && !text.contains("missed"),
            "{text}"
        );
        let text = table(&times(0.21));
        assert!(
            text.contains("1.050 | at most 1: missed")
                && text.contains("0.105 | at most 0.1: missed"),
            "{text}"
        );
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0]), 2.5);
    }

    #[test]
    fn a_program_that_did_not_run_has_no_time() {
        let [checker, lspci, ..] = &PROGRAMS;
        assert_eq!(seconds(checker, "1500 1 40").unwrap(), 0.0015);
        assert!(seconds(lspci, "1500 1 40").is_err());
        assert!(seconds(checker, "1500 127 40").is_err());
        assert!(seconds(lspci, "1500 0 0").is_err());
    }
}
