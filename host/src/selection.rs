//! Records of a class, and which of them a command line means.

use crate::XeError;
use crate::class::{Class, Listed};
use crate::cmdline::Invocation;
use crate::commands::Surroundings;
use crate::labels;
use crate::licensing::{self, EDITION, LICENSE_PARAMS};
use crate::query::Filters;
use crate::record::{Field, Record, Value};

/// Whether a command may act where nothing says on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsaid {
    /// It may, on the only record there is: looking harms nobody.
    Taken,
    /// It may not: what is changed or ended is named.
    Refused,
}

/// The records of a class with what an administrator said about them. What a host's license says needs more than the
/// system, so it is added here.
pub fn records(
    class: Class,
    around: &Surroundings<'_>,
    wanted: &[&str],
) -> Result<Vec<Record>, XeError> {
    match listed(class, around, wanted)? {
        (records, None) => Ok(records),
        (_, Some(error)) => Err(error),
    }
}

/// The same for whoever only looks: what can be read, and why the rest cannot.
pub fn listed(class: Class, around: &Surroundings<'_>, wanted: &[&str]) -> Result<Listed, XeError> {
    let (mut records, missing) = class.listed(around.system, wanted)?;
    if class.labeled {
        let all = labels::read(around.system)?;
        for record in &mut records {
            let own = record.text("uuid").and_then(|uuid| all.get(&uuid));
            *record = own
                .cloned()
                .unwrap_or_default()
                .over(std::mem::take(record));
        }
    }
    let is_wanted = [EDITION, LICENSE_PARAMS]
        .iter()
        .any(|field| wanted.contains(field));
    if class.name == "host" && is_wanted {
        let look = licensing::look(around.system, &(around.hardware)(), around.now);
        for record in &mut records {
            *record = look.add_to_host(std::mem::take(record));
        }
    }
    Ok((records, missing))
}

/// The names of fields.
pub fn names_of(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

/// The records that `args` select: exactly one unless `--multiple` is given. `CLASS=x` takes a UUID or a name, and
/// `CLASS-uuid=` is `uuid=`, as XenServer's commands have it.
pub fn select(
    line: &Invocation,
    args: &[(String, String)],
    class: Class,
    around: &Surroundings<'_>,
    mut wanted: Vec<&'static str>,
    unsaid: Unsaid,
) -> Result<Vec<Record>, XeError> {
    let is_field = |name: &str| class.fields.iter().any(|field| field.name == name);
    let long_uuid = format!("{}-uuid", class.name);
    let mut selector = None;
    let mut filters = Vec::new();
    for (name, value) in args {
        if *name == class.name && !is_field(name) {
            selector = Some(value.as_str());
        } else if *name == long_uuid && !is_field(name) {
            filters.push(("uuid".to_owned(), value.clone()));
        } else {
            filters.push((name.clone(), value.clone()));
        }
    }
    if unsaid == Unsaid::Refused && selector.is_none() && filters.is_empty() && !class.single {
        return Err(XeError::usage(format!(
            "which {}? give uuid=UUID, {}=NAME or FIELD=VALUE",
            class.name, class.name
        )));
    }
    let uuid = filters
        .iter()
        .find(|(name, _)| name == "uuid")
        .map(|(_, value)| value.clone());
    let filters = Filters::parse(&filters, class.fields)?;
    wanted.extend(filters.names());
    let mut records = records(class, around, &wanted)?;
    records.retain(|record| {
        let named = |wanted: &str| {
            ["uuid", "name-label", "device"]
                .iter()
                .any(|f| *record.get(f) == Value::from(wanted))
        };
        filters.match_record(record) && selector.is_none_or(named)
    });
    match records.len() {
        1 => Ok(records),
        0 => Err(match uuid {
            Some(uuid) => uuid_invalid(class.name, &uuid),
            None => XeError::failure("NO_MATCH", format!("No {} matches.", class.name)),
        }),
        _ if line.multiple => Ok(records),
        n => Err(XeError::usage(format!(
            "{n} of the {} match: choose one by uuid=, or give --multiple for all of them",
            class.plural
        ))),
    }
}

/// The one record of the class that `value` names by UUID or name.
pub fn one(class: &str, value: &str, around: &Surroundings<'_>) -> Result<Record, XeError> {
    let class = Class::named(class)
        .ok_or_else(|| XeError::failure("INTERNAL_ERROR", format!("there is no class {class}")))?;
    let line = Invocation::default();
    let args = [(class.name.to_owned(), value.to_owned())];
    select(&line, &args, class, around, Vec::new(), Unsaid::Refused)
        .map_err(|error| match error.code {
            "NO_MATCH" => uuid_invalid(class.name, value),
            _ => error,
        })?
        .pop()
        .ok_or_else(|| uuid_invalid(class.name, value))
}

/// Nothing has this UUID or name.
pub fn uuid_invalid(class: &'static str, uuid: &str) -> XeError {
    XeError::failure("UUID_INVALID", "The uuid you supplied was invalid.")
        .with("type", class)
        .with("uuid", uuid)
}
