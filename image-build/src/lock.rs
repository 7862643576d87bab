//! `packages.lock`: version and hash of every Debian package that goes into a tree.
//!
//! Pure: reading, writing and comparing. What fetches the packages is [`crate::archive`].

use crate::base_tree::Bootstrap;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Name of the file beside `packages.toml`.
pub const FILE: &str = "image-build/packages.lock";

const HEAD: &str = "\
# Version, architecture and SHA-256 of every Debian package that the trees are made from.
# `image-build lock` writes this file anew and prints what changed; no hand does.
";

/// The whole file: a tree's name to its packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(pub BTreeMap<String, TreeLock>);

/// The packages of one tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeLock {
    /// [`requested`] of the order that was resolved.
    pub requested: String,
    /// Name to what is pinned of it.
    pub packages: BTreeMap<String, Pinned>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pinned {
    /// Debian version, with its epoch.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// SHA-256 of the package file, lowercase hexadecimal.
    pub sha256: String,
}

impl Pinned {
    /// Name of the package's file, as apt writes it: the colon of an epoch is escaped.
    pub fn file_name(&self, name: &str) -> String {
        format!(
            "{name}_{}_{}.deb",
            self.version.replace(':', "%3a"),
            self.architecture
        )
    }
}

/// Changes when other packages were asked for.
pub fn requested(order: &Bootstrap) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{:?}\n{:?}\n",
        order.suite, order.components, order.packages
    ));
    hex::encode(hash.finalize())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeText {
    requested: String,
    packages: BTreeMap<String, String>,
}

