//! Gets the locked packages of a tree, and makes an archive of exactly those for mmdebstrap to install from.
//!
//! Packages are kept under `target/cache`, so that a version which the mirrors have dropped can still be installed. Where it
//! is gone from both, what is missing is resolved anew, and that is told.

use crate::base_tree::{Bootstrap, FIXED_EPOCH};
use crate::lock::{Lock, Pinned, TreeLock, requested};
use crate::paths::Paths;
use crate::squash::sha256;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The lock that a tree is to be made from, with every package of it in the cache.
///
/// # Errors
/// When packages can neither be found nor fetched.
pub fn ensure(paths: &Paths, order: &Bootstrap) -> Result<TreeLock> {
    let committed = Lock::read(&Lock::path(&paths.workspace))?
        .0
        .remove(order.name)
        .unwrap_or_default();
    let why = if committed.requested == requested(order) {
        if complete(paths, order, &committed)? || fetch(paths, order, &committed)? {
            return Ok(committed);
        }
        "the mirrors have dropped a version that packages.lock names"
    } else {
        "other packages are asked for than packages.lock was made from"
    };
    // Resolved before for the same reason: the same versions again.
    let resolved_path = paths.package_cache(order.name).with_extension("lock");
    let mut resolved = Lock::read(&resolved_path).unwrap_or_default().0;
    let key = |part: &str| format!("{}-{part}", order.name);
    if let (Some(base), Some(found)) = (resolved.remove(&key("base")), resolved.remove(&key("new")))
        && base == committed
        && found.requested == requested(order)
        && complete(paths, order, &found)?
    {
        tell(order, why, &committed, &found);
        return Ok(found);
    }
    // With what is still to be had kept as it is; where that contradicts itself, the newest of everything.
    let found = match resolve(paths, order, Some(&committed)) {
        Ok(found) => found,
        Err(_) => resolve(paths, order, None)?,
    };
    tell(order, why, &committed, &found);
    let kept = Lock(BTreeMap::from([
        (key("base"), committed),
        (key("new"), found.clone()),
    ]));
    std::fs::write(&resolved_path, kept.render())
        .with_context(|| format!("{} cannot be written", resolved_path.display()))?;
    Ok(found)
}

fn tell(order: &Bootstrap, why: &str, was: &TreeLock, is: &TreeLock) {
    let changes = was.changes(is);
    eprintln!(
        "note: {} tree: {why}. It was resolved anew ({} packages differ), and is no longer what others build from this \
         commit: run `image-build lock` and commit image-build/packages.lock",
        order.name,
        changes.len()
    );
    for line in changes.iter().take(20) {
        eprintln!("  {line}");
    }
    if changes.len() > 20 {
        eprintln!("  and {} more", changes.len() - 20);
    }
}

/// The newest versions of everything that is asked for, fetched into the cache.
///
/// # Errors
/// When the mirrors cannot be reached or do not have what is asked for.
pub fn newest(paths: &Paths, order: &Bootstrap) -> Result<TreeLock> {
    resolve(paths, order, None)
}

/// True when the cache holds every package with the right content. Others of that name are removed.
fn complete(paths: &Paths, order: &Bootstrap, lock: &TreeLock) -> Result<bool> {
    let cache = paths.package_cache(order.name);
    let mut all = true;
    for (name, pinned) in &lock.packages {
        let file = cache.join(pinned.file_name(name));
        if !file.is_file() {
            all = false;
        } else if sha256(&file)? != pinned.sha256 {
            remove_all(&file)?;
            all = false;
        }
    }
    Ok(all)
}

/// Fetches what is missing; false when the mirrors do not have it any more.
fn fetch(paths: &Paths, order: &Bootstrap, lock: &TreeLock) -> Result<bool> {
    let apt = Apt::open(paths, order, None)?;
    let exact = |(name, pinned): (&String, &Pinned)| format!("{name}={}", pinned.version);
    let packages: Vec<String> = lock.packages.iter().map(exact).collect();
    eprintln!("  fetching locked packages of the {} tree ...", order.name);
    if apt.install(&["--download-only"], &packages).is_err() {
        return Ok(false);
    }
    complete(paths, order, lock)
}

