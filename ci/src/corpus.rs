//! Dumps of real machines from Debian's source packages, below `target/corpus`, for the tests of `hcl-checker`.
//!
//! They are other projects' test data: fetched and unpacked, never committed. The archive is the one that this machine's
//! own apt configuration names, its signature and checksums are checked by apt as for any package.

use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The Debian release whose packages are taken, on every machine: the tests name single dumps and their number.
const SUITE: &str = "bookworm";
/// Changes when what is unpacked changes.
const FORMAT: &str = "2";
/// Keys of Debian's archive, on Debian and wherever `debian-archive-keyring` is installed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// apt's own configuration.
const SOURCES: &str = "/etc/apt";
/// Time for each call of apt-get: 40 MB come over the network.
const FETCH: Duration = Duration::from_secs(600);
const UNPACK: Duration = Duration::from_secs(300);

/// What is taken of a source package.
struct Package {
    name: &'static str,
    /// Patterns of tar below the folder that the upstream archive holds.
    members: &'static [&'static str],
    /// Parts of a path that are cut off.
    strip: u8,
}

const PACKAGES: [Package; 4] = [
    Package {
        name: "hwloc",
        members: &["*/tests/hwloc/linux/*", "*/tests/hwloc/x86/*"],
        strip: 3,
    },
    Package {
        name: "libvirt",
        members: &[
            "*/tests/cputestdata/x86_64-cpuid-*.xml",
            "*/tests/vircaps2xmldata/*",
            // Some trees of the line above are links to these.
            "*/tests/virhostcpudata/*",
            "*/tests/virpcitestdata/*",
        ],
        strip: 2,
    },
    Package {
        name: "pciutils",
        members: &["*/tests/*"],
        strip: 2,
    },
    Package {
        name: "systemd",
        members: &["*/test/dmidecode-dumps/*"],
        strip: 3,
    },
];

/// Fetches and unpacks the dumps unless they are there; returns their folder.
///
/// # Errors
/// When apt's configuration names no archive of Debian, or fetching or unpacking fails.
pub fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("corpus");
    let stamp = folder.join("format");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == FORMAT) {
        return Ok(folder);
    }
    let partial = workspace.target().join("corpus.partial");
    for old in [&partial, &folder] {
        if old.exists() {
            fs::remove_dir_all(old)
                .with_context(|| format!("{} cannot be removed", old.display()))?;
        }
    }
    fs::create_dir_all(&partial)
        .with_context(|| format!("{} cannot be made", partial.display()))?;
    let archives = download(&partial.join("download"))?;
    for package in &PACKAGES {
        unpack(package, &archives, &partial.join(package.name))?;
    }
    fs::remove_dir_all(partial.join("download"))?;
    fs::write(partial.join("format"), FORMAT)?;
    fs::rename(&partial, &folder)
        .with_context(|| format!("{} cannot be renamed", partial.display()))?;
    Ok(folder)
}

