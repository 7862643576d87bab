//! Main memory.

use super::Context;
use crate::known::Known;
use crate::root::Root;
use serde::{Deserialize, Serialize};

const MEMINFO: &str = "/proc/meminfo";

/// Main memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Where this was read.
    pub source: String,
    /// Bytes that the kernel manages: what is installed, less a few percent that firmware and kernel keep back.
    pub total_bytes: Known<u64>,
}

/// Source: `MemTotal` of `/proc/meminfo`.
pub(super) fn read(root: &Root, context: &Known<Context>) -> Memory {
    let total_bytes = match context.value() {
        Some(Context::Dom0) => {
            Known::unknown("dom0 sees its own share only; `xl info` has total_memory")
        }
        _ => match root.text(MEMINFO, 64 * 1024) {
            Ok(text) => parse(&text),
            Err(error) => Known::unknown(error.to_string()),
        },
    };
    Memory {
        source: MEMINFO.to_owned(),
        total_bytes,
    }
}

/// The line is in KiB, though it says kB.
fn parse(text: &str) -> Known<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    match kib.and_then(|kib| kib.checked_mul(1024)) {
        Some(bytes) => Known::Value(bytes),
        None => Known::unknown(format!("{MEMINFO}: no usable line MemTotal")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_total() {
        assert_eq!(
            parse("MemTotal:        4014488 kB\nMemFree: 1 kB\n"),
            Known::Value(4_014_488 * 1024)
        );
        assert!(parse("MemTotal: many kB\n").is_unknown());
        assert!(parse("MemTotal: 18446744073709551615 kB\n").is_unknown());
        assert!(parse("").is_unknown());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(MemTotal:)?\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