fn resolve(paths: &Paths, order: &Bootstrap, pins: Option<&TreeLock>) -> Result<TreeLock> {
    let apt = Apt::open(paths, order, pins)?;
    let mut packages = vec!["?essential".to_owned(), "?priority(^required$)".to_owned()];
    packages.push("apt".to_owned());
    packages.extend(order.packages.iter().cloned());
    // What lies in the cache already would not be listed.
    let nowhere = format!("Dir::Cache::archives={}/none", apt.root.display());
    std::fs::create_dir_all(apt.root.join("none/partial"))?;
    let listed = apt.install(&["--print-uris", "-o", &nowhere], &packages)?;
    let files = listed
        .lines()
        .filter_map(file_of_uri_line)
        .collect::<Vec<_>>();
    eprintln!(
        "  fetching the {} packages of the {} tree ...",
        files.len(),
        order.name
    );
    apt.install(&["--download-only"], &packages)?;
    let cache = paths.package_cache(order.name);
    let mut lock = TreeLock {
        requested: requested(order),
        packages: BTreeMap::new(),
    };
    for file in files {
        let (name, version, architecture) = parts_of_file_name(&file)
            .with_context(|| format!("apt-get named a package file {file}"))?;
        let pinned = Pinned {
            version,
            architecture,
            sha256: sha256(&cache.join(&file))?,
        };
        lock.packages.insert(name, pinned);
    }
    if let Some(missing) = order
        .packages
        .iter()
        .find(|p| !lock.packages.contains_key(*p))
    {
        bail!(
            "apt-get found no package {missing} for the {} tree",
            order.name
        );
    }
    Ok(lock)
}

/// Name of the configuration in apt's own folder.
const CONFIG: &str = "apt.conf";

/// apt with folders of its own, the mirrors that mmdebstrap chooses, and no package installed.
struct Apt<'a> {
    paths: &'a Paths,
    root: PathBuf,
}

