//! Installed packages, as dpkg's database of a tree lists them.
//!
//! Source: `dpkg` database file `status`, deb-control(5).

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name of the binary package.
    pub name: String,
    /// Version of the binary package.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Name of the source package.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// Who maintains it in Debian.
    pub maintainer: Option<String>,
    /// Where its authors are found.
    pub homepage: Option<String>,
    /// Names of what it needs, each list of alternatives by itself.
    pub needs: Vec<Vec<String>>,
    /// Other names that it goes by.
    pub provides: Vec<String>,
    /// Every Debian system has it: essential, or of priority `required`.
    pub base: bool,
}

/// Reads the packages of the database at `status` that are installed, in the order of their names.
///
/// # Errors
/// When the file cannot be read, a package lacks a name, version or architecture, or none is installed.
pub fn read(status: &Path) -> Result<Vec<Package>> {
    let text = std::fs::read_to_string(status)
        .with_context(|| format!("{} cannot be read", status.display()))?;
    parse(&text).with_context(|| status.display().to_string())
}

/// See [`read`].
///
/// # Errors
/// See [`read`].
pub fn parse(status: &str) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for paragraph in status.split("\n\n").filter(|p| !p.trim().is_empty()) {
        let fields = fields(paragraph);
        let field = |name: &str| fields.get(name).map(String::as_str);
        let name = field("Package").context("a paragraph names no package")?;
        // Removed packages whose configuration stays are listed too.
        if field("Status") != Some("install ok installed") {
            continue;
        }
        let needed = |key: &str| field(key).with_context(|| format!("package {name} has no {key}"));
        let version = needed("Version")?;
        let (source, source_version) = source(field("Source"), name, version);
        let mut needs = names(field("Pre-Depends"));
        needs.extend(names(field("Depends")));
        packages.push(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: needed("Architecture")?.to_owned(),
            source,
            source_version,
            maintainer: field("Maintainer").map(str::to_owned),
            homepage: field("Homepage").map(str::to_owned),
            needs,
            provides: names(field("Provides")).into_iter().flatten().collect(),
            base: field("Essential") == Some("yes") || field("Priority") == Some("required"),
        });
    }
    if packages.is_empty() {
        bail!("no package is installed");
    }
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok(packages)
}

/// For every package the indices of those that it needs. Of alternatives every one that is there: any of them may be what
/// is used.
pub fn dependencies(packages: &[Package]) -> Vec<BTreeSet<usize>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        for name in std::iter::once(&package.name).chain(&package.provides) {
            by_name.entry(name).or_default().push(index);
        }
    }
    packages
        .iter()
        .enumerate()
        .map(|(own, package)| {
            package
                .needs
                .iter()
                .flatten()
                .filter_map(|name| by_name.get(name.as_str()))
                .flatten()
                .copied()
                .filter(|index| *index != own)
                .collect()
        })
        .collect()
}

/// The fields of a paragraph. Only the first line of a field that has several.
fn fields(paragraph: &str) -> BTreeMap<&str, String> {
    paragraph
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim().to_owned()))
        .collect()
}

/// `Source: name (version)`; each part is left out where it is that of the binary package.
fn source(field: Option<&str>, name: &str, version: &str) -> (String, String) {
    match field.map(|f| (f, f.split_once(" ("))) {
        None => (name.to_owned(), version.to_owned()),
        Some((_, Some((source, in_parentheses)))) => (
            source.to_owned(),
            in_parentheses.trim_end_matches(')').to_owned(),
        ),
        Some((source, None)) => (source.to_owned(), version.to_owned()),
    }
}

/// `a (>= 1), b:any | c` as `[[a], [b, c]]`.
fn names(relation: Option<&str>) -> Vec<Vec<String>> {
    relation
        .unwrap_or_default()
        .split(',')
        .map(|alternatives| {
            alternatives
                .split('|')
                .filter_map(|one| one.split_whitespace().next())
                .map(|name| name.split([':', '(']).next().unwrap_or(name).to_owned())
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
        })
        .filter(|alternatives| !alternatives.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: xl
Status: install ok installed
Maintainer: A <a@example.org>
Architecture: amd64
Source: xen (4.20-1)
Version: 4.20-1+b2
Depends: libc6 (>= 2.38), awk:any | mawk, gone | libxen
Description: a
 Depends: not-a-field

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.41-12

Package: gawk
Status: install ok installed
Architecture: amd64
Version: 1:5.2
Provides: awk
Homepage: https://example.org/

Package: old
Status: deinstall ok config-files
Architecture: all
Version: 1
";

    #[test]
    fn installed_packages_come_with_their_sources() {
        let packages = parse(STATUS).unwrap();
        let told: Vec<_> = packages
            .iter()
            .map(|p| {
                [
                    p.name.as_str(),
                    &p.version,
                    &p.source,
                    &p.source_version,
                    p.homepage.as_deref().unwrap_or("-"),
                ]
            })
            .collect();
        assert_eq!(
            told,
            [
                ["gawk", "1:5.2", "gawk", "1:5.2", "https://example.org/"],
                ["libc6", "2.41-12", "glibc", "2.41-12", "-"],
                ["xl", "4.20-1+b2", "xen", "4.20-1", "-"],
            ]
        );
    }

    #[test]
    fn what_is_needed_is_found_under_any_of_its_names() {
        let packages = parse(STATUS).unwrap();
        let needs = dependencies(&packages);
        // xl needs libc6 by name and gawk as awk; what is not there has no place in a list of what is.
        assert_eq!(needs[2], BTreeSet::from([0, 1]));
        assert!(needs[0].is_empty() && needs[1].is_empty());
    }

    #[test]
    fn a_package_without_a_version_is_an_error_and_so_is_an_empty_list() {
        let error = parse("Package: a\nStatus: install ok installed\nArchitecture: all\n");
        assert_eq!(error.unwrap_err().to_string(), "package a has no Version");
        assert!(parse("").is_err());
    }
}
