//! Instructions of the hot paths, counted by valgrind: the same on a busy machine as on an idle one, so that a change that
//! makes them slower is seen. `ci/instructions.toml` holds what they took when somebody last looked.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What may be more than the last time, in percent: compilers and C libraries differ a little.
const HEADROOM: u64 = 10;
/// Emulated, and on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);
/// A recorded machine with 137 PCI functions.
const MACHINE: &str = "hcl-checker/tests/recorded/many-functions.tar.zst";
/// Lines of the streams whose difference is counted: without what a program costs to start.
const LINES: [usize; 2] = [20, 120];
/// MiB of the images, the same.
const MIB: [usize; 2] = [8, 40];

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root().join("ci/instructions.toml")
}

/// Counts, prints what changed, and says whether all is within the headroom. With `bless`, keeps the counts.
///
/// # Errors
/// When valgrind is missing, a program is not built or does not work, or the file cannot be read.
pub fn check(workspace: &Workspace, bless: bool) -> Result<bool> {
    let counted = count(workspace)?;
    let path = file(workspace);
    if bless {
        std::fs::write(&path, print(&counted)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
        return Ok(true);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let known = toml::from_str(&text).with_context(|| format!("{} is broken", path.display()))?;
    let (told, good) = compare(&known, &counted);
    print!("{told}");
    Ok(good)
}

/// What was counted against what was known, in words, and whether it is good.
fn compare(known: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> (String, bool) {
    let (mut told, mut good) = (String::new(), true);
    // Writing to a String does not fail.
    for (name, &now) in counted {
        let Some(&before) = known.get(name) else {
            good = false;
            let _ = writeln!(
                told,
                "{name}: {now}, never counted before: ci instructions --bless"
            );
            continue;
        };
        let percent = 100.0 * now as f64 / before as f64 - 100.0;
        let _ = write!(told, "{name}: {now}, {percent:+.1} %");
        if now > before + before * HEADROOM / 100 {
            good = false;
            let _ = write!(
                told,
                ": MORE THAN {HEADROOM} % SLOWER; mend it, or say why and run ci instructions --bless"
            );
        } else if now < before - before * HEADROOM / 100 {
            let _ = write!(told, ": quicker; keep it by ci instructions --bless");
        }
        told.push('\n');
    }
    for name in known.keys().filter(|name| !counted.contains_key(*name)) {
        good = false;
        let _ = writeln!(
            told,
            "{name}: is not counted any more: ci instructions --bless"
        );
    }
    (told, good)
}

fn print(counted: &BTreeMap<String, u64>) -> Result<String> {
    Ok(format!(
        "# Instructions of the hot paths; written by `cargo run --release -p ci -- instructions --bless`.\n{}",
        toml::to_string(counted)?
    ))
}

fn count(workspace: &Workspace) -> Result<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let tree = folder.path();
    let archive = workspace.root().join(MACHINE);
    process::run(
        Command::new("tar")
            .arg("--zstd")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(tree),
        b"",
        LIMIT,
    )?;
    let static_builds = workspace
        .target()
        .join("static/x86_64-unknown-linux-gnu/release");
    let checker = static_builds.join("hcl-checker");
    let root = tree.to_str().context("the temporary folder is no UTF-8")?;
    let whole = instructions(&checker, &["check", "--root", root], b"")?;
    let facts = process::output(
        Command::new(&checker).args(["facts", "--json", "--root", root]),
        b"",
        LIMIT,
    )?;
    let value: serde_json::Value =
        serde_json::from_slice(&facts.stdout).context("hcl-checker facts printed no JSON")?;
    let line = format!("{value}\n");
    let [few, many] =
        LINES.map(|n| instructions(&checker, &["check", "--jsonl"], line.repeat(n).as_bytes()));
    let machine = (many? - few?) / (LINES[1] - LINES[0]) as u64;
    let writer = workspace.program("examples/write_image")?;
    let [few, many] = MIB.map(|mib| {
        let file = format!("{root}/image-{mib}");
        instructions(&writer, &[&mib.to_string(), &file], b"")
    });
    let mib = (many? - few?) / (MIB[1] - MIB[0]) as u64;
    Ok(BTreeMap::from([
        (
            "check of a machine with 137 PCI functions, with the start of the program".to_owned(),
            whole,
        ),
        (
            "check of one more such machine in a stream".to_owned(),
            machine,
        ),
        ("writing one MiB and reading it back".to_owned(), mib),
    ]))
}

/// Instructions that a program takes, in all its threads.
fn instructions(program: &Path, args: &[&str], input: &[u8]) -> Result<u64> {
    if !program.is_file() {
        bail!("{} is not there: ./ci/test builds it", program.display());
    }
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(args);
    // The exit code is the verdict's.
    let output = process::output(&mut command, input, LIMIT)?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .with_context(|| format!("valgrind counted nothing in {}:\n{said}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
        all.iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    }

    #[test]
    fn more_than_the_headroom_is_bad_and_everything_is_told() {
        let known = counts(&[("a", 1000), ("b", 1000), ("gone", 1)]);
        let (told, good) = compare(&known, &counts(&[("a", 1100), ("b", 900), ("gone", 1)]));
        assert!(good && !told.contains("SLOWER"), "{told}");
        let (told, good) = compare(&known, &counts(&[("a", 1101), ("b", 899), ("gone", 1)]));
        assert!(
            !good && told.contains("a: 1101, +10.1 %: MORE THAN"),
            "{told}"
        );
        assert!(told.contains("b: 899, -10.1 %: quicker"), "{told}");
        let (told, good) = compare(&known, &counts(&[("a", 1), ("b", 1), ("new", 1)]));
        assert!(
            !good && told.contains("new: 1, never") && told.contains("gone: is not"),
            "{told}"
        );
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let counted = counts(&[("check of a machine, whole", 27_726_832), ("b", 1)]);
        let kept: BTreeMap<String, u64> = toml::from_str(&print(&counted).unwrap()).unwrap();
        assert_eq!(kept, counted);
    }
}
