//! The commands of `xe`. Only those that work are here, and `xe help` lists exactly these.

use crate::class::Class;
use crate::cmdline::Invocation;
use crate::hotfix::{Machine, Places, Site};
use crate::licensing::{self, EDITION, LICENSE_FIELDS, LICENSE_PARAMS, LicenseCommand};
use crate::patch_commands::{self, PatchCommand};
use crate::query::{self, Filters, nearest};
use crate::record::{Field, Record, Value};
use crate::{XeError, mirror, render};
use std::fmt::Write;
use steps::System;
use steps::sink::FanOut;

/// What a command needs besides its command line.
pub struct Surroundings<'a> {
    /// The system.
    pub system: &'a dyn System,
    /// The clock, in seconds since 1970.
    pub now: u64,
    /// Counts the populated sockets and looks at what the machine is recognized by; slow, so it is only called where the
    /// license is looked at.
    pub hardware: &'a dyn Fn() -> license::Machine,
    /// Disks and the boot loader.
    pub machine: &'a dyn Machine,
    /// Where everything is.
    pub places: &'a Places,
    /// Makes the readers of the events of a long command.
    pub sinks: &'a dyn Fn() -> FanOut,
}

impl Surroundings<'_> {
    /// What operations on hotfixes need.
    pub fn site(&self) -> Site<'_> {
        Site {
            system: self.system,
            machine: self.machine,
            places: self.places,
            now: self.now,
        }
    }
}

/// A command.
#[derive(Debug, Clone, Copy)]
enum Command {
    List(Class),
    ParamList(Class),
    ParamGet(Class),
    License(LicenseCommand),
    Patch(PatchCommand),
    DiskReplace,
    Help,
}

impl Command {
    fn all() -> Vec<Command> {
        let of_class = |class| {
            [
                Command::List(class),
                Command::ParamList(class),
                Command::ParamGet(class),
            ]
        };
        let mut all: Vec<_> = Class::ALL.into_iter().flat_map(of_class).collect();
        all.extend(LicenseCommand::ALL.map(Command::License));
        all.extend(PatchCommand::ALL.map(Command::Patch));
        all.push(Command::DiskReplace);
        all.push(Command::Help);
        all.sort_by_key(Command::name);
        all
    }

    fn named(name: &str) -> Result<Command, XeError> {
        let all = Command::all();
        if let Some(command) = all.iter().find(|command| command.name() == name) {
            return Ok(*command);
        }
        let names: Vec<_> = all.iter().map(Command::name).collect();
        Err(XeError::usage(
            match nearest(names.iter().map(String::as_str), name) {
                Some(nearest) => format!(
                    "there is no command {name:?}; did you mean {nearest:?}? `xe help` lists them"
                ),
                None => format!("there is no command {name:?}; `xe help` lists them"),
            },
        ))
    }

    fn name(&self) -> String {
        match self {
            Command::List(class) => format!("{}-list", class.name),
            Command::ParamList(class) => format!("{}-param-list", class.name),
            Command::ParamGet(class) => format!("{}-param-get", class.name),
            Command::License(command) => command.name().to_owned(),
            Command::Patch(command) => command.name().to_owned(),
            Command::DiskReplace => "host-disk-replace".to_owned(),
            Command::Help => "help".to_owned(),
        }
    }

    fn summary(&self) -> String {
        match self {
            Command::List(class) => format!("Lists the {}", class.plural),
            Command::ParamList(class) => format!("Shows all fields of one of the {}", class.plural),
            Command::ParamGet(class) => format!("Prints one field of one of the {}", class.plural),
            Command::License(command) => command.summary().to_owned(),
            Command::Patch(command) => command.summary().to_owned(),
            Command::DiskReplace => {
                "Makes a disk the second half of the host's mirror, in the place of one that is gone".to_owned()
            }
            Command::Help => "Lists the commands, or explains one".to_owned(),
        }
    }

