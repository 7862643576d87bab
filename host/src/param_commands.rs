//! The commands that every class has: `X-list` and `X-param-list|get|set|add|remove|clear`.

use crate::change::Change;
use crate::class::Class;
use crate::cmdline::Invocation;
use crate::commands::{Surroundings, on_each};
use crate::query::{self, Filters};
use crate::record::{Access, Field, Record, Value};
use crate::selection::{Unsaid, listed, names_of, select};
use crate::verb::{Arg, Kind};
use crate::{XeError, labels, locks, render};

/// What is done with the fields of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamCommand {
    /// `X-list`.
    List,
    /// `X-param-list`.
    ParamList,
    /// `X-param-get`.
    Get,
    /// `X-param-set`.
    Set,
    /// `X-param-add`.
    Add,
    /// `X-param-remove`.
    Remove,
    /// `X-param-clear`.
    Clear,
}

const FIELD: Arg = Arg::needed("param-name", Kind::Text, "the field");
const KEY: Arg = Arg::needed(
    "param-key",
    Kind::Text,
    "the key of a map, the value of a set",
);

impl ParamCommand {
    /// Those that make sense for the fields of a class.
    pub fn of(class: Class) -> Vec<ParamCommand> {
        let mut all = vec![
            ParamCommand::List,
            ParamCommand::ParamList,
            ParamCommand::Get,
        ];
        if class.fields.iter().any(|field| field.access.is_writable()) {
            all.extend([ParamCommand::Set, ParamCommand::Clear]);
        }
        let has_parts =
            |field: &Field| matches!(field.access, Access::MapReadWrite | Access::SetReadWrite);
        if class.fields.iter().any(has_parts) {
            all.extend([ParamCommand::Add, ParamCommand::Remove]);
        }
        all
    }

    /// What stands behind the name of the class.
    pub fn suffix(self) -> &'static str {
        match self {
            ParamCommand::List => "list",
            ParamCommand::ParamList => "param-list",
            ParamCommand::Get => "param-get",
            ParamCommand::Set => "param-set",
            ParamCommand::Add => "param-add",
            ParamCommand::Remove => "param-remove",
            ParamCommand::Clear => "param-clear",
        }
    }

    /// For the list of commands.
    pub fn summary(self, class: Class) -> String {
        let plural = class.plural;
        match self {
            ParamCommand::List => format!("Lists the {plural}"),
            ParamCommand::ParamList => format!("Shows all fields of one of the {plural}"),
            ParamCommand::Get => format!("Prints one field of one of the {plural}"),
            ParamCommand::Set => format!("Changes fields of one of the {plural}"),
            ParamCommand::Add => {
                format!("Adds to a set or map of one of the {plural}")
            }
            ParamCommand::Remove => {
                format!("Takes something out of a set or map of one of the {plural}")
            }
            ParamCommand::Clear => format!("Empties a field of one of the {plural}"),
        }
    }

    /// Its arguments as help shows them.
    pub fn usage(self) -> &'static str {
        match self {
            ParamCommand::List => {
                "[params=all|FIELD,...] [FIELD=VALUE ...] [MAP:KEY=VALUE ...] [SET:contains=VALUE ...]"
            }
            ParamCommand::ParamList => "uuid=UUID | FIELD=VALUE ... [--multiple]",
            ParamCommand::Get => {
                "uuid=UUID | FIELD=VALUE ... param-name=FIELD [param-key=KEY] [--multiple]"
            }
            ParamCommand::Set => "uuid=UUID [FIELD=VALUE ...] [MAP:KEY=VALUE ...]",
            ParamCommand::Add => {
                "uuid=UUID param-name=MAP KEY=VALUE ... | param-name=SET param-key=VALUE"
            }
            ParamCommand::Remove => "uuid=UUID param-name=FIELD param-key=KEY",
            ParamCommand::Clear => "uuid=UUID param-name=FIELD",
        }
    }

    /// The arguments that are neither selectors nor fields.
    pub fn args(self) -> &'static [Arg] {
        match self {
            ParamCommand::List => {
                const { &[Arg::may("params", Kind::Text, "the fields to show, or all")] }
            }
            ParamCommand::ParamList | ParamCommand::Set => &[],
            ParamCommand::Get => {
                const { &[FIELD, Arg::may("param-key", Kind::Text, "a key of the map")] }
            }
            ParamCommand::Add => const { &[FIELD, Arg::may("param-key", Kind::Text, "the value")] },
            ParamCommand::Remove => const { &[FIELD, KEY] },
            ParamCommand::Clear => const { &[FIELD] },
        }
    }
}

