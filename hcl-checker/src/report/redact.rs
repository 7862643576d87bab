//! Serial numbers and addresses leave the machine as hashes.

use super::{CanonicalError, SubmitterKey};
use crate::certify::Evidence;
use crate::facts::Facts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields whose texts name one single machine or part of it, wherever they stand in the facts.
const SECRET_FIELDS: [&str; 11] = [
    "serial",
    "board_serial",
    "asset_tag",
    "uuid",
    "part_uuid",
    "wwn",
    "by_id",
    "subsystem_nqn",
    "mac",
    "permanent_mac",
    "hostname",
];
/// Shorter texts are hashed where they stand in their field and not looked for elsewhere: `0` is everywhere.
const SHORTEST: usize = 5;

/// Where udev puts links that stay the same for ever.
const BY_ID: &str = "/dev/disk/by-id/";

/// What is replaced by what.
#[derive(Debug, Default)]
pub struct Redaction {
    /// Field texts, as they stand there.
    fields: BTreeMap<String, String>,
    /// Texts to look for everywhere, lowercase, longest first.
    everywhere: Vec<(String, String)>,
}

impl Redaction {
    /// Nothing is replaced.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything that names this machine, hashed with the submitter's key.
    ///
    /// # Errors
    /// The facts cannot be written as JSON.
    pub fn new(facts: &Facts, key: &SubmitterKey) -> Result<Self, CanonicalError> {
        let mut texts = Vec::new();
        collect(&serde_json::to_value(facts)?, false, &mut texts);
        let mut redaction = Self::default();
        for text in texts {
            let hash = key.hash(&text.trim().to_lowercase());
            for form in forms(&text) {
                redaction.everywhere.push((form, hash.clone()));
            }
            // A link stays a path: options name disks by it.
            let shown = if text.starts_with(BY_ID) {
                format!("{BY_ID}{hash}")
            } else {
                hash
            };
            redaction.fields.insert(text, shown);
        }
        redaction
            .everywhere
            .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        redaction.everywhere.dedup_by(|(a, _), (b, _)| a == b);
        Ok(redaction)
    }

    /// The same value with every such text replaced.
    ///
    /// # Errors
    /// It is no JSON before or after.
    pub fn apply<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<T, CanonicalError> {
        let value = serde_json::to_value(value)?;
        Ok(serde_json::from_value(self.value(value, false))?)
    }

    /// Evidence with its names replaced and its digests as they are.
    pub(super) fn names(&self, evidence: &[Evidence]) -> Vec<Evidence> {
        let named = evidence.iter().map(|evidence| Evidence {
            name: self.text(&evidence.name),
            ..evidence.clone()
        });
        named.collect()
    }

    fn value(&self, value: Value, secret: bool) -> Value {
        match value {
            Value::String(text) => Value::String(match self.fields.get(&text) {
                Some(hash) if secret => hash.clone(),
                _ => self.text(&text),
            }),
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.value(item, secret));
                Value::Array(items.collect())
            }
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, field)| {
                    let secret = SECRET_FIELDS.contains(&name.as_str());
                    (self.text(&name), self.value(field, secret))
                });
                Value::Object(fields.collect())
            }
            other => other,
        }
    }

    /// Replaces what stands somewhere in a text: names of interfaces have addresses in them, messages have serial numbers.
    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, hash) in &self.everywhere {
            let mut rest = 0;
            while let Some(found) = text[rest..].to_ascii_lowercase().find(secret.as_str()) {
                let at = rest + found;
                text.replace_range(at..at + secret.len(), hash);
                rest = at + hash.len();
            }
        }
        text
    }
}

/// The texts of secret fields. Reasons why something is unknown are none.
fn collect(value: &Value, secret: bool, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if secret && !text.is_empty() => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, secret, texts)),
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, SECRET_FIELDS.contains(&name.as_str()), texts);
            }
        }
        _ => {}
    }
}

/// How a text may be written elsewhere, lowercase: an address without colons or with dashes, a link without its folder.
fn forms(text: &str) -> Vec<String> {
    let plain = text.trim().to_ascii_lowercase();
    let mut forms = vec![
        plain.replace([':', '-'], ""),
        plain.replace(':', "-"),
        plain.replace(' ', "_"),
    ];
    match plain.strip_prefix(BY_ID) {
        Some(name) => forms = vec![name.to_owned()],
        None => forms.push(plain),
    }
    forms.sort_unstable();
    forms.dedup();
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Disk, Nic};
    use crate::known::Known;

    fn facts() -> Facts {
        let text = |text: &str| Known::Value(text.to_owned());
        let mut facts = Facts::default();
        facts.dmi.serial = text("JX7Q2M3");
        facts.dmi.uuid = text("4c4c4544-0058-3710-8051-cac04f324d33");
        facts.dmi.product = text("PowerEdge R640");
        facts.disks = Known::Value(vec![Disk {
            name: "sda".to_owned(),
            path: "/dev/sda".to_owned(),
            serial: text("S3Z8NB0K"),
            by_id: vec!["/dev/disk/by-id/ata-SAMSUNG_S3Z8NB0K".to_owned()],
            ..Disk::default()
        }]);
        facts.nics = Known::Value(vec![Nic {
            name: "enx0242ac110002".to_owned(),
            mac: text("02:42:ac:11:00:02"),
            permanent_mac: Known::unknown("not asked"),
            ..Nic::default()
        }]);
        facts
    }

    #[test]
    fn names_of_a_machine_are_gone_everywhere_and_the_rest_stays() {
        let key = SubmitterKey::from_seed([3; 32]);
        let redaction = Redaction::new(&facts(), &key).expect("JSON");
        let hidden = redaction.apply(&facts()).expect("facts");
        let json = serde_json::to_string(&hidden).expect("JSON").to_lowercase();
        for secret in [
            "jx7q2m3",
            "4c4c4544",
            "s3z8nb0k",
            "0242ac110002",
            "02:42:ac:11:00:02",
        ] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        assert_eq!(
            hidden.dmi.product,
            Known::Value("PowerEdge R640".to_owned())
        );
        assert_eq!(hidden.dmi.serial, Known::Value(key.hash("jx7q2m3")));
        assert!(json.contains("not asked"));
        let message = redaction
            .apply(&"/dev/sda S3Z8NB0K via 02-42-AC-11-00-02".to_owned())
            .expect("text");
        assert!(message.starts_with("/dev/sda hmac-sha256:"), "{message}");
        assert!(!message.contains("02-42"), "{message}");
        let names = redaction.names(&[Evidence::of("nic.enx0242ac110002.txt", b"x")]);
        assert!(!names[0].name.contains("0242ac"), "{}", names[0].name);
    }

    #[test]
    fn short_texts_are_replaced_in_their_field_only() {
        let mut facts = facts();
        facts.dmi.serial = Known::Value("0".to_owned());
        let redaction = Redaction::new(&facts, &SubmitterKey::from_seed([3; 32])).expect("JSON");
        let hidden = redaction.apply(&facts).expect("facts");
        assert!(hidden.dmi.serial.to_string().starts_with("hmac"));
        assert_eq!(
            hidden.dmi.product,
            Known::Value("PowerEdge R640".to_owned())
        );
    }

    #[test]
    fn without_redaction_nothing_changes() {
        assert_eq!(Redaction::none().apply(&facts()).expect("facts"), facts());
    }
}
