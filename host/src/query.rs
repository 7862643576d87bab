//! Which records and which fields are meant.

use crate::XeError;
use crate::record::{Field, Record, Value};

/// Arguments that are no filters.
const RESERVED: [&str; 1] = ["params"];

/// A condition on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// `field=value`.
    Equals(String),
    /// `map:key=value`.
    MapHas(String, String),
    /// `set:contains=value`.
    SetContains(String),
}

/// Conditions that a record must all meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<(&'static str, Condition)>);

impl Filters {
    /// From the arguments of a command; what is not the name of a field is an error.
    pub fn parse(args: &[(String, String)], fields: &[Field]) -> Result<Filters, XeError> {
        let conditions = args
            .iter()
            .filter(|(name, _)| !RESERVED.contains(&name.as_str()));
        conditions
            .map(|(name, value)| {
                let (name, key) = name
                    .split_once(':')
                    .map_or((name.as_str(), None), |(name, key)| (name, Some(key)));
                let field = find(fields, name)?;
                let condition = match key {
                    None => Condition::Equals(value.clone()),
                    Some("contains") => Condition::SetContains(value.clone()),
                    Some(key) => Condition::MapHas(key.to_owned(), value.clone()),
                };
                Ok((field.name, condition))
            })
            .collect::<Result<_, _>>()
            .map(Filters)
    }

    /// Whether a record meets all of them. What is unknown meets none.
    pub fn match_record(&self, record: &Record) -> bool {
        self.0
            .iter()
            .all(|(name, condition)| match (condition, record.get(name)) {
                (_, Value::Unknown) => false,
                (Condition::Equals(wanted), value) => value.to_string() == *wanted,
                (Condition::MapHas(key, wanted), Value::Map(map)) => map.get(key) == Some(wanted),
                (Condition::SetContains(wanted), Value::Set(set)) => set.contains(wanted),
                (Condition::MapHas(..) | Condition::SetContains(..), _) => false,
            })
    }

    /// The fields that they look at.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

/// The field of that name, in capitals or not: XenServer has both, as `MAC` and `ip`. An error names the nearest one.
pub fn find(fields: &[Field], name: &str) -> Result<Field, XeError> {
    let found = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| {
        let error = XeError::usage(match nearest(fields.iter().map(|field| field.name), name) {
            Some(nearest) => format!("there is no field {name:?}; did you mean {nearest:?}?"),
            None => format!("there is no field {name:?}"),
        });
        error.with(
            "fields",
            fields
                .iter()
                .map(|field| field.name)
                .collect::<Vec<_>>()
                .join(", "),
        )
    })
}

/// The fields to print: those of `params=`, all of them, or those that are listed by default.
pub fn wanted(params: Option<&str>, fields: &[Field]) -> Result<Vec<Field>, XeError> {
    match params {
        None => Ok(fields
            .iter()
            .filter(|field| field.listed)
            .copied()
            .collect()),
        Some("all") => Ok(fields.to_vec()),
        Some(names) => names
            .split(',')
            .map(|name| find(fields, name.trim()))
            .collect(),
    }
}

/// The known name nearest to what was typed, where one is near enough to be meant.
pub fn nearest<'a>(known: impl Iterator<Item = &'a str>, typed: &str) -> Option<&'a str> {
    known
        .map(|name| (strsim::damerau_levenshtein(name, typed), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 4] = [
        Field::listed("uuid"),
        Field::more("name-label"),
        Field::map("versions"),
        Field::listed_set("hosts"),
    ];

    fn record() -> Record {
        Record::new()
            .with("uuid", "1")
            .with(
                "versions",
                Value::Map([("xen".to_owned(), "4.20".to_owned())].into()),
            )
            .with("hosts", Value::Set(vec!["a".to_owned()]))
    }

    fn matches(filter: &str, value: &str) -> bool {
        Filters::parse(&[(filter.to_owned(), value.to_owned())], &FIELDS)
            .unwrap()
            .match_record(&record())
    }

    #[test]
    fn fields_are_found_in_capitals_or_not() {
        let fields = [Field::more("MAC"), Field::more("name-label")];
        for (typed, name) in [("mac", "MAC"), ("MAC", "MAC"), ("Name-Label", "name-label")] {
            assert_eq!(find(&fields, typed).unwrap().name, name);
        }
        assert!(find(&fields, "ma").is_err());
    }

    #[test]
    fn filters_are_strict() {
        assert!(matches("uuid", "1") && !matches("uuid", "2"));
        assert!(
            matches("versions:xen", "4.20")
                && !matches("versions:xen", "4.21")
                && !matches("versions:linux", "6")
        );
        assert!(matches("hosts:contains", "a") && !matches("hosts:contains", "b"));
        assert!(!matches("uuid:contains", "1"), "a value is no set");
        assert!(
            !matches("name-label", "<unknown>"),
            "what is unknown matches nothing"
        );
        assert!(matches("params", "all"), "params is no filter");
        let error =
            Filters::parse(&[("name-lable".to_owned(), "x".to_owned())], &FIELDS).unwrap_err();
        assert!(
            error.usage && error.message.contains("did you mean \"name-label\""),
            "{error}"
        );
    }

    #[test]
    fn params_choose_fields() {
        let names = |params| {
            wanted(params, &FIELDS)
                .unwrap()
                .iter()
                .map(|f| f.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["uuid", "hosts"]);
        assert_eq!(names(Some("all")).len(), 4);
        assert_eq!(names(Some("hosts, uuid")), ["hosts", "uuid"]);
        assert!(wanted(Some("uuid,zzz"), &FIELDS).is_err());
    }
}
