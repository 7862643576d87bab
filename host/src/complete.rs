//! What could stand where somebody is typing: read by the completion of the shell.

use crate::class::Class;
use crate::commands::{Command, Surroundings};
use crate::param_commands::ParamCommand;
use crate::record::{Field, Value};
use crate::selection::{listed, names_of};
use crate::verb::{Kind, shown};
use crate::verbs::fits_hotfix;

/// Tells the shell to offer the names of files.
pub const FILES: &str = "@files";

/// Options that every command takes.
const OPTIONS: [&str; 3] = ["--minimal", "--json", "--multiple"];

/// Candidates for the last of these words, each whole. Whatever cannot be found out is left out: nobody reads errors here.
pub fn candidates(words: &[String], around: &Surroundings<'_>) -> Vec<String> {
    let (Some(last), Some(first)) = (words.last(), words.first()) else {
        return commands("");
    };
    if words.len() == 1 {
        return commands(last);
    }
    if first == "help" {
        return commands(last);
    }
    let Ok(command) = Command::named(first) else {
        return Vec::new();
    };
    if last.starts_with('-') {
        return matching(OPTIONS.map(str::to_owned), last);
    }
    match last.split_once('=') {
        Some((name, value)) => {
            let values = values(&command, name, value, around);
            match values.first().map(String::as_str) {
                Some(FILES) => values,
                _ => matching(values.iter().map(|value| format!("{name}={value}")), last),
            }
        }
        None => {
            let typed: Vec<_> = words[1..words.len() - 1]
                .iter()
                .filter_map(|word| word.split_once('='))
                .map(|(name, _)| format!("{name}="))
                .collect();
            let mut names = names(&command);
            names.retain(|name| !typed.contains(name));
            matching(names, last)
        }
    }
}

fn matching(all: impl IntoIterator<Item = String>, start: &str) -> Vec<String> {
    let mut all: Vec<_> = all
        .into_iter()
        .filter(|word| word.starts_with(start))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn commands(start: &str) -> Vec<String> {
    matching(Command::all().iter().map(Command::name), start)
}

/// Names of arguments with their `=`.
fn names(command: &Command) -> Vec<String> {
    let own = command.args().iter().map(|arg| arg.name.to_owned());
    let mut names: Vec<_> = own
        .map(|name| match name.ends_with(':') {
            true => name,
            false => format!("{name}="),
        })
        .collect();
    if let Some(class) = command.class() {
        let selects = !matches!(command, Command::Param(ParamCommand::List, _));
        if selects {
            names.push("uuid=".to_owned());
            names.push(format!("{}=", class.name));
        }
        let fields = class.fields.iter();
        names.extend(match command {
            Command::Param(ParamCommand::Set, _) => fields
                .filter(|field| field.access.is_writable())
                .map(|field| format!("{}=", field.name))
                .collect::<Vec<_>>(),
            Command::Param(ParamCommand::Add | ParamCommand::Remove | ParamCommand::Clear, _) => {
                Vec::new()
            }
            _ => fields.map(|field| format!("{}=", field.name)).collect(),
        });
    }
    names
}

/// Values that an argument can have.
fn values(command: &Command, name: &str, typed: &str, around: &Surroundings<'_>) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    if let Some(arg) = command.args().iter().find(|arg| arg.name == name) {
        return match arg.kind {
            Kind::Flag => words(&["true", "false"]),
            Kind::File => vec![FILES.to_owned()],
            Kind::OneOf(all) => words(&shown(all)),
            Kind::Of("patch") => hotfixes(command, around),
            Kind::Of(class) => identities(class, around),
            Kind::Size | Kind::Number => Vec::new(),
            Kind::Text if name == "param-name" => field_names(command),
            Kind::Text if name == "params" => list_of_fields(command, typed),
            Kind::Text => Vec::new(),
        };
    }
    let Some(class) = command.class() else {
        return Vec::new();
    };
    if matches!(command, Command::Param(ParamCommand::Set, _))
        && name != "uuid"
        && name != class.name
    {
        return Vec::new();
    }
    match name == class.name {
        true => identities(class.name, around),
        false => field_values(class, name, around),
    }
}

fn writable_only(command: &Command) -> bool {
    matches!(
        command,
        Command::Param(
            ParamCommand::Add | ParamCommand::Remove | ParamCommand::Clear,
            _
        )
    )
}

fn field_names(command: &Command) -> Vec<String> {
    let fields = command.fields().iter();
    let fits = |field: &&Field| !writable_only(command) || field.access.is_writable();
    fields
        .filter(fits)
        .map(|field| field.name.to_owned())
        .collect()
}

/// `params=a,b`: what was typed up to the last comma, with every field behind it.
fn list_of_fields(command: &Command, typed: &str) -> Vec<String> {
    let start = typed.rfind(',').map_or("", |at| &typed[..=at]);
    let mut all: Vec<_> = command
        .fields()
        .iter()
        .map(|field| format!("{start}{}", field.name))
        .collect();
    if start.is_empty() {
        all.push("all".to_owned());
    }
    all
}

/// UUIDs of the hotfixes that the command can do something about; these commands take no names.
fn hotfixes(command: &Command, around: &Surroundings<'_>) -> Vec<String> {
    let Some(class) = Class::named("patch") else {
        return Vec::new();
    };
    let wanted = names_of(class.fields);
    let records =
        listed(class, around, &wanted).map_or_else(|_| Vec::new(), |(records, _)| records);
    let name = command.name();
    records
        .iter()
        .filter(|record| fits_hotfix(&name, record))
        .filter_map(|record| record.text("uuid"))
        .collect()
}

/// UUIDs and names of the records of a class.
fn identities(class: &str, around: &Surroundings<'_>) -> Vec<String> {
    let Some(class) = Class::named(class) else {
        return Vec::new();
    };
    ["uuid", "name-label"]
        .iter()
        .flat_map(|field| field_values(class, field, around))
        .collect()
}

fn field_values(class: Class, field: &str, around: &Surroundings<'_>) -> Vec<String> {
    let Some(field) = class.fields.iter().find(|known| known.name == field) else {
        return Vec::new();
    };
    let records =
        listed(class, around, &[field.name]).map_or_else(|_| Vec::new(), |(records, _)| records);
    records
        .iter()
        .filter_map(|record| match record.get(field.name) {
            Value::Unknown | Value::Set(_) | Value::Map(_) => None,
            value => Some(value.to_string()),
        })
        .filter(|value| !value.is_empty())
        .collect()
}
