//! Repositories and lines that are not as they should be: each is told, tried again later, and never costs the host.

use crate::maker;
use crate::server::Fault;
use crate::site::{Host, NOW};
use crate::updates::{Site, licensed};
use host::health::HealthReport;
use host::hotfix::{Machine, PatchState, RealMachine, after_boot, upload};
use host::updates::Told;
use slots::block::{Access, BlockDevice, OpenError};
use slots::env_block::{EnvBlock, EnvFileError};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The host is as it was, and says why.
fn unharmed(site: &Site, told: &Told, words: &[&str]) {
    for word in words {
        assert!(told.text.contains(word), "{word}: {}", told.text);
    }
    assert_eq!(site.host.next_start(), "1.0.0");
    assert!(!site.system.restarted());
    assert_eq!(site.record(), None);
}

/// When it is as it should be again, the next run finishes.
fn finishes(site: &Site) {
    site.server.heals();
    assert_eq!(site.run_later().status, "restarting");
    assert_eq!(site.host.next_start(), "1.0.1");
}

/// The host starts from there, and is good.
pub fn comes_up(host: &Host, release: &maker::Release, device: &str) {
    host.boot(&release.manifest.root, device);
    let report = HealthReport {
        schema: HealthReport::SCHEMA,
        version: Some(release.manifest.root.version.clone()),
        root_id: Some(release.id().into()),
        passed: true,
        failed_try: None,
        uptime_ms: None,
        checks: vec![],
    };
    after_boot(&host.site(), &host.record(), &host.state(), &report).unwrap();
}

/// Bytes of the whole root image that were sent since the last time.
pub fn served_of_root(site: &Site) -> usize {
    let all = site.server.served().into_iter();
    all.filter(|(path, _)| path.ends_with(".root.img"))
        .map(|(_, bytes)| bytes)
        .sum()
}

/// The connection breaks after a fifth of the whole root image, which is what takes long: there is no delta of it. Returns its bytes.
pub fn cuts_the_root(site: &Site) -> usize {
    fs::remove_file(find(site, "root.img.delta")).unwrap();
    let size = fs::metadata(find(site, ".root.img")).unwrap().len() as usize;
    site.server.breaks(".root.img", Fault::Cut(size / 5));
    size
}

#[test]
fn a_server_that_is_not_there() {
    let site = Site::new(false);
    site.server.breaks("", Fault::Status(503));
    let told = site.run();
    unharmed(&site, &told, &["503", "next attempt", "3 attempts"]);
    // Once is no news; what lasts is told at the console.
    assert_eq!(site.shown(), None);
    for _ in 0..3 {
        site.run_later();
    }
    assert!(site.shown().unwrap().contains("503"));
    finishes(&site);
    assert_eq!(site.shown(), None);
}

