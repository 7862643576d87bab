//! Dumps of real machines from Debian's source packages, below `target/corpus`, for the tests of
//! `hcl-checker`; and definitions of Xen guests for those of `host`.
//!
//! They are other projects' test data: fetched and unpacked, never committed.

use crate::apt::Apt;
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The Debian release whose packages are taken, on every machine: the tests name single dumps and their number.
const SUITE: &str = "bookworm";
/// Changes when what is unpacked changes.
const FORMAT: &str = "3";
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
            "*/tests/xlconfigdata/*.xml",
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
    let apt = Apt::prepare(&partial.join("download"), "deb-src", SUITE)?;
    let mut words = vec!["source", "--download-only"];
    words.extend(PACKAGES.iter().map(|package| package.name));
    let archives = apt
        .fetch(&words)
        .context("the dumps could not be fetched")?;
    for package in &PACKAGES {
        unpack(package, &archives, &partial.join(package.name))?;
    }
    fs::remove_dir_all(partial.join("download"))?;
    fs::write(partial.join("format"), FORMAT)?;
    fs::rename(&partial, &folder)
        .with_context(|| format!("{} cannot be renamed", partial.display()))?;
    Ok(folder)
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