impl<'a> Apt<'a> {
    /// Reads what the mirrors have; with `pins`, the versions named there are preferred.
    fn open(paths: &'a Paths, order: &Bootstrap, pins: Option<&TreeLock>) -> Result<Apt<'a>> {
        let cache = paths.package_cache(order.name);
        std::fs::create_dir_all(cache.join("partial"))?;
        let root = paths
            .target
            .join("cache")
            .join(format!("{}-apt", order.name));
        fresh_dir(&root)?;
        // A tree without packages: nothing but apt's folders with the lists of the suite's mirrors.
        Tool::host(paths, "unshare")
            .args(["--mount", "--propagation", "private", "--", "mmdebstrap"])
            .args(["--mode=root", "--variant=custom", "--format=directory"])
            .arg("--skip=cleanup/apt")
            .arg(format!("--components={}", order.components.join(",")))
            .arg("--aptopt=Acquire::Languages \"none\"")
            .arg(&order.suite)
            .arg(&root)
            .quiet()
            .run()
            .context("the lists of Debian's mirrors could not be fetched")?;
        if let Some(pins) = pins {
            let text: String = pins
                .packages
                .iter()
                .map(|(name, p)| {
                    format!(
                        "Package: {name}\nPin: version {}\nPin-Priority: 1001\n\n",
                        p.version
                    )
                })
                .collect();
            std::fs::write(root.join("etc/apt/preferences"), text)?;
        }
        let proxies = Tool::host(paths, "apt-config").arg("dump").quiet().run()?;
        let proxies: String = proxies
            .lines()
            .filter(|l| l.starts_with("Acquire::http") && l.contains("Proxy"))
            .map(|l| format!("{l}\n"))
            .collect();
        let text = format!(
            "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nDir::Cache::archives \"{cache}\";\n\
             Dir::Etc::Trusted \"/usr/share/keyrings/debian-archive-keyring.gpg\";\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\nAPT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n{proxies}",
            root = root.display(),
            cache = cache.display(),
        );
        std::fs::write(root.join(CONFIG), text)?;
        Ok(Apt { paths, root })
    }

    fn install(&self, options: &[&str], packages: &[String]) -> Result<String> {
        Tool::host(self.paths, "apt-get")
            .env("APT_CONFIG", self.root.join(CONFIG).to_string_lossy())
            .args(["-q", "-y"])
            .args(options)
            .arg("install")
            .args(packages)
            .quiet()
            .run()
    }
}

/// `'address' name_version_architecture.deb size hash`, as `apt-get --print-uris` prints it.
fn file_of_uri_line(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let file = rest.split(' ').next()?;
    file.ends_with(".deb").then(|| file.to_owned())
}

/// Name, version and architecture.
fn parts_of_file_name(file: &str) -> Option<(String, String, String)> {
    let parts: Vec<&str> = file.strip_suffix(".deb")?.split('_').collect();
    let [name, version, architecture] = parts.as_slice() else {
        return None;
    };
    Some((
        (*name).to_owned(),
        version.replace("%3a", ":"),
        (*architecture).to_owned(),
    ))
}

/// Makes a flat archive of the packages of `lock` and returns its line for apt's sources.
///
/// # Errors
/// When a package cannot be read.
pub fn make(paths: &Paths, order: &Bootstrap, lock: &TreeLock) -> Result<String> {
    let cache = paths.package_cache(order.name);
    let folder = paths
        .target
        .join("cache")
        .join(format!("{}-archive", order.name));
    fresh_dir(&folder)?;
    let mut index = String::new();
    for (name, pinned) in &lock.packages {
        let file = cache.join(pinned.file_name(name));
        let control = Tool::host(paths, "dpkg-deb")
            .arg("--field")
            .arg(&file)
            .quiet()
            .run()?;
        // apt takes a percent sign in an index for an escape.
        let plain = format!("{name}_{}.deb", pinned.sha256);
        link(&file, &folder.join(&plain))?;
        index.push_str(&format!(
            "{}\nFilename: ./{plain}\nSize: {}\nSHA256: {}\n\n",
            control.trim_end(),
            crate::paths::file_size(&file)?,
            pinned.sha256
        ));
    }
    std::fs::write(folder.join("Packages"), &index)?;
    // mmdebstrap looks for the essential packages of the suite: the archive has to say that it is that one.
    let date =
        jiff::Timestamp::from_second(FIXED_EPOCH as i64)?.strftime("%a, %d %b %Y %H:%M:%S UTC");
    std::fs::write(
        folder.join("Release"),
        format!(
            "Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64 all\nDate: {date}\nSHA256:\n {} {} Packages\n",
            sha256(&folder.join("Packages"))?,
            index.len(),
            suite = order.suite,
        ),
    )?;
    // Hashes were checked against the lock, whose packages came over apt's own checks: no signature of ours would add to it.
    Ok(format!("deb [trusted=yes] copy://{} ./", folder.display()))
}

fn link(from: &Path, to: &Path) -> Result<()> {
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to)
            .with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_files_are_found_in_what_apt_prints() {
        let line = "'http://m.invalid/pool/main/v/vim/vim-tiny_2%3a9.1.1230-2_amd64.deb' vim-tiny_2%3a9.1.1230-2_amd64.deb 764500 MD5Sum:ab";
        let file = file_of_uri_line(line).unwrap();
        assert_eq!(
            parts_of_file_name(&file).unwrap(),
            (
                "vim-tiny".to_owned(),
                "2:9.1.1230-2".to_owned(),
                "amd64".to_owned()
            )
        );
        assert_eq!(file_of_uri_line("Reading package lists..."), None);
        assert_eq!(file_of_uri_line("'http://m.invalid/InRelease' x 1 "), None);
        assert_eq!(parts_of_file_name("a_1.deb"), None);
    }
}
