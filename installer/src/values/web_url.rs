//! URLs that reports are sent to and answers come from.

use super::ValueError;
use std::fmt;
use steps::fetch::shown_url;

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
        if text.len() > 2048 || shown_url(text).ends_with("//") {
            return Err(ValueError::new("names no server, or is too long", advice));
        }
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
        ] {
            assert!(WebUrl::parse(bad).is_err(), "{bad:?}");
        }
    }
}
