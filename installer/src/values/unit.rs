//! Units of the service manager.

use super::ValueError;
use serde::Serialize;

/// Kinds of units that can be switched on and off.
const KINDS: [&str; 5] = ["service", "socket", "timer", "path", "mount"];
/// Without these the host does not come up, or is never found good.
const NEEDED: [&str; 8] = [
    "bedplate-",
    // The health check asks libvirt.
    "libvirtd",
    "virtlogd",
    "proc-xen.mount",
    "systemd-",
    "xen",
    "var.mount",
    "dbus",
];

/// The name of a unit, for example `multipathd.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Unit(String);

impl Unit {
    /// Checks the name (systemd.unit(5)). One without a kind is a service.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let name = if text.contains('.') {
            text.to_owned()
        } else {
            format!("{text}.service")
        };
        let advice = "write a name such as `multipathd.service` or `fstrim.timer`";
        let fine = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
        let (stem, kind) = name.rsplit_once('.').unwrap_or((&name, ""));
        let good = !stem.is_empty()
            && name.len() <= 128
            && name.chars().all(fine)
            && !stem.starts_with(['.', '@', '-'])
            && !stem.ends_with('@')
            && stem.matches('@').count() <= 1;
        if !good || !KINDS.contains(&kind) {
            return Err(ValueError::new("is no name of a service", advice));
        }
        Ok(Unit(name))
    }

    /// True for what the host cannot do without.
    pub fn is_needed(&self) -> bool {
        NEEDED.iter().any(|needed| self.0.starts_with(needed)) && self.0 != "xendomains.service"
    }

    /// True for the login by ssh (Debian's openssh-server; `sshd` is its other name).
    pub fn is_ssh(&self) -> bool {
        ["ssh.service", "sshd.service"].contains(&self.0.as_str())
    }

    /// The name with its kind.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the file that defines it: that of the template for `getty@tty3.service`.
    pub fn file(&self) -> String {
        match self.0.split_once('@') {
            Some((template, rest)) => {
                let kind = rest.rsplit('.').next().unwrap_or_default();
                format!("{template}@.{kind}")
            }
            None => self.0.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_templates_found() {
        assert_eq!(Unit::parse("chrony").unwrap().as_str(), "chrony.service");
        assert_eq!(
            Unit::parse("getty@tty3.service").unwrap().file(),
            "getty@.service"
        );
        for bad in [
            "",
            "a/b.service",
            "../x.service",
            "a.target",
            "a b.service",
            "getty@.service",
            ".service",
            "-x.service",
        ] {
            assert!(Unit::parse(bad).is_err(), "{bad}");
        }
        assert!(Unit::parse("bedplate-health.service").unwrap().is_needed());
        for libvirt in [
            "libvirtd",
            "libvirtd.socket",
            "libvirtd-ro.socket",
            "virtlogd.socket",
        ] {
            assert!(Unit::parse(libvirt).unwrap().is_needed(), "{libvirt}");
        }
        assert!(!Unit::parse("ssh.service").unwrap().is_needed());
        assert!(!Unit::parse("xendomains.service").unwrap().is_needed());
    }
}
