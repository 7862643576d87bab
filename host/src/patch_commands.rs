//! The commands of `xe` that change which release the host runs.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::commands::Surroundings;
use crate::hotfix::{self, Applied, RolledBack, Settings};
use crate::local::host_uuid;
use crate::terminal::confirm;
use crate::verb::{Arg, Kind, flag};
use std::path::Path;

/// A command about hotfixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchCommand {
    /// `patch-upload`.
    Upload,
    /// `patch-precheck`.
    Precheck,
    /// `patch-apply`.
    Apply,
    /// `patch-pool-apply`.
    PoolApply,
    /// `patch-clean`.
    Clean,
    /// `patch-pool-clean`.
    PoolClean,
    /// `patch-destroy`.
    Destroy,
    /// `host-rollback`.
    Rollback,
}

impl PatchCommand {
    /// All of them.
    pub const ALL: [PatchCommand; 8] = [
        PatchCommand::Upload,
        PatchCommand::Precheck,
        PatchCommand::Apply,
        PatchCommand::PoolApply,
        PatchCommand::Clean,
        PatchCommand::PoolClean,
        PatchCommand::Destroy,
        PatchCommand::Rollback,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            PatchCommand::Upload => "patch-upload",
            PatchCommand::Precheck => "patch-precheck",
            PatchCommand::Apply => "patch-apply",
            PatchCommand::PoolApply => "patch-pool-apply",
            PatchCommand::Clean => "patch-clean",
            PatchCommand::PoolClean => "patch-pool-clean",
            PatchCommand::Destroy => "patch-destroy",
            PatchCommand::Rollback => "host-rollback",
        }
    }

    /// For the list of commands.
    pub fn summary(self) -> &'static str {
        match self {
            PatchCommand::Upload => "Verifies a hotfix file and keeps it; prints its uuid",
            PatchCommand::Precheck => {
                "Says whether a hotfix can be applied, and what to do afterwards"
            }
            PatchCommand::Apply => {
                "Writes a hotfix to the other slot; the next start of the host tries it"
            }
            PatchCommand::PoolApply => "Applies a hotfix to every host of the pool: this one",
            PatchCommand::Clean => "Removes the files of a hotfix; its record stays",
            PatchCommand::PoolClean => "Removes the files of a hotfix on every host of the pool",
            PatchCommand::Destroy => "Forgets a hotfix that the host does not run",
            PatchCommand::Rollback => {
                "Goes back to the release before this one, or takes back a hotfix that waits for a restart"
            }
        }
    }

    /// Its arguments.
    pub fn args(self) -> &'static [Arg] {
        const UUID: Arg = Arg::needed("uuid", Kind::Of("patch"), "which hotfix?");
        match self {
            PatchCommand::Upload => {
                const { &[Arg::needed("file-name", Kind::File, "where is the hotfix?")] }
            }
            PatchCommand::Precheck | PatchCommand::Apply => {
                const { &[UUID, Arg::may("host-uuid", Kind::Of("host"), "this host")] }
            }
            PatchCommand::Rollback => {
                const {
                    &[
                        Arg::may(
                            "settings",
                            Kind::OneOf(&["running", "old"]),
                            "which the other release has: those of now, with all guests (running), or its own, as they were when this \
                             release took its place",
                        ),
                        Arg::may("force", Kind::Flag, "settings=old without asking"),
                    ]
                }
            }
            _ => const { &[UUID] },
        }
    }
}