#[test]
fn pauses_are_kept_after_failures() {
    let site = Site::new(false);
    site.server.breaks("root.img", Fault::Status(500));
    let told = site.run();
    assert_eq!(told.status, "failing");
    unharmed(&site, &told, &["500", "root.img"]);
    site.targets();
    site.now.set(NOW + 899);
    site.run();
    assert_eq!(site.targets(), Vec::<String>::new());
    site.now.set(NOW + 900);
    site.run();
    assert!(!site.targets().is_empty());
    finishes(&site);
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_was() {
    let site = Site::new(true);
    let size = cuts_the_root(&site);
    let told = site.run();
    unharmed(&site, &told, &["root.img", "3 attempts"]);
    assert_eq!(served_of_root(&site), size / 5 * 3);
    finishes(&site);
    assert_eq!(
        served_of_root(&site),
        size - size / 5 * 3,
        "nothing is fetched twice"
    );
}

#[test]
fn a_server_without_ranges_is_asked_for_all_of_it() {
    let site = Site::new(false);
    let name = find(&site, "root.img.delta");
    let size = fs::metadata(&name).unwrap().len() as usize;
    site.server.breaks("root.img.delta", Fault::Cut(size / 8));
    unharmed(&site, &site.run(), &["root.img"]);
    site.server.heals();
    site.server.breaks("root.img.delta", Fault::NoRanges);
    assert_eq!(site.run_later().status, "restarting");
    assert_eq!(site.host.next_start(), "1.0.1");
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let site = Site::new(false);
    site.server.breaks(".delta", Fault::Wrong);
    let told = site.run();
    unharmed(&site, &told, &["not what was signed", "thrown away"]);
    let kept = |name: &str| {
        let store = &site.host.places.store;
        let folder = fs::read_dir(store).unwrap().next().unwrap().unwrap().path();
        fs::read_dir(folder.join(name)).unwrap().count()
    };
    assert_eq!((kept("partial"), kept("repository/targets")), (0, 0));
    finishes(&site);
}

#[test]
fn a_beginning_that_is_of_something_else_is_thrown_away() {
    let site = Site::new(false);
    let size = fs::metadata(find(&site, "root.img.delta")).unwrap().len() as usize;
    site.server.breaks("root.img.delta", Fault::Cut(size / 8));
    site.run();
    let store = &site.host.places.store;
    let folder = fs::read_dir(store).unwrap().next().unwrap().unwrap().path();
    let partial = fs::read_dir(folder.join("partial"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&partial).unwrap();
    bytes[0] ^= 1;
    fs::write(&partial, bytes).unwrap();
    site.server.heals();
    let told = site.run_later();
    unharmed(&site, &told, &["not what was signed"]);
    finishes(&site);
}

#[test]
fn a_delta_that_is_not_there_is_a_whole_file() {
    let site = Site::new(true);
    site.server.breaks("root.img.delta", Fault::Status(404));
    assert_eq!(site.run().status, "restarting");
    let targets = site.targets();
    assert!(
        targets.iter().any(|name| name.ends_with(".root.img")),
        "{targets:?}"
    );
    assert_eq!(site.host.next_start(), "1.0.1");
}

#[test]
fn neither_a_delta_nor_a_whole_file() {
    let site = Site::new(false);
    site.server.breaks("root.img.delta", Fault::Status(404));
    let told = site.run();
    unharmed(&site, &told, &["404", "root.img"]);
    finishes(&site);
}

#[test]
fn a_server_that_says_nothing_or_never_ends() {
    let mut site = Site::new(false);
    site.stall = Duration::from_secs(1);
    site.server.breaks("root.img.delta", Fault::Stall);
    let started = Instant::now();
    let told = site.run();
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{:?}",
        started.elapsed()
    );
    unharmed(&site, &told, &["root.img"]);
    site.server.heals();
    site.server.breaks("timestamp.json", Fault::Stall);
    let told = site.run_later();
    unharmed(&site, &told, &["timestamp.json"]);
    // One that says everything there is.
    site.server.heals();
    site.server.breaks("timestamp.json", Fault::Endless);
    let told = site.run_later();
    unharmed(&site, &told, &["timestamp.json"]);
    finishes(&site);
}

#[test]
fn something_else_answers() {
    for file in [
        "1.root.json",
        "timestamp.json",
        "targets.json",
        "release.json",
    ] {
        let site = Site::new(false);
        site.server.breaks(file, Fault::Page);
        let told = site.run();
        unharmed(&site, &told, &[file, "not taken"]);
        finishes(&site);
    }
}

#[test]
fn metadata_that_expired_is_refused() {
    let site = Site::new(false);
    let mut stamp = maker::stamp(site.host.new.manifest.epoch);
    // In 2023.
    stamp.timestamp_expires = 1_700_000_000;
    let (host, dir) = (&site.host, site.host.at("old"));
    maker::repository(&host.keys, Some(&host.old), &host.new, false, stamp, &dir);
    let timestamp = "metadata/timestamp.json";
    let good = fs::read(site.server.folder.join(timestamp)).unwrap();
    fs::copy(
        dir.join("repository").join(timestamp),
        site.server.folder.join(timestamp),
    )
    .unwrap();
    let told = site.run();
    unharmed(&site, &told, &["expired", "holds updates back"]);
    fs::write(site.server.folder.join(timestamp), good).unwrap();
    finishes(&site);
}

#[test]
fn an_older_state_of_the_repository_is_refused() {
    let site = Site::new(false);
    site.set("hold", "yes");
    let timestamp = site.server.folder.join("metadata/timestamp.json");
    let old = fs::read(&timestamp).unwrap();
    let version = std::num::NonZeroU64::new(NOW).unwrap();
    release::refresh_timestamp(&site.host.keys, &site.server.folder, version, NOW * 2).unwrap();
    let new = fs::read(&timestamp).unwrap();
    assert_eq!(site.run().status, "on-hold");
    fs::write(&timestamp, old).unwrap();
    let told = site.run_later();
    assert!(told.text.contains("older than one"), "{}", told.text);
    // What is known stays known.
    assert_eq!(site.state().offered.unwrap().version, "1.0.1");
    fs::write(&timestamp, new).unwrap();
    site.set("hold", "no");
    finishes(&site);
}

#[test]
fn a_repository_of_other_keys_is_refused() {
    let site = Site::new(false);
    let keys = maker::keys(&site.host.at("strangers"));
    let (host, dir) = (&site.host, site.host.at("strange"));
    let stamp = maker::stamp(host.new.manifest.epoch);
    let strange = maker::repository(&keys, Some(&host.old), &host.new, false, stamp, &dir);
    let server = crate::server::Server::new(&strange);
    site.set("repository", &server.url);
    let told = site.run();
    unharmed(&site, &told, &["not taken"]);
    site.set("repository", &site.server.url);
    finishes(&site);
}

#[test]
fn a_newer_timestamp_of_the_network_does_not_refuse_a_file() {
    let site = Site::new(false);
    let version = std::num::NonZeroU64::new(NOW).unwrap();
    release::refresh_timestamp(&site.host.keys, &site.server.folder, version, NOW * 2).unwrap();
    assert_eq!(site.run().status, "restarting");
    // It is good: what it brought is the newest that was.
    let host = &site.host;
    comes_up(host, &host.new, "sda4");
    assert_eq!(site.record().unwrap().state, PatchState::Applied);
    // The release after it was made before the date on the network was signed.
    let next = maker::release(&host.at("1.0.2"), "1.0.2", 3);
    let stamp = maker::stamp(next.manifest.epoch);
    assert!(next.manifest.epoch < NOW);
    let repository = maker::repository(
        &host.keys,
        Some(&host.new),
        &next,
        false,
        stamp,
        &host.at("next"),
    );
    upload(&host.site(), &maker::pack(&repository)).unwrap();
}

/// A machine with little room.
struct Full(u64);

impl Machine for Full {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        RealMachine.open(path, access)
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        RealMachine.write_env(path, block)
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0)
    }
}

