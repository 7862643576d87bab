//! Getting answers from a URL, on a machine that was started a few seconds ago.

use crate::answers::MAX_BYTES;
use crate::values::{Pin, shown_url};
use std::path::Path;
use std::time::{Duration, Instant};
use steps::system::{Command, RunError, System};

/// Attempts in all, and the pause before the second; each further pause is twice as long: 2, 4, 8, 16, 32 s.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// No attempt starts later than this.
const LIMIT: Duration = Duration::from_secs(180);
/// An attempt ends where for a minute less than this many bytes a second come.
const SLOWEST: u32 = 1024;
/// The longest that a large file may take: a release over a line of 1 Mbit/s.
const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);
/// How long the network may take to come up: switches with spanning tree need 30 s and more.
pub(super) const ONLINE: Duration = Duration::from_secs(90);

/// Why the answers could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The machine has no network card that the kernel knows.
    #[error(
        "there is no network device, so nothing can be fetched from {url}; \
         check that the card is seated and enabled in the firmware setup, or use a medium that holds what is needed"
    )]
    NoDevice {
        /// Where the answers are.
        url: String,
    },
    /// No network device got an address.
    #[error(
        "no network device got an address within {} s ({devices}), so nothing can be fetched from {url}; \
         check cable, VLAN of the port and DHCP server", ONLINE.as_secs()
    )]
    Offline {
        /// Where the answers are.
        url: String,
        /// The devices, and whether they have a link.
        devices: String,
    },
    /// The URL has characters that no URL has.
    #[error(
        "{0} is not a URL: it has a space, a quote, a backslash or a control character; write those as %20 and so on"
    )]
    NotUrl(String),
    /// Without `https` a server shows no key.
    #[error(
        "{0} is no https URL, so there is no key of the server to hold against the pin; use https, or sign the answers and give \
         `bedplate.answers-key=` in place of the pin"
    )]
    PinInTheClear(String),
    /// The server does not give them.
    #[error("cannot get {what} from {url} ({attempts} attempts): {reason}")]
    Refused {
        /// What was to be fetched.
        what: String,
        /// Where the answers are.
        url: String,
        /// Attempts.
        attempts: u32,
        /// What the server answered, where it did.
        status: Option<u32>,
        /// The last reason.
        reason: String,
    },
    /// There is more than there may be.
    #[error("what {url} gives is larger than {max_bytes} bytes, which is too much for {what}")]
    TooLarge {
        /// Where it is.
        url: String,
        /// What it should be.
        what: String,
        /// The most that it may be.
        max_bytes: u64,
    },
    /// `curl` or another tool could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Fetches answers, or what is beside them.
pub fn fetch(
    system: &dyn System,
    url: &str,
    pin: Option<&Pin>,
    pause: &dyn Fn(Duration),
    tell: &mut dyn FnMut(String),
) -> Result<Vec<u8>, FetchError> {
    let download = Download {
        system,
        what: "the answers",
        pin,
        pause,
        max_bytes: MAX_BYTES,
    };
    download.get(url, tell)
}

/// How something is fetched, with retries.
pub struct Download<'a> {
    /// Runs `curl`.
    pub system: &'a dyn System,
    /// What it is, for messages: `the answers`.
    pub what: &'a str,
    /// The only key that the server may have.
    pub pin: Option<&'a Pin>,
    /// Sleeps between attempts.
    pub pause: &'a dyn Fn(Duration),
    /// More is refused.
    pub max_bytes: u64,
}

/// Where what was fetched goes.
enum Into<'p> {
    Memory,
    File(&'p Path),
}