/// Runs a command and returns what it prints.
pub fn execute(
    command: PatchCommand,
    line: &Invocation,
    around: &Surroundings<'_>,
) -> Result<String, XeError> {
    let args = command.args();
    if let Some((name, _)) = line
        .args
        .iter()
        .find(|(name, _)| args.iter().all(|arg| arg.name != name))
    {
        return Err(XeError::usage(format!(
            "{} does not take {name:?}",
            command.name()
        )));
    }
    if line.json {
        return Err(XeError::usage(format!(
            "{} prints no records, so there is no --json",
            command.name()
        )));
    }
    let needed = |name: &'static str| {
        line.arg(name)
            .ok_or_else(|| XeError::usage(format!("{name}= is missing")))
    };
    this_host(line, around)?;
    let site = around.site();
    match command {
        PatchCommand::Upload => {
            let record = hotfix::upload(&site, Path::new(needed("file-name")?))?;
            Ok(format!("{}\n", record.uuid))
        }
        PatchCommand::Precheck => {
            let prepared = hotfix::precheck(&site, needed("uuid")?)?;
            let guidance = prepared.record.info.guidance.name();
            Ok(match line.minimal {
                true => format!("{guidance}\n"),
                false => format!(
                    "{} can be applied over {}. After applying it: {guidance}\n",
                    prepared.record.root.version, prepared.boot.root.version
                ),
            })
        }
        PatchCommand::Apply | PatchCommand::PoolApply => {
            let applied = hotfix::apply(&site, needed("uuid")?, (around.sinks)())?;
            Ok(told(&applied, line.minimal))
        }
        PatchCommand::Clean | PatchCommand::PoolClean => {
            hotfix::clean(&site, needed("uuid")?)?;
            Ok(String::new())
        }
        PatchCommand::Destroy => {
            hotfix::destroy(&site, needed("uuid")?)?;
            Ok(String::new())
        }
        PatchCommand::Rollback => roll_back(line, around),
    }
}

/// `host-rollback`.
fn roll_back(line: &Invocation, around: &Surroundings<'_>) -> Result<String, XeError> {
    let settings = match line.arg("settings") {
        None | Some("running") => Settings::Running,
        Some("old") => Settings::Old,
        Some(other) => {
            return Err(XeError::usage(format!(
                "settings={other} is none of running, old"
            )));
        }
    };
    let force = line
        .arg("force")
        .map_or(Ok(false), |value| flag("force", value))?;
    let mut said = String::new();
    let back = hotfix::rollback(&around.site(), settings, &mut |meaning| match force {
        true => {
            said = meaning.to_owned();
            Ok(())
        }
        // Also where nobody can be asked, it is told before force=true is given.
        false => confirm(around.terminal, meaning).map_err(|e| match e.usage {
            true => XeError::usage(format!("{meaning}{}", e.message)),
            false => e,
        }),
    })?;
    Ok(said + &gone_back(&back))
}

/// What going back is told as.
fn gone_back(back: &RolledBack) -> String {
    let (text, warning) = match back {
        RolledBack::Canceled { version, warning } => (
            format!("{version} is taken back; the host starts what it runs now.\n"),
            warning,
        ),
        RolledBack::Arranged {
            version,
            settings,
            warning,
        } => {
            let settings = match settings {
                Settings::Running => "It gets the settings and guests of now",
                Settings::Old => "It gets its own settings back",
            };
            (
                format!(
                    "The next start of the host goes back to {version}. {settings}. Shut the guests down and restart the host.\n"
                ),
                warning,
            )
        }
    };
    match warning {
        Some(warning) => format!("Note: {warning}.\n{text}"),
        None => text,
    }
}

/// What a hotfix that was applied is told as.
pub(crate) fn told(applied: &Applied, minimal: bool) -> String {
    let record = &applied.record;
    let guidance = record.info.guidance.name();
    if minimal {
        return format!("{guidance}\n");
    }
    let mut text = String::new();
    for warning in &applied.warnings {
        text += &format!("Note: {warning}.\n");
    }
    text + &format!(
        "{} is written and verified. {guidance}: shut the guests down and restart the host; it tries the new release once and \
         goes back by itself if it does not come up.\n",
        record.root.version
    )
}

/// There is one host here; a script made for a pool may name it.
fn this_host(line: &Invocation, around: &Surroundings<'_>) -> Result<(), XeError> {
    let Some(wanted) = line.arg("host-uuid") else {
        return Ok(());
    };
    let own = host_uuid(around.system).map(|uuid| uuid.to_string());
    match own.as_deref() == Some(wanted) {
        true => Ok(()),
        false => Err(
            XeError::failure("UUID_INVALID", "The uuid you supplied was invalid.")
                .with("type", "host")
                .with("uuid", wanted),
        ),
    }
}
