//! `image-build`: makes what Bedplate ships. Everything goes under `target/` of the checkout.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use image_build::base_tree::require_root;
use image_build::build::{self, Order};
use image_build::compare::compare;
use image_build::inspect::{Wanted, inspect};
use image_build::licensing::{self, LicenseArgs, LicenseKeys};
use image_build::lock::Lock;
use image_build::packages::PackageList;
use image_build::paths::Paths;
use image_build::secure_boot::BootKeys;
use image_build::squash::Effort;
use image_build::{
    archive, embed, hotfix, iso, kernel, kernel_options, repository, size, tools_root,
};
use release::{Guidance, HotfixInfo, HotfixKind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes Bedplate's root image, ISO and keys, and looks into finished ones.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keys that sign releases and licenses.
    #[command(subcommand)]
    Keys(Keys),
    /// Issues a license, activates hosts, or shows what is in a license file.
    License(Box<LicenseArgs>),
    /// Makes the Debian 13 root that build tools (and QEMU for the tests) run from.
    Tools,
    /// Resolves Debian's packages anew, writes image-build/packages.lock, and prints what changed.
    Lock,
    /// Makes the root image, initrd, boot files and manifest of a release.
    Root {
        /// Version of the release.
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        version: String,
        /// Compress quickly in place of well; for development.
        #[arg(long)]
        quick: bool,
        /// Folder of the keys whose public parts the image trusts [default: target/keys].
        #[arg(long)]
        keys: Option<PathBuf>,
        /// Folder of files to lay over the root image, for releases that are made to test with.
        #[arg(long, value_name = "DIR")]
        overlay: Option<PathBuf>,
    },
    /// Signs the release and makes a bootable ISO around it.
    Iso {
        /// Folder of the signing keys [default: target/keys].
        #[arg(long)]
        keys: Option<PathBuf>,
    },
    /// The kernel's options, and a kernel of our own.
    #[command(subcommand)]
    Kernel(Kernel),
    /// Says what each group of packages costs in the root image that was built, and how far the limits are.
    Size {
        /// Lists the packages of every group, the largest first.
        #[arg(long)]
        packages: bool,
    },
    /// Says whether two builds made the same bytes, and where not; exits with 1 when they differ.
    Compare {
        /// A checkout that has built, a folder of artifacts, or a file.
        first: PathBuf,
        /// The same of the other build.
        second: PathBuf,
    },
    /// Makes a hotfix: one signed file that brings hosts from earlier releases to a new one.
    Hotfix {
        /// A release that it applies to: a folder as `image-build root` leaves it, or a repository. May be repeated.
        #[arg(long)]
        from: Vec<PathBuf>,
        /// The release that it brings [default: target/release-files].
        #[arg(long)]
        to: Option<PathBuf>,
        /// The file to write [default: target/image/bedplate-VERSION.hotfix].
        #[arg(long)]
        out: Option<PathBuf>,
        /// It closes holes.
        #[arg(long, conflicts_with = "feature", required_unless_present = "feature")]
        security: bool,
        /// It repairs or adds something else.
        #[arg(long)]
        feature: bool,
        /// What changes, for the administrator.
        #[arg(long, default_value = "")]
        notes: String,
        /// A vulnerability that it closes. May be repeated.
        #[arg(long)]
        cve: Vec<String>,
        /// What a host has to do for it to take effect: restartHost, because a hotfix brings a whole root image, and hosts change
        /// that with a restart alone.
        #[arg(long, default_value = Guidance::RestartHost.name(), value_parser = hotfix::guidance)]
        guidance: Guidance,
        /// Leaves the whole files out: it then applies to the releases of --from only.
        #[arg(long)]
        no_full_image: bool,
        /// Folder of the signing keys [default: target/keys].
        #[arg(long)]
        keys: Option<PathBuf>,
    },
    /// Adds hotfixes to the static folder of an update server, and signs its date anew.
    Repository {
        /// Hotfix files. None: only the date is signed anew, which has to happen before it runs out.
        hotfixes: Vec<PathBuf>,
        /// The folder.
        #[arg(long)]
        out: PathBuf,
        /// Days for which clients believe that nothing newer is held back.
        #[arg(long, default_value_t = 7)]
        valid_days: u64,
        /// Folder of the signing keys [default: target/keys].
        #[arg(long)]
        keys: Option<PathBuf>,
    },
    /// Lists the drivers of the kernel in the tree that `root` made, for hcl-checker to judge by.
    DriverIndex,
    /// Puts an answer file into an ISO, which then installs without questions.
    Embed {
        /// The ISO.
        iso: PathBuf,
        /// The answer file; not with --reset.
        #[arg(required_unless_present = "reset", conflicts_with = "reset")]
        answers: Option<PathBuf>,
        /// Changes a copy in place of the ISO itself.
        #[arg(long)]
        output: Option<PathBuf>,
        /// Takes embedded answers out again.
        #[arg(long)]
        reset: bool,
        /// Embeds answers although `installer validate` refuses them, or is not there to be asked.
        #[arg(long, conflicts_with = "reset")]
        unchecked: bool,
    },
    /// Verifies every artifact of an ISO and prints version, sizes, digests and packages.
    Inspect {
        /// The ISO.
        iso: PathBuf,
        /// The public root to verify against [default: target/keys/root.json of the checkout that this runs in].
        #[arg(long)]
        trusted_root: Option<PathBuf>,
        /// Lists every package.
        #[arg(long)]
        packages: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        /// Prints the software bill of materials (CycloneDX JSON) and nothing else.
        #[arg(long, conflicts_with_all = ["json", "packages"])]
        sbom: bool,
        /// Prints what a TPM holds after a host was started by Secure Boot (PCRs 4 and 7, SHA-256), and nothing else.
        #[arg(long, conflicts_with_all = ["sbom", "packages"])]
        pcrs: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Kernel {
    /// Holds the kernel and hypervisor that `root` took from Debian against kernel-config/required.toml.
    Check,
    /// Makes the configuration of a kernel of our own: Debian's source, its default, and the fragments of kernel-config.
    /// Fails with every option that this kernel does not take.
    Config,
    /// Compiles that kernel (an hour on two cores).
    Build,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Makes a new root of trust, two keys that sign licenses, and those of Secure Boot. What is there stays; where all are, it
    /// refuses.
    New {
        /// Folder of the keys [default: target/keys].
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    // The modes of folders that go into archives must not depend on who builds.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-build: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Keys(Keys::New { out }) => new_keys(out),
        Command::License(args) => licensing::run(*args),
        Command::Tools => tools_root::ensure(&Paths::find()?),
        Command::Lock => lock_packages(),
        Command::Root {
            version,
            quick,
            keys,
            overlay,
        } => {
            let paths = Paths::find()?;
            let keys = keys.unwrap_or(paths.keys());
            let trusted_root = release::trusted_root_path(&keys);
            let license_keys = licensing::public_keys_path(&keys);
            for public in [&trusted_root, &license_keys] {
                if !public.is_file() {
                    bail!(
                        "{} is missing: run `image-build keys new` first",
                        public.display()
                    );
                }
            }
            let effort = if quick {
                Effort::Quick
            } else {
                Effort::Shipped
            };
            let manifest = build::root(
                &paths,
                &Order {
                    version,
                    effort,
                    trusted_root,
                    license_keys,
                    boot_keys: BootKeys::read(&keys)?,
                    overlay,
                },
            )?;
            println!(
                "release {} is in {}",
                manifest.version,
                paths.release_files().display()
            );
            Ok(())
        }
        Command::Iso { keys } => {
            let paths = Paths::find()?;
            require_root()?;
            tools_root::ensure(&paths)?;
            let made = iso::make(&paths, &keys.unwrap_or(paths.keys()))?;
            println!("{}", made.display());
            Ok(())
        }
        Command::Kernel(command) => kernel_command(command),
        Command::Size { packages } => {
            let paths = Paths::find()?;
            let list = PackageList::read(&paths.workspace.join("image-build/packages.toml"))?;
            print!("{}", size::report(&paths, &list, packages)?);
            Ok(())
        }
        Command::Compare { first, second } => {
            let outcome = compare(&Paths::find()?, &first, &second)?;
            print!("{}", outcome.text);
            if !outcome.same {
                bail!("the two builds differ");
            }
            Ok(())
        }
        Command::Hotfix {
            from,
            to,
            out,
            security,
            feature: _,
            notes,
            cve,
            guidance,
            no_full_image,
            keys,
        } => {
            let paths = Paths::find()?;
            let to = to.unwrap_or_else(|| paths.release_files());
            let out = match out {
                Some(out) => out,
                None => {
                    let version = hotfix::ReleaseFiles::open(&to)?.manifest.version;
                    std::fs::create_dir_all(paths.images())?;
                    paths.images().join(format!("bedplate-{version}.hotfix"))
                }
            };
            let order = hotfix::Order {
                from,
                to,
                out,
                keys: keys.unwrap_or_else(|| paths.keys()),
                info: HotfixInfo {
                    kind: match security {
                        true => HotfixKind::Security,
                        false => HotfixKind::Feature,
                    },
                    notes,
                    cves: cve,
                    guidance,
                },
                full_image: !no_full_image,
            };
            let bytes = hotfix::make(&paths, &order)?;
            println!("{} has {:.1} MB", order.out.display(), bytes as f64 / 1e6);
            Ok(())
        }
        Command::Repository {
            hotfixes,
            out,
            valid_days,
            keys,
        } => {
            let paths = Paths::find()?;
            let version = repository::publish(
                &paths,
                &repository::Order {
                    hotfixes,
                    keys: keys.unwrap_or_else(|| paths.keys()),
                    valid_days,
                    now: now()?,
                    out: out.clone(),
                },
            )?;
            println!("{} gives clients {version}", out.display());
            Ok(())
        }
        Command::DriverIndex => {
            let written = build::write_driver_index(&Paths::find()?)?;
            println!("{}", written.display());
            Ok(())
        }
        Command::Embed {
            iso,
            answers,
            output,
            reset,
            unchecked,
        } => {
            if let Some(answers) = answers.as_deref().filter(|_| !unchecked) {
                embed::check(answers)?;
            }
            embed_answers(iso, answers, output, reset)
        }
        Command::Inspect {
            iso,
            trusted_root,
            packages,
            json,
            sbom,
            pcrs,
        } => {
            let wanted = Wanted {
                packages,
                json,
                sbom,
                pcrs,
            };
            let paths = Paths::find().ok();
            let of_checkout = paths
                .as_ref()
                .map(|paths| release::trusted_root_path(&paths.keys()));
            let trusted_root = trusted_root.or(of_checkout).context(
                "give --trusted-root FILE, the public root of the keys that signed the release: outside of a checkout there is no other",
            )?;
            // The tools root of a checkout is entered by chroot.
            if pcrs && paths.is_some() {
                require_root()?;
            }
            print!("{}", inspect(paths.as_ref(), &iso, &trusted_root, wanted)?);
            Ok(())
        }
    }
}

fn kernel_command(command: Kernel) -> Result<()> {
    let paths = Paths::find()?;
    match command {
        Kernel::Check => {
            let checked = kernel_options::check(
                &paths.workspace.join("kernel-config/required.toml"),
                &paths.boot_parts().join("kernel.config"),
                &paths.boot_parts().join("xen.config"),
            )?;
            println!("kernel and hypervisor have the {checked} options that are required");
        }
        Kernel::Config => println!("{}", kernel::configure(&paths)?.display()),
        Kernel::Build => {
            let built = kernel::build(&paths)?;
            println!(
                "kernel {} is {}, its modules are below {}",
                built.release,
                built.image.display(),
                built.modules.display()
            );
        }
    }
    Ok(())
}

fn lock_packages() -> Result<()> {
    let paths = Paths::find()?;
    require_root()?;
    let path = Lock::path(&paths.workspace);
    let old = Lock::read(&path).unwrap_or_default();
    let list = PackageList::read(&paths.workspace.join("image-build/packages.toml"))?;
    let mut new = Lock::default();
    for order in [
        build::tree_order(&paths, &list),
        tools_root::order(&paths),
        kernel::order(&paths),
    ] {
        let found = archive::newest(&paths, &order)?;
        let was = old.0.get(order.name).cloned().unwrap_or_default();
        let changes = was.changes(&found);
        println!(
            "{} tree: {} packages, {} changed",
            order.name,
            found.packages.len(),
            changes.len()
        );
        changes.iter().for_each(|line| println!("  {line}"));
        new.0.insert(order.name.to_owned(), found);
    }
    std::fs::write(&path, new.render())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// Seconds since 1970.
fn now() -> Result<u64> {
    Ok(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock stands before 1970")?
        .as_secs())
}

fn new_keys(out: Option<PathBuf>) -> Result<()> {
    let out = match out {
        Some(out) => out,
        None => Paths::find()?.keys(),
    };
    let licenses = LicenseKeys::at(&out);
    let has_root = release::trusted_root_path(&out).is_file();
    let has_boot = BootKeys::folder(&out).exists();
    // Keys of releases alone, as they were made before there were licenses or Secure Boot, are completed.
    if !has_root || licenses.exist() && has_boot {
        release::generate(&out, release::KeyDates::ten_years_from(now()?))?;
    }
    if !licenses.exist() {
        licenses.generate()?;
    }
    if !has_boot {
        BootKeys::generate(&out, now()?)?;
    }
    println!(
        "new keys are in {0}; keep {0}/offline, {0}/license, and PK.key and KEK.key of {0}/secure-boot apart and safe",
        out.display()
    );
    Ok(())
}

fn embed_answers(
    iso: PathBuf,
    answers: Option<PathBuf>,
    output: Option<PathBuf>,
    reset: bool,
) -> Result<()> {
    let content = match &answers {
        Some(path) => {
            let content = std::fs::read(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            embed::with_scripts(path, content)?
        }
        None => Vec::new(),
    };
    let change = |iso: &std::path::Path| {
        if reset {
            embed::reset(iso)
        } else {
            embed::embed(iso, &content)
        }
    };
    let changed = match output {
        Some(output) => {
            embed::into_copy(&iso, &output, change)?;
            output
        }
        None => {
            change(&iso)?;
            iso
        }
    };
    println!("{}", changed.display());
    Ok(())
}
