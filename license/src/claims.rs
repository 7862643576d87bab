//! What a license says.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which hosts a license is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// These hosts, by the UUID that their firmware gives (DMI `product_uuid`, lowercase).
    Hosts(BTreeSet<String>),
    /// Every host of a site, by the name of the site. The sockets of all its hosts count together.
    Site(String),
}

/// The claims of a license, as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claims {
    /// Schema of the claims: 1.
    pub schema: u32,
    /// Number of the license, for support.
    pub id: String,
    /// Who it was issued to.
    pub customer: String,
    /// When it was issued, in seconds since 1970: no clock of a host that holds it can be right and earlier.
    pub issued: u64,
    /// Populated processor sockets it covers.
    pub sockets: u32,
    /// When it begins, in seconds since 1970.
    pub not_before: u64,
    /// Until when it pays for automatic updates, in seconds since 1970.
    pub updates_until: u64,
    /// Which hosts it is for.
    pub binding: Binding,
}

/// More than this in a text is no name of anything.
const MAX_TEXT: usize = 200;

impl Claims {
    /// The schema that this code reads and writes.
    pub const SCHEMA: u32 = 1;

    /// Checks that the claims make sense. [`crate::issue`] and [`crate::verify`] do that themselves.
    pub fn check(&self) -> Result<(), Error> {
        let problem = |problem: String| Err(Error::Claims { problem });
        if self.schema != Claims::SCHEMA {
            return problem(format!(
                "it has schema {}, and this release knows {}",
                self.schema,
                Claims::SCHEMA
            ));
        }
        let mut texts = vec![
            ("id", self.id.as_str()),
            ("customer", self.customer.as_str()),
        ];
        match &self.binding {
            Binding::Site(site) => texts.push(("site", site)),
            Binding::Hosts(hosts) if hosts.is_empty() => return problem("it names no host".into()),
            Binding::Hosts(hosts) => texts.extend(hosts.iter().map(|host| ("host", host.as_str()))),
        }
        for (what, text) in texts {
            check_text(what, text)?;
        }
        if self.sockets == 0 {
            return problem("it covers no socket".into());
        }
        if self.updates_until <= self.not_before {
            return problem("it ends before it begins".into());
        }
        if self.issued >= self.updates_until {
            return problem("it was issued after its end".into());
        }
        Ok(())
    }
}

/// Texts are shown on consoles.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(Error::Claims {
            problem: format!("{what} {text:?} is empty, too long or not printable"),
        });
    }
    Ok(())
}
