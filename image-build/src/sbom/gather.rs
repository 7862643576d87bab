//! Reads from trees, cargo and the machine that builds what the bill lists.

use super::crates::{Crates, TREE};
use super::{Contents, LOADER_PACKAGES, debian};
use crate::paths::Paths;
use crate::tool::Tool;
use anyhow::{Context, Result, bail};

/// dpkg's database in the finished tree, where [`crate::finish_tree::settle`] moved it.
const IN_TREE: &str = "usr/lib/sysimage/dpkg/status";

/// The programs as they are built: those of one line share the features of their crates.
pub const BUILT_TOGETHER: [&[&str]; 3] = [&["installer", "host"], &["init"], &["hcl-checker"]];

/// Gathers the bill of the release that was just built.
///
/// # Errors
/// When a tree, `Cargo.lock` or cargo's answer is not as expected.
pub fn gather(paths: &Paths, version: &str, epoch: u64, suite: &str) -> Result<Contents> {
    let root = debian::read(&paths.tree().join(IN_TREE))?;
    let mut loaders = debian::read(&paths.tools_root().join("var/lib/dpkg/status"))?;
    loaders.retain(|p| LOADER_PACKAGES.contains(&p.name.as_str()));
    if loaders.len() != LOADER_PACKAGES.len() {
        bail!(
            "the tools root lacks a package of {}",
            LOADER_PACKAGES.join(", ")
        );
    }
    let mut crates = Crates::default();
    for packages in BUILT_TOGETHER {
        let mut cargo = Tool::host(paths, "cargo")
            .args(TREE)
            .arg("--manifest-path")
            .arg(paths.workspace.join("Cargo.toml"))
            .quiet();
        for package in packages {
            cargo = cargo.args(["-p", *package]);
        }
        crates.add_tree(&cargo.run()?)?;
    }
    let lock = paths.workspace.join("Cargo.lock");
    let text = std::fs::read_to_string(&lock)
        .with_context(|| format!("{} cannot be read", lock.display()))?;
    crates.add_hashes(&text)?;
    Ok(Contents {
        version: version.to_owned(),
        epoch,
        suite: suite.to_owned(),
        root,
        loaders,
        crates,
        linked: linked(paths)?,
    })
}

/// What a program holds that is no crate: the standard library, and in static ones the C library of the machine that built.
fn linked(paths: &Paths) -> Result<Vec<(String, String, String)>> {
    let told = Tool::host(paths, "rustc").arg("-vV").quiet().run()?;
    let release = told
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .with_context(|| format!("rustc -vV names no release:\n{told}"))?;
    let mut linked = vec![(
        "rust-std".to_owned(),
        release.trim().to_owned(),
        "Rust's standard library, linked into every program".to_owned(),
    )];
    let status = std::path::Path::new("/var/lib/dpkg/status");
    // Where no dpkg is, nobody can say which C library it was.
    if status.is_file()
        && let Some(libc) = debian::read(status)?
            .into_iter()
            .find(|p| p.name == "libc6-dev")
    {
        linked.push((
            libc.name,
            libc.version,
            "C library of the machine that built, linked into the static programs".to_owned(),
        ));
    }
    Ok(linked)
}
