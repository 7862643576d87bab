//! URLs that reports are sent to and answers come from.

use super::{ValueError, check_interface_name};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use steps::fetch::shown_url;

/// Longest URL in bytes.
const LONGEST: usize = 2048;

/// An `http://` or `https://` URL. It may hold credentials, so only [`WebUrl::shown`] may be shown: `Debug` hides the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl(String);

impl WebUrl {
    /// Checks the form.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let advice = "write a URL such as `https://install.example.org/report`";
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(ValueError::new("is no http or https URL", advice));
        }
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\\';
        if text.contains(bad) {
            return Err(ValueError::new(
                "has a blank, a quote, a backslash or a control character",
                "write those as %20 and so on",
            ));
        }
        if text.len() > LONGEST {
            return Err(ValueError::new(
                "is too long",
                "write a URL of at most 2048 characters",
            ));
        }
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let server = authority
            .rsplit_once('@')
            .map_or(authority, |(_, server)| server);
        check_server(server).map_err(|message| ValueError::new(message, advice))?;
        Ok(WebUrl(text.to_owned()))
    }

    /// The whole URL, for the one who calls it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when nobody on the way can read what is sent.
    pub fn is_private(&self) -> bool {
        self.0
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
    }

    /// What may be a secret in it: user with password, the password alone, the query and each of its values.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':'));
        let query = self.0.split_once('?').map(|(_, query)| query);
        let values = query.unwrap_or_default().split('&');
        let values = values.filter_map(|pair| pair.split_once('='));
        user.into_iter()
            .chain(password.map(|(_, password)| password))
            .chain(query)
            .chain(values.map(|(_, value)| value))
    }

    /// The URL without user, password and query.
    pub fn shown(&self) -> String {
        shown_url(&self.0)
    }
}

/// Checks host and port of a URL (RFC 3986, section 3.2).
fn check_server(server: &str) -> Result<(), &'static str> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or("has a `[` without its `]`")?;
            if !is_ipv6(address) {
                return Err("has no IPv6 address between its brackets");
            }
            match behind.strip_prefix(':') {
                Some(port) => ("", Some(port)),
                None if behind.is_empty() => ("", None),
                None => return Err("has something behind its `]` that is no port"),
            }
        }
        None => match server.split_once(':') {
            Some(("", _)) | None if server.is_empty() || server.starts_with(':') => {
                return Err("names no server");
            }
            Some((_, port)) if port.contains(':') => {
                return Err("has an IPv6 address without brackets, or two ports");
            }
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let fits = |port: &str| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if port.is_some_and(|port| !fits(port)) {
        return Err("has a port that is no number from 1 to 65535");
    }
    let label = |label: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(fine)
    };
    // Without brackets; a dot at the end is the root of names.
    if !host.is_empty() && !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
        return Err("has a server name that no server has");
    }
    let numbers = host
        .split('.')
        .all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if !host.is_empty() && numbers && host.parse::<Ipv4Addr>().is_err() {
        return Err("has an IPv4 address that is not whole");
    }
    Ok(())
}

/// Whether it is an IPv6 address; a link-local one with the interface that it is on, `fe80::1%25eno1` (RFC 6874), as curl takes it.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = match text.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let fits = |zone: &str| check_interface_name(zone).is_ok();
    address
        .parse::<Ipv6Addr>()
        .is_ok_and(|address| zone.is_none_or(|zone| address.is_unicast_link_local() && fits(zone)))
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebUrl({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_urls_are_taken_and_secrets_are_not_shown() {
        let url = WebUrl::parse("HTTPS://user:pw@host:8443/a?token=t").unwrap();
        assert!(url.is_private());
        assert_eq!(url.shown(), "HTTPS://host:8443/a");
        assert!(!format!("{url:?}").contains("pw"));
        let secrets: Vec<&str> = url.secrets().collect();
        assert_eq!(secrets, ["user:pw", "pw", "token=t", "t"]);
        assert_eq!(WebUrl::parse("http://h/@x").unwrap().secrets().count(), 0);
        for bad in [
            "",
            "ftp://x",
            "https://",
            "http://?x",
            "https://a b",
            "https://a\"",
            "https://a\n",
            "https:///path",
            "https://:443/",
            "https://u:p@/x",
            "https://h:0/",
            "https://h:65536/",
            "https://h:https/",
            "https://h:/",
            "https://a..b/",
            "https://münchen.example/",
            "https://192.0.2/",
            "https://192.0.2.256/",
            "https://2001:db8::1/",
            "https://[2001:db8::1/",
            "https://[host]/",
            "https://[2001:db8::1]x/",
            "https://[fe80::1%25]/",
            "https://[fe80::1%eno1]/",
            "https://[fe80::1%25a%20b]/",
            "https://[2001:db8::1%25eno1]/",
            "https://[%25eno1]/",
        ] {
            assert!(WebUrl::parse(bad).is_err(), "{bad:?}");
        }
        for good in [
            "http://h",
            "https://install.example.org./r",
            "https://192.0.2.1:8443/r",
            "https://[2001:db8::1]/r",
            "https://[fe80::1%25eno1]/answers",
            "https://[FE80::1%25eno1.100]:8443/answers",
            "https://u:p%40@[2001:db8::1]:8443/r?t=1",
            "https://1and1.example/x:y@z",
        ] {
            assert!(WebUrl::parse(good).is_ok(), "{good:?}");
        }
    }
}
