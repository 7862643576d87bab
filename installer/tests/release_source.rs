//! A release from a server: real `curl`, real HTTP and TLS, and what is refused.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use base64::Engine;
use common::laydown::plan_with;
use common::machine::{FakeMachine, FakeSystem, disk};
use common::medium::Medium;
use hcl_checker::facts::FirmwareKind;
use installer::choices::SourceChoice;
use installer::laydown::{self, Context};
use installer::release_source::{MountedImage, download};
use installer::values::{Pin, WebUrl};
use release::{Artifact, OpenRelease};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use steps::Emitter;
use steps::event::Outcome;
use steps::report::Heading;
use steps::sink::FanOut;
use steps::step::error_chain;
use steps::system::{RealSystem, RecordingSystem};

/// Serves the files below `folder`. Returns the URL.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &folder);
        }
    });
    url
}

fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    match fs::read(folder.join(path.trim_start_matches('/'))) {
        Ok(bytes) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            )?;
            stream.write_all(&bytes)
        }
        Err(_) => write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    }
}

fn fetch(
    medium: &Medium,
    url: &str,
    pin: Option<&str>,
    into: &Path,
) -> Result<OpenRelease, String> {
    let source = SourceChoice {
        url: WebUrl::parse(url).unwrap(),
        pin: pin.map(|text| Pin::parse(text).unwrap()),
    };
    let root = fs::read(medium.trusted_root()).unwrap();
    let told = Mutex::new(Vec::new());
    let result = download(
        &RealSystem::silent(),
        &source,
        &root,
        into,
        &|_| {},
        &mut |line| told.lock().unwrap().push(line),
        &mut |_| {},
    );
    if result.is_ok() {
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), Artifact::ALL.len(), "{told:?}");
        assert!(told[0].contains("of release 0.1.0 from http"), "{told:?}");
    }
    result.map_err(|error| error_chain(&error).join(": "))
}

fn repository(medium: &Medium) -> PathBuf {
    medium.path().join("bedplate/repository")
}

/// The file of an artifact on the server.
fn artifact(medium: &Medium, artifact: Artifact) -> PathBuf {
    medium.open().path(artifact)
}

#[test]
fn a_release_is_fetched_and_is_the_one_that_was_signed() {
    let medium = Medium::new();
    let url = serve(repository(&medium));
    let into = tempfile::tempdir().unwrap();
    // Left by an earlier run.
    fs::create_dir(into.path().join("metadata")).unwrap();
    fs::write(into.path().join("metadata/2.root.json"), "{}").unwrap();
    let release = fetch(&medium, &format!("{url}/"), None, into.path()).unwrap();
    assert_eq!(release.manifest, medium.manifest);
    release.verify_all(|_, _, _| {}).unwrap();
    assert_eq!(
        fs::read(release.path(Artifact::Root)).unwrap(),
        medium.content(Artifact::Root)
    );
    assert!(
        release
            .path(Artifact::Root)
            .starts_with(into.path().canonicalize().unwrap())
    );
}

#[test]
fn what_is_no_release_of_ours_is_refused_with_a_reason() {
    let medium = Medium::new();
    let refused = |url: &str| {
        let into = tempfile::tempdir().unwrap();
        fetch(&medium, url, None, into.path()).err().unwrap()
    };
    let empty = tempfile::tempdir().unwrap();
    let url = serve(empty.path().to_owned());
    assert_eq!(
        refused(&format!("{url}/x")),
        format!(
            "cannot fetch the release that [source] names; nothing was written: cannot get the release from \
             {url}/x/metadata/1.root.json (1 attempt): curl: (22) The requested URL returned error: 404"
        )
    );

    fs::create_dir(empty.path().join("metadata")).unwrap();
    fs::write(empty.path().join("metadata/1.root.json"), "<html>").unwrap();
    assert_eq!(
        refused(&url),
        format!(
            "metadata/1.root.json of the release at {url} is not what such a file is; check that `url` in [source] is the \
             folder with metadata and targets in it"
        )
    );

    let other = Medium::new();
    let url = serve(repository(&other));
    let error = refused(&url);
    assert!(
        error.starts_with(&format!(
            "the release at {url} is not to be trusted; nothing was written: "
        )),
        "{error}"
    );
}

#[test]
fn metadata_without_an_end_is_given_up() {
    let medium = Medium::new();
    let metadata = repository(&medium).join(release::METADATA_DIR);
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(900 * 1024));
    for version in 2..60 {
        fs::write(metadata.join(format!("{version}.root.json")), &large).unwrap();
    }
    let url = serve(repository(&medium));
    let into = tempfile::tempdir().unwrap();
    let error = fetch(&medium, &url, None, into.path()).unwrap_err();
    assert!(error.contains("more than 16 MiB of metadata"), "{error}");
    let kept = fs::read_dir(into.path().join(release::METADATA_DIR)).unwrap();
    assert!(kept.count() < 20);
}

