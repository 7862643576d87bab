//! From a finished tree to the artifacts of a release, and their manifest.

use crate::base_tree::{Bootstrap, FIXED_EPOCH, bootstrap, require_root};
use crate::packages::{PackageList, Trim};
use crate::paths::{Paths, file_size};
use crate::secure_boot::{BootKeys, sign_file, sign_program_file, signed_variables};
use crate::squash::{Effort, root_image, sha256};
use crate::tool::{Tool, fresh_dir, remove_all};
use crate::{
    driver_index, finish_tree, grub_images, initrd, kernel_options, limits, microcode, sbom,
    tools_root, xen_efi,
};
use anyhow::{Context, Result, anyhow};
use release::{Artifact, ArtifactInfo, MANIFEST, Manifest, SIGNED_FOR_GRUB};
use slots::grub_cfg::{GRUB_CFG_FILE, grub_cfg};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a build was told.
pub struct Order {
    /// Version of the release.
    pub version: String,
    /// How hard to compress.
    pub effort: Effort,
    /// The public TUF root that the image trusts.
    pub trusted_root: PathBuf,
    /// The public keys that the image accepts licenses from.
    pub license_keys: PathBuf,
    /// What the firmware and GRUB are to accept boot files by.
    pub boot_keys: BootKeys,
    /// Files that this release has beside those of the checkout, as a tree; for releases that are made to test with.
    pub overlay: Option<PathBuf>,
}

/// Folder of the programs that need the image's C library.
fn programs(paths: &Paths) -> PathBuf {
    paths.target.join("release")
}

/// Folder of the programs that need nothing but a kernel, built by [`build_programs`].
pub fn static_programs(paths: &Paths) -> PathBuf {
    paths.target.join("static").join(PLATFORM).join("release")
}

/// What static programs are built for: the first x86-64 processors, and by the C library of Debian any kernel since 3.2.
pub(crate) const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A change of the installer is compiled in seconds this way, and not in half a minute.
const QUICK: [&str; 4] = [
    "--config",
    "profile.release.package.installer.opt-level=0",
    "--config",
    "profile.release.package.installer.codegen-units=64",
];

/// Builds the programs of the image: the host's against the C library, the initrd's and the checker statically.
///
/// # Errors
/// When cargo fails.
pub fn build_programs(paths: &Paths, effort: Effort) -> Result<()> {
    eprintln!("building the programs of the image");
    let build = |packages: &[&str], profile: &str| {
        let mut cargo = Tool::host(paths, "cargo").args([
            "build",
            "--profile",
            profile,
            "--locked",
            "--manifest-path",
        ]);
        cargo = cargo.arg(paths.workspace.join("Cargo.toml"));
        for package in packages {
            cargo = cargo.args(["-p", *package]);
        }
        cargo
    };
    let mut dynamic = build(&["installer", "host"], "release")
        .env("CARGO_TARGET_DIR", paths.target.to_string_lossy());
    if effort == Effort::Quick {
        // Only what is in the workspace is compiled otherwise than for a release: the crates of others are there already.
        dynamic = dynamic.env("CARGO_INCREMENTAL", "1").args(QUICK);
    }
    dynamic.run()?;
    // One at a time: built together, the initrd's init would get the checker with all that the init leaves out of it.
    // The profile `bench` is the slower one to compile and the quicker one to run; cargo puts it into the same folder.
    let checker = match effort {
        Effort::Shipped => "bench",
        Effort::Quick => "release",
    };
    for (package, profile) in [("init", "release"), ("hcl-checker", checker)] {
        // A target of its own keeps build scripts of the static build apart from the others.
        build(&[package], profile)
            .args(["--target", PLATFORM])
            .env(
                "CARGO_TARGET_DIR",
                paths.target.join("static").to_string_lossy(),
            )
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .run()?;
    }
    Ok(())
}

