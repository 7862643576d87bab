//! Lists of facts as they are read from JSON: none grows without bound, because three bytes there (`{},`) are some hundred in
//! memory.

use crate::known::Known;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Entries of a list at most, as many as are read from a folder.
pub(super) const MOST: usize = 65_536;

/// PCI functions of a server; more take more room as they come.
const USUAL: usize = 128;

/// A list of a few things.
pub(super) fn few<'de, D, T>(deserializer: D) -> Result<Known<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Known::<List<T, 0>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.0))
}

/// The same where it is always known.
pub(super) fn plain<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(List::<T, 0>::deserialize(deserializer)?.0)
}

/// The list of PCI functions, into one piece of memory: to let it grow costs a fleet more than its verdicts.
pub(super) fn functions<'de, D, T>(deserializer: D) -> Result<Known<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Known::<List<T, USUAL>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.0))
}

/// A list that begins with room for `ROOM`.
struct List<T, const ROOM: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const ROOM: usize> Deserialize<'de> for List<T, ROOM> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T, const ROOM: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const ROOM: usize> Visitor<'de> for Entries<T, ROOM> {
    type Value = List<T, ROOM>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(ROOM);
        while let Some(entry) = sequence.next_element()? {
            if entries.len() == MOST {
                return Err(de::Error::custom(format!(
                    "a list of more than {MOST} entries, which no machine has"
                )));
            }
            entries.push(entry);
        }
        Ok(List(entries))
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::Facts;

    #[test]
    fn a_list_has_a_bound() {
        let facts = |field: &str, count: usize| {
            let list = vec!["{}"; count].join(",");
            Facts::from_json(format!("{{\"schema\":1,\"{field}\":[{list}]}}").as_bytes())
        };
        for field in ["pci", "disks", "nics", "slots"] {
            assert!(facts(field, super::MOST).is_ok(), "{field}");
            let error = facts(field, super::MOST + 1).expect_err(field).to_string();
            assert!(error.contains("65536"), "{error}");
        }
    }
}
