//! The host itself.

use super::disk::new_file;
use crate::XeError;
use crate::guest::libvirt;
use crate::hotfix;
use crate::licensing::{self, EDITION, EDITIONS};
use crate::mirror;
use crate::record::Record;
use crate::support;
use crate::task;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use std::path::Path;
use steps::{Command, System};

/// Present while no guest may be started; gone with the next start of the host.
pub const DISABLED: &str = "/run/bedplate/xe-disabled";

const FORCE: Arg = Arg::may(
    "force",
    Kind::Flag,
    "also while guests or long commands run, without asking: guests are shut down first, commands are cut off",
);

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "host-disable",
        summary: "Lets no guest be started by xe until host-enable or the next start of the host",
        args: &[],
        run: Run::Each("host", |asked, _| {
            disable(asked.around.system).map(|()| Outcome::Done)
        }),
    },
    Verb {
        name: "host-enable",
        summary: "Lets guests be started again",
        args: &[],
        run: Run::Each("host", |asked, _| {
            asked
                .around
                .system
                .remove_file(Path::new(DISABLED))
                .map(|()| Outcome::Done)
                .map_err(|e| XeError::system(&e))
        }),
    },
    Verb {
        name: "host-reboot",
        summary: "Restarts the host; it must be disabled, and no guest may run",
        args: &[FORCE],
        run: Run::Agreed(
            "host",
            |asked, _| goes_down(asked, "reboot"),
            |asked, _| stop(asked, "reboot"),
        ),
    },
    Verb {
        name: "host-shutdown",
        summary: "Switches the host off; it must be disabled, and no guest may run",
        args: &[FORCE],
        run: Run::Agreed(
            "host",
            |asked, _| goes_down(asked, "poweroff"),
            |asked, _| stop(asked, "poweroff"),
        ),
    },
    Verb {
        name: "host-all-editions",
        summary: "Prints the editions: one, with everything in it, without and with a license",
        args: &[],
        run: Run::Each("host", |_, _| Ok(Outcome::Said(EDITIONS.join(",")))),
    },
    Verb {
        name: "host-apply-edition",
        summary: "Makes sure that the host has an edition; what makes it one is a license",
        args: &[Arg::needed(EDITION, Kind::OneOf(&EDITIONS), "the edition")],
        run: Run::Each("host", apply_edition),
    },
    Verb {
        name: "host-dmesg",
        summary: "Prints the messages of the hypervisor",
        args: &[],
        run: Run::Each("host", |asked, _| {
            say(asked.around.system, &["xl", "dmesg"])
        }),
    },
    Verb {
        name: "host-cpu-info",
        summary: "Prints what the processors of the host are",
        args: &[],
        run: Run::Each("host", |asked, _| say(asked.around.system, &["lscpu"])),
    },
    Verb {
        name: "host-get-system-status",
        summary: "Writes logs, settings and states of the host to one file for whoever helps, without passwords, keys and tokens",
        args: &[Arg::needed(
            "filename",
            Kind::File,
            "the file, as status.tar.zst, which must not exist",
        )],
        run: Run::Each("host", status),
    },
    Verb {
        name: "host-disk-replace",
        summary: "Makes a disk the second half of the host's mirror, in the place of one that is gone",
        args: &[
            Arg::needed("device", Kind::File, "the new disk, as /dev/sdb"),
            Arg::may(
                "wipe",
                Kind::Flag,
                "also where the disk holds data: it is lost",
            ),
        ],
        run: Run::Once(replace_disk),
    },
];

/// Changes nothing: a license makes the edition, and comes and goes by commands of its own.
fn apply_edition(asked: &Asked<'_>, host: &Record) -> Result<Outcome, XeError> {
    let (wanted, around) = (asked.needed(EDITION)?, asked.around);
    let look = licensing::look(around.system, &(around.hardware)(), around.now);
    let is = look.add_to_host(host.clone()).text(EDITION);
    if is.as_deref() == Some(wanted) {
        return Ok(Outcome::Done);
    }
    let advice = match wanted {
        "free" => "host-license-remove gives the license back.",
        _ => "host-license-add adds a license.",
    };
    let is = is.unwrap_or_default();
    Err(XeError::failure(
        "LICENSE_DOES_NOT_FIT",
        format!("The edition of this host is {is}. {advice}"),
    ))
}

