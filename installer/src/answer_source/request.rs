//! What the operator said about where the answers are.

use super::discover::Discovery;
use slots::names::CMDLINE_ANSWERS;
use std::fmt;
use std::path::PathBuf;
use steps::fetch::shown_url;

/// Where the answers are said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Behind `http://` or `https://`.
    Url(String),
    /// Behind a URL that the network gives.
    Discover(Discovery),
    /// In the area on the medium.
    Embedded,
    /// Among the OEM strings of SMBIOS.
    Smbios,
    /// A block device that holds nothing but the TOML text, for example a small virtual disk.
    Raw(PathBuf),
    /// A file on a file system of a block device.
    OnDevice {
        /// The device.
        device: PathBuf,
        /// The file, from the root of its file system.
        file: PathBuf,
    },
    /// A file that is reachable as it is.
    File(PathBuf),
}

/// Why a request could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The value says no place.
    #[error(
        "`bedplate.answers={0}` on the kernel command line names no place; \
         write `embedded`, `smbios`, a URL, `dhcp`, `dns` or `discover` where the network gives the URL, a device such as `/dev/vdb`, or a file on one such as `/dev/sdb1:/answers.toml`"
    )]
    Unknown(String),
    /// What should be a pin is none.
    #[error(
        "`bedplate.answers-pin=` holds no pin; write `sha256//` and 44 characters of base64, docs/answers.md has the command \
         that prints it"
    )]
    NoPin,
    /// What should be a key is none.
    #[error(
        "`bedplate.answers-key=` holds no key; write the 64 hexadecimal digits that `installer sign-answers` prints"
    )]
    NoKey,
    /// The path climbs out of the volume.
    #[error(
        "`{0}` is not a path inside of a volume; write it from the volume's root and without `..`"
    )]
    Climbs(String),
}

impl Request {
    /// Understands what follows `bedplate.answers=`.
    pub fn parse(value: &str) -> Result<Self, RequestError> {
        match value {
            "embedded" => return Ok(Request::Embedded),
            "smbios" => return Ok(Request::Smbios),
            "dhcp" => return Ok(Request::Discover(Discovery::Dhcp)),
            "dns" => return Ok(Request::Discover(Discovery::Dns)),
            "discover" => return Ok(Request::Discover(Discovery::Both)),
            _ => {}
        }
        if is_url(value) {
            return Ok(Request::Url(value.to_owned()));
        }
        if !value.starts_with("/dev/") {
            // A mistyped scheme is no reason to show who may read the answers.
            let shown = match value.contains("://") {
                true => shown_url(value),
                false => value.to_owned(),
            };
            return Err(RequestError::Unknown(shown));
        }
        // Device names may hold colons (/dev/disk/by-path), but no slash follows those.
        match value.split_once(":/") {
            None => Ok(Request::Raw(value.into())),
            Some((device, file)) => {
                if file.is_empty() || file.split('/').any(|part| part == "..") {
                    return Err(RequestError::Climbs(format!("/{file}")));
                }
                Ok(Request::OnDevice {
                    device: device.into(),
                    file: file.into(),
                })
            }
        }
    }

    /// Understands what follows `--answers`: a URL, else a file.
    pub fn argument(value: &str) -> Self {
        if is_url(value) {
            Request::Url(value.to_owned())
        } else {
            Request::File(value.into())
        }
    }
}

/// The name of the place as it may be shown: a URL loses its user, password and query, which may be secrets.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Url(url) => f.write_str(&shown_url(url)),
            Request::Discover(from) => write!(f, "the URL from {from}"),
            Request::Embedded => f.write_str("the area embedded in the medium"),
            Request::Smbios => f.write_str("the OEM strings of SMBIOS"),
            Request::Raw(device) => write!(f, "{}", device.display()),
            Request::OnDevice { device, file } => {
                write!(f, "{} on {}", file.display(), device.display())
            }
            Request::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn is_url(value: &str) -> bool {
    let lower = value.get(..8).unwrap_or(value).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

/// The last value of `bedplate.answers` on a kernel command line (`/proc/cmdline`), or none.
pub fn from_command_line(command_line: &str) -> Result<Option<Request>, RequestError> {
    let value = command_line
        .split_ascii_whitespace()
        .rev()
        .find_map(|word| {
            let (key, value) = word.trim_matches('"').split_once('=')?;
            (key == CMDLINE_ANSWERS).then(|| value.trim_matches('"').to_owned())
        });
    value
        .filter(|value| !value.is_empty())
        .map(|value| Request::parse(&value))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_every_place() {
        let from = |line: &str| from_command_line(line).unwrap();
        assert_eq!(from("quiet bedplate.mode=live"), None);
        assert_eq!(from("bedplate.answers= quiet"), None);
        assert_eq!(from("bedplate.answers=embedded"), Some(Request::Embedded));
        assert_eq!(from("bedplate.answers=smbios"), Some(Request::Smbios));
        for (word, discovery) in [
            ("dhcp", Discovery::Dhcp),
            ("dns", Discovery::Dns),
            ("discover", Discovery::Both),
        ] {
            assert_eq!(
                from(&format!("bedplate.answers={word}")),
                Some(Request::Discover(discovery))
            );
        }
        assert_eq!(
            from("a bedplate.answers=HTTP://h/a b"),
            Some(Request::Url("HTTP://h/a".into()))
        );
        assert_eq!(
            from("bedplate.answers=/dev/vdb\n"),
            Some(Request::Raw("/dev/vdb".into()))
        );
        assert_eq!(
            from("bedplate.answers=/dev/disk/by-path/pci-0000:00:1f.2-part1:/x/a.toml"),
            Some(Request::OnDevice {
                device: "/dev/disk/by-path/pci-0000:00:1f.2-part1".into(),
                file: "x/a.toml".into()
            })
        );
        assert_eq!(
            from("bedplate.answers=embedded bedplate.answers=/dev/vdb"),
            Some(Request::Raw("/dev/vdb".into()))
        );
    }

    #[test]
    fn refuses_other_places() {
        for bad in [
            "nfs://x/y",
            "/etc/passwd",
            "Embedded",
            "/dev/vdb:/",
            "/dev/vdb:/../x",
            "httpx://a",
        ] {
            assert!(Request::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shown_urls_hold_no_secrets() {
        let url = Request::Url("https://user:pa55@host:8443/a/b.toml?token=s3cret#x".into());
        assert_eq!(url.to_string(), "https://host:8443/a/b.toml");
        assert_eq!(
            Request::Url("http://h?token=x".into()).to_string(),
            "http://h"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_command_line_makes_it_panic(line in ".*") {
            if let Ok(Some(request)) = from_command_line(&line) {
                let _ = request.to_string();
            }
            let _ = Request::Url(line).to_string();
        }
    }
}
