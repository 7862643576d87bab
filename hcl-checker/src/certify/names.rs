//! Names that somebody gives and that nothing on this machine has: told before anything runs, with what there is.

use super::{Options, guests};
use crate::facts::{Disk, DiskKind, Facts};
use crate::known::Known;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use steps::System;

/// Every device and file of the options that is not there, each with what to do.
///
/// This is asked once, when a run begins: names of disks may change with a restart, and whoever checks a report has other ones.
pub fn not_there(system: &dyn System, facts: &Facts, options: &Options) -> Vec<String> {
    // What is not below /dev is told as that by the plan.
    let below = |path: &&std::path::PathBuf| path.starts_with("/dev");
    let disks = options.erase.iter().filter(below);
    let mut told: Vec<String> = disks.filter_map(|path| no_disk(path, facts)).collect();
    if let Some(path) = &options.guest_kernel
        && let Err(reason) = is(path, |kind| kind.is_file(), "no file")
    {
        let own = match guests::find_kernel(system, facts) {
            Some(own) => format!("leave the option out to take {}", own.display()),
            None => "name a kernel of Linux, like those in /boot".to_owned(),
        };
        told.push(format!(
            "--guest-kernel {}: {reason}; {own}",
            path.display()
        ));
    }
    told
}

fn no_disk(path: &Path, facts: &Facts) -> Option<String> {
    let reason = is(path, |kind| kind.is_block_device(), "no disk and no volume").err()?;
    let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
    let names = disks.iter().flat_map(|disk| {
        let links = disk.by_id.iter().map(String::as_str);
        std::iter::once(disk.path.as_str()).chain(links)
    });
    let typed = path.to_string_lossy();
    let meant = meant(&typed, names);
    let free = |disk: &&Disk| {
        disk.kind == DiskKind::Disk && !disk.is_in_use() && disk.read_only != Known::Value(true)
    };
    let free: Vec<&str> = disks
        .iter()
        .filter(free)
        .map(|disk| disk.path.as_str())
        .collect();
    let there = match free.as_slice() {
        [] => "no disk was found that nothing uses".to_owned(),
        free => format!("nothing uses {}", free.join(", ")),
    };
    Some(format!("--erase-disk {typed}: {reason}{meant}; {there}"))
}

/// Whether there is something of this kind. What is there instead, if not.
fn is(path: &Path, kind: impl Fn(std::fs::FileType) -> bool, other: &str) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(metadata) if kind(metadata.file_type()) => Ok(()),
        Ok(_) => Err(format!("this is {other}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("not there".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is wrong with a name that `option` gives, where none of these interfaces has it.
pub fn no_such_interface(option: &str, name: &str, interfaces: &[String]) -> Option<String> {
    if interfaces.iter().any(|interface| interface == name) {
        return None;
    }
    let meant = meant(name, interfaces.iter().map(String::as_str));
    Some(format!(
        "{option} {name}: there is no such interface{meant}; there are {}",
        interfaces.join(", ")
    ))
}

/// A question for the one of these names that is so near to the typed one that it may be meant; else nothing.
pub(super) fn meant<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|name| (strsim::damerau_levenshtein(name, typed), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map_or_else(String::new, |(_, name)| format!(" (did you mean {name}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use steps::RecordingSystem;

    fn told(options: Options) -> Vec<String> {
        let free = Disk {
            path: "/dev/nope1".to_owned(),
            kind: DiskKind::Disk,
            ..Disk::default()
        };
        let mut used = free.clone();
        used.path = "/dev/used0".to_owned();
        used.mount_points.push("/".to_owned());
        let facts = Facts {
            disks: Known::Value(vec![used, free]),
            kernel_release: Known::Value("6.12".to_owned()),
            ..Facts::default()
        };
        let system = RecordingSystem::new().file("/boot/vmlinuz-6.12", "x");
        not_there(&system, &facts, &options)
    }

    #[test]
    fn devices_and_files_that_are_not_there_are_told_with_those_that_are() {
        let options = Options {
            erase: ["/dev/nope2", "/dev/null", "/dev"]
                .map(PathBuf::from)
                .to_vec(),
            guest_kernel: Some(PathBuf::from("/nowhere/vmlinuz")),
            ..Options::default()
        };
        assert_eq!(
            told(options),
            [
                "--erase-disk /dev/nope2: not there (did you mean /dev/nope1?); nothing uses /dev/nope1",
                "--erase-disk /dev/null: this is no disk and no volume; nothing uses /dev/nope1",
                "--erase-disk /dev: this is no disk and no volume; nothing uses /dev/nope1",
                "--guest-kernel /nowhere/vmlinuz: not there; leave the option out to take /boot/vmlinuz-6.12",
            ]
        );
        let options = Options {
            guest_kernel: Some(PathBuf::from("/proc")),
            ..Options::default()
        };
        assert!(told(options)[0].contains("this is no file"));
        let there = Options {
            guest_kernel: Some(PathBuf::from("/proc/version")),
            ..Options::default()
        };
        assert_eq!(told(there), Vec::<String>::new());
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_with_those_that_are() {
        let interfaces = ["eth0", "lo"].map(str::to_owned);
        assert_eq!(no_such_interface("--peer", "lo", &interfaces), None);
        assert_eq!(
            no_such_interface("--peer", "eth1", &interfaces).as_deref(),
            Some(
                "--peer eth1: there is no such interface (did you mean eth0?); there are eth0, lo"
            )
        );
        assert_eq!(
            no_such_interface("--interface", "enp65s0", &interfaces).as_deref(),
            Some("--interface enp65s0: there is no such interface; there are eth0, lo")
        );
    }
}
