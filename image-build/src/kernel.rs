//! A kernel of our own, from Debian's source with the fragments of `kernel-config/`.
//!
//! Everything that compiles it is in a tree of locked packages, the source among them.

pub mod fragments;

use crate::base_tree::{Bootstrap, FIXED_EPOCH, bootstrap, require_root};
use crate::kernel_options;
use crate::paths::Paths;
use crate::tool::{Tool, fresh_dir, remove_all};
use anyhow::{Context, Result, bail};
use fragments::Fragments;
use std::path::{Path, PathBuf};

/// Compiler and source.
const PACKAGES: [&str; 15] = [
    "bc",
    "bison",
    "cpio",
    "flex",
    "gcc",
    "kmod",
    "libc6-dev",
    "libelf-dev",
    "libssl-dev",
    "linux-source-6.12",
    "make",
    "openssl",
    "perl",
    "rsync",
    "zstd",
];

/// The archive with the source in the tree.
const SOURCE: &str = "usr/src/linux-source-6.12.tar.xz";

/// What a finished build consists of.
#[derive(Debug)]
pub struct Built {
    /// `bzImage`.
    pub image: PathBuf,
    /// Folder that holds `lib/modules/<release>`.
    pub modules: PathBuf,
    /// Release, for example `6.12.118-bedplate`.
    pub release: String,
}

/// What the tree that compiles kernels is made of.
pub fn order(paths: &Paths) -> Bootstrap {
    Bootstrap {
        name: "kernel",
        directory: folder(paths).join("root"),
        suite: "trixie".into(),
        components: vec!["main".into()],
        packages: PACKAGES.iter().map(ToString::to_string).collect(),
    }
}

fn folder(paths: &Paths) -> PathBuf {
    paths.target.join("kernel")
}

fn source(paths: &Paths) -> PathBuf {
    folder(paths).join("source")
}

fn objects(paths: &Paths) -> PathBuf {
    folder(paths).join("objects")
}

/// The configuration of a kernel of our own.
///
/// # Errors
/// When packages cannot be had, an option of a fragment is not taken by this kernel, or `required.toml` is not met. Each option
/// is named.
pub fn configure(paths: &Paths) -> Result<PathBuf> {
    require_root()?;
    let fragments = Fragments::read(&paths.workspace.join("kernel-config"))?;
    unpack(paths)?;
    std::fs::create_dir_all(objects(paths))?;
    make(paths).arg("x86_64_defconfig").quiet().run()?;
    let config = objects(paths).join(".config");
    let mut text = std::fs::read_to_string(&config)
        .with_context(|| format!("{} cannot be read", config.display()))?;
    // Of an option that stands twice kconfig takes the last.
    text.push_str("CONFIG_LOCALVERSION=\"-bedplate\"\n# CONFIG_LOCALVERSION_AUTO is not set\n");
    text.push_str(&fragments.text());
    std::fs::write(&config, text)?;
    make(paths).arg("olddefconfig").quiet().run()?;
    let lost = fragments.lost(&kernel_options::read_config(&config)?);
    if !lost.is_empty() {
        bail!(
            "the kernel does not take {} options of kernel-config/ as they stand there:\n  {}",
            lost.len(),
            lost.join("\n  ")
        );
    }
    kernel_options::check_kernel(
        &paths.workspace.join("kernel-config/required.toml"),
        &config,
    )?;
    Ok(config)
}

/// Configures, compiles and gathers a kernel. Takes an hour of two cores.
///
/// # Errors
/// See [`configure`]; when it does not compile.
pub fn build(paths: &Paths) -> Result<Built> {
    configure(paths)?;
    let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    make(paths)
        .arg(format!("-j{jobs}"))
        .args(["bzImage", "modules"])
        .run()?;
    let out = fresh_dir(&folder(paths).join("out"))?;
    make(paths)
        .arg(format!("INSTALL_MOD_PATH={}", out.display()))
        .args(["INSTALL_MOD_STRIP=1", "modules_install"])
        .run()?;
    let release = make(paths).args(["-s", "kernelrelease"]).quiet().run()?;
    let release = release.trim().to_owned();
    // Links to the folders that compiled it mean nothing elsewhere.
    remove_all(&out.join("lib/modules").join(&release).join("build"))?;
    let image = out.join("vmlinuz");
    std::fs::copy(objects(paths).join("arch/x86/boot/bzImage"), &image)
        .context("the kernel was compiled but has no bzImage")?;
    std::fs::copy(objects(paths).join(".config"), out.join("kernel.config"))?;
    Ok(Built {
        image,
        modules: out,
        release,
    })
}

/// Compiler and source, unpacked again when the package changed.
fn unpack(paths: &Paths) -> Result<()> {
    let order = order(paths);
    let made = bootstrap(paths, &order)?;
    let stamp = folder(paths).join("source.stamp");
    if !made && stamp.is_file() {
        return Ok(());
    }
    remove_all(&stamp)?;
    remove_all(&objects(paths))?;
    let source = fresh_dir(&source(paths))?;
    Tool::within(paths, &order.directory, "tar")
        .args(["--extract", "--strip-components=1", "--file"])
        .arg(Path::new("/").join(SOURCE))
        .arg("--directory")
        .arg(source)
        .run()?;
    std::fs::write(stamp, "")?;
    Ok(())
}

/// `make` with all that would otherwise say who compiled where and when.
fn make(paths: &Paths) -> Tool<'_> {
    Tool::within(paths, &order(paths).directory, "make")
        .arg("-C")
        .arg(source(paths))
        .arg(format!("O={}", objects(paths).display()))
        .args([
            "ARCH=x86_64",
            "KBUILD_BUILD_USER=bedplate",
            "KBUILD_BUILD_HOST=bedplate",
        ])
        .arg(format!("KBUILD_BUILD_TIMESTAMP=@{FIXED_EPOCH}"))
}
