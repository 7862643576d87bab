//! The bill as a whole.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use super::*;

fn contents(epoch: u64) -> Contents {
    let status = "Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-14\nVersion: 14.2.0-19\n\n\
                  Package: xl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:4.20~rc1+b2\nDepends: libstdc++6\n";
    let grub = "Package: grub-pc-bin\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.12-9\n";
    let mut crates = Crates::default();
    crates
        .add_tree("0|xe v0.1.0 (/w)|MIT\n1|time v0.3.4+x|MIT OR Apache-2.0\n")
        .unwrap();
    crates
        .add_hashes("[[package]]\nname='xe'\nversion='0.1.0'\n[[package]]\nname='time'\nversion='0.3.4+x'\nchecksum='ab'\n")
        .unwrap();
    Contents {
        version: "0.1.0".into(),
        epoch,
        suite: "trixie".into(),
        root: debian::parse(status).unwrap(),
        loaders: debian::parse(grub).unwrap(),
        crates,
        linked: vec![("libc6-dev".into(), "2.41-12".into(), "C library".into())],
    }
}

fn bill(epoch: u64) -> Value {
    serde_json::from_slice(&make(&contents(epoch)).unwrap()).unwrap()
}

fn needs(bill: &Value, reference: &str) -> Vec<String> {
    let all = bill["dependencies"].as_array().unwrap();
    let one = all.iter().find(|d| d["ref"] == reference).unwrap();
    one["dependsOn"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn package_urls_are_escaped_as_scanners_expect() {
    let bill = bill(1_763_769_600);
    let purls: Vec<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["purl"].as_str())
        .collect();
    assert_eq!(
        purls,
        [
            "pkg:cargo/time@0.3.4%2Bx",
            "pkg:deb/debian/grub-pc-bin@2.12-9?arch=amd64&distro=trixie",
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie",
            "pkg:deb/debian/xl@1%3A4.20~rc1%2Bb2?arch=amd64&distro=trixie",
        ]
    );
    assert_eq!(bill["metadata"]["timestamp"], "2025-11-22T00:00:00Z");
}

#[test]
fn the_release_needs_packages_and_programs_and_these_what_is_in_them() {
    let bill = bill(0);
    assert_eq!(
        needs(&bill, "bedplate@0.1.0"),
        [
            "bedplate:xe@0.1.0",
            "pkg:deb/debian/grub-pc-bin@2.12-9?arch=amd64&distro=trixie",
            "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie",
            "pkg:deb/debian/xl@1%3A4.20~rc1%2Bb2?arch=amd64&distro=trixie",
        ]
    );
    assert_eq!(
        needs(&bill, "bedplate:xe@0.1.0"),
        ["linked:libc6-dev@2.41-12", "pkg:cargo/time@0.3.4%2Bx"]
    );
    assert_eq!(
        needs(
            &bill,
            "pkg:deb/debian/xl@1%3A4.20~rc1%2Bb2?arch=amd64&distro=trixie"
        ),
        ["pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie"]
    );
}

#[test]
fn every_reference_names_a_component() {
    let bill = bill(0);
    let mut known: BTreeSet<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(known.len(), 6);
    known.insert("bedplate@0.1.0");
    for dependency in bill["dependencies"].as_array().unwrap() {
        assert!(known.contains(dependency["ref"].as_str().unwrap()));
        for needed in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(needed.as_str().unwrap()), "{needed}");
        }
    }
}

#[test]
fn the_same_content_has_the_same_bytes_and_other_content_another_serial_number() {
    assert_eq!(make(&contents(7)).unwrap(), make(&contents(7)).unwrap());
    let serial = bill(7)["serialNumber"].as_str().unwrap().to_owned();
    assert_ne!(serial, bill(8)["serialNumber"]);
    // Version 8 and the variant of RFC 9562 stand at fixed places.
    assert_eq!(serial.len(), "urn:uuid:".len() + 36);
    assert_eq!(&serial[23..24], "8");
    assert!(["8", "9", "a", "b"].contains(&&serial[28..29]), "{serial}");
}
