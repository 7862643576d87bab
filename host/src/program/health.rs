//! `bedplate-health`: run by systemd at the end of the boot of an installed host.

use crate::guest::needs;
use crate::health::{self, HealthReport};
use crate::hotfix::{self, Places, RealMachine, Site, Verdict};
use crate::loaders;
use crate::local::boot_record;
use crate::mirror;
use anyhow::Context;
use clap::{Parser, Subcommand};
use slots::{BootRecord, BootState};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use steps::event::Outcome;
use steps::sink::{Console, FanOut};
use steps::{Emitter, RealSystem, System};

/// Everything that the hooks of the first boot print, without secrets.
const FIRST_BOOT_LOG: &str = "/state/bedplate/install/first-boot.log";

/// Checks whether this boot is good, and tells the boot loader and the console.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check Xen, toolstack, libvirt, network, storage and state; if all is well, mark this root as good.
    ///
    /// Writes /run/bedplate/health.json and /state/bedplate/health.json. Exit status 0 only if everything passed.
    Check {
        /// Where the EFI system partition is mounted.
        #[arg(long, default_value = "/boot/efi")]
        esp: PathBuf,
        /// Seconds to wait for what is not up yet.
        #[arg(long, default_value_t = 90)]
        wait: u32,
    },
    /// Go back to the release before this one where this one is on trial and nobody knows yet whether it is good.
    Deadline {
        /// Where the EFI system partition is mounted.
        #[arg(long, default_value = "/boot/efi")]
        esp: PathBuf,
        /// Minutes since the start, for the record.
        #[arg(long)]
        minutes: u32,
    },
    /// Run the hooks that the installer left for the first boot, each once.
    ///
    /// The report is /state/bedplate/install/first-boot.json, the log first-boot.log beside it. Exit status 0 only if no hook
    /// failed that must not.
    FirstBoot,
    /// Write what the console shows above the login prompt.
    Issue,
    /// Wait until the disks, boot files and bridges of the guests that start with the host are there.
    ///
    /// What is missing in the end is said; the exit status is 0 all the same: the other guests start.
    AwaitGuestNeeds {
        /// Seconds to wait.
        #[arg(long, default_value_t = 90)]
        wait: u32,
    },
}

/// However many guests start: before `bedplate-trial.timer` goes back, ten minutes after the start of the host, even where libvirt
/// waited for what a guest needs.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Between two rounds of checks.
const PAUSE: Duration = Duration::from_secs(3);

/// Does what the command line says; fails where a check or a hook did.
pub fn main() -> anyhow::Result<ExitCode> {
    let system = RealSystem::silent();
    match Args::parse().command {
        Command::Check { esp, wait } => {
            let started = Instant::now();
            let (mut since, mut domains) = (started, 0);
            let mut retry = || {
                std::thread::sleep(PAUSE);
                // A host with many guests is not late as long as one after the other starts.
                let now = health::domains(&system);
                if now > domains && started.elapsed() < LONGEST {
                    (since, domains) = (Instant::now(), now);
                }
                since.elapsed() < Duration::from_secs(wait.into())
            };
            // As the boot loader left it: the check changes it.
            let before = hotfix::boot_state(&esp).unwrap_or_default();
            let mut record_failed = |boot: &BootRecord, failed: &str| {
                let places = Places {
                    esp: esp.clone(),
                    ..Places::default()
                };
                let recorded = hotfix::try_failed(&site(&system, &places), boot.root.id(), failed);
                if let Err(e) = &recorded {
                    eprintln!("that a release was tried in vain was not recorded: {e}");
                }
                recorded.is_ok()
            };
            let mut report = health::check(&system, &esp, &mut retry, &mut record_failed);
            print!("{report}");
            decide(&system, esp.clone(), &before, &report);
            if report.passed {
                let places = Places {
                    esp,
                    ..Places::default()
                };
                // Both disks then start what this one did.
                if let Err(e) = mirror::equal_esps(&system, &RealMachine, &places) {
                    eprintln!("the boot files of the other disk are not equal to these: {e}");
                }
                update_loaders(&system, &places, &mut report);
            }
            // Also where something is wrong: then the console says so. systemd runs nothing after a failed check.
            if let Err(e) = health::write_issue(&system) {
                eprintln!("the text for the login prompt was not written: {e}");
            }
            Ok(if report.passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Command::Deadline { esp, minutes } => {
            let state = hotfix::boot_state(&esp).context("nothing is decided")?;
            let boot = boot_record(&system).map_err(anyhow::Error::msg)?;
            let places = Places {
                esp,
                ..Places::default()
            };
            go(
                &system,
                hotfix::deadline(&site(&system, &places), &boot, &state, minutes),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::FirstBoot => first_boot(),
        Command::Issue => {
            health::write_issue(&system)
                .context("the text for the login prompt was not written")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::AwaitGuestNeeds { wait } => {
            await_guest_needs(&system, Duration::from_secs(wait.into()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn await_guest_needs(system: &dyn System, limit: Duration) {
    let started = Instant::now();
    let left = needs::wait(system, &mut || {
        std::thread::sleep(PAUSE);
        started.elapsed() < limit
    });
    for (name, path) in left {
        println!(
            "the guest {name:?} is set to start with this host and needs {}, which is not there after {} s",
            path.display(),
            started.elapsed().as_secs()
        );
    }
}

/// The boot loaders, of a release that is good.
fn update_loaders(system: &dyn System, places: &Places, report: &mut HealthReport) {
    let Ok(boot) = boot_record(system) else {
        return;
    };
    if let Some(check) = loaders::after_good(&site(system, places), &boot) {
        println!("{}: {}", check.name, check.reason);
        health::add(system, report, check);
    }
}

fn first_boot() -> anyhow::Result<ExitCode> {
    let log = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(FIRST_BOOT_LOG)
        .with_context(|| format!("cannot write {FIRST_BOOT_LOG}"))?;
    let sinks = FanOut::new().with("console", Console::new(io::stdout()));
    let mut emitter = Emitter::new(sinks);
    let report = crate::first_boot::run(&RealSystem::logging_to(log), &mut emitter)
        .map_err(anyhow::Error::msg)
        .context("the hooks of the first boot cannot be run")?;
    let Some(report) = report else {
        return Ok(ExitCode::SUCCESS);
    };
    print!("{report}");
    Ok(match report.result {
        Outcome::Ok => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn site<'a>(system: &'a dyn System, places: &'a Places) -> Site<'a> {
    Site {
        system,
        machine: &RealMachine,
        places,
        now: steps::now_unix(),
    }
}

/// Records what came of the release that runs, and goes back where it is on trial and not good.
fn decide(system: &dyn System, esp: PathBuf, before: &BootState, report: &HealthReport) {
    // Without a record it is not known which root runs, and so nothing is decided; the report says so.
    let Ok(boot) = boot_record(system) else {
        return;
    };
    let places = Places {
        esp,
        ..Places::default()
    };
    match hotfix::after_boot(&site(system, &places), &boot, before, report) {
        Ok(verdict) => go(system, verdict),
        Err(e) => eprintln!("what came of the hotfix was not recorded: {e}"),
    }
}

fn go(system: &dyn System, verdict: Verdict) {
    match verdict {
        Verdict::Stay => {}
        Verdict::GoBack { to, reason } => {
            println!("This release is on trial and did not pass: {reason}. Going back to {to}.");
            if let Err(e) = system.run(&steps::Command::new("systemctl").arg("reboot")) {
                eprintln!("the host cannot be restarted: {e}; restart it by hand");
            }
        }
    }
}