    fn usage(&self) -> &'static str {
        match self {
            Command::List(_) => {
                "[params=all|FIELD,...] [FIELD=VALUE ...] [MAP:KEY=VALUE ...] [SET:contains=VALUE ...]"
            }
            Command::ParamList(_) => "uuid=UUID | FIELD=VALUE ... [--multiple]",
            Command::ParamGet(_) => {
                "uuid=UUID | FIELD=VALUE ... param-name=FIELD [param-key=KEY] [--multiple]"
            }
            Command::License(command) => command.usage(),
            Command::Patch(command) => command.usage(),
            Command::DiskReplace => "device=/dev/DISK [wipe=true]",
            Command::Help => "[COMMAND]",
        }
    }

    fn fields(&self) -> &'static [Field] {
        match self {
            Command::List(class) | Command::ParamList(class) | Command::ParamGet(class) => {
                class.fields
            }
            Command::License(LicenseCommand::View) => &LICENSE_FIELDS,
            Command::License(_) | Command::Patch(_) | Command::DiskReplace | Command::Help => &[],
        }
    }
}

/// Runs a command and returns what it prints.
pub fn execute(line: &Invocation, around: &Surroundings<'_>) -> Result<String, XeError> {
    let command = Command::named(&line.command)?;
    if !matches!(command, Command::Help)
        && let Some(word) = line.words.first()
    {
        return Err(XeError::usage(format!(
            "{word:?} is not understood: arguments are name=value"
        )));
    }
    match command {
        Command::List(class) => list(line, class, around),
        Command::ParamList(class) => {
            let records = select(line, class, around, &[], names_of(class.fields))?;
            Ok(print(line, &records, class.fields))
        }
        Command::ParamGet(class) => param_get(line, class, around),
        Command::License(command) => license_command(line, command, around),
        Command::Patch(command) => patch_commands::execute(command, line, around),
        Command::DiskReplace => disk_replace(line, around),
        Command::Help => help(line),
    }
}

/// Makes a disk the second half of the mirror.
fn disk_replace(line: &Invocation, around: &Surroundings<'_>) -> Result<String, XeError> {
    if let Some((name, _)) = line
        .args
        .iter()
        .find(|(name, _)| !["device", "wipe"].contains(&name.as_str()))
    {
        return Err(XeError::usage(format!(
            "host-disk-replace does not take {name:?}"
        )));
    }
    let device = line
        .arg("device")
        .ok_or_else(|| XeError::usage("device= is missing: which disk is the new one?"))?;
    let wipe = match line.arg("wipe") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(XeError::usage("wipe= is true or false")),
    };
    let replaced = mirror::replace(&around.site(), device, wipe)?;
    let mut text = format!(
        "{} is the second half of the mirror and is being filled; /proc/mdstat shows how far it is.\n",
        replaced.device.display()
    );
    for warning in replaced.warnings {
        text.push_str(&format!("Warning: {warning}\n"));
    }
    Ok(text)
}

/// Runs a command about the license. None of them is about anything that an administrator does.
fn license_command(
    line: &Invocation,
    command: LicenseCommand,
    around: &Surroundings<'_>,
) -> Result<String, XeError> {
    let known = |(name, _): &&(String, String)| Some(name.as_str()) != command.argument();
    if let Some((name, _)) = line.args.iter().find(known) {
        return Err(XeError::usage(format!(
            "{} does not take {name:?}",
            command.name()
        )));
    }
    let (system, now) = (around.system, around.now);
    let machine = (around.hardware)();
    match command {
        LicenseCommand::View => {
            let fields = query::wanted(line.arg("params"), &LICENSE_FIELDS)?;
            let record = licensing::look(system, &machine, now).record();
            Ok(print(line, &[record], &fields))
        }
        LicenseCommand::Add => {
            let file = line
                .arg("license-file")
                .ok_or_else(|| XeError::usage("license-file= is missing: where is the license?"))?;
            licensing::add(system, file, &machine, now).map(|look| look.told(line.minimal))
        }
        LicenseCommand::Remove => {
            licensing::remove(system, &machine, now).map(|look| look.told(line.minimal))
        }
        LicenseCommand::Reactivate => {
            licensing::reactivate(system, &machine, now).map(|look| look.told(line.minimal))
        }
        LicenseCommand::Request => {
            let request = licensing::request(system, &machine)?;
            match (line.minimal, line.json) {
                (true, _) => Ok(format!("{request}\n")),
                (_, true) => Ok(format!(
                    "{}\n",
                    serde_json::json!({ "request": request.to_string() })
                )),
                _ => Ok(licensing::request_text(&request)),
            }
        }
    }
}

