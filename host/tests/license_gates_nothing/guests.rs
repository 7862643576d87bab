//! Guests are started, written to a file and made from one, with any license.

use crate::bench::{DISK, VM, changes, defined, system, words};
use crate::disks::{Disks, SIZE, filled, holding};
use crate::licenses::{NOW, licenses, machine};
use host::cmdline::Invocation;
use host::commands::{Surroundings, execute};
use host::guest::Domain;
use host::hotfix::Places;
use host::terminal::Nobody;
use std::collections::BTreeMap;
use std::path::Path;
use steps::{RecordingSystem, System};

const FILE: &str = "/srv/web.xe";

/// What a command prints; it must do its work.
fn run(system: &RecordingSystem, disks: &Disks, line: &str) -> String {
    let around = Surroundings {
        system,
        now: NOW,
        hardware: &machine,
        machine: disks,
        places: &Places::default(),
        sinks: &steps::sink::FanOut::new,
        terminal: &Nobody,
    };
    execute(&Invocation::parse(words(line)).unwrap(), &around)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A text with the same word in place of every UUID and address that was made for it by chance.
fn without_chance(text: &str) -> String {
    let known = [VM, DISK, "00:16:3e:11:22:33"];
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let is_uuid = |word: &str| {
        let parts: Vec<_> = word.split('-').collect();
        word.len() == 36 && parts.len() == 5 && parts.iter().all(|part| hex(part))
    };
    let is_address =
        |word: &str| word.len() == 17 && word.split(':').all(|p| p.len() == 2 && hex(p));
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = [36, 17]
            .into_iter()
            .filter_map(|length| rest.get(..length))
            .find(|word| (is_uuid(word) || is_address(word)) && !known.contains(word));
        match word {
            Some(word) => {
                plain += "CHANCE";
                rest = &rest[word.len()..];
            }
            None => {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    plain
}

/// All that can be seen of a host on which the guest was started, exported and imported.
struct Seen {
    texts: BTreeMap<&'static str, Vec<String>>,
    /// What the imported guest is; the order of attributes in its text is by chance.
    imported: Domain,
}

fn seen() -> BTreeMap<&'static str, Seen> {
    let all = licenses().into_iter();
    all.map(|(license, files)| {
        let mut seen = BTreeMap::new();
        let disks = Disks::default();
        let content = filled(&disks);

        let on = files.on(system());
        assert_eq!(run(&on, &disks, "vm-start vm=web"), "", "{license}");
        let asked = changes(&on);
        assert!(
            asked.contains(&format!("virsh start {VM}")),
            "{license}: {asked:?}"
        );
        seen.insert("start", asked);

        let on = files.on(system());
        run(&on, &disks, &format!("vm-export vm=web filename={FILE}"));
        let file = on.read_file(Path::new(FILE)).unwrap();
        assert!(!file.is_empty(), "{license}");
        seen.insert("export", changes(&on));

        *disks.at(Path::new(FILE)).lock().unwrap() = holding(&file);
        let line = format!("vm-import filename={FILE} new-name-label=again");
        let uuid = run(&on, &disks, &line);
        let made = defined(&on);
        assert_eq!(made.uuid(), uuid.trim(), "{license}");
        let path = made.disks()[0].source.clone().unwrap();
        assert!(!path.contains(DISK), "{license}: {path}");
        let disk = disks.at(Path::new(&path));
        assert!(
            disk.lock().unwrap().bytes(0, SIZE) == content,
            "{license}: the disk of the copy holds something else"
        );
        seen.insert("import", changes(&on));
        seen.insert("calls", on.command_lines());
        for texts in seen.values_mut() {
            for text in texts {
                *text = without_chance(text);
            }
        }
        let imported = Domain::parse(&without_chance(&made.print())).unwrap();
        let texts = seen;
        (license, Seen { texts, imported })
    })
    .collect()
}

#[test]
fn a_guest_is_started_exported_and_imported() {
    let seen = seen();
    let expected = &seen["licensed"];
    for (license, found) in &seen {
        assert_eq!(found.imported, expected.imported, "{license}");
        for (what, texts) in &found.texts {
            // Not both of them: files are long.
            assert!(*texts == expected.texts[what], "{license}: {what} differs");
        }
    }
}

#[test]
fn chance_is_taken_out_and_nothing_else() {
    let text = format!("{VM} x-11111111-2222-4333-8444-666666666666 mac 00:16:3e:aa:bb:cc \u{e9}");
    assert_eq!(
        without_chance(&text),
        format!("{VM} x-CHANCE mac CHANCE \u{e9}")
    );
}
