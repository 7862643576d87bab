//! What each group of packages in `packages.toml` costs.

use crate::limits;
use crate::packages::PackageList;
use crate::paths::{Paths, file_size};
use crate::sbom::debian::{self, Package};
use anyhow::{Context, Result};
use release::Artifact;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of a block of the root image, each compressed by itself.
const BLOCK: usize = 128 * 1024;
/// Level of the estimate: quick, and scaled to the real image afterwards.
const LEVEL: i32 = 3;

/// Whose a package is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// This group's alone: it goes when the group goes.
    Group(String),
    /// Needed by several groups.
    Shared,
    /// Every Debian system has it, or what every Debian system has needs it.
    Base,
    /// No package's: our programs, and indexes that are made when packages are installed.
    None,
}

/// Bytes of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    files: u64,
    /// As the estimate compresses them.
    packed: u64,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.files += other.files;
        self.packed += other.packed;
    }
}

/// The owner of every package: `groups` are name and packages.
pub fn owners(packages: &[Package], groups: &[(String, Vec<String>)]) -> Vec<Owner> {
    let needs = debian::dependencies(packages);
    let reach = |start: Vec<usize>| {
        let mut reached = BTreeSet::new();
        let mut queue = start;
        while let Some(index) = queue.pop() {
            if reached.insert(index) {
                queue.extend(&needs[index]);
            }
        }
        reached
    };
    let named = |names: &[String]| -> Vec<usize> {
        (0..packages.len())
            .filter(|i| names.contains(&packages[*i].name))
            .collect()
    };
    // mmdebstrap installs apt with the base.
    let base = reach(
        (0..packages.len())
            .filter(|i| packages[*i].base || packages[*i].name == "apt")
            .collect(),
    );
    let of_groups: Vec<BTreeSet<usize>> = groups.iter().map(|(_, p)| reach(named(p))).collect();
    (0..packages.len())
        .map(|index| {
            if base.contains(&index) {
                return Owner::Base;
            }
            let mut wanting = of_groups
                .iter()
                .zip(groups)
                .filter(|(reached, _)| reached.contains(&index));
            match (wanting.next(), wanting.next()) {
                (Some((_, (name, _))), None) => Owner::Group(name.clone()),
                // A package that nothing needs any more is nobody's to drop.
                _ => Owner::Shared,
            }
        })
        .collect()
}

/// Cost of an owner, and of each of its packages.
type Row<'a> = (Cost, Vec<(&'a str, Cost)>);

/// The table, for people. With `each`, the packages of every group too.
///
/// # Errors
/// When no root image has been built, or its tree cannot be read.
pub fn report(paths: &Paths, list: &PackageList, each: bool) -> Result<String> {
    let root = file_size(&paths.release_files().join(Artifact::Root.target_name()))
        .context("`image-build root` makes what is measured")?;
    let tree = paths.tree();
    let packages = debian::read(&tree.join("usr/lib/sysimage/dpkg/status"))?;
    let groups: Vec<(String, Vec<String>)> = list
        .groups
        .iter()
        .map(|g| (g.name.clone(), g.packages.clone()))
        .collect();
    let owners = owners(&packages, &groups);
    let costs = costs(&tree, &packages)?;
    let packed: u64 = costs.values().map(|c| c.packed).sum();
    let in_image = |bytes: u64| bytes as f64 * root as f64 / packed.max(1) as f64 / 1e6;
    let mut rows: BTreeMap<&Owner, Row<'_>> = BTreeMap::new();
    for (index, cost) in &costs {
        let (owner, name) = match index {
            Some(index) => (&owners[*index], packages[*index].name.as_str()),
            None => (&Owner::None, "files of no package"),
        };
        let row = rows.entry(owner).or_default();
        row.0.add(*cost);
        row.1.push((name, *cost));
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, (cost, _))| std::cmp::Reverse(cost.packed));
    let mut text = String::new();
    writeln!(
        text,
        "{:<34} {:>8} {:>9} {:>9}",
        "goes when the group goes", "packages", "files MB", "image MB"
    )?;
    for (owner, (cost, mut members)) in rows {
        let name = match owner {
            Owner::Group(name) => name.as_str(),
            Owner::Shared => "(needed by several groups)",
            Owner::Base => "(base of every Debian system)",
            Owner::None => "(Bedplate's own, indexes)",
        };
        let count = if *owner == Owner::None {
            0
        } else {
            members.len()
        };
        writeln!(
            text,
            "{name:<34} {count:>8} {:>9.1} {:>9.1}",
            cost.files as f64 / 1e6,
            in_image(cost.packed)
        )?;
        if each && *owner != Owner::None {
            members.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.packed));
            for (name, cost) in members {
                writeln!(
                    text,
                    "  {name:<41} {:>9.1} {:>9.1}",
                    cost.files as f64 / 1e6,
                    in_image(cost.packed)
                )?;
            }
        }
    }
    writeln!(text)?;
    let version = crate::iso::manifest(paths)?.version;
    for (what, path, limit) in [
        (
            "root image",
            paths.release_files().join(Artifact::Root.target_name()),
            limits::ROOT,
        ),
        (
            "initrd",
            paths.release_files().join(Artifact::Initrd.target_name()),
            limits::INITRD,
        ),
        ("ISO", paths.iso(&version), limits::ISO),
    ] {
        match file_size(&path) {
            Ok(size) => writeln!(
                text,
                "{what:<34} {:>18.1} of {:.0} MB",
                size as f64 / 1e6,
                limit as f64 / 1e6
            )?,
            Err(_) => writeln!(text, "{what:<34} {:>18}", "not built")?,
        }
    }
    Ok(text)
}

