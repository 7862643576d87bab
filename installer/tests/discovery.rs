//! Answers from a network: where their URL comes from, and what they must prove.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{FakeMachine, disk};
use common::{KEY, zones};
use hcl_checker::report::SubmitterKey;
use installer::answer_source::{Finder, Found, Trust};
use std::fs;
use std::path::Path;
use std::process::Command;
use steps::step::error_chain;
use steps::system::RecordingSystem;

const PIN: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const URL: &str = "https://install.example.org/a.toml";
const TEXT: &str = "schema = 1 # from the network\n";

fn key() -> SubmitterKey {
    SubmitterKey::from_seed([7; 32])
}

fn key_word() -> String {
    format!("bedplate.answers-key={}", key().public().hex())
}

/// A machine whose network is up, and where every URL is missing that is not served.
fn network() -> RecordingSystem {
    RecordingSystem::new()
        .file("/sys/class/net/eno1/device/vendor", "")
        .prints("networkctl", r#"{"Interfaces":[{"Index":1,"Name":"lo"}]}"#)
        .fails("resolvectl", 1, "not found")
        .fails(
            "curl",
            22,
            "curl: (22) The requested URL returned error: 404",
        )
}

trait Serves {
    fn serves(self, url: &str, content: impl Into<Vec<u8>>) -> Self;
    fn dhcp(self, urls: &[&str]) -> Self;
    fn dns(self, domain: &str, records: &[&str]) -> Self;
}

impl Serves for RecordingSystem {
    fn serves(self, url: &str, content: impl Into<Vec<u8>>) -> Self {
        self.prints_for("curl", &format!("url = \"{url}\"\n"), content)
    }

    /// As networkd of the image prints it, with more around.
    fn dhcp(self, urls: &[&str]) -> Self {
        let interfaces: Vec<serde_json::Value> = urls
            .iter()
            .enumerate()
            .map(|(index, url)| {
                serde_json::json!({"Index": index + 2, "Name": "eno1", "OnlineState": "online", "DHCPv4Client": {
                    "Lease": {"LeaseTimestampUSec": 1},
                    "PrivateOptions": [
                        {"Option": 252, "PrivateOptionData": "00"},
                        {"Option": 250, "PrivateOptionData": hex::encode(url)},
                    ],
                }})
            })
            .collect();
        let all = serde_json::json!({"Interfaces": interfaces}).to_string();
        self.prints("networkctl --json=short list", &all)
    }

    fn dns(self, domain: &str, records: &[&str]) -> Self {
        let lines: String = records
            .iter()
            .map(|items| {
                format!(
                    "{{\"key\":{{\"class\":1,\"type\":16,\"name\":\"bedplate-answers.{domain}\"}},\"items\":[{items}]}}\n"
                )
            })
            .collect();
        self.prints(
            &format!(
                "resolvectl query --type=TXT --protocol=dns --legend=no --json=short bedplate-answers.{domain}"
            ),
            &lines,
        )
    }
}

fn find(system: &RecordingSystem, command_line: &str) -> Result<Option<Found>, String> {
    let trust = Trust::from_command_line(command_line).map_err(|error| error.to_string())?;
    let finder = Finder {
        system,
        machine: &FakeMachine::new(disk(), None),
        pause: &|_| {},
        trust: &trust,
        live: true,
    };
    finder
        .find(command_line, Path::new("/medium"), &mut |_| {})
        .map_err(|error| error_chain(&error).join(": "))
}

fn signed() -> RecordingSystem {
    network()
        .serves(URL, TEXT)
        .serves(&format!("{URL}.sig"), key().sign(TEXT.as_bytes()))
}

#[test]
fn dhcp_and_dns_give_the_url_and_the_key_gives_the_trust() {
    let by_dhcp = signed().dhcp(&[&format!("{URL}\0")]);
    let found = find(&by_dhcp, &format!("bedplate.answers=dhcp {}", key_word()))
        .unwrap()
        .unwrap();
    assert_eq!(found.content, TEXT.as_bytes());
    assert_eq!(found.place, format!("{URL}, by DHCP option 250"));
    assert!(found.signed);

    let resolv = "nameserver 10.0.0.1\nsearch rack.example.org example.org\n";
    let by_dns = signed()
        .file("/run/systemd/resolve/resolv.conf", resolv)
        // A long text comes in pieces.
        .dns(
            "example.org",
            &[r#""https://install.exa","mple.org/a.toml""#],
        );
    for word in ["dns", "discover"] {
        let found = find(&by_dns, &format!("bedplate.answers={word} {}", key_word()))
            .unwrap()
            .unwrap();
        assert_eq!(found.content, TEXT.as_bytes());
    }
    // The domain that comes first was asked first.
    let asked: Vec<String> = by_dns
        .command_lines()
        .into_iter()
        .filter(|line| line.starts_with("resolvectl"))
        .take(2)
        .collect();
    assert!(
        asked[0].ends_with(" bedplate-answers.rack.example.org")
            && asked[1].ends_with(" bedplate-answers.example.org"),
        "{asked:?}"
    );
}

#[test]
fn a_pin_is_trust_as_well_and_is_held_against_the_server() {
    let system = network().dhcp(&[URL]).serves(URL, TEXT);
    let found = find(&system, &format!("bedplate.answers-pin={PIN}"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.content.as_slice(), found.signed),
        (TEXT.as_bytes(), false)
    );
    let config = String::from_utf8(
        system
            .commands()
            .iter()
            .find(|command| command.program() == "curl")
            .unwrap()
            .stdin_bytes()
            .to_vec(),
    )
    .unwrap();
    assert!(
        config.contains(&format!("insecure\npinnedpubkey = \"{PIN}\"\n")),
        "{config}"
    );
    let refused = network().dhcp(&[URL]).fails(
        "curl",
        90,
        "curl: (90) SSL: public key does not match pinned public key",
    );
    assert_eq!(
        find(&refused, &format!("bedplate.answers-pin={PIN}"))
            .err()
            .unwrap(),
        format!(
            "cannot get the answers from {URL} (1 attempt): curl: (90) SSL: public key does not match pinned public key"
        )
    );
}

#[test]
fn without_pin_or_key_nobody_is_asked() {
    let system = network().dhcp(&[URL]).serves(URL, TEXT);
    assert!(find(&system, "quiet").unwrap().is_none());
    let error = find(&system, "bedplate.answers=dhcp").err().unwrap();
    assert_eq!(
        error,
        "the answers should come from DHCP option 250, and whoever answers there could be anybody; add \
         `bedplate.answers-key=` (answers signed by `installer sign-answers`) or `bedplate.answers-pin=` (the key of the \
         server) to the kernel command line"
    );
    let asked = system.command_lines();
    assert!(
        !asked
            .iter()
            .any(|line| line.starts_with("networkctl") || line.starts_with("curl")),
        "{asked:?}"
    );
}

#[test]
fn what_the_network_gives_is_never_more_than_a_url() {
    let line = |more: &str| format!("{more} {}", key_word());
    let cases: [(RecordingSystem, String, String); 11] = [
        (
            network(),
            line("bedplate.answers=discover"),
            "the answers should come from DHCP option 250 and the DNS record bedplate-answers, and there is none; set it on \
             the server, or give the URL with `bedplate.answers=`"
                .into(),
        ),
        (
            network().dhcp(&["https://a/x", "https://b/x"]),
            line("bedplate.answers=dhcp"),
            "DHCP option 250 gives 2 different URLs; let one remain, or name one with `bedplate.answers=`".into(),
        ),
        (
            network().dhcp(&["file:///etc/shadow"]),
            line("bedplate.answers=dhcp"),
            "what DHCP option 250 gives is no http or https URL; write a URL such as `https://install.example.org/report`".into(),
        ),
        (
            network().dhcp(&["https://h/a\"\noutput = \"/etc/passwd"]),
            line("bedplate.answers=dhcp"),
            "what DHCP option 250 gives has a blank, a quote, a backslash or a control character; write those as %20 and so on"
                .into(),
        ),
        (
            network().prints("networkctl", "no JSON"),
            line("bedplate.answers=dhcp"),
            "cannot understand what networkctl of the live system says: expected ident at line 1 column 2".into(),
        ),
        (
            network().dhcp(&["http://h/a.toml"]).serves("http://h/a.toml", TEXT),
            format!("bedplate.answers-pin={PIN}"),
            "http://h/a.toml is no https URL, so there is no key of the server to hold against the pin; use https, or sign the \
             answers and give `bedplate.answers-key=` in place of the pin"
                .into(),
        ),
        (
            network().dhcp(&[URL]).serves(URL, TEXT),
            line(""),
            format!(
                "the answers from {URL} must be signed, and their signature cannot be fetched; make it with `installer \
                 sign-answers` and put it beside them, with .sig behind the name: cannot get the answers from {URL}.sig (1 \
                 attempt): curl: (22) The requested URL returned error: 404"
            ),
        ),
        (
            signed().dhcp(&[URL]).serves(URL, "schema = 1 # changed\n"),
            line(""),
            forged(URL),
        ),
        (
            signed()
                .dhcp(&[URL])
                .serves(&format!("{URL}.sig"), SubmitterKey::from_seed([8; 32]).sign(TEXT.as_bytes())),
            line(""),
            forged(URL),
        ),
        // A place that the operator named must prove the same.
        (
            network()
                .serves("https://u:pa55@h/a.toml?t=s3cret", TEXT)
                .serves("https://u:pa55@h/a.toml.sig?t=s3cret", "short"),
            line("bedplate.answers=https://u:pa55@h/a.toml?t=s3cret"),
            forged("https://h/a.toml"),
        ),
        (
            RecordingSystem::new(),
            line("bedplate.answers=dns"),
            "there is no network device, so nothing can be fetched from the URL from the DNS record bedplate-answers; \
             check that the card is seated and enabled in the firmware setup, or use a medium that holds what is needed"
                .into(),
        ),
    ];
    for (system, line, expected) in cases {
        match find(&system, &line) {
            Ok(_) => panic!("{line} was taken; expected: {expected}"),
            Err(error) => assert_eq!(error, expected, "{line}"),
        }
    }
}

fn forged(place: &str) -> String {
    format!(
        "the answers from {place} are not signed by the key {}: somebody changed them, or they were changed after they were \
         signed; sign them again with `installer sign-answers`, or correct `bedplate.answers-key=`",
        key().public().hex()
    )
}

#[test]
fn a_word_that_is_no_pin_or_key_is_an_error_and_not_no_trust() {
    for (line, expected) in [
        (
            "bedplate.answers-key=abc",
            "`bedplate.answers-key=` holds no key; write the 64 hexadecimal digits that `installer sign-answers` prints",
        ),
        (
            "bedplate.answers-pin=sha256//x",
            "`bedplate.answers-pin=` holds no pin; write `sha256//` and 44 characters of base64, docs/answers.md has the \
             command that prints it",
        ),
        (
            "bedplate.answers-key= quiet",
            "`bedplate.answers-key=` holds no key; write the 64 hexadecimal digits that `installer sign-answers` prints",
        ),
    ] {
        assert_eq!(find(&network(), line).err().unwrap(), expected);
    }
}

#[test]
fn answers_on_the_medium_and_on_a_stick_go_before_those_of_the_network() {
    let system = signed()
        .dhcp(&[URL])
        .prints("blkid --cache-file /dev/null", "/dev/sdb1\n")
        .prints("blkid --probe", "vfat\n")
        .file(
            "/run/bedplate/answer-volume/answers.toml",
            "schema = 1 # stick\n",
        );
    let found = find(&system, &key_word()).unwrap().unwrap();
    assert_eq!(found.content, b"schema = 1 # stick\n");
}

fn sign(folder: &Path, text: &str) -> (i32, String, String) {
    let answers = folder.join("a.toml");
    fs::write(&answers, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_installer"))
        .arg("sign-answers")
        .arg(&answers)
        .arg("--key")
        .arg(folder.join("key.pem"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn what_sign_answers_signs_is_taken_and_openssl_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n"
    );
    let (code, stdout, stderr) = sign(folder.path(), &text);
    assert_eq!(code, 0, "{stderr}");
    let word = stdout.lines().last().unwrap().to_owned();
    let signature = fs::read(folder.path().join("a.toml.sig")).unwrap();
    let system = network()
        .dhcp(&[URL])
        .serves(URL, text.as_str())
        .serves(&format!("{URL}.sig"), signature);
    let found = find(&system, &word).unwrap().unwrap();
    assert!(
        found.signed && installer::answers::read_bytes(&found.content, "x", &zones(), None).is_ok()
    );

    let openssl = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "pkeyutl",
            "-verify",
            "-rawin",
            "-inkey",
            "key.pem",
            "-in",
            "a.toml",
            "-sigfile",
            "a.toml.sig",
        ])
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{openssl:?}");

    // The same key again, as it is there now.
    assert_eq!(sign(folder.path(), &text).1.lines().last().unwrap(), word);
}

#[test]
fn what_could_not_be_installed_is_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = sign(folder.path(), "schema = 1\n");
    assert_eq!(code, 2);
    assert!(
        stderr.contains("[disk] is missing") && stderr.contains("nothing was signed"),
        "{stderr}"
    );
    let hook = format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\n[system]\nhostname = \"xen1\"\nssh_keys = [\"{KEY}\"]\n\
         [[hook]]\nname = \"a\"\nwhen = \"first-boot\"\nfile = \"a.sh\"\n"
    );
    fs::write(folder.path().join("a.sh"), "#!/bin/sh\n").unwrap();
    let (code, _, stderr) = sign(folder.path(), &hook);
    assert_eq!(code, 2);
    assert!(
        stderr.contains(":10:8: the answers are signed, and `a.sh` is not"),
        "{stderr}"
    );
    assert!(!folder.path().join("a.toml.sig").exists());
}
