//! `docs/benchmarks.md`: runs every comparison and puts what it printed into its place on the page. The words around the places are
//! written by hand.
//!
//! A comparison is a program of its own that prints ratios against something that ran in turn with it; see `./ci/bench`.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longest time of one comparison. Virtual machines under emulation are slow.
const LIMIT: Duration = Duration::from_secs(7200);

/// A comparison.
#[derive(Debug)]
struct Comparison {
    /// Its name here and in the mark on the page.
    name: &'static str,
    /// What `cargo` is called with.
    cargo: &'static [&'static str],
    /// Whether the folder of an older release follows, which a build does not leave: `--old`.
    old_release: bool,
}

static ALL: [Comparison; 4] = [
    Comparison {
        name: "fleet",
        cargo: &["bench", "--package", "hcl-checker", "--bench", "fleet"],
        old_release: false,
    },
    Comparison {
        name: "lay-down",
        cargo: &["bench", "--package", "slots", "--bench", "lay_down"],
        old_release: false,
    },
    Comparison {
        name: "apply-delta",
        cargo: &[
            "bench",
            "--package",
            "release",
            "--bench",
            "apply_delta",
            "--",
        ],
        old_release: true,
    },
    Comparison {
        name: "checker",
        cargo: &["run", "--release", "--package", "ci", "--", "bench-checker"],
        old_release: false,
    },
];

/// Names of the comparisons, for the command line.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|comparison| comparison.name)
}

/// Runs the named comparisons, all when none is named, and writes the page. True when each ran; whether
/// goals are met is in what they print.
///
/// # Errors
/// An unknown name; a page that cannot be read or written, or lacks a mark.
pub fn run(workspace: &Workspace, wanted: &[String], old: Option<&Path>) -> Result<bool> {
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !names().any(|known| known == **name))
    {
        bail!(
            "there is no comparison `{unknown}`; there are: {}",
            names().collect::<Vec<_>>().join(", ")
        );
    }
    let page = workspace.root().join("docs/benchmarks.md");
    let mut fine = true;
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    for comparison in ALL.iter().filter(|comparison| chosen(comparison.name)) {
        let name = comparison.name;
        let mut command = Command::new("cargo");
        command.current_dir(workspace.root()).args(comparison.cargo);
        if comparison.old_release {
            let Some(old) = old else {
                println!("not run: {name}: name the folder of an older release with --old");
                fine = false;
                continue;
            };
            command.arg(old);
        }
        println!("=== {name}");
        let machine = machine();
        let output = process::output(&mut command, b"", LIMIT)?;
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        // Half a result is none.
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            println!(
                "{name}: FAILED ({}):\n{}",
                output.status,
                process::last_lines(&error, 20)
            );
            fine = false;
            continue;
        }
        put(&page, name, &format!("{machine}\n\n{}", readable(&said)))?;
    }
    Ok(fine)
}

/// Puts `text` between the marks of `name` on the page at `path`.
fn put(path: &Path, name: &str, text: &str) -> Result<()> {
    let page = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let page = placed(&page, name, text).with_context(|| path.display().to_string())?;
    std::fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
}

fn placed(page: &str, name: &str, text: &str) -> Result<String> {
    let begin = format!("<!-- measured: {name} -->\n");
    let end = "<!-- end -->";
    let (before, rest) = page.split_once(&begin).with_context(|| {
        format!(
            "there is no place for the comparison {name} (`{}`)",
            begin.trim()
        )
    })?;
    let (old, behind) = rest
        .split_once(end)
        .with_context(|| format!("the place for the comparison {name} has no end (`{end}`)"))?;
    ensure!(
        !old.contains("<!-- measured:"),
        "the place for the comparison {name} has no end (`{end}`)"
    );
    Ok(format!("{before}{begin}{}\n{end}{behind}", text.trim_end()))
}

/// Tables are what they are; text that is laid out with blanks keeps its lines. Lines of progress, which begin with a name in
/// brackets, are left out.
fn readable(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('[')).collect();
    if lines.iter().any(|line| line.starts_with('|')) {
        lines.join("\n")
    } else {
        lines.iter().map(|line| format!("    {line}\n")).collect()
    }
}

/// When and where: the day, the processor, how many there are, and what else runs.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |name: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| key.trim() == name)
            .map_or("unknown", |(_, value)| value.trim())
    };
    let processors = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let day = Command::new("date").args(["--utc", "+%F"]).output();
    let day = day.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "{}, {processors} processors of {} (family {}, model {}), load average {load} before it:",
        day.unwrap_or_default(),
        field("model name"),
        field("cpu family"),
        field("model")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# B\n\n<!-- measured: a -->\nold\n<!-- end -->\nwords\n<!-- measured: b -->\n<!-- end -->\n";

    #[test]
    fn only_its_own_place_is_changed() {
        let page = placed(PAGE, "a", "| new |\n").unwrap();
        assert_eq!(page, PAGE.replace("old", "| new |"));
        assert!(placed(PAGE, "b", "x").unwrap().contains("old\n"));
        assert_eq!(placed(&page, "a", "old").unwrap(), PAGE);
    }

    #[test]
    fn progress_is_no_result() {
        assert_eq!(readable("[x]  1.0 s  boot\n| a |\nb\n"), "| a |\nb");
        assert_eq!(readable("a   1\nb   2\n"), "    a   1\n    b   2\n");
    }

    #[test]
    fn a_page_without_a_place_is_left_alone() {
        assert!(placed(PAGE, "c", "x").is_err());
        assert!(placed("<!-- measured: a -->\n", "a", "x").is_err());
        let unclosed = "<!-- measured: a -->\n<!-- measured: b -->\n<!-- end -->\n";
        assert!(placed(unclosed, "a", "x").is_err());
    }

    #[test]
    fn every_comparison_has_its_place_on_the_page() {
        let page = include_str!("../../docs/benchmarks.md");
        for name in names() {
            placed(page, name, "x").unwrap();
        }
    }
}