/// The records of a class. What a host's license says needs more than the system, so it is added here.
fn records(
    class: Class,
    around: &Surroundings<'_>,
    wanted: &[&str],
) -> Result<Vec<Record>, XeError> {
    let mut records = class.records(around.system, wanted)?;
    let is_wanted = [EDITION, LICENSE_PARAMS]
        .iter()
        .any(|field| wanted.contains(field));
    if class.name == "host" && is_wanted {
        let look = licensing::look(around.system, &(around.hardware)(), around.now);
        for record in &mut records {
            *record = look.add_to_host(std::mem::take(record));
        }
    }
    Ok(records)
}

fn names_of(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

fn print(line: &Invocation, records: &[Record], fields: &[Field]) -> String {
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
    let mut records = records(class, around, &wanted)?;
    records.retain(|record| filters.match_record(record));
    Ok(print(line, &records, &fields))
}

/// The records that the arguments select: exactly one unless `--multiple` is given. `CLASS=x` takes a UUID or a name.
fn select(
    line: &Invocation,
    class: Class,
    around: &Surroundings<'_>,
    not_filters: &[&str],
    mut wanted: Vec<&'static str>,
) -> Result<Vec<Record>, XeError> {
    let selector = line
        .arg(class.name)
        .filter(|_| class.fields.iter().all(|field| field.name != class.name));
    let args: Vec<_> = line
        .args
        .iter()
        .filter(|(name, _)| {
            !not_filters.contains(&name.as_str()) && (selector.is_none() || name != class.name)
        })
        .cloned()
        .collect();
    let filters = Filters::parse(&args, class.fields)?;
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
        0 => Err(match line.arg("uuid") {
            Some(uuid) => XeError::failure("UUID_INVALID", "The uuid you supplied was invalid.")
                .with("type", class.name)
                .with("uuid", uuid),
            None => XeError::failure("NO_MATCH", format!("No {} matches.", class.name)),
        }),
        _ if line.multiple => Ok(records),
        n => Err(XeError::usage(format!(
            "{n} of the {} match: choose one by uuid=, or give --multiple for all of them",
            class.plural
        ))),
    }
}

fn param_get(
    line: &Invocation,
    class: Class,
    around: &Surroundings<'_>,
) -> Result<String, XeError> {
    let name = line
        .arg("param-name")
        .ok_or_else(|| XeError::usage("param-name= is missing: which field?"))?;
    let field = query::find(class.fields, name)?;
    let mut records = select(
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

fn help(line: &Invocation) -> Result<String, XeError> {
    let mut text = String::new();
    // Writing to a String does not fail.
    if let Some(word) = line.words.first() {
        let command = Command::named(word)?;
        let _ = writeln!(
            text,
            "xe {} {}\n\n{}.",
            command.name(),
            command.usage(),
            command.summary()
        );
        if !command.fields().is_empty() {
            let _ = writeln!(text, "\nFields:");
        }
        for field in command.fields() {
            let _ = writeln!(text, "  {} ({})", field.name, field.access);
        }
        return Ok(text);
    }
    let all = Command::all();
    if line.minimal {
        return Ok(format!(
            "{}\n",
            all.iter().map(Command::name).collect::<Vec<_>>().join(",")
        ));
    }
    text.push_str(
        "Usage: xe COMMAND [NAME=VALUE ...] [--minimal | --json] [--multiple]\n\nCommands:\n",
    );
    let width = all
        .iter()
        .map(|command| command.name().len())
        .max()
        .unwrap_or(0);
    for command in &all {
        let _ = writeln!(text, "  {:<width$}  {}", command.name(), command.summary());
    }
    text.push_str("\n`xe help COMMAND` explains one. `--x` is short for x=true.\n");
    text.push_str("Exit status: 0 done, 1 failed, 2 wrong use.\n");
    Ok(text)
}
