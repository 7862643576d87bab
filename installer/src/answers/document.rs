//! An answer file as text and tables: finds the place of a key, and checks the shape of everything in it.

use super::host;
use super::problem::{Problem, Text};
use super::shape::{Shape, find_key, is_table, nearest, shape};
use serde_json::Value;
use std::collections::BTreeSet;
use std::rc::Rc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Problems that are told of one file: more of them nobody reads, and a file may be made to have very many.
const MOST: usize = 500;

/// A parsed answer file with the problems that were found so far.
pub struct Document<'t> {
    text: Rc<Text<'t>>,
    root: Spanned<DeTable<'t>>,
    problems: Vec<Problem>,
    /// Where problems are about what is nowhere: the start of the file, or what takes it away for a host.
    start: usize,
    /// Problems that are not told.
    untold: usize,
    /// Paths that a problem was reported about; they are not reported again as missing.
    settled: Rc<BTreeSet<String>>,
}

impl<'t> Document<'t> {
    /// Parses `text`; every mistake in the TOML itself is a problem.
    pub fn parse(text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Document {
            text: Rc::new(Text::new(text)),
            root,
            problems: Vec::new(),
            start: 0,
            untold: 0,
            settled: Rc::default(),
        };
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            // Only the parser's own words: it never quotes the text.
            let message = format!("this is not TOML: {}", error.message());
            document.push(
                offset,
                message,
                "see https://toml.io for the format; strings need quotes",
            );
        }
        document
    }

    /// True when the text is not TOML, so that nothing more can be said about it.
    pub fn is_broken(&self) -> bool {
        !self.problems.is_empty()
    }

    /// True when more problems were found than are told.
    pub fn is_full(&self) -> bool {
        self.untold > 0
    }

    /// Checks every key and type against the JSON Schema `schema`, and takes out what does not fit, so that the rest
    /// can be read.
    pub fn check_shape(&mut self, schema: &Value) {
        let mut root = std::mem::replace(&mut self.root, Spanned::new(0..0, DeTable::new()));
        if let Some(Shape::Table(properties)) = shape(schema, schema) {
            self.check_table(schema, properties, root.get_mut(), "");
        }
        self.root = root;
    }

    fn check_table(
        &mut self,
        schema: &Value,
        properties: &serde_json::Map<String, Value>,
        table: &mut DeTable<'t>,
        path: &str,
    ) {
        let mut wrong = BTreeSet::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().to_string();
            let here = join(path, &name);
            let Some(expected) = properties.get(&name) else {
                self.unknown_key(schema, properties, key, path);
                wrong.insert(name);
                continue;
            };
            if !self.check_value(schema, expected, value, &here) {
                self.settle(here);
                wrong.insert(name);
            }
        }
        let all = std::mem::take(table);
        *table = all
            .into_iter()
            .filter(|(key, _)| !wrong.contains::<str>(key.get_ref()))
            .collect();
    }

    /// True when `value` fits; otherwise a problem was added.
    fn check_value(
        &mut self,
        schema: &Value,
        expected: &Value,
        value: &mut Spanned<DeValue<'t>>,
        path: &str,
    ) -> bool {
        let start = value.span().start;
        let Some(shape) = shape(schema, expected) else {
            return true;
        };
        let found = type_name(value.get_ref());
        let wanted = match (&shape, value.get_mut()) {
            (Shape::Table(properties), DeValue::Table(table)) => {
                self.check_table(schema, properties, table, path);
                return true;
            }
            (Shape::List(item), DeValue::Array(items)) => {
                let mut fits = true;
                for (index, value) in items.iter_mut().enumerate() {
                    fits &= self.check_value(schema, item, value, &join(path, &index.to_string()));
                }
                return fits;
            }
            (Shape::String, DeValue::String(_)) | (Shape::Boolean, DeValue::Boolean(_)) => {
                return true;
            }
            (Shape::Integer, DeValue::Integer(number)) => {
                let digits = number.as_str();
                if u64::from_str_radix(digits, number.radix()).is_ok() {
                    return true;
                }
                self.push(
                    start,
                    format!("`{path}` is not a whole number from 0"),
                    "write a number such as `1`",
                );
                return false;
            }
            (Shape::Word(words), DeValue::String(word)) => {
                if words.contains(&word.as_ref()) {
                    return true;
                }
                let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let advice = match nearest(word, words.iter().copied()) {
                    Some(near) => {
                        format!("did you mean \"{near}\"? Possible are {}", list.join(", "))
                    }
                    None => format!("possible are {}", list.join(", ")),
                };
                self.push(
                    start,
                    format!("`{path}` has a value that is not known"),
                    advice,
                );
                return false;
            }
            (Shape::Table(_), _) => format!("a section, written as `[{path}]`"),
            (Shape::List(item), _)
                if matches!(self::shape(schema, item), Some(Shape::Table(_))) =>
            {
                format!("a list of sections, each written as `[[{path}]]`")
            }
            (Shape::List(_), _) => "a list in brackets, for example [\"...\"]".to_owned(),
            (Shape::String | Shape::Word(_), _) => "a string in quotes".to_owned(),
            (Shape::Integer, _) => "a whole number without quotes".to_owned(),
            (Shape::Boolean, _) => "`true` or `false` without quotes".to_owned(),
        };
        self.push(
            start,
            format!("`{path}` is {found}"),
            format!("it must be {wanted}"),
        );
        false
    }

    fn unknown_key(
        &mut self,
        schema: &Value,
        properties: &serde_json::Map<String, Value>,
        key: &Spanned<toml::de::DeString<'t>>,
        path: &str,
    ) {
        let name = key.get_ref();
        let advice = match nearest(name, properties.keys().map(String::as_str)) {
            Some(near) => {
                self.settle(join(path, near));
                format!("did you mean `{near}`?")
            }
            None => match find_key(schema, schema, name, "", 0) {
                Some(elsewhere) => {
                    self.settle(elsewhere.clone());
                    match elsewhere.rsplit_once('.') {
                        Some((section, _)) => {
                            format!("`{name}` belongs in the section [{section}]")
                        }
                        None if !elsewhere.is_empty() && is_table(schema, &elsewhere) => {
                            format!("the section is called [{elsewhere}]")
                        }
                        None => format!(
                            "`{name}` belongs at the top of the file, before the first [section]"
                        ),
                    }
                }
                None => {
                    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
                    format!("known here are: {}", keys.join(", "))
                }
            },
        };
        let place = match path {
            "" => "at the top of the file".to_owned(),
            _ => format!("in {}", section(path)),
        };
        self.push(
            key.span().start,
            format!("unknown key `{}` {place}", show_key(name)),
            advice,
        );
    }

    fn push(&mut self, offset: usize, message: impl Into<String>, advice: impl Into<String>) {
        if self.problems.len() >= MOST {
            self.untold += 1;
            return;
        }
        self.add(Problem {
            place: self.text.place(offset),
            message: message.into(),
            advice: advice.into(),
        });
    }

    /// The recovering parser can report one mistake several times, and hosts share what stands above them.
    fn add(&mut self, problem: Problem) {
        if self.problems.len() >= MOST {
            self.untold += 1;
        } else if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn settle(&mut self, path: String) {
        Rc::make_mut(&mut self.settled).insert(path);
    }

    /// Adds a problem with the value at `path` (segments joined by dots, list indexes as numbers). When the value is not
    /// there, the place is that of the innermost section that is.
    pub fn problem_at(
        &mut self,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.settle(path.to_owned());
        let offset = self.offset(path);
        self.push(offset, message, advice);
    }

    /// Adds a problem about a key that is not there, unless something was said about it already.
    pub fn missing(&mut self, path: &str, message: impl Into<String>, advice: impl Into<String>) {
        if !self.is_settled(path) {
            self.problem_at(path, message, advice);
        }
    }

    /// True when a problem about `path`, or about a table around it, is known.
    pub fn is_settled(&self, path: &str) -> bool {
        let mut path = path;
        loop {
            if self.settled.contains(path) {
                return true;
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return false,
            }
        }
    }

    /// True when a problem about something inside of the section `path` is known.
    pub fn is_settled_inside(&self, path: &str) -> bool {
        let inside = format!("{path}.");
        let next = self.settled.range(inside.clone()..).next();
        next.is_some_and(|settled| settled.starts_with(&inside))
    }

    /// True when there is something at `path`, which leads through sections.
    pub fn has(&self, path: &str) -> bool {
        let mut table = Some(self.root.get_ref());
        path.split('.').all(|segment| {
            let value = table.and_then(|table| table.get(segment));
            table = value.and_then(|value| value.get_ref().as_table());
            value.is_some()
        })
    }

    fn offset(&self, path: &str) -> usize {
        let mut table = self.root.get_ref();
        let mut offset = self.start;
        let mut segments = path.split('.');
        let mut list: Option<&toml::de::DeArray<'_>> = None;
        for segment in segments.by_ref() {
            let value = match list.take() {
                Some(items) => segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .inspect(|item| offset = item.span().start),
                None => table.get_key_value(segment).map(|(key, value)| {
                    offset = key.span().start;
                    value
                }),
            };
            let Some(value) = value else { return offset };
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                DeValue::Array(items) => list = Some(items),
                _ => {
                    offset = value.span().start;
                    break;
                }
            }
        }
        offset
    }

    /// Reads what is left after [`Document::check_shape`].
    pub fn read<T: serde::de::DeserializeOwned + Default>(&mut self) -> T {
        let mut root = self.root.clone();
        root.get_mut().make_owned();
        match T::deserialize(toml::de::Deserializer::from(root)) {
            Ok(value) => value,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                self.push(
                    offset,
                    error.message().to_owned(),
                    "see docs/answers.md for the format",
                );
                T::default()
            }
        }
    }

    /// The document as it is for the host with this number. Its problems are its own; see [`Document::adopt`].
    pub fn for_host(&self, index: usize) -> Self {
        // What was said about a key of the host was said about the key that the host has by that.
        let prefix = format!("host.{index}.");
        let of_host = self.settled.range(prefix.clone()..);
        let of_host = of_host.map_while(|path| path.strip_prefix(&prefix));
        let mut settled = Rc::clone(&self.settled);
        for path in of_host {
            Rc::make_mut(&mut settled).insert(path.to_owned());
        }
        Document {
            text: Rc::clone(&self.text),
            root: Spanned::new(self.root.span(), host::merged(self.root.get_ref(), index)),
            problems: Vec::new(),
            start: host::without(self.root.get_ref(), index).map_or(0, |list| list.span().start),
            untold: 0,
            settled,
        }
    }

    /// About how many bytes it takes to read.
    pub fn weight(&self) -> usize {
        host::weight(self.root.get_ref())
    }

    /// Takes over what was found in the document of a host.
    pub fn adopt(&mut self, other: Self) {
        self.untold += other.untold;
        for problem in other.problems {
            self.add(problem);
        }
    }

    /// All problems, in the order of lines.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        if let Some(last) = self.problems.last().filter(|_| self.untold > 0) {
            self.problems.push(Problem {
                place: last.place,
                message: format!("{} more problems were found", self.untold),
                advice: "mend those above first".to_owned(),
            });
        }
        self.problems
    }
}

/// The section at `path` as people write it: a table of a list has a number there.
pub fn section(path: &str) -> String {
    let written = |path: &str| {
        let names = path
            .split('.')
            .filter(|name| name.parse::<usize>().is_err());
        names.collect::<Vec<_>>().join(".")
    };
    match split_index(path) {
        Some((list, _)) => format!("[[{}]]", written(list)),
        None => format!("[{}]", written(path)),
    }
}

/// `network.bridge.0` as list and number.
pub fn split_index(path: &str) -> Option<(&str, usize)> {
    let (list, index) = path.rsplit_once('.')?;
    Some((list, index.parse().ok()?))
}

/// `disk.match` of `disk` and `match`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Keys are shown cut and without control characters: a pasted secret or terminal code must not travel.
fn show_key(name: &str) -> String {
    let clean: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    if clean == name {
        clean
    } else {
        format!("{clean}...")
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
