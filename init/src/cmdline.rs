//! The kernel command line, as far as the initrd asks it.

use anyhow::{Result, bail};
use slots::{Mode, names};

/// What the kernel command line says to the initrd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline {
    /// Every parameter: name, and value where there is a `=`.
    parameters: Vec<(String, Option<String>)>,
}

impl Cmdline {
    /// Splits the text of `/proc/cmdline`. Double quotes keep blanks together, as in the kernel's own parser
    /// (`lib/cmdline.c`, `next_arg`).
    pub fn parse(text: &str) -> Self {
        let mut parameters = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        for character in text.chars().chain([' ']) {
            match character {
                '"' => quoted = !quoted,
                blank if blank.is_ascii_whitespace() && !quoted => {
                    // Behind a bare `--` stand arguments for the program that is started at last.
                    if word == "--" {
                        break;
                    }
                    if !word.is_empty() {
                        parameters.push(match word.split_once('=') {
                            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                            None => (word.clone(), None),
                        });
                        word.clear();
                    }
                }
                other => word.push(other),
            }
        }
        Self { parameters }
    }

    /// All values of a parameter, in order; names count `-` and `_` as the same, as the kernel does.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(key, _)| same_name(key, name))
            .filter_map(|(_, value)| value.as_deref())
    }

    /// How to boot.
    ///
    /// # Errors
    /// Absent, unknown, or said twice with different values. There is no default: live would offer to install, and
    /// host would run guests.
    pub fn mode(&self) -> Result<Mode> {
        let mut found: Option<&str> = None;
        for value in self.values(names::CMDLINE_MODE) {
            if let Some(other) = found.filter(|&other| other != value) {
                bail!(
                    "the kernel command line says {0}={other} and {0}={value}",
                    names::CMDLINE_MODE
                );
            }
            found = Some(value);
        }
        match found {
            Some("live") => Ok(Mode::Live),
            Some("host") => Ok(Mode::Host),
            Some("rescue") => Ok(Mode::Rescue),
            Some(other) => bail!(
                "the kernel command line says {}={other}, which is none of live, host and rescue",
                names::CMDLINE_MODE
            ),
            None => bail!(
                "the kernel command line has no {}=: boot by an entry of Bedplate's boot menu",
                names::CMDLINE_MODE
            ),
        }
    }

    /// Whether this kernel was started because another one crashed.
    pub fn is_crash(&self) -> bool {
        self.values(names::CMDLINE_MODE)
            .any(|mode| mode == names::MODE_CRASH)
    }

    /// Where the hypervisor that crashed had its console: see [`crate::console_ring`].
    pub fn console_ring(&self) -> Option<&str> {
        self.values(names::CMDLINE_CONSOLE_RING).last()
    }

    /// PARTUUID of the ESP that the loader came from. The last one counts; an empty one is none, because a loader whose
    /// probe failed passes that.
    pub fn esp(&self) -> Option<&str> {
        self.values(names::CMDLINE_ESP)
            .last()
            .filter(|value| !value.is_empty())
    }

    /// Seconds after which the kernel restarts when it panics; 0 when it stays (`panic=`).
    pub fn panic_seconds(&self) -> i64 {
        self.values("panic")
            .last()
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    /// Parameters for a module that is loaded from a file (`module.parameter=value`), in the form that the kernel takes.
    /// Built-in modules read them themselves; for the others it is the loader's work.
    pub fn module_parameters(&self, module: &str) -> String {
        let mut words = Vec::new();
        for (key, value) in &self.parameters {
            let Some((owner, parameter)) = key.split_once('.') else {
                continue;
            };
            if !same_name(owner, module) || parameter.is_empty() {
                continue;
            }
            words.push(match value {
                Some(value) if value.contains(|c: char| c.is_ascii_whitespace()) => {
                    format!("{parameter}=\"{value}\"")
                }
                Some(value) => format!("{parameter}={value}"),
                None => parameter.to_owned(),
            });
        }
        words.join(" ")
    }

    /// Whether a module must not be loaded for a device (`modprobe.blacklist=`, `module_blacklist=`).
    pub fn is_blacklisted(&self, module: &str) -> bool {
        self.values("modprobe.blacklist")
            .chain(self.values("module_blacklist"))
            .flat_map(|list| list.split(','))
            .any(|name| same_name(name, module))
    }
}

/// Equal but for `-` and `_`.
fn same_name(a: &str, b: &str) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte };
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| fold(a) == fold(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Cmdline {
        Cmdline::parse(text)
    }

    #[test]
    fn modes() {
        assert_eq!(
            parse("console=ttyS0 bedplate.mode=host\n").mode().ok(),
            Some(Mode::Host)
        );
        assert_eq!(
            parse("bedplate.mode=rescue bedplate.mode=rescue")
                .mode()
                .ok(),
            Some(Mode::Rescue)
        );
        assert_eq!(parse("bedplate.mode=live").mode().ok(), Some(Mode::Live));
        let error = |text| parse(text).mode().expect_err(text).to_string();
        assert!(error("quiet").contains("no bedplate.mode="));
        assert!(error("bedplate.mode").contains("no bedplate.mode="));
        assert!(error("bedplate.mode=Host").contains("none of live, host and rescue"));
        assert!(
            error("bedplate.mode=live bedplate.mode=host")
                .contains("bedplate.mode=live and bedplate.mode=host")
        );
        assert!(error("\"x bedplate.mode=host\"").contains("no bedplate.mode="));
        assert!(error("quiet -- bedplate.mode=host").contains("no bedplate.mode="));
    }

    #[test]
    fn the_last_hint_counts_and_an_empty_one_is_none() {
        assert_eq!(parse("bedplate.esp=a bedplate.esp=b").esp(), Some("b"));
        assert_eq!(parse("bedplate.esp=").esp(), None);
        assert_eq!(parse("x").esp(), None);
    }

    #[test]
    fn a_crash_is_told_with_the_place_of_the_console() {
        let crash = parse("bedplate.mode=crash bedplate.console-ring=1,2,3");
        assert!(crash.is_crash());
        assert_eq!(crash.console_ring(), Some("1,2,3"));
        // Nothing is booted where a crash is told.
        assert!(crash.mode().is_err());
        assert!(!parse("bedplate.mode=host").is_crash());
    }

    #[test]
    fn panic_seconds() {
        assert_eq!(parse("panic=10").panic_seconds(), 10);
        assert_eq!(parse("panic=-1").panic_seconds(), -1);
        assert_eq!(parse("panic=x").panic_seconds(), 0);
        assert_eq!(parse("").panic_seconds(), 0);
    }

    #[test]
    fn parameters_of_modules() {
        let cmdline = parse(
            "nvme-core.io_timeout=60 nvme_core.multipath=N a.b=\"c d\" loop nvme.x nvme_core.=1 panic=1",
        );
        assert_eq!(
            cmdline.module_parameters("nvme_core"),
            "io_timeout=60 multipath=N"
        );
        assert_eq!(cmdline.module_parameters("nvme"), "x");
        assert_eq!(cmdline.module_parameters("a"), "b=\"c d\"");
        assert_eq!(cmdline.module_parameters("loop"), "");
    }

    #[test]
    fn blacklist() {
        let cmdline = parse("modprobe.blacklist=usb-storage,uas module_blacklist=ahci");
        assert!(
            cmdline.is_blacklisted("usb_storage")
                && cmdline.is_blacklisted("uas")
                && cmdline.is_blacklisted("ahci")
        );
        assert!(!cmdline.is_blacklisted("usb") && !cmdline.is_blacklisted(""));
    }
}