/// Makes a disk the second half of the mirror.
fn replace_disk(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let site = asked.around.site();
    let replaced = mirror::replace(&site, asked.needed("device")?, asked.flag("wipe")?)?;
    let mut text = format!(
        "{} is the second half of the mirror and is being filled; /proc/mdstat shows how far it is.",
        replaced.device.display()
    );
    for warning in replaced.warnings {
        text.push_str(&format!("\nWarning: {warning}"));
    }
    Ok(Outcome::Said(text))
}

/// Refuses where no guest may be started.
pub(super) fn refuse_disabled(system: &dyn System) -> Result<(), XeError> {
    match system.exists(Path::new(DISABLED)) {
        true => Err(XeError::failure(
            "HOST_DISABLED",
            "The host is disabled, so no guest is started; host-enable changes that.",
        )),
        false => Ok(()),
    }
}

/// Lets no guest be started by `xe` until the next start of the host.
pub(crate) fn disable(system: &dyn System) -> Result<(), XeError> {
    let path = Path::new(DISABLED);
    if let Some(folder) = path.parent() {
        system
            .create_dir_all(folder)
            .map_err(|e| XeError::system(&e))?;
    }
    system
        .write_file(path, b"", 0o644)
        .map_err(|e| XeError::system(&e))
}

/// Refuses to stop the host under guests and commands.
fn goes_down(asked: &Asked<'_>, command: &str) -> Result<String, XeError> {
    let system = asked.around.system;
    if !system.exists(Path::new(DISABLED)) {
        return Err(XeError::failure(
            "HOST_NOT_DISABLED",
            "Disable the host first, so that no guest is started meanwhile: host-disable.",
        ));
    }
    if let Some(task) = task::all(system)?.first() {
        return Err(XeError::failure(
            "OTHER_OPERATION_IN_PROGRESS",
            "A command runs that would be cut off; wait for its end, end it by `xe task-cancel`, or give force=true.",
        )
        .with("task", task.uuid.clone())
        .with("name-label", task.name.clone()));
    }
    // Whoever changes hotfixes is no task: the timer does it as well.
    hotfix::lock(system, asked.around.places, command)
        .map(drop)
        .map_err(|error| {
            let message = format!("{} force=true cuts it off.", error.message);
            XeError { message, ..error }
        })?;
    let running = libvirt::running(system)?;
    if let Some(domain) = running.first() {
        return Err(XeError::failure(
            "HOST_HAS_RESIDENT_VMS",
            "Guests run on this host; shut them down or suspend them first, or give force=true.",
        )
        .with("vm", domain.uuid())
        .with("name-label", domain.name()));
    }
    Ok(format!("The host goes down ({command}).\n"))
}

fn stop(asked: &Asked<'_>, command: &str) -> Result<Outcome, XeError> {
    // The service libvirt-guests shuts down what runs.
    asked
        .around
        .system
        .run(&Command::new("systemctl").arg(command))
        .map(|_| Outcome::Done)
        .map_err(|e| XeError::system(&e))
}

fn say(system: &dyn System, words: &[&str]) -> Result<Outcome, XeError> {
    system
        .run(&Command::new(words[0]).args(words[1..].iter().copied()))
        .map(|output| Outcome::Said(output.text()))
        .map_err(|e| XeError::system(&e))
}

fn status(asked: &Asked<'_>, _: &Record) -> Result<Outcome, XeError> {
    let system = asked.around.system;
    new_file(asked, Path::new(asked.needed("filename")?), |begun| {
        let bytes = support::bundle(&support::collect(system), asked.around.now)?;
        system
            .write_file(begun, &bytes, 0o600)
            .map_err(|e| XeError::system(&e))
    })?;
    Ok(Outcome::Done)
}
