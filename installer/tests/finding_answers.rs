//! Where answers are looked for, in which order, and what is said when they are not there.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{FakeMachine, disk};
use hcl_checker::facts::Disk;
use installer::answer_source::{Finder, Found, Trust};
use installer::laydown::Machine;
use sha2::{Digest, Sha256};
use slots::answer_area;
use slots::block::{Access, BlockDevice, MemoryDevice, OpenError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use steps::step::error_chain;
use steps::system::RecordingSystem;

const MEDIUM: &str = "/run/bedplate/medium";
const AREA: &str = "/run/bedplate/medium/bedplate/answers.bin";
const TEXT: &[u8] = b"schema = 1\n";

/// A machine with one device that holds text.
struct Devices(Option<(PathBuf, Vec<u8>)>);

impl Machine for Devices {
    fn disk(&self, _: &str) -> Option<Disk> {
        None
    }
    fn open(&self, path: &Path, _: Access) -> Result<Box<dyn BlockDevice>, OpenError> {
        match &self.0 {
            Some((device, bytes)) if device == path => {
                Ok(Box::new(MemoryDevice::from_bytes(bytes)))
            }
            _ => Err(OpenError::Kind {
                path: path.to_owned(),
            }),
        }
    }
    fn has_device(&self, path: &Path) -> bool {
        self.0.as_ref().is_some_and(|(device, _)| device == path)
    }
}

fn find(
    system: &RecordingSystem,
    machine: &dyn Machine,
    command_line: &str,
) -> Result<Option<Found>, String> {
    let waited = AtomicU64::new(0);
    let pause = |time: Duration| {
        waited.fetch_add(time.as_secs(), Ordering::SeqCst);
    };
    let finder = Finder {
        system,
        machine,
        pause: &pause,
        trust: &Trust::from_command_line(command_line).map_err(|error| error.to_string())?,
        live: true,
    };
    let found = finder
        .find(command_line, Path::new(MEDIUM), &mut |_| {})
        .map_err(|error| error_chain(&error).join(": "));
    assert!(waited.into_inner() <= 180, "waits too long");
    assert!(system.mounted().is_empty(), "a mount is left");
    found
}

fn machine() -> FakeMachine {
    FakeMachine::new(disk(), None)
}

fn labelled(system: RecordingSystem) -> RecordingSystem {
    system
        .prints("blkid --cache-file /dev/null", "/dev/sdb1\n")
        .prints(
            "blkid --probe --output value --match-tag TYPE /dev/sdb1",
            "vfat\n",
        )
        .file(
            "/run/bedplate/answer-volume/answers.toml",
            "schema = 1 # stick\n",
        )
}

#[test]
fn nothing_anywhere_is_no_error() {
    assert!(
        find(&RecordingSystem::new(), &machine(), "quiet")
            .unwrap()
            .is_none()
    );
    let pristine = RecordingSystem::new().file(AREA, answer_area::pristine());
    assert!(find(&pristine, &machine(), "quiet").unwrap().is_none());
}

#[test]
fn the_command_line_wins_over_the_medium_and_that_over_a_stick() {
    let system = || {
        labelled(
            RecordingSystem::new()
                .file(AREA, answer_area::encode(b"schema = 1 # medium\n").unwrap()),
        )
    };
    let raw = Devices(Some(("/dev/vdb".into(), TEXT.to_vec())));
    let found = find(&system(), &raw, "bedplate.answers=/dev/vdb")
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.content.as_slice(), found.place.as_str()),
        (TEXT, "/dev/vdb")
    );
    assert_eq!(found.sha256, hex::encode(Sha256::digest(TEXT)));

    let found = find(&system(), &machine(), "").unwrap().unwrap();
    assert_eq!(found.content, b"schema = 1 # medium\n");

    let found = find(&labelled(RecordingSystem::new()), &machine(), "")
        .unwrap()
        .unwrap();
    assert_eq!(found.content, b"schema = 1 # stick\n");
    assert_eq!(found.place, "answers.toml on /dev/sdb1, labelled BEDPLATE");
}

