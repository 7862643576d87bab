//! What the kernel command line asks of the live system, besides where the answers are.

/// Never ask: there is nobody.
const HEADLESS: &str = "bedplate.headless";
/// Tell about the hardware, install nothing.
const CHECK: &str = "bedplate.check";
/// Plain questions in place of screens.
const PLAIN: &str = "bedplate.ui=plain";

/// The words that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveWords {
    /// Nobody is to be asked.
    pub headless: bool,
    /// Only the hardware is looked at.
    pub check: bool,
    /// Who is asked gets plain questions.
    pub plain: bool,
}

impl LiveWords {
    /// Those of a kernel command line.
    pub fn parse(command_line: &str) -> LiveWords {
        let has = |wanted: &str| {
            command_line
                .split_ascii_whitespace()
                .any(|word| word == wanted)
        };
        LiveWords {
            headless: ["", "=1", "=yes"]
                .iter()
                .any(|end| has(&format!("{HEADLESS}{end}"))),
            check: has(CHECK),
            plain: has(PLAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_whole() {
        let parse = LiveWords::parse;
        assert!(!parse("bedplate.mode=live console=tty0").plain);
        assert!(parse("bedplate.ui=plain bedplate.mode=live").plain);
        assert!(!parse("bedplate.ui=plainly").plain);
        assert!(parse("bedplate.mode=live bedplate.check").check);
        assert!(!parse("bedplate.checked").check);
        for (line, headless) in [
            ("bedplate.headless", true),
            ("bedplate.headless=1", true),
            ("bedplate.headless=yes", true),
            ("bedplate.headless=no", false),
            ("bedplate.headlessly", false),
        ] {
            assert_eq!(parse(line).headless, headless, "{line}");
        }
    }
}
