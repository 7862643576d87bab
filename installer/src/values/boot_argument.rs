//! Arguments for the command lines of hypervisor and kernel.

use super::ValueError;
use serde::Serialize;

/// Longest single argument.
const LONGEST: usize = 128;
/// What GRUB's script language reads as something else than text in an expanded variable: it splits words at blanks and
/// looks for files that fit `*`, `?` and `[`. Quotes, `$`, `;` and the rest mean something in a script, `#` is a comment in
/// the configuration of `xen.efi`, `\` an escape in the environment block.
const SPECIAL: &str = "\"'`\\$;#|&<>*?[]{}!";

/// Whose command line an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentOf {
    /// The hypervisor.
    Xen,
    /// The kernel of dom0.
    Kernel,
}

/// One argument, without blanks and without characters that the boot loader would not take as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BootArgument(String);

impl BootArgument {
    /// Checks an argument.
    pub fn parse(text: &str, of: ArgumentOf) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(ValueError::new(
                format!("is empty or longer than {LONGEST} characters"),
                "write one argument, for example `iommu=no-intremap`",
            ));
        }
        if text.contains(' ') {
            return Err(ValueError::new(
                "has a blank in it",
                "write each argument as an item of its own: [\"a=1\", \"b=2\"]",
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ValueError::new(
                "has a control character, or one that is not ASCII",
                "boot loaders pass visible ASCII characters only",
            ));
        }
        if let Some(found) = text.chars().find(|c| SPECIAL.contains(*c)) {
            return Err(ValueError::new(
                format!("has the character {found}, which means something to the boot loader"),
                "leave it out; quotes are not needed, as an argument has no blanks",
            ));
        }
        if text == "--" {
            return Err(ValueError::new(
                "would end the arguments of the hypervisor",
                "write kernel arguments in `kernel_args`",
            ));
        }
        let key = text.split('=').next().unwrap_or_default();
        if let Some((_, why)) = reserved(of).iter().find(|(name, _)| is(name, key)) {
            return Err(ValueError::new("is not free to choose", *why));
        }
        Ok(BootArgument(text.to_owned()))
    }

    /// The argument.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names that end with a dot are prefixes. The kernel takes `-` and `_` for the same.
fn is(name: &str, key: &str) -> bool {
    let key = key.replace('-', "_");
    match name.strip_suffix('.') {
        Some(prefix) => key
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('.')),
        None => key == name,
    }
}

/// What Bedplate decides itself, and why.
fn reserved(of: ArgumentOf) -> &'static [(&'static str, &'static str)] {
    const REBOOT: &str = "a panic must restart the host, or a failed update would never fall back";
    const ROOT: &str = "the root is chosen by its hash, which is part of the release";
    match of {
        ArgumentOf::Xen => &[
            ("dom0_mem", "write `dom0_memory` in [boot]"),
            ("dom0_max_vcpus", "write `dom0_vcpus` in [boot]"),
            ("noreboot", REBOOT),
        ],
        ArgumentOf::Kernel => &[
            ("bedplate.", "these tell the host where its parts are"),
            ("panic", REBOOT),
            ("root", ROOT),
            ("roothash", ROOT),
            ("init", ROOT),
            ("rdinit", ROOT),
            (
                "systemd.gpt_auto",
                "nothing is mounted because of its partition type",
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_arguments_are_taken() {
        for text in [
            "iommu=no-intremap",
            "xen-pciback.hide=(0000:03:00.0)",
            "com1=9600,8n1",
            "nomodeset",
            "-x",
            "spec-ctrl=no,md-clear",
        ] {
            for of in [ArgumentOf::Xen, ArgumentOf::Kernel] {
                assert_eq!(BootArgument::parse(text, of).unwrap().as_str(), text);
            }
        }
    }

    #[test]
    fn what_the_loader_would_read_otherwise_is_refused() {
        for text in [
            "", "a b", "a\nb", "a\tb", "a\u{7f}", "\u{e9}", "\"a\"", "'a'", "a\\", "$root",
            "a;reboot", "a#b", "a*", "a?", "a[1]", "{a}", "--", "a|b", "a&b", "a>b", "`a`", "a\0b",
        ] {
            assert!(
                BootArgument::parse(text, ArgumentOf::Xen).is_err(),
                "{text:?}"
            );
        }
        assert!(BootArgument::parse(&"a".repeat(129), ArgumentOf::Xen).is_err());
    }

    #[test]
    fn what_the_host_depends_on_is_not_free() {
        let refused = |text, of| BootArgument::parse(text, of).is_err();
        assert!(refused("noreboot", ArgumentOf::Xen) && refused("dom0-mem=1G", ArgumentOf::Xen));
        for text in [
            "panic=0",
            "bedplate.mode=live",
            "init=/bin/sh",
            "systemd.gpt-auto=1",
        ] {
            assert!(refused(text, ArgumentOf::Kernel), "{text}");
        }
        assert!(!refused("panic_on_oops=1", ArgumentOf::Kernel));
        assert!(!refused("bedplates=1", ArgumentOf::Kernel));
    }
}