impl Lock {
    /// Reads the file; an empty lock where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is not understood.
    pub fn read(path: &Path) -> Result<Lock> {
        match std::fs::read_to_string(path) {
            Ok(text) => Lock::parse(&text).with_context(|| {
                format!(
                    "{} is not as expected: run `image-build lock`",
                    path.display()
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// When it is not TOML of this form, or a value could not be a package's.
    pub fn parse(text: &str) -> Result<Lock> {
        let trees: BTreeMap<String, TreeText> = toml::from_str(text)?;
        let mut lock = Lock::default();
        for (tree, text) in trees {
            let mut packages = BTreeMap::new();
            for (name, value) in text.packages {
                let pinned = parse_pinned(&name, &value)
                    .with_context(|| format!("{tree}: package {name:?} is {value:?}"))?;
                packages.insert(name, pinned);
            }
            let requested = text.requested;
            lock.0.insert(
                tree,
                TreeLock {
                    requested,
                    packages,
                },
            );
        }
        Ok(lock)
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut text = HEAD.to_owned();
        for (tree, lock) in &self.0 {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n[{tree}]\nrequested = \"{}\"\n\n[{tree}.packages]\n",
                lock.requested
            );
            for (name, p) in &lock.packages {
                let _ = writeln!(
                    text,
                    "\"{name}\" = \"{} {} {}\"",
                    p.version, p.architecture, p.sha256
                );
            }
        }
        text
    }

    /// Where the file of a checkout is.
    pub fn path(workspace: &Path) -> PathBuf {
        workspace.join(FILE)
    }
}

impl TreeLock {
    /// Changes with any package of the tree.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{self:?}"));
        hex::encode(hash.finalize())
    }

    /// What is different in `new`, a line for each package.
    pub fn changes(&self, new: &TreeLock) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, was) in &self.packages {
            match new.packages.get(name) {
                None => lines.push(format!("- {name} {}", was.version)),
                Some(is) if is.version != was.version => {
                    lines.push(format!("  {name} {} -> {}", was.version, is.version));
                }
                Some(is) if is != was => {
                    // Debian never replaces a file under the same version.
                    lines.push(format!(
                        "! {name} {}: another file under the same version",
                        is.version
                    ));
                }
                Some(_) => {}
            }
        }
        for (name, is) in &new.packages {
            if !self.packages.contains_key(name) {
                lines.push(format!("+ {name} {}", is.version));
            }
        }
        lines
    }
}

/// Versions and names reach file names and apt's configuration: nothing but what Debian allows in them.
fn parse_pinned(name: &str, value: &str) -> Result<Pinned> {
    let fields: Vec<&str> = value.split(' ').collect();
    let [version, architecture, sha256] = fields.as_slice() else {
        bail!("expected version, architecture and SHA-256");
    };
    let plain = |text: &str, more: &[u8]| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !plain(name, b"+-.") || !plain(version, b".+~-:") {
        bail!("this is no name or version of a Debian package");
    }
    if !["amd64", "all"].contains(architecture) {
        bail!("the architecture is neither amd64 nor all");
    }
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if sha256.len() != 64 || !sha256.bytes().all(hexadecimal) {
        bail!("the last field is no SHA-256 in lowercase hexadecimal");
    }
    Ok(Pinned {
        version: (*version).to_owned(),
        architecture: (*architecture).to_owned(),
        sha256: (*sha256).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(version: &str, digit: char) -> Pinned {
        Pinned {
            version: version.into(),
            architecture: "amd64".into(),
            sha256: digit.to_string().repeat(64),
        }
    }

    fn tree(packages: &[(&str, &str, char)]) -> TreeLock {
        TreeLock {
            requested: "r".into(),
            packages: packages
                .iter()
                .map(|(name, version, digit)| ((*name).into(), pinned(version, *digit)))
                .collect(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let lock = Lock(BTreeMap::from([
            (
                "root".into(),
                tree(&[
                    ("libstdc++6", "1:14.2.0-19", 'a'),
                    ("xl", "4.20~rc1+b2", 'b'),
                ]),
            ),
            ("tools".into(), tree(&[("xorriso", "1.5.6-1.2", 'c')])),
        ]));
        assert_eq!(Lock::parse(&lock.render()).unwrap(), lock);
        assert_eq!(
            lock.0["root"].packages["libstdc++6"].file_name("libstdc++6"),
            "libstdc++6_1%3a14.2.0-19_amd64.deb"
        );
    }

    #[test]
    fn the_lock_of_the_project_is_sound() {
        let path = Lock::path(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
        let lock = Lock::read(&path).unwrap();
        assert_eq!(
            lock.0.keys().collect::<Vec<_>>(),
            ["kernel", "root", "tools"]
        );
        assert_eq!(std::fs::read_to_string(path).unwrap(), lock.render());
    }

    #[test]
    fn changes_are_told_a_line_each() {
        let old = tree(&[
            ("a", "1", 'a'),
            ("b", "1", 'a'),
            ("c", "1", 'a'),
            ("e", "1", 'a'),
        ]);
        let new = tree(&[
            ("a", "2", 'b'),
            ("c", "1", 'a'),
            ("d", "1", 'a'),
            ("e", "1", 'b'),
        ]);
        assert_eq!(
            old.changes(&new),
            [
                "  a 1 -> 2",
                "- b 1",
                "! e 1: another file under the same version",
                "+ d 1"
            ]
        );
        assert!(old.changes(&old).is_empty());
    }

    #[test]
    fn what_could_be_no_package_is_refused() {
        let hash = "a".repeat(64);
        for (name, value) in [
            ("a", format!("1 amd64 {}", &hash[1..])),
            ("a", format!("1 arm64 {hash}")),
            ("a", format!("1 amd64 {}", hash.to_uppercase())),
            ("a", format!("../1 amd64 {hash}")),
            ("a/b", format!("1 amd64 {hash}")),
            ("-o", format!("1 amd64 {hash}")),
            ("a", hash.clone()),
        ] {
            let text = format!("[root]\nrequested='r'\n[root.packages]\n'{name}'='{value}'\n");
            assert!(Lock::parse(&text).is_err(), "{text}");
        }
    }
}