/// Runs a command and returns what it prints.
pub fn execute(
    command: ParamCommand,
    class: Class,
    line: &Invocation,
    around: &Surroundings<'_>,
) -> Result<String, XeError> {
    // For commands that change: everything else on the line may be a new value.
    let long_uuid = format!("{}-uuid", class.name);
    let selectors = ["uuid", class.name, long_uuid.as_str()];
    let changes = match command {
        ParamCommand::List => return list(line, class, around),
        ParamCommand::ParamList => {
            let records = selected(line, class, around, &[], names_of(class.fields))?;
            return Ok(print(line, &records, class.fields));
        }
        ParamCommand::Get => return get(line, class, around),
        ParamCommand::Set => Change::of_set(line, class.fields, &selectors)?,
        ParamCommand::Add => Change::of_add(line, class.fields, &selectors)?,
        ParamCommand::Remove => Change::of_remove(line, class.fields)?,
        ParamCommand::Clear => Change::of_clear(line, class.fields)?,
    };
    let args: Vec<_> = line
        .args
        .iter()
        .filter(|(name, _)| selectors.contains(&name.as_str()))
        .cloned()
        .collect();
    if let (ParamCommand::Remove | ParamCommand::Clear, Some((name, _))) = (
        command,
        line.args.iter().find(|(name, _)| {
            !selectors.contains(&name.as_str())
                && !["param-name", "param-key"].contains(&name.as_str())
        }),
    ) {
        return Err(XeError::usage(format!(
            "{} does not take {name:?}",
            command.suffix()
        )));
    }
    let wanted: Vec<_> = changes.iter().map(Change::field).collect();
    let select = |args: &[_]| select(line, args, class, around, wanted.clone(), Unsaid::Refused);
    let records = select(&args)?;
    let (_, mut failures) = on_each(&records, |record| {
        let uuid = record.text("uuid").unwrap_or_default();
        let held = match class.name {
            "vm" => locks::of_definition(around.system, &uuid)?,
            "snapshot" => locks::of_snapshot(around.system, &uuid)?,
            _ => Vec::new(),
        };
        // Another command may have changed it before the lock was had.
        let again = match held.is_empty() {
            true => Vec::new(),
            false => select(&[("uuid".to_owned(), uuid)])?,
        };
        let record = again.first().unwrap_or(record);
        change(command, class, around, record, &changes)
    });
    let printed = if line.json { "[]\n" } else { "" }.to_owned();
    match records.len() {
        1 => failures.pop().map_or(Ok(printed), Err),
        _ => XeError::several(failures, printed.clone()).map_or(Ok(printed), Err),
    }
}

fn change(
    command: ParamCommand,
    class: Class,
    around: &Surroundings<'_>,
    record: &Record,
    changes: &[Change],
) -> Result<(), XeError> {
    if command == ParamCommand::Add {
        for change in changes {
            if let (Change::SetKey(field, key, _), Value::Map(map)) =
                (change, record.get(change.field()))
                && map.contains_key(key)
            {
                return Err(XeError::failure(
                    "MAP_DUPLICATE_KEY",
                    format!(
                        "{field} has this key already; param-set {field}:{key}=VALUE changes it."
                    ),
                )
                .with("key", key.clone()));
            }
        }
    }
    match class.write {
        Some(write) => write(around, record, changes),
        None => {
            let uuid = record.text("uuid").unwrap_or_default();
            labels::change(around.system, &uuid, changes)
        }
    }
}

/// Records in the form that was asked for.
pub fn print(line: &Invocation, records: &[Record], fields: &[Field]) -> String {
    match (line.minimal, line.json) {
        (true, _) => render::minimal(records, fields),
        (_, true) => render::json(records, fields),
        _ => render::text(records, fields),
    }
}

fn list(line: &Invocation, class: Class, around: &Surroundings<'_>) -> Result<String, XeError> {
    let fields = query::wanted(line.arg("params"), class.fields)?;
    let filters = Filters::parse(&line.args, class.fields)?;
    let wanted: Vec<_> = fields
        .iter()
        .map(|field| field.name)
        .chain(filters.names())
        .collect();
    let (mut records, missing) = listed(class, around, &wanted)?;
    records.retain(|record| filters.match_record(record));
    let text = print(line, &records, &fields);
    match missing {
        Some(error) => Err(error.printing(text)),
        None => Ok(text),
    }
}

fn selected(
    line: &Invocation,
    class: Class,
    around: &Surroundings<'_>,
    not_filters: &[&str],
    wanted: Vec<&'static str>,
) -> Result<Vec<Record>, XeError> {
    let args: Vec<_> = line
        .args
        .iter()
        .filter(|(name, _)| !not_filters.contains(&name.as_str()))
        .cloned()
        .collect();
    select(line, &args, class, around, wanted, Unsaid::Taken)
}

fn get(line: &Invocation, class: Class, around: &Surroundings<'_>) -> Result<String, XeError> {
    let name = line
        .arg("param-name")
        .ok_or_else(|| XeError::usage("param-name= is missing: which field?"))?;
    let field = query::find(class.fields, name)?;
    let mut records = selected(
        line,
        class,
        around,
        &["param-name", "param-key"],
        vec![field.name],
    )?;
    if let Some(key) = line.arg("param-key") {
        for record in &mut records {
            let Value::Map(map) = record.get(field.name) else {
                return Err(XeError::usage(format!(
                    "{name} is no map, so it has no param-key"
                )));
            };
            let value = map.get(key).cloned().ok_or_else(|| {
                XeError::failure("MAP_NO_SUCH_KEY", format!("{name} has no such key."))
                    .with("key", key)
            })?;
            *record = record.clone().with(field.name, value);
        }
    }
    if line.json {
        return Ok(render::json(&records, &[field]));
    }
    if line.minimal {
        return Ok(render::minimal(&records, &[field]));
    }
    Ok(records
        .iter()
        .map(|record| format!("{}\n", record.get(field.name)))
        .collect())
}
