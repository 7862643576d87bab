//! Packages of a Debian suite, whatever suite this machine runs: fetched into a folder, never installed.
//!
//! The archive is the one that this machine's own apt configuration names; its signature and checksums are checked by apt as
//! for any package.

use crate::process;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Keys of Debian's archive, on Debian and wherever `debian-archive-keyring` is installed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// apt's own configuration.
const SOURCES: &str = "/etc/apt";
/// Time for each call of apt-get: 40 MB come over the network.
const FETCH: Duration = Duration::from_secs(600);

/// A configuration of apt's own below a folder.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Makes it for packages of one `suite`, `kind` being `deb` or `deb-src`, and reads their lists.
    ///
    /// # Errors
    /// When apt's configuration names no archive of Debian, or the lists cannot be fetched.
    pub fn prepare(folder: &Path, kind: &str, suite: &str) -> Result<Self> {
        for sub in ["lists/partial", "archives/partial", "files"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        let archives = archives(Path::new(SOURCES))?;
        let lines: String = archives
            .iter()
            .map(|archive| format!("{kind} [signed-by={KEYRING}] {archive} {suite} main\n"))
            .collect();
        fs::write(folder.join("sources.list"), lines)?;
        fs::write(folder.join("status"), "")?;
        let apt = Self {
            folder: folder.to_owned(),
        };
        process::run(&mut apt.command(&["update"]), b"", FETCH)?;
        Ok(apt)
    }

    /// Runs apt-get with `words`, which fetch files, and returns them.
    ///
    /// # Errors
    /// When apt-get fails.
    pub fn fetch(&self, words: &[&str]) -> Result<Vec<PathBuf>> {
        process::run(&mut self.command(words), b"", FETCH)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.join("files"))? {
            files.push(entry?.path());
        }
        Ok(files)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        let set = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
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
        command.current_dir(self.folder.join("files"));
        command
    }
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
            "{} names no archive of Debian: add a line `deb` for any suite of it",
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