impl Download<'_> {
    /// Into memory. `tell` hears of every failed attempt.
    pub fn get(&self, url: &str, tell: &mut dyn FnMut(String)) -> Result<Vec<u8>, FetchError> {
        let bytes = self.fetch(url, &Into::Memory, tell)?;
        if bytes.len() as u64 > self.max_bytes {
            return Err(self.too_large(url));
        }
        Ok(bytes)
    }

    /// Into a file. It may take long, as long as something comes.
    pub fn save(
        &self,
        url: &str,
        path: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), FetchError> {
        self.fetch(url, &Into::File(path), tell)?;
        Ok(())
    }

    fn too_large(&self, url: &str) -> FetchError {
        FetchError::TooLarge {
            url: shown_url(url),
            what: self.what.to_owned(),
            max_bytes: self.max_bytes,
        }
    }

    /// Through standard input: a URL may hold a token, and arguments are logged and seen by every process.
    /// An https URL stays https: answers carry consent and logins.
    fn config(&self, url: &str, into: &Into<'_>) -> String {
        let redirects = match is_https(url) {
            true => "=https",
            false => "=http,https",
        };
        let mut config = format!(
            "url = \"{url}\"\ngloboff\nfail\nlocation\nmax-redirs = 5\nproto = \"=http,https\"\nproto-redir = \"{redirects}\"\n\
             max-filesize = {}\nconnect-timeout = 15\nsilent\nshow-error\n",
            self.max_bytes
        );
        config += &match into {
            Into::Memory => "max-time = 60\n".to_owned(),
            Into::File(path) => format!(
                "speed-limit = {SLOWEST}\nspeed-time = 60\noutput = \"{}\"\n",
                path.display()
            ),
        };
        if let Some(pin) = self.pin {
            // The key says who it is; no authority has to.
            config += &format!("insecure\npinnedpubkey = \"{pin}\"\n");
        }
        config
    }

    fn fetch(
        &self,
        url: &str,
        into: &Into<'_>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Vec<u8>, FetchError> {
        let what = self.what;
        let shown = shown_url(url);
        if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\\') {
            return Err(FetchError::NotUrl(shown));
        }
        if self.pin.is_some() && !is_https(url) {
            return Err(FetchError::PinInTheClear(shown));
        }
        let config = self.config(url, into);
        let longest = match into {
            Into::Memory => Duration::from_secs(90),
            Into::File(_) => LONGEST,
        };
        let started = Instant::now();
        let mut attempts = 0;
        let mut wait = FIRST_PAUSE;
        loop {
            attempts += 1;
            let curl = Command::new("curl")
                .args(["--config", "-"])
                .secret_stdin(config.clone())
                .secret_stdout();
            let (code, reason) = match self.system.run(&curl.timeout(longest)) {
                Ok(output) => return Ok(output.stdout),
                Err(RunError::Failed { code, stderr, .. }) => {
                    (code, curl_reason(&stderr).replace(url, &shown))
                }
                Err(RunError::Timeout { .. }) => (None, "no answer in time".to_owned()),
                Err(error) => return Err(error.into()),
            };
            // 63: the size was known beforehand, and is too large (curl(1), exit codes).
            if code == Some(63) {
                return Err(self.too_large(url));
            }
            if is_final(code, &reason) || attempts >= ATTEMPTS || started.elapsed() + wait > LIMIT {
                return Err(FetchError::Refused {
                    what: what.to_owned(),
                    url: shown,
                    attempts,
                    status: status(code, &reason),
                    reason,
                });
            }
            tell(format!(
                "cannot get {what} from {shown}: {reason}; trying again in {} s",
                wait.as_secs()
            ));
            (self.pause)(wait);
            wait *= 2;
        }
    }
}

/// Schemes are the same in large letters (RFC 3986, section 3.1).
fn is_https(url: &str) -> bool {
    url.get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
}

/// What `curl` says was wrong. Behind that it may tell more, as about certificates.
pub fn curl_reason(stderr: &[String]) -> String {
    let told = stderr.iter().find(|line| line.starts_with("curl: ("));
    told.or(stderr.last())
        .cloned()
        .unwrap_or_else(|| "curl gave no reason".to_owned())
}

