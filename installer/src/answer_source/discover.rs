//! The URL of the answers from the network itself: a DHCP option, else a DNS record. It is never trusted by itself.

use super::find::{FindError, Finder};
use crate::values::WebUrl;
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use steps::system::{Command, RunError, System};

/// The DHCP option with the URL, of those for private use (RFC 3942). The live image asks for it (80-bedplate-live.network).
pub const DHCP_OPTION: u8 = 250;
/// Name of the TXT record with the URL, below the domain that DHCP gives.
pub const DNS_NAME: &str = "bedplate-answers";
/// Where systemd-resolved tells which domains DHCP gave (systemd-resolved.service(8)).
const RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// Where to ask for the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// DHCP.
    Dhcp,
    /// DNS.
    Dns,
    /// DHCP, else DNS.
    Both,
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Discovery::Dhcp => write!(f, "DHCP option {DHCP_OPTION}"),
            Discovery::Dns => write!(f, "the DNS record {DNS_NAME}"),
            Discovery::Both => write!(f, "DHCP option {DHCP_OPTION} and the DNS record {DNS_NAME}"),
        }
    }
}

/// What `networkctl list` prints as JSON, as far as it matters (systemd 257, networkd-json.c).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    #[serde(default)]
    interfaces: Vec<Interface>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(rename = "DHCPv4Client")]
    dhcp: Option<DhcpClient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DhcpClient {
    #[serde(default)]
    private_options: Vec<PrivateOption>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateOption {
    option: u8,
    private_option_data: String,
}

/// What `resolvectl query --type=TXT` prints as JSON for each record (systemd 257, resolved-dns-rr.c).
#[derive(Deserialize)]
struct TxtRecord {
    /// Pieces of 255 bytes at most, which together are the text.
    items: Vec<String>,
}

impl Finder<'_> {
    /// The URL that the network gives, and by which of both; none where it gives none. The network is up.
    pub(super) fn discovered(
        &self,
        from: Discovery,
    ) -> Result<Option<(WebUrl, Discovery)>, FindError> {
        if from != Discovery::Dns
            && let Some(url) = one(urls_of_dhcp(self.system)?, Discovery::Dhcp)?
        {
            return Ok(Some((url, Discovery::Dhcp)));
        }
        if from != Discovery::Dhcp {
            let url = one(urls_of_dns(self.system)?, Discovery::Dns)?;
            return Ok(url.map(|url| (url, Discovery::Dns)));
        }
        Ok(None)
    }
}

fn one(mut texts: Vec<String>, from: Discovery) -> Result<Option<WebUrl>, FindError> {
    texts.sort_unstable();
    texts.dedup();
    match texts.as_slice() {
        [] => Ok(None),
        [text] => WebUrl::parse(text)
            .map(Some)
            .map_err(|error| FindError::NotDiscovered { from, error }),
        several => Err(FindError::SeveralUrls {
            from,
            count: several.len(),
        }),
    }
}

fn urls_of_dhcp(system: &dyn System) -> Result<Vec<String>, FindError> {
    let list = system.run(
        &Command::new("networkctl")
            .args(["--json=short", "list"])
            // A URL may hold a token.
            .secret_stdout(),
    )?;
    let networks: Networks =
        serde_json::from_slice(&list.stdout).map_err(|source| FindError::Tool {
            tool: "networkctl",
            source,
        })?;
    let options = networks
        .interfaces
        .into_iter()
        .filter_map(|interface| interface.dhcp)
        .flat_map(|client| client.private_options)
        .filter(|option| option.option == DHCP_OPTION);
    Ok(options
        .map(|option| {
            let bytes = hex::decode(&option.private_option_data).unwrap_or_default();
            // Some servers end strings with a zero (RFC 2132, section 2).
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.trim_end_matches('\0').to_owned()
        })
        .collect())
}

fn urls_of_dns(system: &dyn System) -> Result<Vec<String>, FindError> {
    let conf = system.read_file(Path::new(RESOLV_CONF)).unwrap_or_default();
    let conf = String::from_utf8_lossy(&conf).into_owned();
    let mut urls = Vec::new();
    for domain in search_domains(&conf) {
        let query = Command::new("resolvectl")
            .args([
                "query",
                "--type=TXT",
                "--protocol=dns",
                "--legend=no",
                "--json=short",
            ])
            .arg(format!("{DNS_NAME}.{domain}"))
            .secret_stdout();
        let output = match system.run(&query) {
            Ok(output) => output.text(),
            // There is no such record, or nobody answers: the next place is looked at.
            Err(RunError::Failed { .. } | RunError::Timeout { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        for line in output.lines().filter(|line| !line.is_empty()) {
            let record: TxtRecord =
                serde_json::from_str(line).map_err(|source| FindError::Tool {
                    tool: "resolvectl",
                    source,
                })?;
            urls.push(record.items.concat());
        }
        // The nearest domain counts.
        if !urls.is_empty() {
            break;
        }
    }
    Ok(urls)
}

/// The domains of the last `search` line (resolv.conf(5)), without the root.
fn search_domains(conf: &str) -> Vec<&str> {
    let line = conf
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("search"));
    line.unwrap_or_default()
        .split_ascii_whitespace()
        .map(|domain| domain.trim_matches('.'))
        .filter(|domain| !domain.is_empty() && !domain.starts_with('-'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_domains_are_those_of_the_last_line() {
        let conf = "# search x\nnameserver 10.0.2.3\nsearch old.example\nsearch rack.example.org example.org. .\n";
        assert_eq!(search_domains(conf), ["rack.example.org", "example.org"]);
        assert!(search_domains("nameserver 10.0.2.3\nsearch .\n").is_empty());
        assert!(search_domains("").is_empty());
    }
}
