//! Trees of /sys and /proc, gathered on real machines.

use crate::counts::{self, functions_are_parsed};
use crate::tree::Tree;
use crate::ways::lead_to_one_verdict;
use crate::{Outcome, entries, trial};
use hcl_checker::{Facts, Root};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

/// hwloc's own trees, with what it prints for each.
pub fn hwloc(folder: &Path) -> Vec<Trial> {
    let trees = entries(folder, |name| folder.join(name).join("sys").is_dir());
    let tests = trees.into_iter().map(|(name, tree)| {
        let folder = folder.to_owned();
        trial(format!("hwloc/linux/{name}"), move || {
            let root = Root::at(&tree).map_err(|error| error.to_string())?;
            let facts = Facts::read(&root);
            // One tree was gathered by a version that kept the class only.
            let holds_ids = |address: &str| {
                let function = tree.join("sys/bus/pci/devices").join(address);
                ["vendor", "modalias", "uevent"]
                    .iter()
                    .any(|file| function.join(file).exists())
            };
            functions_are_parsed(&facts, &listed(&tree), holds_ids)?;
            round_trips(&facts)?;
            lead_to_one_verdict(&root, &facts)?;
            // A few have only the form that shows everything.
            let expected = ["output", "xml.output"]
                .iter()
                .find_map(|end| fs::read_to_string(folder.join(format!("{name}.{end}"))).ok())
                .ok_or("no expected output")?;
            counts::compare(&name, counts::of_facts(&facts), counts::of_hwloc(&expected))
        })
    });
    tests.collect()
}

/// libvirt's trees, which hold `/sys/devices/system` only, with the capabilities that it reports.
pub fn libvirt(folder: &Path) -> Vec<Trial> {
    let expected = entries(folder, |name| name.starts_with("vircaps-x86_64-"));
    let mut tests: Vec<Trial> = Vec::new();
    for (name, path) in expected {
        let dump = name
            .trim_start_matches("vircaps-x86_64-")
            .trim_end_matches(".xml")
            .to_owned();
        let tree = folder.join(format!("linux-{dump}"));
        tests.push(trial(format!("libvirt/vircaps/{dump}"), move || {
            let machine = Tree::empty();
            copy(&tree.join("system"), &machine.inside("sys/devices/system"))
                .map_err(|error| format!("{}: {error}", tree.display()))?;
            let facts = machine.facts();
            round_trips(&facts)?;
            lead_to_one_verdict(&machine.root(), &facts)?;
            let xml = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            counts::compare(&dump, counts::of_facts(&facts), counts::of_libvirt(&xml))
        }));
    }
    tests
}

/// Addresses in the folder of PCI functions, in order.
fn listed(tree: &Path) -> Vec<String> {
    let folder = tree.join("sys/bus/pci/devices");
    entries(&folder, |_| true)
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

/// What a facts file holds is what was read.
fn round_trips(facts: &Facts) -> Outcome {
    let json = serde_json::to_vec(facts).map_err(|error| error.to_string())?;
    let read = Facts::from_json(&json).map_err(|error| error.to_string())?;
    if read == *facts {
        Ok(())
    } else {
        Err("the facts change when they are saved and read".to_owned())
    }
}

/// Copies a folder. Links to folders are followed: libvirt's trees share their parts.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else if entry.file_type()?.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
