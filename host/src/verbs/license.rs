//! The license of the host. None of these commands is about anything else that an administrator does.

use crate::XeError;
use crate::licensing::{self, LICENSE_FIELDS, Look};
use crate::query;
use crate::record::Record;
use crate::render;
use crate::verb::{Arg, Asked, Kind, Outcome, Run, Verb};
use license::Machine;
use steps::System;

/// The command that shows fields.
pub(crate) const VIEW: &str = "host-license-view";

pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: VIEW,
        summary: "Shows the license of this host, its state and why",
        args: &[Arg::may("params", Kind::Text, "the fields to show, or all")],
        run: Run::Once(view),
    },
    Verb {
        name: "host-license-add",
        summary: "Installs a license, or the answer to a request, from a file",
        args: &[Arg::needed(
            "license-file",
            Kind::File,
            "where is the license?",
        )],
        run: Run::Once(|asked| {
            let file = asked.needed("license-file")?;
            changed(asked, |system, machine, now| {
                licensing::add(system, file, machine, now)
            })
        }),
    },
    Verb {
        name: "host-license-remove",
        summary: "Takes the license away; everything but automatic updates goes on",
        args: &[],
        run: Run::Once(|asked| changed(asked, licensing::remove)),
    },
    Verb {
        name: "host-license-request",
        summary: "Prints what to send for a license, as text and as a QR code",
        args: &[],
        run: Run::Once(request),
    },
    Verb {
        name: "host-license-reactivate",
        summary: "Tells the license that parts of this host were replaced",
        args: &[],
        run: Run::Once(|asked| changed(asked, licensing::reactivate)),
    },
];

/// As lists show a record.
fn view(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let fields = query::wanted(asked.get("params"), &LICENSE_FIELDS)?;
    let (system, machine) = (asked.around.system, (asked.around.hardware)());
    let record = licensing::look(system, &machine, asked.around.now).record();
    let records = [record.of(&fields)];
    let text = match asked.line.minimal {
        true => render::minimal(&records, &fields),
        false => render::text(&records, &fields),
    };
    let [record] = records;
    Ok(Outcome::Told(
        text.trim_end_matches('\n').to_owned(),
        record,
    ))
}

/// Changes something about the license and says what it is worth now; for a program, all that `host-license-view` shows.
fn changed(
    asked: &Asked<'_>,
    change: impl FnOnce(&dyn System, &Machine, u64) -> Result<Look, XeError>,
) -> Result<Outcome, XeError> {
    let around = asked.around;
    let look = change(around.system, &(around.hardware)(), around.now)?;
    let record = look.record().of(&LICENSE_FIELDS);
    Ok(Outcome::Told(look.told(asked.line.minimal), record))
}

fn request(asked: &Asked<'_>) -> Result<Outcome, XeError> {
    let request = licensing::request(asked.around.system, &(asked.around.hardware)())?;
    let text = match asked.line.minimal {
        true => request.to_string(),
        false => licensing::request_text(&request).trim_end().to_owned(),
    };
    let record = Record::new()
        .with("request", request.to_string())
        .with("sockets", request.sockets.map(u32::from));
    Ok(Outcome::Told(text, record))
}
