//! Records: what `xe` lists.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What can be done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A value, read only: `( RO)`.
    ReadOnly,
    /// A set, read only: `(SRO)`.
    SetReadOnly,
    /// A map, read only: `(MRO)`.
    MapReadOnly,
    /// A value that can be set: `( RW)`.
    ReadWrite,
    /// A set that can be changed: `(SRW)`.
    SetReadWrite,
    /// A map that can be changed: `(MRW)`.
    MapReadWrite,
}

impl Access {
    /// Whether it can be changed.
    pub const fn is_writable(self) -> bool {
        matches!(
            self,
            Access::ReadWrite | Access::SetReadWrite | Access::MapReadWrite
        )
    }

    /// The same kind of field, but one that can be changed.
    const fn writable(self) -> Access {
        match self {
            Access::ReadOnly | Access::ReadWrite => Access::ReadWrite,
            Access::SetReadOnly | Access::SetReadWrite => Access::SetReadWrite,
            Access::MapReadOnly | Access::MapReadWrite => Access::MapReadWrite,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::ReadOnly => " RO",
            Access::SetReadOnly => "SRO",
            Access::MapReadOnly => "MRO",
            Access::ReadWrite => " RW",
            Access::SetReadWrite => "SRW",
            Access::MapReadWrite => "MRW",
        })
    }
}

/// A field that the records of a class have.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What can be done to it.
    pub access: Access,
    /// Listed where no `params=` says which fields.
    pub listed: bool,
}

impl Field {
    /// A value, listed by default.
    pub const fn listed(name: &'static str) -> Field {
        Field {
            name,
            access: Access::ReadOnly,
            listed: true,
        }
    }

    /// A value, shown where it is asked for.
    pub const fn more(name: &'static str) -> Field {
        Field {
            name,
            access: Access::ReadOnly,
            listed: false,
        }
    }

    /// A map, shown where it is asked for.
    pub const fn map(name: &'static str) -> Field {
        Field {
            name,
            access: Access::MapReadOnly,
            listed: false,
        }
    }

    /// A set, shown where it is asked for.
    pub const fn more_set(name: &'static str) -> Field {
        Field {
            name,
            access: Access::SetReadOnly,
            listed: false,
        }
    }

    /// The same field, and it can be changed by `param-set` and its like.
    pub const fn writable(self) -> Field {
        Field {
            access: self.access.writable(),
            ..self
        }
    }

    /// A set, listed by default.
    pub const fn listed_set(name: &'static str) -> Field {
        Field {
            name,
            access: Access::SetReadOnly,
            listed: true,
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// It could not be found out; never taken for anything else.
    Unknown,
    /// Yes or no.
    Bool(bool),
    /// A number; sizes are in bytes.
    Number(i64),
    /// Text.
    Text(String),
    /// A set.
    Set(Vec<String>),
    /// A map.
    Map(BTreeMap<String, String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unknown => f.write_str("<unknown>"),
            Value::Bool(value) => value.fmt(f),
            Value::Number(value) => value.fmt(f),
            Value::Text(value) => f.write_str(value),
            Value::Set(values) => f.write_str(&values.join("; ")),
            Value::Map(values) => {
                let pairs: Vec<_> = values
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                f.write_str(&pairs.join("; "))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        i64::try_from(value).map_or(Value::Unknown, Value::Number)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Number(value.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Unknown, Into::into)
    }
}

/// One thing: its fields by name. A field of the class that is not in here is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Record(BTreeMap<&'static str, Value>);

impl Record {
    /// Without fields.
    pub fn new() -> Record {
        Record::default()
    }

    /// Adds a field.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Record {
        self.0.insert(name, value.into());
        self
    }

    /// With exactly these fields: what is unknown says so.
    pub fn of(&self, fields: &[Field]) -> Record {
        fields.iter().fold(Record::new(), |record, field| {
            record.with(field.name, self.get(field.name).clone())
        })
    }

    /// The value of a field as text; nothing where it is unknown.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Value::Unknown => None,
            value => Some(value.to_string()),
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Unknown)
    }
}
