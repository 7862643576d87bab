//! The summary as a QR code, for a machine without a stick: whoever stands before it has a telephone.

use hcl_checker::Known;
use hcl_checker::facts::Facts;
use hcl_checker::verdict::{Severity, Verdict};
use qrcode::render::unicode::Dense1x2;
use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode, Version};

/// The largest version whose code, with the four blank modules around it that ISO/IEC 18004 wants, fits onto a text screen
/// of 25 lines at two modules a line: 37 + 8 modules are 23 lines.
const VERSION: Version = Version::Normal(5);
/// Characters that version 5 takes at the lowest level of correction, in the alphanumeric mode (ISO/IEC 18004, table 7).
const LONGEST: usize = 154;

/// Release, verdict, machine, counts, and the rules of what blocks and warns, as far as they fit. Capitals, which take less
/// room in a code.
pub(super) fn summary(facts: &Facts, verdict: &Verdict) -> String {
    let dmi = &facts.dmi;
    let known = |fact: &Known<String>| fact.value().cloned().unwrap_or_else(|| "-".to_owned());
    let count = |fact: &Known<u32>| {
        fact.value()
            .map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let memory = facts
        .memory
        .total_bytes
        .value()
        .map_or_else(|| "-".to_owned(), |bytes| format!("{}G", bytes >> 30));
    let mut parts = vec![
        format!("BEDPLATE {}", env!("CARGO_PKG_VERSION")),
        verdict.level.to_string(),
        known(&dmi.product),
        format!("SN {}", known(&dmi.serial)),
        format!(
            "{}S {}C {memory}",
            count(&facts.topology.sockets),
            count(&facts.topology.cores)
        ),
    ];
    for (severity, sign) in [(Severity::Blocks, "X"), (Severity::Warns, "W")] {
        parts.extend(
            verdict
                .of(severity)
                .map(|finding| format!("{sign} {}", finding.rule)),
        );
    }
    let text = parts.join(": ");
    let plain = text.chars().map(|c| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9' | ' ' | '$' | '%' | '*' | '+' | '-' | '.' | '/' | ':') => c,
        _ => '-',
    });
    plain.take(LONGEST).collect()
}

/// The code in characters of two modules each, the light ones lit: that is how it is on a dark screen.
pub(super) fn draw(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_version(text, VERSION, EcLevel::L)?;
    Ok(code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(mut facts: Facts) -> (Facts, Verdict) {
        facts.dmi.product = Known::Value("PowerEdge R640".into());
        facts.dmi.serial = Known::Value("ABC_1é".into());
        facts.topology.sockets = Known::Value(2);
        let list = hcl_checker::list::List::built_in().expect("list");
        let verdict = hcl_checker::verdict::judge(&facts, &list, None);
        (facts, verdict)
    }

    #[test]
    fn the_summary_begins_with_the_verdict_and_fits() {
        let (facts, verdict) = judged(Facts::default());
        let text = summary(&facts, &verdict);
        assert!(
            text.starts_with("BEDPLATE 0.1.0: UNKNOWN: POWEREDGE R640: SN ABC-1-: 2S -C -: X "),
            "{text}"
        );
        assert_eq!(text.len(), LONGEST, "there is more to tell than fits");
    }

    #[test]
    fn the_code_fits_onto_a_text_screen() {
        for length in [0, 1, LONGEST] {
            let drawn = draw(&"A".repeat(length)).expect("it fits");
            let lines: Vec<&str> = drawn.lines().collect();
            assert_eq!(lines.len(), 23);
            assert!(lines.iter().all(|line| line.chars().count() == 45));
            // The blank modules around it are lit.
            assert!(lines[0].chars().all(|c| c == '\u{2588}'), "{drawn}");
        }
        assert!(draw(&"A".repeat(LONGEST + 1)).is_err());
    }
}
