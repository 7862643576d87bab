//! The package list (`packages.toml`) and what is cut afterwards (`trim.toml`).

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// `packages.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageList {
    /// Debian suite.
    pub suite: String,
    /// Archive components.
    pub components: Vec<String>,
    /// Groups of packages, each with its reason.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
}

/// Packages that are there for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Short name.
    pub name: String,
    /// Why the packages are in the image.
    pub why: String,
    /// Names of Debian packages.
    pub packages: Vec<String>,
}

/// `trim.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trim {
    /// What is cut, each with its reason.
    #[serde(rename = "cut")]
    pub cuts: Vec<Cut>,
}

/// Paths that are cut for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Why.
    pub why: String,
    /// Shell globs (extglob) relative to the root.
    pub paths: Vec<String>,
}

impl PackageList {
    /// Reads and checks the list.
    ///
    /// # Errors
    /// Unreadable or malformed files; a group without a reason; a package that stands twice.
    pub fn read(path: &Path) -> Result<PackageList> {
        let list: PackageList = read_toml(path)?;
        let mut seen = BTreeSet::new();
        for group in &list.groups {
            if group.why.trim().is_empty() {
                bail!("{}: group `{}` gives no reason", path.display(), group.name);
            }
            for package in &group.packages {
                if !seen.insert(package) {
                    bail!(
                        "{}: package `{package}` stands twice (again in group `{}`)",
                        path.display(),
                        group.name
                    );
                }
            }
        }
        Ok(list)
    }

    /// All packages, sorted.
    pub fn all(&self) -> Vec<String> {
        let set: BTreeSet<&String> = self.groups.iter().flat_map(|g| &g.packages).collect();
        set.into_iter().cloned().collect()
    }
}

impl Trim {
    /// Reads and checks the list.
    ///
    /// # Errors
    /// Unreadable or malformed files; paths that are absolute or climb out of the root.
    pub fn read(path: &Path) -> Result<Trim> {
        let trim: Trim = read_toml(path)?;
        for glob in trim.cuts.iter().flat_map(|c| &c.paths) {
            if glob.starts_with('/') || glob.split('/').any(|part| part == ".." || part.is_empty())
            {
                bail!(
                    "{}: `{glob}` must be relative to the root and stay in it",
                    path.display()
                );
            }
        }
        Ok(trim)
    }
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn here(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
    }

    #[test]
    fn the_lists_of_the_project_are_sound() {
        let list = PackageList::read(&here("packages.toml")).unwrap();
        assert!(
            list.all()
                .contains(&"xen-hypervisor-4.20-amd64".to_string())
        );
        assert!(!Trim::read(&here("trim.toml")).unwrap().cuts.is_empty());
    }

    #[test]
    fn a_package_in_two_groups_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        std::fs::write(
            &path,
            "suite='s'\ncomponents=[]\n[[group]]\nname='a'\nwhy='x'\npackages=['p']\n[[group]]\nname='b'\nwhy='y'\npackages=['p']\n",
        )
        .unwrap();
        let error = PackageList::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("`p` stands twice (again in group `b`)"),
            "{error}"
        );
    }

    #[test]
    fn a_cut_outside_the_root_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        for bad in ["/etc", "usr/../../etc", "usr//x"] {
            std::fs::write(&path, format!("[[cut]]\nwhy='x'\npaths=['{bad}']\n")).unwrap();
            assert!(Trim::read(&path).is_err(), "{bad}");
        }
    }
}
