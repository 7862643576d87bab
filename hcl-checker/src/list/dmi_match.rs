//! Which systems an entry applies to, by the names in their firmware.

use super::Specificity;
use crate::facts::Dmi;
use crate::modalias::matches;
use serde::{Deserialize, Serialize};

/// All that is given must fit. Product and board may hold `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DmiMatch {
    /// Maker of the system, whole.
    pub vendor: String,
    /// Product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Name of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
}

impl DmiMatch {
    /// Whether a system is meant. What is not known of it does not fit.
    pub fn matches(&self, dmi: &Dmi) -> bool {
        let fits = |pattern: &Option<String>, is: Option<&String>| {
            pattern
                .as_ref()
                .is_none_or(|pattern| is.is_some_and(|is| matches(pattern, is)))
        };
        dmi.system_vendor.value() == Some(&self.vendor)
            && fits(&self.product, dmi.product.value())
            && fits(&self.board, dmi.board.value())
    }

    /// More names are more specific, a name without wildcards more than one with; then the longer one.
    pub fn specificity(&self) -> Specificity {
        let patterns = [&self.product, &self.board];
        let patterns = patterns.iter().filter_map(|pattern| pattern.as_ref());
        let (mut rank, mut narrowness) = (0, 0);
        for pattern in patterns {
            rank += if pattern.contains(['*', '?', '[']) {
                1
            } else {
                2
            };
            narrowness += pattern.chars().filter(|c| !matches!(c, '*' | '?')).count() as u64;
        }
        Specificity { rank, narrowness }
    }

    /// Why no system can match, or too many.
    pub fn problem(&self) -> Option<&'static str> {
        if self.vendor.is_empty() {
            Some("names no vendor")
        } else if self
            .product
            .as_ref()
            .or(self.board.as_ref())
            .is_none_or(|name| name.trim_matches('*').is_empty())
        {
            Some("names neither product nor board, so it would apply to everything of that vendor")
        } else {
            None
        }
    }

    /// Whether both apply to the same names. Two patterns are compared as text only: whether some name fits both cannot
    /// be told from them.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a == b || matches(a, b) || matches(b, a),
            _ => true,
        };
        self.vendor == other.vendor
            && meet(&self.product, &other.product)
            && meet(&self.board, &other.board)
    }
}