/// The bytes of an SMBIOS table with these OEM strings, between a structure of another type and the end marker.
fn smbios(strings: &[&str]) -> Vec<u8> {
    let system = [&[1, 5, 0, 1, 1][..], b"vendor\0\0"].concat();
    let count = u8::try_from(strings.len()).unwrap();
    let mut oem = vec![11, 5, 0, 0x0e, count];
    for text in strings {
        oem.extend(text.bytes().chain([0]));
    }
    oem.push(0);
    [system, oem, vec![127, 4, 0, 0x7f, 0, 0]].concat()
}

const SMBIOS: &str = "/sys/firmware/dmi/tables/DMI";

#[test]
fn what_the_owner_left_in_smbios_is_taken_where_no_medium_has_answers() {
    // As long as a string can be that QEMU takes from a file.
    let text = format!("schema = 1 # {}\n", "x".repeat(60_000));
    let string = format!("io.systemd.credential:bedplate.answers={text}");
    let table = || smbios(&["Vendor's own", &string]);
    let system = || RecordingSystem::new().file(SMBIOS, table());
    for line in ["", "bedplate.answers=smbios"] {
        let found = find(&system(), &machine(), line).unwrap().unwrap();
        assert_eq!(found.content, text.as_bytes(), "{line}");
        assert_eq!(found.place, "the OEM strings of SMBIOS");
    }
    // What somebody plugged in for this installation goes before what was left at some time.
    let with_stick = || labelled(system());
    let found = find(&with_stick(), &machine(), "").unwrap().unwrap();
    assert_eq!(found.content, b"schema = 1 # stick\n");
    let found = find(&with_stick(), &machine(), "bedplate.answers=smbios");
    assert_eq!(found.unwrap().unwrap().content, text.as_bytes());

    let place = smbios(&["bedplate.answers=/dev/vdb"]);
    let raw = Devices(Some(("/dev/vdb".into(), TEXT.to_vec())));
    let system = RecordingSystem::new().file(SMBIOS, place);
    let found = find(&system, &raw, "").unwrap().unwrap();
    assert_eq!(found.content, TEXT);
    assert_eq!(found.place, "/dev/vdb, named by the OEM strings of SMBIOS");
}

#[test]
fn oem_strings_of_others_are_no_answers() {
    let others = || RecordingSystem::new().file(SMBIOS, smbios(&["Vendor's own"]));
    assert!(find(&others(), &machine(), "").unwrap().is_none());
    let error = find(&others(), &machine(), "bedplate.answers=smbios");
    let error = error.err().unwrap();
    assert!(error.contains("none of them holds any"), "{error}");
    // A place that was named and cannot be read is an error here, too.
    let gone = smbios(&["bedplate.answers=/dev/vdb"]);
    let system = RecordingSystem::new().file(SMBIOS, gone);
    let error = find(&system, &Devices(None), "").err().unwrap();
    assert!(error.contains("there is no such device"), "{error}");
    // Only where SMBIOS was asked for is it an error that it cannot be read.
    let broken = || others().breaks(SMBIOS);
    assert!(find(&broken(), &machine(), "").unwrap().is_none());
    assert!(find(&broken(), &machine(), "bedplate.answers=smbios").is_err());
}

