//! `docs/times.md`: what the phases of a build and of the end-to-end cases took when they last ran.

use crate::timings::{Phase, Timings};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Writes the page from what earlier runs left under `target/`; returns its path.
///
/// # Errors
/// When nothing was run yet, or the page cannot be written.
pub fn write(workspace: &Workspace) -> Result<PathBuf> {
    let mut cases = Vec::new();
    let e2e = workspace.target().join("e2e");
    let entries = std::fs::read_dir(&e2e)
        .with_context(|| format!("{} cannot be read: run the cases first", e2e.display()))?;
    for entry in entries {
        let path = entry?.path().join("times.json");
        if path.is_file() {
            cases.push(Timings::read(&path)?);
        }
    }
    if let Some(case) = cases.iter().find(|case| !case.passed) {
        bail!(
            "the case {0} did not pass when it last ran, so that its times mean nothing: `cargo run --release -p ci -- e2e {0}`",
            case.case
        );
    }
    if cases.is_empty() {
        bail!("no case has run yet: `cargo run --release -p ci -- e2e`");
    }
    cases.sort_by(|a, b| a.case.cmp(&b.case));
    let scripts = std::fs::read_to_string(workspace.target().join("times")).unwrap_or_default();
    let page = workspace.root().join("docs/times.md");
    std::fs::write(&page, render(&cases, &last_run(&scripts)))
        .with_context(|| format!("{} cannot be written", page.display()))?;
    Ok(page)
}

/// The phases of the last run of a script in `target/times`: `== SCRIPT DATE` begins a run, `SECONDS PHASE` follows.
fn last_run(text: &str) -> Vec<Phase> {
    let start = text.rfind("\n== ").map_or(0, |at| at + 1);
    let lines = text[start..].lines().filter_map(|line| {
        let (seconds, name) = line.trim().split_once(' ')?;
        Some(Phase {
            name: name.trim().to_string(),
            seconds: seconds.parse().ok()?,
        })
    });
    lines.collect()
}

fn render(cases: &[Timings], scripts: &[Phase]) -> String {
    let mut page = String::from(
        "# Times\n\nSeconds, as the last run printed them. Written by `cargo run --release -p ci -- times`; do not edit.\n",
    );
    // Writing to a String cannot fail.
    if !scripts.is_empty() {
        let _ = write!(
            page,
            "\n## The script's phases\n\n| phase | seconds |\n| --- | ---: |\n"
        );
        for phase in scripts {
            let _ = writeln!(page, "| {} | {:.0} |", phase.name, phase.seconds);
        }
    }
    for case in cases {
        let _ = write!(
            page,
            "\n## {} ({})\n\n| phase | seconds |\n| --- | ---: |\n",
            case.case, case.accelerator
        );
        for phase in &case.phases {
            let _ = writeln!(page, "| {} | {:.1} |", phase.name, phase.seconds);
        }
        let _ = writeln!(page, "| **total** | **{:.1}** |", case.total());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_run_counts() {
        let text = "== ci/test 2026-11-22\n10 build\n== ci/test 2026-11-23\n 12 build\n345 end to end\nnoise\n";
        let phases = last_run(text);
        let names: Vec<_> = phases
            .iter()
            .map(|phase| (phase.name.as_str(), phase.seconds))
            .collect();
        assert_eq!(names, [("build", 12.0), ("end to end", 345.0)]);
        assert!(last_run("").is_empty());
    }

    #[test]
    fn the_page_lists_every_phase_and_the_total() {
        let mut case = Timings::new("bios-virtio", "KVM");
        case.add("install", 30.04);
        case.add("first boot", 12.0);
        let page = render(
            &[case],
            &[Phase {
                name: "unit tests".into(),
                seconds: 61.0,
            }],
        );
        assert!(page.contains("## bios-virtio (KVM)"), "{page}");
        assert!(
            page.contains("| install | 30.0 |") && page.contains("| **total** | **42.0** |"),
            "{page}"
        );
        assert!(page.contains("| unit tests | 61 |"), "{page}");
    }
}
