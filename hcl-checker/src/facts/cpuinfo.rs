//! `/proc/cpuinfo`, read once for all that stands in it: the kernel writes it anew for each reader.

use crate::known::Known;
use crate::root::Root;

pub(super) const CPUINFO: &str = "/proc/cpuinfo";
/// 8,192 CPUs of 2 KB each.
const LIMIT: usize = 16 << 20;

/// The text, or why there is none.
#[derive(Debug)]
pub(super) struct CpuInfo {
    text: Known<String>,
}

impl CpuInfo {
    pub(super) fn read(root: &Root) -> Self {
        Self {
            text: root.text(CPUINFO, LIMIT).into(),
        }
    }

    /// All of it.
    pub(super) fn text(&self) -> Known<&str> {
        match &self.text {
            Known::Value(text) => Known::Value(text),
            Known::Absent => Known::Absent,
            Known::Unknown(unknown) => Known::Unknown(unknown.clone()),
        }
    }

    /// A line of the first CPU.
    pub(super) fn line(&self, key: &str) -> Known<&str> {
        self.text().and_then(|text| {
            let lines = text.lines().take_while(|line| !line.trim().is_empty());
            let mut fields = lines.filter_map(|line| line.split_once(':'));
            match fields.find(|(name, _)| name.trim() == key) {
                Some((_, value)) => Known::Value(value.trim()),
                None => Known::unknown(format!("{CPUINFO}: no line `{key}`")),
            }
        })
    }

    /// The flags of the first CPU, or why they are not known.
    pub(super) fn flags(&self) -> Result<&str, String> {
        match self.line("flags") {
            Known::Value(flags) => Ok(flags),
            Known::Unknown(unknown) => Err(unknown.reason.into_owned()),
            Known::Absent => Err(format!("{CPUINFO}: no flags")),
        }
    }
}
