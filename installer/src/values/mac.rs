//! MAC addresses and interface names.

use super::ValueError;
use serde::{Serialize, Serializer};
use std::fmt;

/// A MAC address of one interface, shown as `aa:bb:cc:dd:ee:ff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `aa:bb:cc:dd:ee:ff` or `aa-bb-cc-dd-ee-ff`; group addresses and all zeros are refused.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = |message: &str| {
            ValueError::new(
                message,
                "write six pairs of hexadecimal digits, for example `52:54:00:12:34:56`",
            )
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let parts: Vec<&str> = text.split(separator).collect();
        let mut bytes = [0u8; 6];
        if parts.len() != 6 {
            return Err(wrong("is not a MAC address"));
        }
        for (byte, part) in bytes.iter_mut().zip(parts) {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            *byte = match u8::from_str_radix(part, 16) {
                Ok(value) if digits => value,
                _ => return Err(wrong("is not a MAC address")),
            };
        }
        if bytes[0] & 1 == 1 {
            return Err(wrong("is a group address, which no interface has"));
        }
        if bytes == [0; 6] {
            return Err(wrong("is all zeros"));
        }
        Ok(Mac(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Checks that `text` can be the name of a network interface (Linux `dev_valid_name`: 15 bytes, no slash, colon or
/// space).
pub fn check_interface_name(text: &str) -> Result<(), ValueError> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control() || c == '%';
    if text.is_empty() || text.len() > 15 || text == "." || text == ".." || text.contains(bad) {
        return Err(ValueError::new(
            "is neither the name of an interface nor a MAC address",
            "write a name such as `eno1`, a MAC address such as `52:54:00:12:34:56`, or a PCI address such as `0000:3b:00.1`",
        ));
    }
    Ok(())
}

/// Longest name that a device may be given here: Linux allows 15 bytes, and `.4094` must fit behind it.
const DEVICE_NAME_MAX: usize = 10;

/// Checks that `text` can be the new name of a bridge or an interface, and is none that the kernel gives by itself.
pub fn check_device_name(text: &str) -> Result<(), ValueError> {
    let wrong = |message: String| {
        ValueError::new(
            message,
            "write a short name of letters, digits, `-` and `_`, for example `xenbr1` or `mgmt0`",
        )
    };
    let letters = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if text.is_empty() || !letters || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(wrong("is no name for a network device".into()));
    }
    if text.len() > DEVICE_NAME_MAX {
        return Err(wrong(format!(
            "is longer than {DEVICE_NAME_MAX} characters"
        )));
    }
    // Names of the kernel, of udev, of Xen's backends and of this installer; `all` and `default` are folders of sysctl.
    let numbered = |prefix: &str| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if ["lo", "all", "default"].contains(&text)
        || ["eth", "wlan", "bond", "vlan", "dummy", "ifb", "tun", "tap"]
            .into_iter()
            .any(numbered)
        || text.starts_with("vif")
    {
        return Err(wrong("is a name that the system uses itself".into()));
    }
    Ok(())
}

/// `0000:3b:00.1`: domain, bus, device and function of a PCI device.
pub fn is_pci_address(text: &str) -> bool {
    let Some((rest, function)) = text.split_once('.') else {
        return false;
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(parts.as_slice(), [domain, bus, device] if hex(domain, 4) && hex(bus, 2) && hex(device, 2))
        && matches!(function.as_bytes(), [b'0'..=b'7'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_separators() {
        assert_eq!(
            Mac::parse("52-54-00-AB-cd-01").unwrap().to_string(),
            "52:54:00:ab:cd:01"
        );
    }

    #[test]
    fn names_of_the_system_are_not_given_away() {
        for good in ["xenbr1", "mgmt0", "storage-a", "ethernet"] {
            assert!(check_device_name(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "eth0",
            "bond1",
            "lo",
            "vif1.0",
            "elevenchars",
            "a b",
            "1net",
            "vlan7",
            "br/0",
        ] {
            assert!(check_device_name(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn pci_addresses_have_a_domain() {
        assert!(is_pci_address("0000:3b:00.1") && is_pci_address("0000:3B:1f.7"));
        for bad in [
            "3b:00.1",
            "0000:3b:00.8",
            "0000:3b:00",
            "52:54:00:12:34:56",
            "0000:3b:00.1.1",
        ] {
            assert!(!is_pci_address(bad), "{bad:?}");
        }
    }

    #[test]
    fn refuses_what_no_interface_has() {
        for bad in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:1",
            "52:54:00:ab:cd:+1",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            assert!(Mac::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