/// Fetches the source packages with a configuration of apt's own below `folder`, and returns their files.
fn download(folder: &Path) -> Result<Vec<PathBuf>> {
    for sub in ["lists/partial", "archives/partial", "files"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    let archives = archives(Path::new(SOURCES))?;
    let lines: String = archives
        .iter()
        .map(|archive| format!("deb-src [signed-by={KEYRING}] {archive} {SUITE} main\n"))
        .collect();
    fs::write(folder.join("sources.list"), lines)?;
    fs::write(folder.join("status"), "")?;
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        let set = |name: &str, path: &str| format!("{name}={}", folder.join(path).display());
        for option in [
            set("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            set("Dir::State::Lists", "lists"),
            set("Dir::State::Status", "status"),
            set("Dir::Cache", ""),
            // The folder belongs to whoever builds, which the user `_apt` cannot write to.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.arg("-q").args(words);
        command.current_dir(folder.join("files"));
        command
    };
    process::run(&mut apt(&["update"]), b"", FETCH)?;
    let mut source = apt(&["source", "--download-only"]);
    source.args(PACKAGES.iter().map(|package| package.name));
    process::run(&mut source, b"", FETCH).context("the dumps could not be fetched")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.join("files"))? {
        files.push(entry?.path());
    }
    Ok(files)
}

/// Unpacks the members of a package, and the archives within them, into `folder`.
fn unpack(package: &Package, archives: &[PathBuf], folder: &Path) -> Result<()> {
    let start = format!("{}_", package.name);
    let is_upstream = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&start) && name.contains(".orig.tar.") && !name.ends_with(".asc")
    };
    let Some(archive) = archives.iter().find(is_upstream) else {
        bail!(
            "the source package {} came without its upstream archive",
            package.name
        );
    };
    fs::create_dir_all(folder)?;
    let strip = format!("--strip-components={}", package.strip);
    let mut tar = tar(archive, folder);
    tar.args([&strip, "--wildcards"]).args(package.members);
    process::run(&mut tar, b"", UNPACK)?;
    for inner in ["linux", "x86"] {
        let Ok(entries) = fs::read_dir(folder.join(inner)) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(name) = name.strip_suffix(".tar.bz2") else {
                continue;
            };
            let tree = folder.join(inner).join(name);
            fs::create_dir_all(&tree)?;
            let mut command = self::tar(&path, &tree);
            process::run(command.arg("--strip-components=1"), b"", UNPACK)?;
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn tar(archive: &Path, folder: &Path) -> Command {
    let mut command = Command::new("tar");
    command
        .arg("--extract")
        .arg("--no-same-owner")
        .arg("--file")
        .arg(archive);
    command.arg("--directory").arg(folder);
    command
}

/// Addresses of the Debian archives in apt's configuration below `apt`, in either of its two forms.
fn archives(apt: &Path) -> Result<BTreeSet<String>> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    let mut found = BTreeSet::new();
    for file in files {
        // Each kind of file may be missing.
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => found.extend(of_lines(&text)),
            Some("sources") => found.extend(text.split("\n\n").flat_map(of_stanza)),
            _ => {}
        }
    }
    if found.is_empty() {
        bail!(
            "{} names no archive of Debian: the dumps are in Debian's source packages, add a line `deb` for any suite of it",
            apt.display()
        );
    }
    Ok(found)
}

/// Suites of Debian itself; those of security and backports have archives or contents of their own.
fn is_suite(word: &str) -> bool {
    [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "sid",
        "stable",
        "oldstable",
        "testing",
        "unstable",
    ]
    .contains(&word)
}

/// `deb [signed-by=...] ADDRESS SUITE COMPONENT...`.
fn of_lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix("-src").unwrap_or(rest).trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (address, suite) = (words.next()?, words.next()?);
        is_suite(suite).then(|| address.to_owned())
    };
    text.lines().filter_map(line).collect()
}

/// `URIs: ADDRESS...` and `Suites: SUITE...`.
fn of_stanza(text: &str) -> Vec<String> {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.split_whitespace())
    };
    if field("Enabled").is_some_and(|mut value| value.next() == Some("no")) {
        return Vec::new();
    }
    let is_debian = field("Suites").is_some_and(|mut suites| suites.any(is_suite));
    let addresses = field("URIs").into_iter().flatten();
    addresses.filter(|_| is_debian).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_of_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        fs::write(
            folder.path().join("sources.list"),
            "# deb http://comment.invalid/debian trixie main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.invalid/debian trixie main\n\
             deb http://security.invalid/debian-security trixie-security main\n",
        )
        .unwrap();
        fs::write(
            parts.join("debian.sources"),
            "Types: deb\n# http://c.invalid\nURIs: http://b.invalid/debian\nSuites: bookworm bookworm-updates\n\n\
             Types: deb\nEnabled: no\nURIs: http://off.invalid/debian\nSuites: bookworm\n",
        )
        .unwrap();
        fs::write(
            parts.join("tool.list"),
            "deb http://tool.invalid/apt tool main\n",
        )
        .unwrap();
        let found = archives(folder.path()).unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["http://a.invalid/debian", "http://b.invalid/debian"]
        );
    }

    #[test]
    fn without_an_archive_it_says_what_to_add() {
        let folder = tempfile::tempdir().unwrap();
        let error = archives(folder.path()).unwrap_err().to_string();
        assert!(error.contains("add a line `deb`"), "{error}");
    }
}
