//! Commands that do something, as a table: help, completion, man pages and the checks of a command line all read it.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::commands::Surroundings;
use crate::record::Record;
use crate::size;
use crate::task::Task;

/// What kind of value an argument takes; completion offers what fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`; `--x` is `x=true`.
    Flag,
    /// The name of a file on the host.
    File,
    /// Bytes, or a number with `KiB`, `MiB`, `GiB` or `TiB`.
    Size,
    /// A whole number.
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// UUID or name of a record of this class.
    Of(&'static str),
}

/// An argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// Its name; one that ends in `:` is the beginning of the keys of a map, as in `device-config:device=`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether the command line is wrong without it.
    pub needed: bool,
    /// What it means.
    pub about: &'static str,
}

impl Arg {
    /// One that must be there.
    pub const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Arg {
        Arg {
            name,
            kind,
            needed: true,
            about,
        }
    }

    /// One that may be left out.
    pub const fn may(name: &'static str, kind: Kind, about: &'static str) -> Arg {
        Arg {
            name,
            kind,
            needed: false,
            about,
        }
    }

    /// As the usage line shows it: `name=VALUE`, in brackets where it may be left out.
    pub fn usage(&self) -> String {
        let value = match self.kind {
            Kind::Text => "TEXT".to_owned(),
            Kind::Flag => "true".to_owned(),
            Kind::File => "FILE".to_owned(),
            Kind::Size => "SIZE".to_owned(),
            Kind::Number => "NUMBER".to_owned(),
            Kind::OneOf(words) => shown(words).join("|"),
            Kind::Of(class) => class.to_uppercase(),
        };
        let name = match self.name.ends_with(':') {
            true => format!("{}KEY", self.name),
            false => self.name.to_owned(),
        };
        match self.needed {
            true => format!("{name}={value}"),
            false => format!("[{name}={value}]"),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self.name.ends_with(':') {
            true => name.starts_with(self.name) && name.len() > self.name.len(),
            false => name == self.name,
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and there is nothing to say.
    Done,
    /// Something was made: its UUID.
    Made(String),
    /// Something to read, without the line end.
    Said(String),
    /// The same, and what a program reads in its place.
    Told(String, Record),
}

/// How a command is run.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Once.
    Once(fn(&Asked<'_>) -> Result<Outcome, XeError>),
    /// On each record of this class that the other arguments select.
    Each(&'static str, Act),
    /// The same, where somebody has to agree first, by `yes` or `force=true`: the class, what is asked, and what is then done.
    Agreed(&'static str, Question, Act),
}

/// What is done with a record.
pub type Act = fn(&Asked<'_>, &Record) -> Result<Outcome, XeError>;

/// What is going to be done with a record: a line or more for the terminal, with everything in it that matters to whoever agrees. It
/// refuses what cannot be done, and changes nothing.
pub type Question = fn(&Asked<'_>, &Record) -> Result<String, XeError>;

impl Run {
    /// The class whose records are acted on.
    pub fn class(&self) -> Option<&'static str> {
        match self {
            Run::Once(_) => None,
            Run::Each(class, _) | Run::Agreed(class, ..) => Some(class),
        }
    }
}

/// A command that does something.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// As it is typed.
    pub name: &'static str,
    /// One line, without the full stop.
    pub summary: &'static str,
    /// Its arguments, those that select records aside.
    pub args: &'static [Arg],
    /// What it does.
    pub run: Run,
}

impl Verb {
    /// Whether `name` is an argument of the command itself.
    pub fn takes(&self, name: &str) -> bool {
        self.args.iter().any(|arg| arg.matches(name))
    }

    /// Refuses arguments that are not known, values that cannot be, and those that are missing.
    pub fn check(&self, line: &Invocation) -> Result<(), XeError> {
        for (name, value) in &line.args {
            let Some(arg) = self.args.iter().find(|arg| arg.matches(name)) else {
                if self.run.class().is_some() {
                    continue;
                }
                return Err(
                    XeError::usage(format!("{} does not take {name:?}", self.name))
                        .with("usage", self.usage()),
                );
            };
            match arg.kind {
                Kind::Flag => flag(name, value).map(drop)?,
                Kind::Size => size::parse(name, value).map(drop)?,
                Kind::Number => number(name, value).map(drop)?,
                Kind::OneOf(words) if !words.contains(&value.as_str()) => {
                    return Err(XeError::usage(format!(
                        "{name}={value} is none of {}",
                        shown(words).join(", ")
                    )));
                }
                _ => {}
            }
        }
        let missing = self
            .args
            .iter()
            .find(|arg| arg.needed && !line.args.iter().any(|(name, _)| arg.matches(name)));
        match missing {
            Some(arg) => Err(
                XeError::usage(format!("{}= is missing: {}", arg.name, arg.about))
                    .with("usage", self.usage()),
            ),
            None => Ok(()),
        }
    }

    /// The arguments as help shows them.
    pub fn usage(&self) -> String {
        let class = self.run.class();
        let selector = class.map(|class| format!("uuid=UUID | {class}=NAME | FIELD=VALUE ..."));
        let several = class.map(|_| "[--multiple]".to_owned());
        let own = self.args.iter().map(Arg::usage);
        selector
            .into_iter()
            .chain(own)
            .chain(several)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A command line with what it needs.
pub struct Asked<'a> {
    /// What was typed.
    pub line: &'a Invocation,
    /// System, clock, disks.
    pub around: &'a Surroundings<'a>,
    /// Shows how far it is.
    pub task: &'a Task<'a>,
}

impl Asked<'_> {
    /// An argument that [`Verb::check`] made sure of; an error where the table did not ask for it.
    pub fn needed(&self, name: &str) -> Result<&str, XeError> {
        self.line
            .arg(name)
            .ok_or_else(|| XeError::usage(format!("{name}= is missing")))
    }

    /// An argument.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.line.arg(name)
    }

    /// Whether a flag is set.
    pub fn flag(&self, name: &str) -> Result<bool, XeError> {
        self.get(name).map_or(Ok(false), |value| flag(name, value))
    }

    /// Bytes.
    pub fn size(&self, name: &str) -> Result<Option<u64>, XeError> {
        self.get(name)
            .map(|value| size::parse(name, value))
            .transpose()
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<u32>, XeError> {
        self.get(name).map(|value| number(name, value)).transpose()
    }
}

/// The words to choose from. An empty one is taken where there is a default, and not shown.
pub fn shown(words: &[&'static str]) -> Vec<&'static str> {
    let shown = words.iter().filter(|word| !word.is_empty());
    shown.copied().collect()
}

/// `true` or `false`.
pub fn flag(name: &str, value: &str) -> Result<bool, XeError> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(XeError::usage(format!(
            "{name}={value} is neither true nor false"
        ))),
    }
}

/// A whole number above zero.
pub fn number(name: &str, value: &str) -> Result<u32, XeError> {
    value
        .parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| XeError::usage(format!("{name}={value} is no whole number above 0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERB: Verb = Verb {
        name: "x-make",
        summary: "Makes an x",
        args: &[
            Arg::needed("name-label", Kind::Text, "its name"),
            Arg::may("size", Kind::Size, "its size"),
            Arg::may("force", Kind::Flag, "whatever happens"),
            Arg::may("type", Kind::OneOf(&["a", "b"]), "what it is"),
            Arg::may("device-config:", Kind::Text, "where it is"),
        ],
        run: Run::Once(|_| Ok(Outcome::Done)),
    };

    fn check(words: &str) -> Result<(), XeError> {
        VERB.check(&Invocation::parse(words.split_whitespace().map(str::to_owned)).unwrap())
    }

    #[test]
    fn lines_are_held_against_the_table() {
        check("x-make name-label=a size=1GiB --force type=b device-config:device=/dev/sdb")
            .unwrap();
        for (line, words) in [
            ("x-make", "name-label= is missing"),
            ("x-make name-label=a colour=red", "does not take"),
            ("x-make name-label=a device-config:=1", "does not take"),
            ("x-make name-label=a size=big", "size=big"),
            (
                "x-make name-label=a force=perhaps",
                "neither true nor false",
            ),
            ("x-make name-label=a type=c", "none of a, b"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.usage && error.message.contains(words), "{error}");
        }
        assert_eq!(
            VERB.usage(),
            "name-label=TEXT [size=SIZE] [force=true] [type=a|b] [device-config:KEY=TEXT]"
        );
    }
}
