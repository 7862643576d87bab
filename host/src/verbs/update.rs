//! Automatic updates: what is decided about them, and what is done at once.

use super::patch::applied;
use crate::XeError;
use crate::licensing;
use crate::record::Record;
use crate::updates::{
    Automation, Restart, SETTINGS, STALL, UpdatePolicy, Updater, known, wave::Wave,
};
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};

/// An empty value is the default.
const RESTARTS: [&str; 4] = [
    Restart::ALL[0].name(),
    Restart::ALL[1].name(),
    Restart::ALL[2].name(),
    "",
];
const WAVES: [&str; 4] = [
    Wave::ALL[0].name(),
    Wave::ALL[1].name(),
    Wave::ALL[2].name(),
    "",
];

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "host-update-policy-set",
        summary: "Decides about automatic updates; what is not given stays, and an empty value is the default",
        args: &[
            Arg::may(
                "repository",
                Kind::Text,
                "the URL of the update repository: the folder with metadata and targets in it",
            ),
            Arg::may(
                "automatic",
                Kind::Text,
                "true or false: whether hotfixes are installed without a command, where the license allows it",
            ),
            Arg::may(
                "window",
                Kind::Text,
                "when a hotfix is written and the host may restart, by its own clock, as 'sat,sun 02:00-05:00; wed 23:00-01:00', or always",
            ),
            Arg::may(
                "restart",
                Kind::OneOf(&RESTARTS),
                "whether the host restarts in the window by itself; with always, guests are shut down for it",
            ),
            Arg::may(
                "wave",
                Kind::OneOf(&WAVES),
                "when this host takes its turn among all",
            ),
            Arg::may(
                "hold",
                Kind::Text,
                "yes holds updates back, no does not, and a day such as 2027-01-07 does until it begins",
            ),
            Arg::may(
                "rate-limit",
                Kind::Text,
                "bytes a second at which is downloaded, as 10MiB; 0 is no limit",
            ),
            Arg::may(
                "proxy",
                Kind::Text,
                "the URL of the proxy to download through",
            ),
        ],
        run: Run::Once(set),
    },
    Verb {
        name: "host-update-policy-get",
        summary: "Prints what is decided about automatic updates",
        args: &[Arg::may(
            "param-name",
            Kind::OneOf(&SETTINGS),
            "only this setting",
        )],
        run: Run::Once(get),
    },
    Verb {
        name: "host-update-check",
        summary: "Looks at the update repository at once and says what there is; nothing is downloaded but what describes it",
        args: &[],
        run: Run::Once(check),
    },
    Verb {
        name: "host-update-now",
        summary: "Downloads the newest release and writes it to the other slot, whatever policy and license say; the next start of the host tries it",
        args: &[],
        run: Run::Once(now),
    },
    Verb {
        name: "host-update-clear",
        summary: "Lets a release that failed on this host be tried again",
        args: &[],
        run: Run::Once(clear),
    },
];

fn with_updater<T>(
    asked: &Asked<'_>,
    act: impl FnOnce(&Updater<'_>) -> Result<T, XeError>,
) -> Result<T, XeError> {
    let around = asked.around;
    act(&Updater {
        system: around.system,
        machine: around.machine,
        places: around.places,
        clock: &|| around.now,
        pause: &std::thread::sleep,
        stall: STALL,
        sinks: around.sinks,
    })
}

fn automation(asked: &Asked<'_>) -> Automation {
    let around = asked.around;
    let look = licensing::look(around.system, &(around.hardware)(), around.now);
    Automation::of(&look)
}

fn set(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let (system, path) = (asked.around.system, &asked.around.places.update_policy);
    let mut policy = UpdatePolicy::read(system, path)?;
    let given: Vec<_> = SETTINGS
        .into_iter()
        .filter_map(|name| Some((name, asked.get(name)?)))
        .collect();
    if given.is_empty() {
        return Err(XeError::usage(format!(
            "nothing is to be changed: give one of {}",
            SETTINGS.join(", ")
        )));
    }
    for (name, value) in given {
        policy
            .set(name, value)
            .map_err(|e| XeError::usage(e.to_string()))?;
    }
    policy.write(system, path)?;
    // A password that was wrong, or a proxy, is none of what the pauses are for.
    if asked.get("repository").or(asked.get("proxy")).is_some() {
        with_updater(asked, |updater| updater.forget_pauses())?;
    }
    Ok(Outcome::Done)
}

fn get(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let policy = UpdatePolicy::read(asked.around.system, &asked.around.places.update_policy)?;
    let only = asked.get("param-name");
    let lines: Vec<String> = policy
        .shown()
        .into_iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .map(|(name, value)| match only {
            Some(_) => value,
            None => format!("{name}: {value}"),
        })
        .collect();
    let all = policy.record();
    let record = match only {
        Some(only) => SETTINGS
            .into_iter()
            .filter(|name| *name == only)
            .fold(Record::new(), |record, name| {
                record.with(name, all.get(name).clone())
            }),
        None => all,
    };
    Ok(Outcome::Told(lines.join("\n"), record))
}

fn check(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let around = asked.around;
    let told = with_updater(asked, |updater| updater.check(&automation(asked)))?;
    let record = known(around.system, around.places)
        .into_iter()
        .fold(Record::new(), |record, (name, value)| {
            record.with(name, value)
        });
    Ok(Outcome::Told(told.text, record))
}

fn now(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let written = with_updater(asked, |updater| updater.install(&automation(asked)))?;
    Ok(match written {
        Some(done) => applied(asked, &done),
        None => Outcome::Said("Nothing newer is offered.".to_owned()),
    })
}

fn clear(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let cleared = with_updater(asked, |updater| updater.clear())?;
    Ok(Outcome::Said(match cleared {
        Some(version) => format!("{version} is tried again."),
        None => "Nothing is held against the release that is offered.".to_owned(),
    }))
}
