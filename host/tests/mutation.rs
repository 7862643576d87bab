//! Definitions of guests with damage, as somebody's edit, an exported file or another program leaves them: each is refused or read,
//! printed and read again as the same, and nothing panics, hangs or takes much memory.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../../hcl-checker/tests/mutation/allocations.rs"]
mod allocations;
#[path = "../../hcl-checker/tests/mutation/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;

use fuzz::{Measure, Parser, run};
use host::guest::Domain;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `<a/>` is an element with its maps, and a copy of all namespaces around it.
const FACTOR: usize = 1024;
/// What is taken whatever the input.
const BASE: usize = 4 << 20;
/// Longest input in bytes.
const LONGEST: usize = 64 * 1024;

/// Definitions in the texts of a file.
fn definitions(text: &str) -> Vec<Vec<u8>> {
    let begun = text.match_indices("<domain ");
    begun
        .filter_map(|(from, _)| {
            let end = text[from..].find("</domain>")? + "</domain>".len();
            let found = &text[from..from + end];
            Some(found.replace("\\\n    ", "").into_bytes())
        })
        .collect()
}

/// Those that libvirt printed and that other tests hold, and libvirt's own examples for Xen where they were fetched.
fn seeds() -> Vec<Vec<u8>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds = Vec::new();
    for file in [
        "host/src/guest/domain.rs",
        "host/tests/guests/bench.rs",
        "host/src/health/guests.rs",
    ] {
        let mut found = definitions(&fs::read_to_string(workspace.join(file)).unwrap());
        found.retain(|seed| is_read(seed));
        assert!(!found.is_empty(), "{file} has no definition any more");
        seeds.extend(found);
    }
    let fetched = fs::read_dir(workspace.join("target/corpus/libvirt/xlconfigdata"));
    for entry in fetched.into_iter().flatten() {
        seeds.push(fs::read(entry.unwrap().path()).unwrap());
    }
    seeds.sort();
    seeds.retain(|seed| is_read(seed));
    seeds
}

fn is_read(seed: &[u8]) -> bool {
    Domain::parse(&String::from_utf8_lossy(seed)).is_ok()
}

/// Everything that is read of a definition.
fn look(domain: &Domain) -> String {
    format!(
        "{:?}",
        (
            (domain.uuid(), domain.name(), domain.description()),
            (domain.virtualization(), domain.firmware()),
            (domain.memory(), domain.memory_max()),
            (domain.vcpus(), domain.vcpus_max()),
            ["kernel", "initrd", "cmdline"].map(|name| domain.boot_file(name)),
            (domain.bootloader(), domain.boot_order()),
            ["on_poweroff", "on_reboot", "on_crash"].map(|event| domain.action(event)),
            (domain.disks(), domain.nics(), domain.console()),
            (domain.other_config(), domain.tags(), domain.own_keys()),
        )
    )
}

/// What is printed is read again as the same.
fn again(domain: &Domain) -> Domain {
    let printed = domain.print();
    let read = Domain::parse(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(look(&read), look(domain), "{printed}");
    read
}

/// Everything that `xe` changes.
fn change(domain: &mut Domain) {
    domain.set_uuid("11111111-2222-4333-8444-555555555555");
    domain.set_name("an&other <one>");
    domain.set_description("");
    domain.set_memory(1 << 30, 1 << 29);
    domain.set_vcpus(4, 2);
    domain.set_boot_file("cmdline", "root=/dev/xvda \"a\" & b");
    domain.set_bootloader("");
    assert!(domain.set_boot_order("dcn"));
    domain.set_action("on_crash", "destroy");
    domain.replace_sources(|disk| Some(format!("/dev/bedplate/{}", disk.target)));
    domain.eject(|_| true);
    domain.renew_addresses();
    domain.set_entry("other-config", "a", Some("b"));
    domain.set_entry("tag", "t", Some(""));
    domain.set_entry("other-config", "none", None);
}

#[test]
fn damaged_definitions_are_refused_or_read() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    let parsers = vec![Parser {
        name: "domain",
        seeds: seeds(),
        read: Box::new(|input| {
            let Ok(mut domain) = Domain::parse(&String::from_utf8_lossy(input)) else {
                return;
            };
            READ.fetch_add(1, Ordering::Relaxed);
            again(&domain);
            change(&mut domain);
            let changed = again(&domain);
            assert_eq!(changed.name(), "an&other <one>");
            assert_eq!(
                (changed.memory_max(), changed.vcpus()),
                (Some(1 << 30), Some(2))
            );
            assert_eq!(changed.boot_file("cmdline"), "root=/dev/xvda \"a\" & b");
            let config = changed.other_config();
            assert_eq!(config.get("a").map(String::as_str), Some("b"));
            assert!(changed.tags().contains("t"));
        }),
    }];
    let measure = Measure {
        factor: FACTOR,
        base: BASE,
        longest: LONGEST,
    };
    run(parsers, &measure);
    let read = READ.load(Ordering::Relaxed);
    println!("{read} of them were read");
    assert!(read > 5, "damage that is always refused tests nothing");
}
