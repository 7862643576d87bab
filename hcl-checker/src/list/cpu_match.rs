//! Which CPUs an entry applies to.

use super::Specificity;
use crate::facts::Cpu;
use crate::known::Known;
use serde::{Deserialize, Serialize};

/// All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuMatch {
    /// `GenuineIntel`, `AuthenticAMD`, ...
    pub vendor: String,
    /// First and last family, as /proc/cpuinfo counts them.
    pub families: (u32, u32),
    /// Models, any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<u32>,
    /// First and last stepping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steppings: Option<(u32, u32)>,
}

impl CpuMatch {
    /// Whether a CPU is meant. What is not known of it does not fit.
    pub fn matches(&self, cpu: &Cpu) -> bool {
        self.fits(cpu) == Known::Value(true)
    }

    /// Whether a CPU is meant; unknown where that hangs on something that is not known of it.
    pub fn fits(&self, cpu: &Cpu) -> Known<bool> {
        fn of<T: Clone>(fact: &Known<T>, fits: impl FnOnce(T) -> bool) -> Known<bool> {
            match fact.clone() {
                Known::Absent => Known::Value(false),
                known => known.map(fits),
            }
        }
        let within = |(first, last): (u32, u32)| move |is| (first..=last).contains(&is);
        let model = match self.models.as_slice() {
            [] => Known::Value(true),
            models => of(&cpu.model, |model| models.contains(&model)),
        };
        let stepping = match self.steppings {
            None => Known::Value(true),
            Some(range) => of(&cpu.stepping, within(range)),
        };
        let all = [
            of(&cpu.vendor, |vendor| vendor == self.vendor),
            of(&cpu.family, within(self.families)),
            model,
            stepping,
        ];
        let is_other = all.contains(&Known::Value(false));
        let unknown = all.into_iter().find(Known::is_unknown);
        match unknown {
            Some(unknown) if !is_other => unknown,
            _ => Known::Value(!is_other),
        }
    }

    /// Steppings > models > families, then the narrower range.
    pub fn specificity(&self) -> Specificity {
        let width = |(first, last): (u32, u32)| u64::from(last.saturating_sub(first)) + 1;
        let rank = match (self.models.is_empty(), self.steppings) {
            (_, Some(_)) => 2,
            (false, None) => 1,
            (true, None) => 0,
        };
        let wide = width(self.steppings.unwrap_or(self.families));
        Specificity {
            rank,
            narrowness: u64::MAX - wide,
        }
    }

    /// Why no CPU can match.
    pub fn problem(&self) -> Option<&'static str> {
        if self.vendor.is_empty() {
            Some("names no vendor")
        } else if self.families.0 > self.families.1 {
            Some("has an empty range of families")
        } else if self.steppings.is_some_and(|(first, last)| first > last) {
            Some("has an empty range of steppings")
        } else {
            None
        }
    }

    /// Whether some CPU can match both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: (u32, u32), b: (u32, u32)| a.0 <= b.1 && b.0 <= a.1;
        let models = self.models.is_empty()
            || other.models.is_empty()
            || self.models.iter().any(|model| other.models.contains(model));
        self.vendor == other.vendor
            && meet(self.families, other.families)
            && models
            && self
                .steppings
                .zip(other.steppings)
                .is_none_or(|(a, b)| meet(a, b))
    }
}
