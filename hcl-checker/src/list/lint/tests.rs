//! What is refused, and what is not.

use super::*;

fn check(text: &str) -> Vec<String> {
    let list = List::parse("test.toml", text).expect("well-formed");
    let today = Date::parse("2026-11-22").expect("day");
    lint(&list, today).iter().map(ToString::to_string).collect()
}

fn entry(id: &str, pci: &str, rest: &str) -> String {
    let level = if rest.contains("level") {
        ""
    } else {
        "level = \"compatible\"\n"
    };
    let date = if rest.contains("date = ") {
        ""
    } else {
        "date = \"2026-01-01\"\n"
    };
    let evidence = if rest.contains("evidence") {
        ""
    } else {
        "evidence = [\"https://example.org/x\"]\n"
    };
    format!(
        "[[entry]]\nid = \"{id}\"\nclass = \"nic\"\nmatch.pci = {pci}\n{level}{date}{evidence}\
         require.driver = \"x\"\n{rest}\n"
    )
}

#[test]
fn sound_entries_pass() {
    let text =
        entry("a", "{ vendor = 1, devices = [2] }", "") + &entry("b", "{ class = \"02\" }", "");
    assert_eq!(check(&text), [""; 0]);
}

#[test]
fn unsourced_and_expired_and_double() {
    let text = entry("a", "{ vendor = 1, devices = [2] }", "evidence = []")
        + &entry(
            "b",
            "{ vendor = 1, devices = [3] }",
            "evidence = [\"somebody said so\"]",
        )
        + &entry(
            "c",
            "{ vendor = 1, devices = [4] }",
            "valid_until = \"2026-11-21\"",
        )
        + &entry(
            "d",
            "{ vendor = 1, devices = [5] }",
            "valid_until = \"2026-11-22\"",
        )
        + &entry("d", "{ vendor = 1, devices = [6] }", "");
    let found = check(&text);
    assert_eq!(found.len(), 4, "{found:#?}");
    for (found, part) in found.iter().zip([
        "a: names no evidence",
        "b: has evidence",
        "c: expired",
        "d: has the id",
    ]) {
        assert!(found.starts_with(part), "{found}");
    }
}

#[test]
fn ambiguous_and_unreachable() {
    let deny = "level = \"unsupported\"";
    let certified = "level = \"certified\"";
    let same = entry("a", "{ vendor = 1, devices = [2] }", "")
        + &entry("b", "{ vendor = 1, devices = [2] }", deny);
    assert_eq!(
        check(&same),
        ["a: is never reached: b of 2026-01-01 matches the same and goes first"]
    );
    let tie = entry("a", "{ vendor = 1, devices = [2, 3] }", "")
        + &entry("b", "{ vendor = 1, devices = [3, 4] }", certified);
    assert_eq!(
        check(&tie),
        ["a: is ambiguous: b of 2026-01-01 matches too and says another thing"]
    );
    let functions = |class: &str| {
        entry("a", "{ vendor = 1, devices = [2, 3] }", "")
            + &entry("b", &format!("{{ vendor = 1, devices = [3]{class} }}"), "")
                .replace("driver = \"x\"", "driver = \"y\"")
    };
    assert_eq!(
        check(&functions("")),
        [
            "a: is ambiguous: b of 2026-01-01 matches too and names another driver; tell them apart by class or card"
        ]
    );
    assert_eq!(check(&functions(", class = \"0c04\"")), [""; 0]);
    let newer = entry("a", "{ vendor = 1, devices = [2, 3] }", "")
        + &entry(
            "b",
            "{ vendor = 1, devices = [3, 4] }",
            &format!("{certified}\ndate = \"2026-02-01\""),
        );
    assert_eq!(check(&newer), [""; 0]);
    let hidden = entry("a", "{ vendor = 1, devices = [2], revisions = [1, 2] }", "")
        + &entry("b", "{ vendor = 1, devices = [2, 3] }", deny);
    assert_eq!(
        check(&hidden),
        ["a: is never reached: b of 2026-01-01 denies all of it"]
    );
    let wider = entry("a", "{ vendor = 1, devices = [2] }", "")
        + &entry("b", "{ vendor = 1, class = \"02\" }", deny);
    assert_eq!(check(&wider), [""; 0], "the more specific one is reached");
}