/// True when another attempt cannot help: the server answered that there is nothing (22 with a status from 400 to 499,
/// without those that ask to come again), the URL is malformed (3), or the certificate (60) or its key (90) is refused.
fn is_final(code: Option<i32>, reason: &str) -> bool {
    match code {
        Some(1 | 3 | 60 | 90) => true,
        Some(22) => status(code, reason).is_some_and(|status| {
            (400..500).contains(&status) && ![408, 425, 429].contains(&status)
        }),
        _ => false,
    }
}

/// The status of HTTP that `curl` tells at the end of its message.
fn status(code: Option<i32>, reason: &str) -> Option<u32> {
    let word = reason.rsplit(' ').next()?;
    (code == Some(22)).then(|| word.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use steps::system::RecordingSystem;

    fn run(system: &RecordingSystem, url: &str) -> (Result<Vec<u8>, FetchError>, Vec<u64>) {
        let pauses = RefCell::new(Vec::new());
        let result = fetch(
            system,
            url,
            None,
            &|pause| pauses.borrow_mut().push(pause.as_secs()),
            &mut |_| {},
        );
        (result, pauses.into_inner())
    }

    #[test]
    fn the_url_is_no_argument_and_the_answer_is_returned() {
        let system = RecordingSystem::new().prints("curl", "schema = 1\n");
        let (result, pauses) = run(&system, "https://host/a?token=s3cret");
        assert_eq!(result.unwrap(), b"schema = 1\n");
        assert!(pauses.is_empty());
        assert_eq!(system.command_lines(), ["curl --config -"]);
        let config = String::from_utf8(system.commands()[0].stdin_bytes().to_vec()).unwrap();
        assert!(config.contains("url = \"https://host/a?token=s3cret\"\n"));
    }

    #[test]
    fn https_stays_https_however_it_is_written_and_a_url_is_one_file() {
        for (url, redirects) in [
            ("https://h/a", "\"=https\""),
            ("HTTPS://h/a", "\"=https\""),
            ("http://h/[1-9]", "\"=http,https\""),
        ] {
            let system = RecordingSystem::new().prints("curl", "");
            run(&system, url).0.unwrap();
            let config = String::from_utf8(system.commands()[0].stdin_bytes().to_vec()).unwrap();
            assert!(
                config.contains(&format!("\nproto-redir = {redirects}\n")),
                "{config}"
            );
            assert!(config.contains("\ngloboff\n"), "{config}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_tried_six_times() {
        let system =
            RecordingSystem::new().fails("curl", 7, "curl: (7) Failed to connect to host port 443");
        let (result, pauses) = run(&system, "https://user:pw@host/a");
        assert_eq!(pauses, [2, 4, 8, 16, 32]);
        let text = result.unwrap_err().to_string();
        assert_eq!(
            text,
            "cannot get the answers from https://host/a (6 attempts): curl: (7) Failed to connect to host port 443"
        );
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again() {
        let missing = RecordingSystem::new().fails(
            "curl",
            22,
            "curl: (22) The requested URL returned error: 404",
        );
        assert!(run(&missing, "http://host/a").1.is_empty());
        let busy = RecordingSystem::new().fails(
            "curl",
            22,
            "curl: (22) The requested URL returned error: 503",
        );
        assert_eq!(run(&busy, "http://host/a").1.len(), 5);
        let large =
            RecordingSystem::new().fails("curl", 63, "curl: (63) Maximum file size exceeded");
        assert!(matches!(
            run(&large, "http://host/a").0,
            Err(FetchError::TooLarge { .. })
        ));
        let endless = RecordingSystem::new().prints("curl", &"#".repeat(MAX_BYTES as usize + 1));
        assert!(matches!(
            run(&endless, "http://host/a").0,
            Err(FetchError::TooLarge { .. })
        ));
        let none = RecordingSystem::new();
        assert!(matches!(
            run(&none, "http://host/a\" b").0,
            Err(FetchError::NotUrl(_))
        ));
        assert!(none.command_lines().is_empty());
    }
}
