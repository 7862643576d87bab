//! The manual pages in the image are those that the table of commands gives.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use host::commands::Command;
use host::manual::pages;
use std::collections::BTreeSet;
use std::path::Path;

const FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../image-build/root/usr/share/man/man1"
);

#[test]
fn the_pages_in_the_image_are_up_to_date() {
    let folder = Path::new(FOLDER);
    let pages = pages();
    if std::env::var_os("BEDPLATE_BLESS").is_some() {
        std::fs::create_dir_all(folder).unwrap();
        for (name, text) in &pages {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let wanted: BTreeSet<_> = pages.iter().map(|(name, _)| name.clone()).collect();
    let there: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("xe"))
        .collect();
    assert_eq!(
        there, wanted,
        "BEDPLATE_BLESS=1 cargo test -p host --test manual"
    );
    for (name, text) in &pages {
        // Not both texts: they are long.
        assert!(
            std::fs::read_to_string(folder.join(name)).unwrap() == *text,
            "{name} is out of date: BEDPLATE_BLESS=1 cargo test -p host --test manual"
        );
    }
}

#[test]
fn every_command_is_on_the_page_of_its_class_and_roff_takes_them() {
    let pages = pages();
    let all: String = pages.iter().map(|(_, text)| text.as_str()).collect();
    for command in Command::all() {
        let name = command.name().replace('-', "\\-");
        assert!(all.contains(&format!(".B {name}\n")), "{name}");
        assert!(
            name == "help" || all.contains(&format!(".SS xe {name}")),
            "{name}"
        );
    }
    let mut skipped = 0;
    for (name, text) in &pages {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        match std::process::Command::new("mandoc")
            .args(["-T", "lint", "-W", "error"])
            .arg(file.path())
            .output()
        {
            Ok(output) => assert!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stdout)
            ),
            Err(_) => skipped += 1,
        }
    }
    if skipped > 0 {
        eprintln!("SKIPPED: {skipped} pages not held against mandoc, which is not installed");
    }
}
