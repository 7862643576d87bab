//! What `param-set`, `param-add`, `param-remove` and `param-clear` ask for.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::query;
use crate::record::{Access, Field};

/// One change of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `name-label=x`.
    Set(&'static str, String),
    /// `other-config:key=value`.
    SetKey(&'static str, String, String),
    /// A key of a map goes away; one that is not there is no error.
    RemoveKey(&'static str, String),
    /// A value is in a set afterwards.
    Add(&'static str, String),
    /// A value is not in a set afterwards.
    Remove(&'static str, String),
    /// Nothing is in a set or map afterwards, or in a value.
    Clear(&'static str),
}

impl Change {
    /// The field.
    pub fn field(&self) -> &'static str {
        match self {
            Change::Set(field, _)
            | Change::SetKey(field, ..)
            | Change::RemoveKey(field, _)
            | Change::Add(field, _)
            | Change::Remove(field, _)
            | Change::Clear(field) => field,
        }
    }

    /// `param-set`: every argument that is not of `selectors` sets a field or the key of a map.
    pub fn of_set(
        line: &Invocation,
        fields: &[Field],
        selectors: &[&str],
    ) -> Result<Vec<Change>, XeError> {
        let mut changes = Vec::new();
        for (name, value) in &line.args {
            if selectors.contains(&name.as_str()) {
                continue;
            }
            let (name, key) = name
                .split_once(':')
                .map_or((name.as_str(), None), |(name, key)| (name, Some(key)));
            let field = writable(fields, name)?;
            changes.push(match (field.access, key) {
                (Access::ReadWrite, None) => Change::Set(field.name, value.clone()),
                (Access::MapReadWrite, Some(key)) => {
                    Change::SetKey(field.name, key.to_owned(), value.clone())
                }
                (Access::MapReadWrite, None) => {
                    return Err(XeError::usage(format!(
                        "{name} is a map: set a key of it by {name}:KEY=VALUE"
                    )));
                }
                (Access::SetReadWrite, _) => {
                    return Err(XeError::usage(format!(
                        "{name} is a set: add to it by param-add, take from it by param-remove"
                    )));
                }
                _ => {
                    return Err(XeError::usage(format!(
                        "{name} is no map, so it has no keys"
                    )));
                }
            });
        }
        match changes.is_empty() {
            true => Err(XeError::usage("nothing to set: give FIELD=VALUE")),
            false => Ok(changes),
        }
    }

    /// `param-add param-name=FIELD`: `param-key=VALUE` for a set, `KEY=VALUE ...` for a map. A key that is there already is an
    /// error of the caller, who knows the record.
    pub fn of_add(
        line: &Invocation,
        fields: &[Field],
        selectors: &[&str],
    ) -> Result<Vec<Change>, XeError> {
        let field = named(line, fields)?;
        let others: Vec<_> = line
            .args
            .iter()
            .filter(|(name, _)| name != "param-name" && !selectors.contains(&name.as_str()))
            .collect();
        let changes: Vec<_> = match field.access {
            Access::SetReadWrite => others
                .iter()
                .map(|(name, value)| match name.as_str() {
                    "param-key" => Ok(Change::Add(field.name, value.clone())),
                    _ => Err(XeError::usage(format!(
                        "param-add does not take {name:?}: what is added to a set is param-key=VALUE"
                    ))),
                })
                .collect::<Result<_, _>>()?,
            Access::MapReadWrite => others
                .iter()
                .map(|(name, value)| Change::SetKey(field.name, name.clone(), value.clone()))
                .collect(),
            _ => return Err(no_container(field)),
        };
        match changes.is_empty() {
            true => Err(XeError::usage("nothing to add")),
            false => Ok(changes),
        }
    }

    /// `param-remove param-name=FIELD param-key=KEY`.
    pub fn of_remove(line: &Invocation, fields: &[Field]) -> Result<Vec<Change>, XeError> {
        let field = named(line, fields)?;
        let key = line
            .arg("param-key")
            .ok_or_else(|| XeError::usage("param-key= is missing: what goes away?"))?;
        match field.access {
            Access::SetReadWrite => Ok(vec![Change::Remove(field.name, key.to_owned())]),
            Access::MapReadWrite => Ok(vec![Change::RemoveKey(field.name, key.to_owned())]),
            _ => Err(no_container(field)),
        }
    }

    /// `param-clear param-name=FIELD`.
    pub fn of_clear(line: &Invocation, fields: &[Field]) -> Result<Vec<Change>, XeError> {
        Ok(vec![Change::Clear(named(line, fields)?.name)])
    }
}

fn named(line: &Invocation, fields: &[Field]) -> Result<Field, XeError> {
    let name = line
        .arg("param-name")
        .ok_or_else(|| XeError::usage("param-name= is missing: which field?"))?;
    writable(fields, name)
}

fn no_container(field: Field) -> XeError {
    XeError::usage(format!(
        "{} is neither a set nor a map: use param-set",
        field.name
    ))
}

fn writable(fields: &[Field], name: &str) -> Result<Field, XeError> {
    let field = query::find(fields, name)?;
    match field.access.is_writable() {
        true => Ok(field),
        false => Err(XeError::usage(format!("{name} can only be read"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 4] = [
        Field::listed("uuid"),
        Field::listed("name-label").writable(),
        Field::map("other-config").writable(),
        Field::more_set("tags").writable(),
    ];

    fn line(words: &str) -> Invocation {
        Invocation::parse(words.split_whitespace().map(str::to_owned)).unwrap()
    }

    #[test]
    fn values_keys_and_sets_have_their_own_ways() {
        let set = |words| Change::of_set(&line(words), &FIELDS, &["uuid"]);
        assert_eq!(
            set("vm-param-set uuid=1 name-label=a other-config:b=c").unwrap(),
            [
                Change::Set("name-label", "a".into()),
                Change::SetKey("other-config", "b".into(), "c".into())
            ]
        );
        let add = |words| Change::of_add(&line(words), &FIELDS, &["uuid"]);
        assert_eq!(
            add("vm-param-add uuid=1 param-name=other-config b=c").unwrap(),
            [Change::SetKey("other-config", "b".into(), "c".into())]
        );
        assert_eq!(
            add("vm-param-add uuid=1 param-name=tags param-key=x").unwrap(),
            [Change::Add("tags", "x".into())]
        );
        let remove = |words| Change::of_remove(&line(words), &FIELDS);
        assert_eq!(
            remove("x uuid=1 param-name=other-config param-key=b").unwrap(),
            [Change::RemoveKey("other-config", "b".into())]
        );
        assert_eq!(
            remove("x uuid=1 param-name=tags param-key=b").unwrap(),
            [Change::Remove("tags", "b".into())]
        );
        assert_eq!(
            Change::of_clear(&line("x param-name=tags"), &FIELDS).unwrap(),
            [Change::Clear("tags")]
        );
        for (wrong, words) in [
            (set("x uuid=1"), "nothing to set"),
            (set("x uuid=1 tags=a"), "is a set"),
            (set("x uuid=1 other-config=a"), "KEY=VALUE"),
            (set("x uuid=1 name-label:k=a"), "no map"),
            (set("x uuid=1 colour=a"), "no field"),
            (add("x uuid=1 param-name=name-label a=b"), "neither"),
            (add("x uuid=1 param-name=tags a=b"), "does not take"),
            (add("x uuid=1 param-name=tags"), "nothing to add"),
            (add("x uuid=1 param-name=uuid a=b"), "only be read"),
            (remove("x param-name=tags"), "param-key="),
            (remove("x"), "param-name="),
        ] {
            let error = wrong.unwrap_err();
            assert!(error.usage && error.message.contains(words), "{error}");
        }
    }
}