#[test]
fn a_damaged_artifact_is_fetched_and_never_verified_and_a_larger_one_is_not_fetched() {
    let medium = Medium::new();
    let url = serve(repository(&medium));
    let path = artifact(&medium, Artifact::Initrd);
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let into = tempfile::tempdir().unwrap();
    let release = fetch(&medium, &url, None, into.path()).unwrap();
    let error = release.verify_all(|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("initrd.img"), "{error}");

    bytes.extend([0; 100]);
    fs::write(&path, &bytes).unwrap();
    let into = tempfile::tempdir().unwrap();
    let error = fetch(&medium, &url, None, into.path()).err().unwrap();
    assert!(
        error.contains(&format!(
            "is larger than {} bytes, which is too much for the release",
            bytes.len() - 100
        )),
        "{error}"
    );
}

/// A server of TLS with a certificate of its own; ends with the test.
struct TlsServer(Child);

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    output.stdout
}

#[test]
fn a_pin_stands_for_the_authorities_and_for_no_other_server() {
    let medium = Medium::new();
    let keys = tempfile::tempdir().unwrap();
    openssl(
        keys.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "server.pem",
            "-subj",
            "/CN=nobody knows it",
            "-days",
            "2",
        ],
    );
    // As docs/answers.md says.
    let public = openssl(
        keys.path(),
        &["x509", "-in", "server.pem", "-noout", "-pubkey"],
    );
    fs::write(keys.path().join("public.pem"), public).unwrap();
    let der = openssl(
        keys.path(),
        &["pkey", "-pubin", "-in", "public.pem", "-outform", "der"],
    );
    let pin = format!(
        "sha256//{}",
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(der))
    );
    // A port that nobody has.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (certificate, key) = (keys.path().join("server.pem"), keys.path().join("key.pem"));
    let server = Command::new("openssl")
        .current_dir(repository(&medium))
        .args([
            "s_server",
            "-quiet",
            "-WWW",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
        ])
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = TlsServer(server);
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let url = format!("https://127.0.0.1:{port}");
    let into = tempfile::tempdir().unwrap();
    let attempt = |pin: Option<&str>| fetch(&medium, &url, pin, into.path());

    let error = attempt(None).err().unwrap();
    assert!(error.contains("curl: (60)"), "{error}");
    let wrong = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let error = attempt(Some(wrong)).err().unwrap();
    assert!(error.contains("(1 attempt): curl: (90)"), "{error}");

    // This server answers 200 to what it does not have, so only the first file is fetched as it should be.
    let error = attempt(Some(&pin)).err().unwrap();
    assert!(
        !error.contains("curl: (60)") && !error.contains("curl: (90)"),
        "{error}"
    );
    let first = fs::read(into.path().join("metadata/1.root.json")).unwrap();
    assert_eq!(
        first,
        fs::read(repository(&medium).join("metadata/1.root.json")).unwrap()
    );
}

#[test]
fn what_the_host_gets_comes_from_the_image_that_is_laid_down() {
    let medium = Medium::new();
    let release = medium.open();
    let tree = "/run/bedplate/source-root";
    let system = FakeSystem::new(&release).change(|system| {
        system
            .file(
                format!("{tree}/etc/shadow"),
                "root:*:1:0:99999:7:::\nnewuser:!:1::::::\n",
            )
            .file(
                format!("{tree}/usr/lib/systemd/system/new.service"),
                "[Install]\nWantedBy=multi-user.target\n",
            )
    });
    let plan = plan_with(
        &medium,
        &disk(),
        FirmwareKind::Bios,
        "",
        "[system.services]\nenable = [\"new.service\"]\n",
    );
    let machine = FakeMachine::new(disk(), None);
    let mounts = RecordingSystem::new();
    let image = MountedImage::mount(&mounts, &release).unwrap();
    assert_eq!(
        mounts.command_lines(),
        [format!(
            "mount -t squashfs -o loop,ro,nodev,nosuid,noexec {} {tree}",
            release.path(Artifact::Root).display()
        )]
    );
    let mut context = Context::new(
        &plan,
        plan.hash().unwrap(),
        &release,
        &system,
        &machine,
        1_795_305_600,
    );
    context.image = image.root();
    let mut emitter = Emitter::new(FanOut::new());
    let report = laydown::steps(&plan).run(&mut context, &mut emitter, Heading::default());
    assert_eq!(report.result, Outcome::Ok, "{report}");
    let etc = format!(
        "/run/bedplate/target/bedplate-state/etc/{}/upper",
        plan.release.root.id()
    );
    let shadow = system.inner.content(format!("{etc}/shadow")).unwrap();
    assert!(String::from_utf8_lossy(&shadow).contains("newuser:!"));
    let link = format!("{etc}/systemd/system/multi-user.target.wants/new.service");
    assert_eq!(
        system.inner.link(link).unwrap(),
        Path::new("/usr/lib/systemd/system/new.service")
    );
}

#[test]
fn an_image_that_is_not_the_signed_one_is_not_mounted() {
    let medium = Medium::new();
    let path = artifact(&medium, Artifact::Root);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let system = RecordingSystem::new();
    assert!(MountedImage::mount(&system, &medium.open()).is_err());
    assert!(system.command_lines().is_empty());
}
