//! A machine, a release and a plan for tests.
#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![allow(dead_code)] // every test file uses another part of it

pub mod installed;
pub mod laydown;
pub mod machine;
pub mod medium;
pub mod player;

use hcl_checker::Known;
use hcl_checker::facts::Context;
use hcl_checker::verdict::{Level, SCHEMA, Verdict};
use installer::choices::Choices;
use installer::values::Zones;
use release::Manifest;
use std::path::{Path, PathBuf};

/// `openssl passwd -6 -salt saltsalt secret`
pub const HASH: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
/// A public key without a private one.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJv52XAS0Ionp5KePpmfoBhm7LJxthWj6ydvIN9QDXie admin@example.org";

pub fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

pub fn zones() -> Zones {
    let zones = Zones::read(&cases().join("zoneinfo"));
    assert!(zones.names().count() > 4);
    zones
}

/// The choices of an answer file that must be right.
pub fn choices(text: &str) -> Choices {
    installer::answers::read(text, "answers.toml", &zones(), None)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// A verdict that says only how good the machine is.
pub fn verdict(level: Level) -> Verdict {
    Verdict {
        schema: SCHEMA,
        level,
        context: Known::Value(Context::Bare),
        kernel: None,
        findings: Vec::new(),
    }
}

/// The manifest of a release of which nothing is read.
pub fn manifest() -> Manifest {
    serde_json::from_value(serde_json::json!({
        "schema": 1, "name": "bedplate", "version": "0.1.0", "kernel": "6.12", "xen": "4.20", "artifacts": {}, "epoch": 0,
        "root": {
            "version": "0.1.0", "image_name": "x", "image_size": 1, "image_sha256": "ab",
            "verity": { "data_blocks": 1, "salt": "00", "root_hash": "00" },
        },
    }))
    .unwrap()
}
