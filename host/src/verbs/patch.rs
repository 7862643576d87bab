//! Hotfixes: the commands that change which release the host runs.

use crate::XeError;
use crate::hotfix::{self, Applied, PatchState, RolledBack, Settings, Site};
use crate::record::{Record, Value};
use crate::selection;
use crate::terminal::confirm;
use crate::updates::UpdateState;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::path::Path;

const UUID: Arg = Arg::needed("uuid", Kind::Of("patch"), "which hotfix?");
const HOST: Arg = Arg::may("host-uuid", Kind::Of("host"), "this host");
/// No hotfix has the UUID.
const UNKNOWN: &str = "CANNOT_FIND_PATCH";
const SETTINGS: [&str; 2] = ["running", "old"];

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "patch-upload",
        summary: "Verifies a hotfix file and keeps it; prints its uuid",
        args: &[Arg::needed("file-name", Kind::File, "where is the hotfix?")],
        run: Run::Once(upload),
    },
    Verb {
        name: "patch-precheck",
        summary: "Says whether a hotfix can be applied, and what to do afterwards",
        args: &[UUID, HOST],
        run: Run::Once(precheck),
    },
    Verb {
        name: "patch-apply",
        summary: "Writes a hotfix to the other slot; the next start of the host tries it",
        args: &[UUID, HOST],
        run: Run::Once(apply),
    },
    Verb {
        name: "patch-pool-apply",
        summary: "Applies a hotfix to every host of the pool: this one",
        args: &[UUID],
        run: Run::Once(apply),
    },
    Verb {
        name: "patch-clean",
        summary: "Removes the files of a hotfix; its record stays",
        args: &[UUID],
        run: Run::Once(clean),
    },
    Verb {
        name: "patch-pool-clean",
        summary: "Removes the files of a hotfix on every host of the pool",
        args: &[UUID],
        run: Run::Once(clean),
    },
    Verb {
        name: "patch-destroy",
        summary: "Forgets a hotfix that the host does not run",
        args: &[UUID],
        run: Run::Once(destroy),
    },
    Verb {
        name: "host-rollback",
        summary: "Goes back to the release before this one, or takes back a hotfix that waits for a restart",
        args: &[
            Arg::may(
                "settings",
                Kind::OneOf(&SETTINGS),
                "which the other release has: those of now, with all guests (running), or its own, as they were when this release \
                 took its place",
            ),
            Arg::may("force", Kind::Flag, "settings=old without asking"),
        ],
        run: Run::Once(rollback),
    },
];

/// There is one host here; a script made for a pool may name it.
fn this_host(asked: &Asked<'_>) -> Result<(), XeError> {
    match asked.get(HOST.name) {
        Some(host) => selection::one("host", host, asked.around).map(drop),
        None => Ok(()),
    }
}

/// Whether a command can do anything about a hotfix of the list; for completion.
pub fn fits(command: &str, hotfix: &Record) -> bool {
    let state = hotfix.text("state").unwrap_or_default();
    let is = |states: &[PatchState]| states.iter().any(|known| known.name() == state);
    // Neither known of the release of the installation nor of one that only the update repository has.
    let cleaned = hotfix.get("cleaned");
    let runs = matches!(hotfix.get("hosts"), Value::Set(hosts) if !hosts.is_empty());
    match command {
        "patch-precheck" | "patch-apply" | "patch-pool-apply" => {
            *cleaned == Value::Bool(false)
                && !runs
                && !is(&[
                    PatchState::RestartNeeded,
                    PatchState::Applied,
                    PatchState::Superseded,
                ])
        }
        "patch-clean" | "patch-pool-clean" => *cleaned == Value::Bool(false),
        "patch-destroy" => {
            *cleaned != Value::Unknown
                && !runs
                && !is(&[PatchState::RestartNeeded, PatchState::Applied])
        }
        _ => true,
    }
}

/// What there is no record of may be in the update repository.
fn or_available(asked: &Asked<'_>, uuid: &str, error: XeError) -> XeError {
    let (system, places) = (asked.around.system, asked.around.places);
    let offered = UpdateState::read(system, &places.update_state()).offered;
    match offered.filter(|offered| offered.uuid.eq_ignore_ascii_case(uuid)) {
        Some(offered) if error.code == UNKNOWN => XeError::failure(
            UNKNOWN,
            format!(
                "{} is not on this host yet, the update repository has it: `xe host-update-now` downloads it and writes it to the \
                 other slot.",
                offered.version
            ),
        )
        .with("uuid", uuid),
        _ => error,
    }
}

