//! Records as text, as one minimal line, or as JSON.

use crate::record::{Field, Record};
use serde_json::{Map, Value as Json};

/// Blanks before the longest name.
const INDENT: usize = 4;

/// The classic form: the first name to the left, the others to the right, a blank line between records.
pub fn text(records: &[Record], fields: &[Field]) -> String {
    let label = |field: &Field| format!("{} ({})", field.name, field.access);
    let width = INDENT
        + fields
            .iter()
            .map(|field| label(field).len())
            .max()
            .unwrap_or(0);
    let blocks: Vec<String> = records
        .iter()
        .map(|record| {
            let line = |(position, field): (usize, &Field)| {
                let (label, value) = (label(field), record.get(field.name));
                match position {
                    0 => format!("{label:<width$}: {value}\n"),
                    _ => format!("{label:>width$}: {value}\n"),
                }
            };
            fields.iter().enumerate().map(line).collect()
        })
        .collect();
    blocks.join("\n")
}

/// The first field of each record, joined by commas; `\` and `,` in a value are escaped by `\`.
pub fn minimal(records: &[Record], fields: &[Field]) -> String {
    let Some(first) = fields.first() else {
        return "\n".to_owned();
    };
    let values: Vec<_> = records
        .iter()
        .map(|record| {
            record
                .get(first.name)
                .to_string()
                .replace('\\', "\\\\")
                .replace(',', "\\,")
        })
        .collect();
    format!("{}\n", values.join(","))
}

/// An array of objects; what is unknown is null.
pub fn json(records: &[Record], fields: &[Field]) -> String {
    let objects = records
        .iter()
        .map(|record| {
            let members = fields.iter().map(|field| {
                (
                    field.name.to_owned(),
                    serde_json::to_value(record.get(field.name)).unwrap_or(Json::Null),
                )
            });
            Json::Object(members.collect::<Map<_, _>>())
        })
        .collect();
    format!("{:#}\n", Json::Array(objects))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 3] = [
        Field::listed("uuid"),
        Field::listed("name-description"),
        Field::map("versions"),
    ];

    fn records() -> Vec<Record> {
        let versions = [
            ("xen".to_owned(), "4.20".to_owned()),
            ("linux".to_owned(), "6.12".to_owned()),
        ];
        vec![
            Record::new()
                .with("uuid", "1")
                .with("name-description", "a, b\\c")
                .with("versions", crate::record::Value::Map(versions.into())),
            Record::new()
                .with("uuid", "2")
                .with("name-description", true),
        ]
    }

    #[test]
    fn the_first_name_is_left_and_the_others_are_right() {
        assert_eq!(
            text(&records(), &FIELDS),
            "uuid ( RO)                : 1\n\
             \x20   name-description ( RO): a, b\\c\n\
             \x20           versions (MRO): linux: 6.12; xen: 4.20\n\
             \n\
             uuid ( RO)                : 2\n\
             \x20   name-description ( RO): true\n\
             \x20           versions (MRO): <unknown>\n"
        );
        assert_eq!(text(&[], &FIELDS), "");
    }

    #[test]
    fn minimal_escapes_what_separates() {
        assert_eq!(minimal(&records(), &FIELDS[..2]), "1,2\n");
        assert_eq!(minimal(&records()[..1], &FIELDS[1..2]), "a\\, b\\\\c\n");
        assert_eq!(minimal(&[], &FIELDS), "\n");
    }

    #[test]
    fn json_keeps_types() {
        let value: Json = serde_json::from_str(&json(&records(), &FIELDS)).unwrap();
        assert_eq!(value[0]["versions"]["xen"], "4.20");
        assert_eq!(value[1]["name-description"], true);
        assert!(value[1]["versions"].is_null());
    }
}
