//! JSON Schemas of what this program reads and writes, made from the types themselves.

#[cfg(feature = "certify")]
use crate::certify::Plan;
use crate::facts::Facts;
use crate::fleet::Line;
#[cfg(feature = "certify")]
use crate::report::Report;
use crate::verdict::Judged;
use schemars::{Schema, schema_for};

/// Of [`Facts`].
pub fn facts() -> Schema {
    schema_for!(Facts)
}

/// Of [`Judged`]: a verdict as it leaves the program.
pub fn verdict() -> Schema {
    schema_for!(Judged<'_>)
}

/// Of a [`Line`] of a stream of verdicts.
pub fn fleet() -> Schema {
    schema_for!(Line<'_>)
}

/// Of a certification's [`Plan`].
#[cfg(feature = "certify")]
pub fn plan() -> Schema {
    schema_for!(Plan)
}

/// Of a certification's [`Report`].
#[cfg(feature = "certify")]
pub fn report() -> Schema {
    schema_for!(Report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published copies are those of the program. `BEDPLATE_BLESS=1` writes them anew.
    #[test]
    fn the_published_schemas_are_current() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
        for (name, schema) in [
            ("hcl-facts.json", facts()),
            ("hcl-verdict.json", verdict()),
            ("hcl-fleet.json", fleet()),
            #[cfg(feature = "certify")]
            ("hcl-plan.json", plan()),
            #[cfg(feature = "certify")]
            ("hcl-report.json", report()),
        ] {
            let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
            let path = docs.join(name);
            if std::env::var_os("BEDPLATE_BLESS").is_some() {
                std::fs::create_dir_all(&docs).expect("folder");
                std::fs::write(&path, &text).expect("written");
            }
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                published == text,
                "{} is not that of the program; run with BEDPLATE_BLESS=1",
                path.display()
            );
        }
    }

    #[test]
    fn a_fact_may_be_a_value_null_or_a_reason() {
        let schema = serde_json::to_value(facts()).expect("JSON");
        let known = &schema["$defs"]["Known_uint32"]["anyOf"];
        assert_eq!(known.as_array().map(Vec::len), Some(3), "{schema:#}");
        assert_eq!(known[1]["type"], "null");
    }
}