/// Acts on the hotfix that the command line names.
fn on_named<T>(
    asked: &Asked<'_>,
    act: impl FnOnce(&Site<'_>, &str) -> Result<T, XeError>,
) -> Result<T, XeError> {
    let uuid = asked.needed(UUID.name)?;
    act(&asked.around.site(), uuid).map_err(|error| or_available(asked, uuid, error))
}

fn upload(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let file = Path::new(asked.needed("file-name")?);
    hotfix::upload(&asked.around.site(), file).map(|record| Outcome::Made(record.uuid))
}

fn precheck(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    this_host(asked)?;
    let prepared = on_named(asked, hotfix::precheck)?;
    let (hotfix, running) = (&prepared.record, &prepared.boot.root.version);
    let guidance = hotfix.info.guidance.name();
    let text = match asked.line.minimal {
        true => guidance.to_owned(),
        false => format!(
            "{} can be applied over {running}. After applying it: {guidance}",
            hotfix.root.version
        ),
    };
    let record = Record::new()
        .with("uuid", hotfix.uuid.clone())
        .with("version", hotfix.root.version.clone())
        .with("running", running.clone())
        .with("after-apply-guidance", guidance);
    Ok(Outcome::Told(text, record))
}

fn apply(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    this_host(asked)?;
    let sinks = (asked.around.sinks)();
    on_named(asked, |site, uuid| hotfix::apply(site, uuid, sinks)).map(|done| applied(asked, &done))
}

/// What a hotfix that was applied is told as.
pub(super) fn applied(asked: &Asked<'_>, applied: &Applied) -> Outcome {
    let hotfix = &applied.record;
    let (version, guidance) = (&hotfix.root.version, hotfix.info.guidance.name());
    let warnings: String = applied
        .warnings
        .iter()
        .map(|warning| format!("Note: {warning}.\n"))
        .collect();
    let text = match asked.line.minimal {
        true => guidance.to_owned(),
        false => format!(
            "{warnings}{version} is written and verified. {guidance}: shut the guests down and restart the host; it tries the new \
             release once and goes back by itself if it does not come up."
        ),
    };
    let record = Record::new()
        .with("uuid", hotfix.uuid.clone())
        .with("version", version.clone())
        .with("after-apply-guidance", guidance)
        .with("warnings", Value::Set(applied.warnings.clone()));
    Outcome::Told(text, record)
}

fn clean(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    on_named(asked, hotfix::clean).map(|()| Outcome::Done)
}

fn destroy(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    on_named(asked, hotfix::destroy).map(|()| Outcome::Done)
}

fn rollback(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let settings = match asked.get("settings") {
        Some("old") => Settings::Old,
        _ => Settings::Running,
    };
    let force = asked.flag("force")?;
    let mut said = String::new();
    let back = hotfix::rollback(&asked.around.site(), settings, &mut |meaning| match force {
        true => {
            said = meaning.to_owned();
            Ok(())
        }
        // Also where nobody can be asked, it is told before force=true is given.
        false => confirm(asked.around.terminal, meaning).map_err(|e| match e.usage {
            true => XeError::usage(format!("{meaning}{}", e.message)),
            false => e,
        }),
    })?;
    Ok(gone_back(&said, &back))
}

/// What going back is told as, behind what was `said` before.
fn gone_back(said: &str, back: &RolledBack) -> Outcome {
    let (text, version, settings, warning) = match back {
        RolledBack::Canceled { version, warning } => (
            format!("{version} is taken back; the host starts what it runs now."),
            version,
            None,
            warning,
        ),
        RolledBack::Arranged {
            version,
            settings,
            warning,
        } => {
            let (name, means) = match settings {
                Settings::Running => (SETTINGS[0], "It gets the settings and guests of now"),
                Settings::Old => (SETTINGS[1], "It gets its own settings back"),
            };
            let text = format!(
                "The next start of the host goes back to {version}. {means}. Shut the guests down and restart the host."
            );
            (text, version, Some(name), warning)
        }
    };
    let note = warning
        .as_ref()
        .map_or(String::new(), |warning| format!("Note: {warning}.\n"));
    let record = Record::new()
        .with("version", version.clone())
        .with("canceled", settings.is_none())
        .with("settings", settings)
        .with("warnings", Value::Set(warning.iter().cloned().collect()));
    Outcome::Told(format!("{said}{note}{text}"), record)
}