/// Bytes of the regular files of every package, by its index; under none those of no package.
fn costs(tree: &Path, packages: &[Package]) -> Result<BTreeMap<Option<usize>, Cost>> {
    let mut owner_of = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        let info = tree.join("usr/lib/sysimage/dpkg/info");
        let plain = info.join(format!("{}.list", package.name));
        // Packages that may be installed for several architectures carry one in the name of the list.
        let list = if plain.is_file() {
            plain
        } else {
            info.join(format!("{}:{}.list", package.name, package.architecture))
        };
        let text = std::fs::read_to_string(&list)
            .with_context(|| format!("{} cannot be read", list.display()))?;
        for line in text.lines() {
            owner_of.insert(in_image(line), index);
        }
    }
    let mut costs = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    measure(tree, tree, &mut seen, &mut |place, bytes| {
        let mut cost = Cost {
            files: bytes.len() as u64,
            packed: 0,
        };
        for block in bytes.chunks(BLOCK) {
            cost.packed += compressor.compress(block)?.len().min(block.len()) as u64;
        }
        let owner = owner_of.get(place).copied();
        costs.entry(owner).or_insert_with(Cost::default).add(cost);
        Ok(())
    })?;
    Ok(costs)
}

/// Where a path of a package lies in the finished tree, without the leading slash: /usr is merged, /var is at its factory place.
fn in_image(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    match first {
        "bin" | "sbin" | "lib" | "lib64" => format!("usr/{path}"),
        "var" => format!(
            "{}/{}",
            slots::names::FACTORY_VAR.trim_matches('/'),
            path.trim_start_matches("var").trim_start_matches('/')
        ),
        _ => path.to_owned(),
    }
}

/// Calls `each` with place and content of every regular file, of hard links the first.
fn measure(
    top: &Path,
    dir: &Path,
    seen: &mut BTreeSet<u64>,
    each: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut entries = std::fs::read_dir(dir)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("{} cannot be read", dir.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, meta) = (entry.path(), entry.metadata()?);
        if meta.is_dir() {
            measure(top, &path, seen, each)?;
        } else if meta.is_file() && (meta.nlink() == 1 || seen.insert(meta.ino())) {
            let place = path.strip_prefix(top)?.to_string_lossy().into_owned();
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            each(&place, &bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> Vec<Package> {
        let one = |name: &str, more: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n{more}\n\n"
            )
        };
        let text = [
            one("a-libc", "Priority: optional"),
            one("b-bash", "Essential: yes\nDepends: a-libc"),
            one("c-qemu", "Depends: d-glib, e-sdl"),
            one("d-glib", "Depends: a-libc"),
            one("e-sdl", ""),
            one("f-virsh", "Depends: d-glib, b-bash"),
            one("g-orphan", ""),
        ]
        .concat();
        debian::parse(&text).unwrap()
    }

    #[test]
    fn a_package_is_that_group_s_without_which_nobody_needs_it() {
        let group = |name: &str, package: &str| (name.to_owned(), vec![package.to_owned()]);
        let found = owners(
            &packages(),
            &[group("hvm", "c-qemu"), group("libvirt", "f-virsh")],
        );
        let group = |name: &str| Owner::Group(name.into());
        assert_eq!(
            found,
            [
                // The C library is needed by the base: no group pays for it.
                Owner::Base,
                Owner::Base,
                group("hvm"),
                Owner::Shared,
                group("hvm"),
                group("libvirt"),
                Owner::Shared,
            ]
        );
    }

    #[test]
    fn paths_of_packages_are_found_where_the_image_has_them() {
        assert_eq!(in_image("/lib/udev/rules.d/a"), "usr/lib/udev/rules.d/a");
        assert_eq!(in_image("/usr/bin/a"), "usr/bin/a");
        assert_eq!(in_image("/etc/a"), "etc/a");
        assert_eq!(
            in_image("/var/lib/a"),
            format!("{}/lib/a", slots::names::FACTORY_VAR.trim_matches('/'))
        );
    }

    #[test]
    fn hard_links_are_counted_once_and_every_file_belongs_to_its_package() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path();
        let info = tree.join("usr/lib/sysimage/dpkg/info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::create_dir_all(tree.join("usr/bin")).unwrap();
        std::fs::write(tree.join("usr/bin/a"), vec![0; 300_000]).unwrap();
        std::fs::hard_link(tree.join("usr/bin/a"), tree.join("usr/bin/b")).unwrap();
        std::fs::write(tree.join("usr/bin/own"), b"12345").unwrap();
        let packages: Vec<Package> = packages().into_iter().take(1).collect();
        std::fs::write(info.join("a-libc:amd64.list"), "/.\n/bin/a\n/bin/b\n").unwrap();
        let costs = costs(tree, &packages).unwrap();
        assert_eq!(costs[&Some(0)].files, 300_000);
        assert!(costs[&Some(0)].packed < 1000);
        // Our own file, and the list itself.
        assert_eq!(costs[&None].files, 5 + "/.\n/bin/a\n/bin/b\n".len() as u64);
    }
}