/// Makes every artifact of a release in [`Paths::release_files`] and returns the manifest.
///
/// # Errors
/// When a tool fails, or the shipped kernel lacks an option that the appliance depends on.
pub fn root(paths: &Paths, order: &Order) -> Result<Manifest> {
    require_root()?;
    let list_path = paths.workspace.join("image-build/packages.toml");
    let trim_path = paths.workspace.join("image-build/trim.toml");
    let (list, trim) = (PackageList::read(&list_path)?, Trim::read(&trim_path)?);
    tools_root::ensure(paths)?;
    // Beside each other: dpkg keeps one processor busy, and so does the compiler over the one unit of the static checker.
    let (tree, programs_built) = std::thread::scope(|scope| {
        let tree = scope.spawn(|| base(paths, &list, &trim));
        let built = build_programs(paths, order.effort);
        (tree.join(), built)
    });
    tree.map_err(|_| anyhow!("the thread that makes the tree of the root image stopped"))??;
    programs_built?;
    let checked = kernel_options::check(
        &paths.workspace.join("kernel-config/required.toml"),
        &paths.boot_parts().join("kernel.config"),
        &paths.boot_parts().join("xen.config"),
    )?;
    eprintln!("kernel and hypervisor have the {checked} options of kernel-config/required.toml");
    let folders = finish_tree::Programs {
        dynamic: &programs(paths),
        fixed: &static_programs(paths),
    };
    let epoch = epoch(paths);
    let trust = finish_tree::Trust {
        root: &order.trusted_root,
        license_keys: &order.license_keys,
        boot_variables: &signed_variables(&order.boot_keys, epoch)?,
        boot_files_key: order.boot_keys.database.public_key(),
    };
    let signer = &order.boot_keys.database;
    // Dated as the tree is: hosts write loaders anew where they are other bytes, and shall not because a release has another date.
    let grub = grub_images::host(
        paths,
        &grub_images::Signing {
            signer,
            epoch: FIXED_EPOCH,
        },
    )?;
    let overlays: Vec<PathBuf> = [
        Some(paths.overlay()),
        Some(loaders(paths, &grub)?),
        order.overlay.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    finish_tree::lay_over(paths, &order.version, epoch, &overlays, folders, trust)?;
    let packages = installed_packages(paths)?;
    let xen = xen_version(&packages)?;
    let tree = std::fs::read_to_string(settled(paths))?
        + &std::fs::read_to_string(tree_order(paths, &list).stamp())?;
    let drivers = driver_index::kept(paths, &xen, &tree)?;
    driver_index::tell_drift(paths, &drivers)?;
    let index = paths.tree().join(driver_index::IN_IMAGE);
    std::fs::write(&index, drivers)
        .with_context(|| format!("{} cannot be written", index.display()))?;
    let out = fresh_dir(&paths.release_files())?;
    let file = |artifact: Artifact| out.join(artifact.target_name());
    eprintln!("packing the root image");
    let identity = root_image(
        paths,
        &order.version,
        order.effort,
        epoch,
        &file(Artifact::Root),
    )?;
    match order.effort {
        Effort::Shipped => {
            limits::check("the root image", &file(Artifact::Root), limits::ROOT)?;
            remove_all(&limits::not_for_shipping(paths))?;
        }
        Effort::Quick => std::fs::write(limits::not_for_shipping(paths), "")?,
    }
    eprintln!("packing initrd, microcode and boot files");
    std::fs::copy(paths.boot_parts().join("vmlinuz"), file(Artifact::Kernel))?;
    std::fs::copy(paths.boot_parts().join("xen.gz"), file(Artifact::Xen))?;
    let size = initrd::pack(
        paths,
        &static_programs(paths).join("init"),
        &identity,
        epoch,
        &file(Artifact::Initrd),
    )?;
    eprintln!("  initrd.img has {:.1} MB", size as f64 / 1e6);
    microcode::pack(paths, epoch, &file(Artifact::Microcode))?;
    xen_efi::join(
        paths,
        &slots::boot_options::xen_efi_config(),
        &file(Artifact::Kernel),
        &file(Artifact::Initrd),
        &file(Artifact::Microcode),
        epoch,
        &file(Artifact::XenEfi),
    )?;
    sign_program_file(signer, epoch, &file(Artifact::XenEfi))?;
    for (artifact, signature) in SIGNED_FOR_GRUB {
        sign_file(signer, epoch, &file(artifact), &file(signature))?;
    }
    std::fs::copy(&grub.bios_boot, file(Artifact::GrubBiosBoot))?;
    std::fs::copy(&grub.bios_core, file(Artifact::GrubBiosCore))?;
    std::fs::copy(&grub.efi, file(Artifact::GrubEfi))?;
    std::fs::write(
        file(Artifact::Packages),
        serde_json::to_vec_pretty(&packages)?,
    )?;
    let contents = sbom::gather::gather(paths, &order.version, epoch, &list.suite)?;
    std::fs::write(file(Artifact::Sbom), sbom::make(&contents)?)?;
    let mut artifacts = BTreeMap::new();
    for artifact in Artifact::ALL {
        let path = file(artifact);
        artifacts.insert(
            artifact,
            ArtifactInfo {
                size: file_size(&path)?,
                sha256: sha256(&path)?,
            },
        );
    }
    let manifest = Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: order.version.clone(),
        kernel: finish_tree::kernel_release(paths)?,
        xen,
        root: identity,
        artifacts,
        epoch,
    };
    std::fs::write(out.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    Ok(manifest)
}

/// The boot loaders as a tree to lay over the root image: a host that runs the release takes them from there to its disks.
fn loaders(paths: &Paths, grub: &grub_images::HostImages) -> Result<PathBuf> {
    let overlay = fresh_dir(&paths.target.join("root/loaders"))?;
    let folder = overlay.join(slots::names::BOOT_LOADERS.trim_start_matches('/'));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    for (artifact, from) in [
        (Artifact::GrubBiosBoot, &grub.bios_boot),
        (Artifact::GrubBiosCore, &grub.bios_core),
        (Artifact::GrubEfi, &grub.efi),
    ] {
        std::fs::copy(from, folder.join(artifact.target_name()))
            .with_context(|| format!("{} cannot be copied", from.display()))?;
    }
    std::fs::write(folder.join(GRUB_CFG_FILE), grub_cfg())?;
    Ok(overlay)
}

/// A path on the ISO that only this release has, from its root with a leading slash.
pub fn marker(identity: &slots::RootIdentity) -> String {
    format!("/bedplate/{}.id", identity.id())
}

/// What Debian's tree of the root image is made of.
pub fn tree_order(paths: &Paths, list: &PackageList) -> Bootstrap {
    Bootstrap {
        name: "root",
        directory: paths.tree(),
        suite: list.suite.clone(),
        components: list.components.clone(),
        packages: list.all(),
    }
}

/// Says from what the tree was settled.
fn settled(paths: &Paths) -> PathBuf {
    paths.target.join("root/settled")
}

/// Debian's tree with the cuts made; made anew when packages or cuts changed.
fn base(paths: &Paths, list: &PackageList, trim: &Trim) -> Result<()> {
    let settled = settled(paths);
    let key = format!("{list:?}{trim:?}{}", include_str!("finish_tree.rs"));
    let bootstrap_order = tree_order(paths, list);
    if std::fs::read_to_string(&settled).is_ok_and(|s| s == key)
        && !bootstrap(paths, &bootstrap_order)?
    {
        return Ok(());
    }
    // A tree that was cut cannot be cut differently: begin again (from cached packages).
    remove_all(&settled)?;
    remove_all(&paths.tree())?;
    bootstrap(paths, &bootstrap_order)?;
    finish_tree::settle(paths, trim)?;
    std::fs::write(settled, key)?;
    Ok(())
}

/// The time that everything in the image is dated with: SOURCE_DATE_EPOCH, else the last commit's.
fn epoch(paths: &Paths) -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|v| v.parse().ok());
    given
        .or_else(|| {
            let git = Tool::host(paths, "git")
                .arg("-C")
                .arg(&paths.workspace)
                .args(["log", "-1", "--format=%ct"])
                .quiet();
            git.run().ok()?.trim().parse().ok()
        })
        // A tarball without history.
        .unwrap_or(FIXED_EPOCH)
}

