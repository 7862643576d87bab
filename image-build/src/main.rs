//! `image-build`: makes what Bedplate ships. Everything goes under `target/` of the checkout.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use image_build::base_tree::require_root;
use image_build::build::{self, Order};
use image_build::inspect::{Wanted, inspect};
use image_build::licensing::{self, LicenseArgs, LicenseKeys};
use image_build::paths::Paths;
use image_build::squash::Effort;
use image_build::{embed, iso, tools_root};
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
    },
    /// Signs the release and makes a bootable ISO around it.
    Iso {
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
    },
    /// Verifies every artifact of an ISO and prints version, sizes, digests and packages.
    Inspect {
        /// The ISO.
        iso: PathBuf,
        /// The public root to verify against [default: target/keys/root.json].
        #[arg(long)]
        trusted_root: Option<PathBuf>,
        /// Lists every package.
        #[arg(long)]
        packages: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Makes a new root of trust, and two keys that sign licenses. What is there stays; where both are, it refuses.
    New {
        /// Folder of the keys [default: target/keys].
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
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
        Command::Root {
            version,
            quick,
            keys,
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
        } => embed_answers(iso, answers, output, reset),
        Command::Inspect {
            iso,
            trusted_root,
            packages,
            json,
        } => {
            let paths = Paths::find()?;
            require_root()?;
            let trusted_root =
                trusted_root.unwrap_or_else(|| release::trusted_root_path(&paths.keys()));
            print!(
                "{}",
                inspect(&paths, &iso, &trusted_root, Wanted { packages, json })?
            );
            Ok(())
        }
    }
}

fn new_keys(out: Option<PathBuf>) -> Result<()> {
    let out = match out {
        Some(out) => out,
        None => Paths::find()?.keys(),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock stands before 1970")?
        .as_secs();
    let licenses = LicenseKeys::at(&out);
    let has_root = release::trusted_root_path(&out).is_file();
    // Keys of releases alone, as they were made before there were licenses, are completed.
    if !has_root || licenses.exist() {
        release::generate(&out, release::KeyDates::ten_years_from(now))?;
    }
    licenses.generate()?;
    println!(
        "new keys are in {0}; keep {0}/offline and {0}/license apart and safe",
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
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        None => Vec::new(),
    };
    let changed = match output {
        Some(output) => {
            std::fs::copy(&iso, &output).with_context(|| {
                format!("{} cannot be copied to {}", iso.display(), output.display())
            })?;
            output
        }
        None => iso,
    };
    if reset {
        embed::reset(&changed)?;
    } else {
        embed::embed(&changed, &content)?;
    }
    println!("{}", changed.display());
    Ok(())
}
