//! The crates that are linked into our programs.
//!
//! `cargo tree` says which they are (`Cargo.lock` alone also lists those of tests, build scripts and other systems), with
//! the features of the very build; `Cargo.lock` says what their source archives hash to.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments of `cargo tree` whose output [`Crates::add_tree`] reads; the packages and the manifest come on top.
pub const TREE: [&str; 10] = [
    "tree",
    "--locked",
    "--edges=normal,no-proc-macro",
    "--target",
    crate::build::PLATFORM,
    "--prefix",
    "depth",
    "--charset=ascii",
    "--format",
    "|{p}|{l}",
];

/// Name and version of a crate.
pub type Id = (String, String);

/// One crate that is part of a program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Crate {
    /// License as an SPDX expression, as its authors state it.
    pub license: Option<String>,
    /// SHA-256 of its source archive, lowercase hexadecimal; none for our own.
    pub sha256: Option<String>,
    /// What it is linked with.
    pub needs: BTreeSet<Id>,
}

/// All crates of all programs.
#[derive(Debug, Default)]
pub struct Crates(pub BTreeMap<Id, Crate>);

impl Crates {
    /// Adds what `cargo tree` with [`TREE`] printed.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn add_tree(&mut self, printed: &str) -> Result<()> {
        let mut path: Vec<Id> = Vec::new();
        // An empty line stands between the trees of several packages.
        for line in printed.lines().filter(|line| !line.trim().is_empty()) {
            let (depth, id, license) =
                tree_line(line).with_context(|| format!("cargo tree printed `{line}`"))?;
            if depth > path.len() {
                bail!("cargo tree skipped a level before `{line}`");
            }
            path.truncate(depth);
            if let Some(above) = path.last() {
                let above = self.0.entry(above.clone()).or_default();
                above.needs.insert(id.clone());
            }
            self.0.entry(id.clone()).or_default().license = license;
            path.push(id);
        }
        Ok(())
    }

    /// Fills in the hashes from the text of `Cargo.lock`.
    ///
    /// # Errors
    /// When the file is not understood or lacks a crate.
    pub fn add_hashes(&mut self, cargo_lock: &str) -> Result<()> {
        let lock: Lock = toml::from_str(cargo_lock).context("Cargo.lock is not as expected")?;
        let mut hashes: BTreeMap<Id, Option<String>> = lock
            .package
            .into_iter()
            .map(|p| ((p.name, p.version), p.checksum))
            .collect();
        for (id, one) in &mut self.0 {
            one.sha256 = hashes
                .remove(id)
                .with_context(|| format!("Cargo.lock has no crate {} {}", id.0, id.1))?;
        }
        Ok(())
    }
}

/// `2|name v1.2.3 (/path)|MIT OR Apache-2.0 (*)`: depth, crate, license. The star says that what is below was listed before.
fn tree_line(line: &str) -> Option<(usize, Id, Option<String>)> {
    let mut parts = line.splitn(3, '|');
    let depth = parts.next()?.parse().ok()?;
    let mut words = parts.next()?.split_whitespace();
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    let license = parts.next()?.trim_end_matches("(*)").trim();
    // Older crates write a slash where the expression has OR.
    let license = (!license.is_empty()).then(|| license.replace('/', " OR "));
    Some((depth, (name, version), license))
}

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, version: &str) -> Id {
        (name.into(), version.into())
    }

    const TREES: &str = "\
0|host v0.1.0 (/w/host)|MIT OR Apache-2.0
1|clap v4.6.9|MIT/Apache-2.0
2|strsim v0.11.1|MIT
1|strsim v0.11.1|MIT

0|installer v0.1.0 (/w/installer)|MIT OR Apache-2.0
1|clap v4.6.9|MIT/Apache-2.0 (*)
1|odd v2.0.0|
";

    const LOCK: &str = "version = 4\n\
[[package]]\nname = \"clap\"\nversion = \"4.6.9\"\nchecksum = \"c1\"\n\
[[package]]\nname = \"strsim\"\nversion = \"0.11.1\"\nchecksum = \"50\"\n\
[[package]]\nname = \"odd\"\nversion = \"2.0.0\"\nchecksum = \"0d\"\n\
[[package]]\nname = \"host\"\nversion = \"0.1.0\"\n\
[[package]]\nname = \"installer\"\nversion = \"0.1.0\"\n";

    #[test]
    fn a_tree_becomes_crates_with_licenses_hashes_and_needs() {
        let mut crates = Crates::default();
        crates.add_tree(TREES).unwrap();
        crates.add_hashes(LOCK).unwrap();
        assert_eq!(crates.0.len(), 5);
        assert_eq!(
            crates.0[&id("installer", "0.1.0")].needs,
            BTreeSet::from([id("clap", "4.6.9"), id("odd", "2.0.0")])
        );
        let clap = &crates.0[&id("clap", "4.6.9")];
        assert_eq!(clap.license.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(clap.sha256.as_deref(), Some("c1"));
        assert_eq!(clap.needs, BTreeSet::from([id("strsim", "0.11.1")]));
        assert_eq!(crates.0[&id("odd", "2.0.0")].license, None);
        assert_eq!(crates.0[&id("host", "0.1.0")].sha256, None);
    }

    #[test]
    fn output_of_another_form_is_an_error() {
        for bad in ["clap v4.6.9", "0|clap 4.6.9|MIT", "1|clap v4.6.9|MIT"] {
            assert!(Crates::default().add_tree(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_crate_that_the_lock_does_not_know_is_an_error() {
        let mut crates = Crates::default();
        crates.add_tree("0|clap v4.6.8|MIT").unwrap();
        let error = crates.add_hashes(LOCK).unwrap_err().to_string();
        assert_eq!(error, "Cargo.lock has no crate clap 4.6.8");
    }
}
