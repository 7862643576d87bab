//! Which drivers of a kernel claim a device.

use super::compact;
use super::ids::DriversByIds;
use crate::modalias::AliasIndex;
use std::sync::OnceLock;

/// Claims of drivers. Those of this program's own index are read when they are first asked for: most machines have nothing
/// but devices of the list, whose drivers the list names.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    /// Of this program's own index.
    text: Option<&'static str>,
    read: OnceLock<Read>,
}

/// Claims that were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    /// By vendor and device alone.
    pub(super) by_ids: DriversByIds,
    /// What the numbers of `by_ids` stand for, in the order of the names.
    pub(super) drivers: Vec<String>,
    /// All others.
    pub(super) patterns: AliasIndex,
}

impl Claims {
    /// Those of an index that is well-formed.
    pub(super) fn of_own(text: &'static str) -> Self {
        Self {
            text: Some(text),
            read: OnceLock::new(),
        }
    }

    pub(super) fn by_patterns(patterns: AliasIndex) -> Self {
        Read {
            patterns,
            ..Read::default()
        }
        .into()
    }

    /// Drivers that claim `modalias`, and whether each is part of the kernel image: in the order of the patterns, and in that of
    /// the names where some claim it by vendor and device.
    pub(super) fn lookup(&self, modalias: &str) -> Vec<(&str, bool)> {
        let read = self.read.get_or_init(|| {
            // A test sees to it that this program's own are well-formed.
            let text = self.text.map(compact::read_claims);
            text.and_then(Result::ok).unwrap_or_default()
        });
        let found = read.patterns.lookup(modalias).into_iter();
        let mut found: Vec<(&str, bool)> =
            found.map(|found| (found.module, found.builtin)).collect();
        let before = found.len();
        let by_ids = read.by_ids.lookup(modalias);
        found.extend(by_ids.map(|driver| (read.drivers[driver as usize].as_str(), false)));
        if found.len() > before {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

impl From<Read> for Claims {
    fn from(read: Read) -> Self {
        Self {
            text: None,
            read: read.into(),
        }
    }
}