#[test]
fn demands_that_make_no_sense() {
    let pci = "{ vendor = 1, devices = [2] }";
    for (rest, part) in [
        (
            "require.firmware = {}",
            "names no version in require.firmware",
        ),
        (
            "require.driver_versions = { min = \"2\", below = \"1\" }",
            "empty range of versions",
        ),
        ("require.bios_min = \"1.2\"", "no system"),
        ("releases = [\"next\"]", "`next`, which is no version"),
        ("releases = [\"0.1.2.3\"]", "no version"),
        ("deviation = \" \"", "empty note"),
    ] {
        let found = check(&entry("a", pci, rest));
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{rest}: {found:?}"
        );
    }
    let sound = "require.firmware = { min = \"4.0\" }\nrequire.driver_versions = { min = \"6.1\" }\n\
                 deviation = \"update it\"\nfeatures = { sriov = true, boot = false }\nreleases = [\"0.1\", \"0.2.3\"]";
    assert_eq!(check(&entry("a", pci, sound)), [""; 0]);
    let disk = entry(
        "a",
        "{ vendor = 1, class = \"0108\" }",
        "require.firmware = { exact = [\"X\"] }",
    )
    .replace("\"nic\"", "\"storage\"");
    assert_eq!(check(&disk), [""; 0], "NVMe disks tell their firmware");
    let found = check(&disk.replace("0108", "0107"));
    assert!(found[0].contains("does not tell its version"), "{found:?}");
    let system = "[[entry]]\nid = \"s\"\nclass = \"system\"\nmatch.dmi = { vendor = \"V\", product = \"P\" }\n\
                  level = \"compatible\"\nevidence = [\"https://example.org/x\"]\ndate = \"2026-01-01\"\n";
    assert_eq!(
        check(&format!("{system}require.bios_min = \"1.2\"\n")),
        [""; 0]
    );
    for (rest, part) in [
        ("require.bios_min = \"-\"", "without letters and digits"),
        ("features.boot = true", "is none"),
        ("deviation = \"x\"", "demands nothing"),
        ("require.firmware.min = \"1\"", "does not tell its version"),
    ] {
        let found = check(&format!("{system}{rest}\n"));
        assert!(
            found.len() == 1 && found[0].contains(part),
            "{rest}: {found:?}"
        );
    }
}

#[test]
fn entries_for_different_releases_do_not_meet() {
    let of = |id: &str, releases: &str, level: &str| {
        entry(
            id,
            "{ vendor = 1, devices = [2] }",
            &format!("level = \"{level}\"\nreleases = [{releases}]"),
        )
    };
    let apart = of("a", "\"0.1\"", "compatible") + &of("b", "\"0.2\", \"0.10\"", "unsupported");
    assert_eq!(check(&apart), [""; 0]);
    let meet = of("a", "\"0.1\"", "compatible") + &of("b", "\"0.1.3\"", "certified");
    assert_eq!(
        check(&meet),
        ["a: is ambiguous: b of 2026-01-01 matches too and says another thing"]
    );
}

#[test]
fn a_driver_version_that_the_kernel_has_not() {
    let drivers = DriverIndex::shipped().expect("index");
    let of = |min: &str| {
        let text = entry(
            "a",
            "{ vendor = 0x8086, devices = [0x1572] }",
            &format!("require.driver_versions.min = \"{min}\""),
        );
        let list = List::parse("test.toml", &text.replace("\"x\"", "\"i40e\"")).expect("list");
        lint_drivers(&list, &drivers)
    };
    assert_eq!(of("6.1"), []);
    let found = of("99");
    assert!(
        found.len() == 1 && found[0].problem.contains("i40e 99 or newer"),
        "{found:?}"
    );
}

#[test]
fn matches_that_make_no_sense() {
    for (pci, part) in [
        ("{}", "neither vendor nor class"),
        ("{ devices = [1], class = \"02\" }", "without their vendor"),
        (
            "{ vendor = 1, devices = [1], subdevice = 1 }",
            "without its subvendor",
        ),
        (
            "{ vendor = 1, devices = [1], revisions = [2, 1] }",
            "empty range",
        ),
    ] {
        let found = check(&entry("a", pci, ""));
        assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
    }
}
