//! The files that the commands read: from anybody, so with a limit.

use crate::answers::MAX_BYTES;
use anyhow::{Context, Result, ensure};
use hcl_checker::facts::Facts;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest file of facts in bytes: hundreds of times those of a large server.
const MAX_FACTS: u64 = 64 * 1024 * 1024;

/// An answer file.
pub fn read_answers(path: &Path) -> Result<Vec<u8>> {
    read(path, MAX_BYTES, "an answer file has 1 MiB at most")
}

/// Facts from `installer facts`.
pub fn read_facts(path: &Path) -> Result<Facts> {
    let json = read(path, MAX_FACTS, "facts of a machine have 64 MiB at most")?;
    Facts::from_json(&json).with_context(|| format!("cannot use {}", path.display()))
}

/// A device or a pipe may have no end, so its size is not asked for.
fn read(path: &Path, limit: u64, most: &str) -> Result<Vec<u8>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    ensure!(bytes.len() as u64 <= limit, "{shown} is too large: {most}");
    Ok(bytes)
}