#[test]
fn a_file_named_after_the_machine_goes_before_the_general_one() {
    let volume = Path::new("/run/bedplate/answer-volume");
    let with_nic = || {
        labelled(RecordingSystem::new())
            .file("/sys/class/net/eno1/device/vendor", "")
            .file("/sys/class/net/eno1/address", "52:54:00:aa:bb:cc\n")
            // Without a device behind it: a bridge may have any address.
            .file("/sys/class/net/br0/address", "52:54:00:00:00:01\n")
            .file(volume.join("525400000001.toml"), "schema = 1 # bridge\n")
            .file(volume.join("525400ddeeff.toml"), "schema = 1 # other\n")
    };
    for name in [
        "52-54-00-AA-BB-CC.toml",
        "525400aabbcc.TOML",
        "52:54:00:aa:bb:cc.toml",
    ] {
        let system = with_nic().file(volume.join(name), "schema = 1 # own\n");
        let found = find(&system, &machine(), "").unwrap().unwrap();
        assert_eq!(found.content, b"schema = 1 # own\n");
        assert_eq!(
            found.place,
            format!("{name} on /dev/sdb1, labelled BEDPLATE")
        );
    }
    let found = find(&with_nic(), &machine(), "").unwrap().unwrap();
    assert_eq!(found.content, b"schema = 1 # stick\n");

    let twice = with_nic()
        .file(volume.join("525400aabbcc.toml"), "")
        .file(volume.join("52-54-00-aa-bb-cc.toml"), "");
    let error = find(&twice, &machine(), "").err().unwrap();
    assert!(error.starts_with("2 files are for this machine"), "{error}");
}

#[test]
fn a_device_with_text_may_end_with_zeros_and_not_be_huge() {
    let mut padded = TEXT.to_vec();
    padded.resize(4096, 0);
    let found = find(
        &RecordingSystem::new(),
        &Devices(Some(("/dev/vdb".into(), padded))),
        "bedplate.answers=/dev/vdb",
    );
    assert_eq!(found.unwrap().unwrap().content, TEXT);
    let large = Devices(Some(("/dev/vdb".into(), vec![b'#'; 2 << 20])));
    let error = find(&RecordingSystem::new(), &large, "bedplate.answers=/dev/vdb")
        .err()
        .unwrap();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
}

#[test]
fn a_file_on_a_device_is_read_without_writing_to_it() {
    let system = RecordingSystem::new()
        .prints(
            "blkid --probe --output value --match-tag TYPE /dev/vdb",
            "ext4\n",
        )
        .file("/run/bedplate/answer-volume/x/a.toml", TEXT);
    let device = Devices(Some(("/dev/vdb".into(), vec![0; 512])));
    let found = find(&system, &device, "bedplate.answers=/dev/vdb:/x/a.toml")
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.content.as_slice(), found.place.as_str()),
        (TEXT, "x/a.toml on /dev/vdb")
    );
    let mounts: Vec<_> = system
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            steps::system::Call::Mount(mount) => Some(mount),
            _ => None,
        })
        .collect();
    assert!(
        mounts.len() == 1 && mounts[0].read_only && mounts[0].inert,
        "{mounts:?}"
    );
}

#[test]
fn what_was_named_must_be_there() {
    let none = Devices(None);
    let cases: [(RecordingSystem, &str, &str); 8] = [
        (
            RecordingSystem::new(),
            "bedplate.answers=/dev/vdb",
            "there is no such device",
        ),
        (
            RecordingSystem::new(),
            "bedplate.answers=/dev/vdb:/a",
            "there is no such device",
        ),
        (
            RecordingSystem::new(),
            "bedplate.answers=embedded",
            "holds none",
        ),
        (
            RecordingSystem::new(),
            "bedplate.answers=ftp://x/y",
            "names no place",
        ),
        (
            RecordingSystem::new(),
            "bedplate.answers=http://h/a?t=s3cret",
            "there is no network device",
        ),
        (
            RecordingSystem::new().file(AREA, vec![0; 65536]),
            "",
            "not an answer area",
        ),
        (
            RecordingSystem::new().prints("blkid --cache-file", "/dev/sdb1\n/dev/sdc1\n"),
            "",
            "2 volumes are labelled BEDPLATE (/dev/sdb1, /dev/sdc1)",
        ),
        (
            RecordingSystem::new().prints("blkid --cache-file", "/dev/sdb1\n"),
            "",
            "holds no file system",
        ),
    ];
    for (system, line, expected) in cases {
        let error = find(&system, &none, line)
            .err()
            .unwrap_or_else(|| panic!("{line} was found"));
        assert!(error.contains(expected), "{line}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let stick = labelled(RecordingSystem::new()).breaks("/run/bedplate/answer-volume/answers.toml");
    assert!(find(&stick, &none, "").is_err());
}
