//! The commands of `xe`. Only those that work are here, and `xe help` lists exactly these.

use crate::class::Class;
use crate::cmdline::Invocation;
use crate::hotfix::{Machine, Places, Site};
use crate::interrupt;
use crate::licensing::LICENSE_FIELDS;
use crate::locks;
use crate::param_commands::{self, ParamCommand};
use crate::query::nearest;
use crate::record::{Field, Record};
use crate::selection::{Unsaid, select};
use crate::task::Task;
use crate::terminal::{self, Terminal};
use crate::verb::{Arg, Asked, Outcome, Question, Run, Verb};
use crate::{XeError, help, verbs, xenserver_args};
use serde_json::json;
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
    /// Whoever sits in front of it.
    pub terminal: &'a dyn Terminal,
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
pub enum Command {
    /// One that a class has.
    Param(ParamCommand, Class),
    /// From the table.
    Verb(&'static Verb),
    /// `help`.
    Help,
}

impl Command {
    /// All of them, by name.
    pub fn all() -> Vec<Command> {
        let of_class = |class| {
            ParamCommand::of(class)
                .into_iter()
                .map(move |command| Command::Param(command, class))
        };
        let mut all: Vec<_> = Class::ALL.into_iter().flat_map(of_class).collect();
        all.extend(verbs::all().map(Command::Verb));
        all.push(Command::Help);
        all.sort_by_key(Command::name);
        all
    }

    /// The command of that name; an error names the nearest one.
    pub fn named(name: &str) -> Result<Command, XeError> {
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

    /// As it is typed.
    pub fn name(&self) -> String {
        match self {
            Command::Param(command, class) => format!("{}-{}", class.name, command.suffix()),
            Command::Verb(verb) => verb.name.to_owned(),
            Command::Help => "help".to_owned(),
        }
    }

    /// One line, without the full stop.
    pub fn summary(&self) -> String {
        match self {
            Command::Param(command, class) => command.summary(*class),
            Command::Verb(verb) => verb.summary.to_owned(),
            Command::Help => "Lists the commands, or explains one".to_owned(),
        }
    }

    /// The arguments as help shows them.
    pub fn usage(&self) -> String {
        match self {
            Command::Param(command, _) => command.usage().to_owned(),
            Command::Verb(verb) => verb.usage(),
            Command::Help => "[COMMAND]".to_owned(),
        }
    }

    /// Its own arguments.
    pub fn args(&self) -> &'static [Arg] {
        match self {
            Command::Param(command, _) => command.args(),
            Command::Verb(verb) => verb.args,
            Command::Help => &[],
        }
    }

    /// The class whose records it shows or selects.
    pub fn class(&self) -> Option<Class> {
        match self {
            Command::Param(_, class) => Some(*class),
            Command::Verb(verb) => verb.run.class().and_then(Class::named),
            _ => None,
        }
    }

