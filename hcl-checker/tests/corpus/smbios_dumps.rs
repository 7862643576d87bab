//! SMBIOS tables of real machines, as `dmidecode --dump-bin` writes them.

use crate::tree::Tree;
use crate::ways::lead_to_one_verdict;
use crate::{Outcome, entries, trial};
use hcl_checker::Known;
use hcl_checker::facts::Dimm;
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the table begins in a dump; the entry point stands before it.
const TABLE: usize = 0x20;

/// systemd's dumps, each with the memory that it tells udev about.
pub fn systemd(folder: &Path) -> Vec<Trial> {
    let dumps = entries(folder, |name| name.ends_with(".bin"));
    let tests = dumps.into_iter().map(|(name, path)| {
        trial(format!("systemd/{name}"), move || {
            let bytes = fs::read(&path).map_err(|error| error.to_string())?;
            let expected = fs::read_to_string(path.with_extension("bin.txt"))
                .map_err(|error| error.to_string())?;
            memory(&bytes, &expected)
        })
    });
    tests.collect()
}

fn memory(bytes: &[u8], expected: &str) -> Outcome {
    let machine = Tree::empty();
    machine
        .file(
            "sys/firmware/dmi/tables/smbios_entry_point",
            &bytes[..TABLE],
        )
        .file("sys/firmware/dmi/tables/DMI", &bytes[TABLE..]);
    let facts = machine.facts();
    lead_to_one_verdict(&machine.root(), &facts)?;
    let properties: BTreeMap<&str, &str> = expected
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let number = (0..)
        .take_while(|n| properties.contains_key(format!("MEMORY_DEVICE_{n}_LOCATOR").as_str()))
        .count();
    let dimms = facts.memory.dimms.value().ok_or("no memory modules")?;
    if number == 0 || dimms.len() != number {
        return Err(format!("{} modules, expected {number}", dimms.len()));
    }
    for (n, dimm) in dimms.iter().enumerate() {
        let get = |name: &str| {
            properties
                .get(format!("MEMORY_DEVICE_{n}_{name}").as_str())
                .copied()
        };
        module(dimm, get).map_err(|error| format!("module {n}: {error}"))?;
    }
    let sockets = facts
        .topology
        .socket_counts
        .iter()
        .find(|count| count.sockets.value().is_some());
    match sockets {
        Some(count)
            if count
                .sockets
                .value()
                .is_some_and(|sockets| (1..=2).contains(sockets)) =>
        {
            Ok(())
        }
        other => Err(format!("processors of the table: {other:?}")),
    }
}

fn module<'a>(dimm: &Dimm, get: impl Fn(&str) -> Option<&'a str>) -> Outcome {
    let same = |name: &str, is: Option<String>| {
        let wanted = get(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        // So systemd writes a string of number 0: none.
        let none = is.is_none() && wanted.as_deref() == Some("Not Specified");
        if is == wanted || none {
            return Ok(());
        }
        Err(format!("{name}: expected {wanted:?}, is {is:?}"))
    };
    let text = |known: &Known<String>| known.value().cloned();
    let number = |known: &Known<u32>| known.value().map(ToString::to_string);
    same("LOCATOR", text(&dimm.slot))?;
    same("BANK_LOCATOR", text(&dimm.bank))?;
    if get("PRESENT") == Some("0") {
        return if dimm.size_bytes == Known::Absent {
            Ok(())
        } else {
            Err(format!("not empty: {dimm:?}"))
        };
    }
    same("SIZE", dimm.size_bytes.value().map(ToString::to_string))?;
    same("TYPE", text(&dimm.kind))?;
    same("SPEED_MTS", number(&dimm.speed_mts))?;
    if get("CONFIGURED_SPEED_MTS").is_some() {
        same("CONFIGURED_SPEED_MTS", number(&dimm.configured_speed_mts))?;
    }
    same("MANUFACTURER", text(&dimm.manufacturer))?;
    same("SERIAL_NUMBER", text(&dimm.serial))?;
    same("PART_NUMBER", text(&dimm.part_number))
}