#[test]
fn a_store_that_is_too_small() {
    let site = Site::new(false);
    let told = site.with(&Full(64 << 20), |updater| updater.run(&licensed()).unwrap());
    unharmed(&site, &told, &["OUT_OF_SPACE", "no room", "required"]);
    assert!(
        site.targets().is_empty(),
        "nothing is begun that cannot be ended"
    );
    finishes(&site);
}

#[test]
fn a_disk_that_becomes_full() {
    let site = Site::new(false);
    let name = find(&site, "root.img.delta");
    site.set("hold", "yes");
    site.run();
    let uuid = site.state().offered.unwrap().uuid;
    let partial = site
        .host
        .places
        .store
        .join(format!("network-{uuid}/partial"));
    fs::create_dir_all(&partial).unwrap();
    // Writing there fails as on a disk without room (full(4)).
    let link = partial.join(name.file_name().unwrap());
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    site.set("hold", "no");
    let told = site.run();
    unharmed(&site, &told, &["OUT_OF_SPACE", "no room"]);
    fs::remove_file(&link).unwrap();
    finishes(&site);
}

#[test]
fn through_a_proxy() {
    let site = Site::new(false);
    site.set("repository", "http://updates.invalid/");
    site.set("proxy", &site.server.url);
    assert_eq!(site.run().status, "restarting");
    let served = site.server.served();
    assert!(
        served
            .iter()
            .all(|(path, _)| path.starts_with("/by-proxy/")),
        "{served:?}"
    );
    assert_eq!(site.host.next_start(), "1.0.1");
}

#[test]
fn what_was_begun_of_another_release_is_removed() {
    let site = Site::new(false);
    let stray = site
        .host
        .places
        .store
        .join("network-11111111-2222-3333-4444-555555555555");
    fs::create_dir_all(stray.join("partial")).unwrap();
    fs::write(stray.join("partial/x"), "half").unwrap();
    site.run();
    assert!(!stray.exists());
}

#[test]
fn a_release_as_it_is_on_a_medium_is_taken_as_well() {
    // Without deltas and without what a maker says.
    let site = Site::new(true);
    let host = &site.host;
    let dir = host.at("plain");
    let artifacts = release::Artifact::ALL
        .into_iter()
        .map(|artifact| (artifact, host.new.path(artifact)))
        .collect();
    release::publish(
        &host.keys,
        &dir,
        &host.new.manifest,
        &artifacts,
        maker::stamp(host.new.manifest.epoch),
    )
    .unwrap();
    let server = crate::server::Server::new(&dir);
    site.set("repository", &server.url);
    assert_eq!(site.run().status, "restarting");
    assert_eq!(host.next_start(), "1.0.1");
}

/// The file in the repository whose name ends like that.
fn find(site: &Site, end: &str) -> std::path::PathBuf {
    let targets = site.server.folder.join("targets");
    let mut found = fs::read_dir(targets)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    found
        .find(|path| path.to_string_lossy().ends_with(end))
        .unwrap()
}