    /// The fields that it shows or changes.
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Command::Param(_, class) => class.fields,
            Command::Verb(verb) if verb.name == verbs::VIEW_LICENSE => &LICENSE_FIELDS,
            _ => &[],
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
    let line = &xenserver_args::taken(line, around)?;
    match command {
        Command::Param(command, class) => param_commands::execute(command, class, line, around),
        Command::Verb(verb) => run_verb(verb, line, around),
        Command::Help => help::help(line),
    }
}

/// Runs a command of the table.
fn run_verb(
    verb: &'static Verb,
    line: &Invocation,
    around: &Surroundings<'_>,
) -> Result<String, XeError> {
    verb.check(line)?;
    let begin = || match verbs::is_long(verb) {
        true => Task::begin(around.system, verb.name, around.now),
        false => Task::short(around.system),
    };
    let (class, question, run) = match verb.run {
        Run::Once(run) => {
            let task = begin();
            let asked = Asked {
                line,
                around,
                task: &task,
            };
            let _held = locks::of_line(&asked, verb.name)?;
            return run(&asked).map(|outcome| told(&[outcome], line.json));
        }
        Run::Each(class, run) => (class, None, run),
        Run::Agreed(class, question, run) => (class, Some(question), run),
    };
    let class = Class::named(class).ok_or_else(|| {
        XeError::failure("INTERNAL_ERROR", format!("there is no class {class:?}"))
    })?;
    let args: Vec<_> = line
        .args
        .iter()
        .filter(|(name, _)| !verb.takes(name))
        .cloned()
        .collect();
    let listed = class.fields.iter().filter(|field| field.listed);
    let wanted: Vec<_> = listed.map(|field| field.name).collect();
    let records = select(line, &args, class, around, wanted.clone(), Unsaid::Refused)?;
    // Somebody may take hours for an answer: nothing is held meanwhile, and no task keeps the host from going down.
    let mut agreed = agree(question, line, around, &records)?.into_iter();
    let task = begin();
    let asked = Asked {
        line,
        around,
        task: &task,
    };
    let (outcomes, failures) = on_each(&records, |record| {
        let agreed = agreed.next().transpose()?.flatten();
        let held = locks::of_record(&asked, verb.name, record)?;
        // Another command may have changed it before the lock was had.
        let again = match held.is_empty() {
            true => Vec::new(),
            false => {
                let args = [("uuid".to_owned(), record.text("uuid").unwrap_or_default())];
                select(line, &args, class, around, wanted.clone(), Unsaid::Refused)?
            }
        };
        let record = again.first().unwrap_or(record);
        if let (Some(question), Some(agreed)) = (question, agreed)
            && question(&asked, record)? != agreed
        {
            return Err(terminal::outdated());
        }
        run(&asked, record)
    });
    let printed = told(&outcomes, line.json);
    match records.len() {
        // Nothing went well, so nothing is printed.
        1 => failures.into_iter().next().map_or(Ok(printed), Err),
        _ => XeError::several(failures, printed.clone()).map_or(Ok(printed), Err),
    }
}

/// Has somebody agree to what is going to be done with each record: what was said, or why it is not done. None where nothing is to
/// be asked.
fn agree(
    question: Option<Question>,
    line: &Invocation,
    around: &Surroundings<'_>,
    records: &[Record],
) -> Result<Vec<Result<Option<String>, XeError>>, XeError> {
    let asked = Asked {
        line,
        around,
        task: &Task::short(around.system),
    };
    let force = asked.flag("force")?;
    let agree = |record: &Record| match question {
        Some(question) if !force => {
            let text = question(&asked, record)?;
            terminal::confirm(around.terminal, &text).map(|()| Some(text))
        }
        _ => Ok(None),
    };
    Ok(records.iter().map(agree).collect())
}

/// Acts on all of them, whatever fails with some: what went well, and the failures with the UUIDs of what they are about. Somebody
/// who ends the command ends all of it.
pub(crate) fn on_each<T>(
    records: &[Record],
    mut act: impl FnMut(&Record) -> Result<T, XeError>,
) -> (Vec<T>, Vec<XeError>) {
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for record in records {
        if interrupt::is_wanted() {
            failures.push(
                XeError::failure(
                    "TASK_CANCELLED",
                    "The command was ended by a signal before it began with this one and those behind it.",
                )
                .with("of", record.text("uuid").unwrap_or_default()),
            );
            break;
        }
        match act(record) {
            Ok(outcome) => done.push(outcome),
            Err(error) if records.len() == 1 => failures.push(error),
            Err(error) => {
                let ended = error.code == "TASK_CANCELLED";
                failures.push(error.with("of", record.text("uuid").unwrap_or_default()));
                if ended {
                    break;
                }
            }
        }
    }
    (done, failures)
}

/// What was made or said: a line each, or objects.
fn told(outcomes: &[Outcome], json: bool) -> String {
    if json {
        let objects: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Done => json!({}),
                Outcome::Made(uuid) => json!({ "uuid": uuid }),
                Outcome::Said(text) => json!({ "message": text }),
                Outcome::Told(_, record) => json!(record),
            })
            .collect();
        return format!("{:#}\n", serde_json::Value::Array(objects));
    }
    let lines = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Done => None,
        Outcome::Made(text) | Outcome::Said(text) | Outcome::Told(text, _) => {
            Some(format!("{text}\n"))
        }
    });
    lines.collect()
}