/// Writes the index of the shipped kernel's drivers to where `hcl-checker` is built from.
///
/// # Errors
/// When no root image has been built yet, or a tool fails.
pub fn write_driver_index(paths: &Paths) -> Result<PathBuf> {
    require_root()?;
    let made = driver_index::make(paths, &xen_version(&installed_packages(paths)?)?)
        .context("`image-build root` makes the tree whose drivers are listed")?;
    let path = driver_index::committed(paths);
    std::fs::write(&path, made).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Version of the hypervisor's package.
fn xen_version(packages: &BTreeMap<String, String>) -> Result<String> {
    let xen = packages
        .iter()
        .find(|(name, _)| name.starts_with("xen-hypervisor-"));
    Ok(xen
        .context("the package list names no hypervisor")?
        .1
        .clone())
}

/// Name and version of every package in the tree.
fn installed_packages(paths: &Paths) -> Result<BTreeMap<String, String>> {
    let listed = Tool::host(paths, "chroot")
        .arg(paths.tree())
        .args([
            "dpkg-query",
            "--admindir=/usr/lib/sysimage/dpkg",
            "-W",
            "-f",
            "${Package} ${Version}\\n",
        ])
        .quiet()
        .run()?;
    Ok(listed
        .lines()
        .filter_map(|l| l.split_once(' '))
        .map(|(n, v)| (n.to_string(), v.to_string()))
        .collect())
}
