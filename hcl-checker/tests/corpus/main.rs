//! Facts of real machines: dumps that other projects test with, which `cargo run --release -p ci -- corpus` fetches.
//!
//! A test for each dump, against what its own project expects of it. Where the dumps are not there the tests are listed
//! as ignored, with how to get them.

#[path = "../machines/tree.rs"]
#[allow(dead_code, missing_docs)]
mod tree;

mod counts;
mod cpuid;
mod cpuid_dumps;
mod deviations;
mod pci_dumps;
mod recorded;
mod smbios_dumps;
mod sysfs_trees;
mod verdicts;
mod ways;

use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a test says that went wrong.
type Outcome = Result<(), String>;

/// The tests of one kind of dump.
type Kind = fn(&Path) -> Vec<Trial>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/corpus");
    let kinds: [(&str, &str, usize, Kind); 8] = [
        ("hwloc/linux", "trees of /sys", 47, sysfs_trees::hwloc),
        (
            "libvirt/vircaps2xmldata",
            "trees of /sys",
            10,
            sysfs_trees::libvirt,
        ),
        (
            "hwloc/x86",
            "CPUID of every processor",
            25,
            cpuid_dumps::hwloc,
        ),
        (
            "libvirt/cputestdata",
            "CPUID of one processor",
            57,
            cpuid_dumps::libvirt,
        ),
        ("pciutils", "PCI configuration", 35, pci_dumps::pciutils),
        (
            "libvirt/virpcitestdata",
            "PCI configuration",
            15,
            pci_dumps::libvirt,
        ),
        ("systemd", "SMBIOS tables", 3, smbios_dumps::systemd),
        ("hwloc/linux", "machines to judge", 10, verdicts::hwloc),
    ];
    let mut trials = Vec::new();
    for (name, what, least, kind) in kinds {
        let source = folder.join(name);
        if !folder.join("format").is_file() {
            let reason = format!(
                "{name} ({least} of {what} or more): not fetched, `cargo run --release -p ci -- corpus` does"
            );
            eprintln!("not run: {reason}");
            trials.push(Trial::test(reason, || Ok(())).with_ignored_flag(true));
            continue;
        }
        let found = kind(&source);
        let number = found.len();
        // A folder that has moved must not pass as one without a fault.
        trials.push(trial(format!("{name}: are there"), move || {
            if number >= least {
                return Ok(());
            }
            Err(format!("{number} tests, expected {least} or more"))
        }));
        trials.extend(found);
    }
    trials.extend(recorded::trials());
    trials.extend(deviations::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: String, test: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::test(name, move || test().map_err(Failed::from))
}

/// Entries of a folder whose names pass, sorted; none where there is no such folder.
fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.to_owned();
            wanted(&name).then_some((name, path))
        })
        .collect();
    found.sort();
    found
}
