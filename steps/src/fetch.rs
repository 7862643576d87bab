//! Getting something from a URL, with retries: by `curl`, which knows proxies, certificates and every odd server.

use crate::system::{Command, RunError, System};
use std::path::Path;
use std::time::{Duration, Instant};

/// The pause before the second attempt; each further pause is twice as long: 2, 4, 8, 16, 32 s.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// No attempt starts later than this.
const LIMIT: Duration = Duration::from_secs(180);
/// An attempt ends where for [`Download::stall`] less than this many bytes a second come.
const SLOWEST: u32 = 1024;
/// The longest that a large file may take: a release over a line of 1 Mbit/s.
const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
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
    /// The server does not give it.
    #[error("cannot get {what} from {url} ({attempts} {}): {reason}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Refused {
        /// What was to be fetched.
        what: String,
        /// Where it is.
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
    /// What came cannot be written.
    #[error("{path} cannot be written: is the disk full?")]
    NotWritten {
        /// The file.
        path: String,
    },
    /// `curl` could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How something is fetched, with retries.
#[derive(Clone, Copy)]
pub struct Download<'a> {
    /// Runs `curl`.
    pub system: &'a dyn System,
    /// What it is, for messages: `the answers`.
    pub what: &'a str,
    /// The only key that the server may have, as curl writes it: `sha256//` and base64.
    pub pin: Option<&'a str>,
    /// The proxy to go through; none takes what the environment says.
    pub proxy: Option<&'a str>,
    /// Bytes a second, at most.
    pub rate: Option<u64>,
    /// Sleeps between attempts.
    pub pause: &'a dyn Fn(Duration),
    /// More is refused.
    pub max_bytes: u64,
    /// Attempts in all.
    pub attempts: u32,
    /// An attempt ends where next to nothing comes for this long.
    pub stall: Duration,
}

/// Where what was fetched goes.
enum Destination<'p> {
    Memory,
    File(&'p Path),
    /// Behind what is in the file already.
    Rest(&'p Path),
}

impl<'a> Download<'a> {
    /// With six attempts, straight, and as quickly as it comes.
    pub fn new(
        system: &'a dyn System,
        what: &'a str,
        pause: &'a dyn Fn(Duration),
        max_bytes: u64,
    ) -> Self {
        Download {
            system,
            what,
            pin: None,
            proxy: None,
            rate: None,
            pause,
            max_bytes,
            attempts: 6,
            stall: Duration::from_secs(60),
        }
    }

    /// Into memory. `tell` hears of every failed attempt.
    pub fn get(&self, url: &str, tell: &mut dyn FnMut(String)) -> Result<Vec<u8>, FetchError> {
        let bytes = self.fetch(url, &Destination::Memory, tell)?;
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
        self.fetch(url, &Destination::File(path), tell).map(drop)
    }

    /// As [`save`](Self::save), but goes on where the file ends. Whether the beginning is of the same content is for the caller to
    /// know, or to find out by a hash.
    pub fn resume(
        &self,
        url: &str,
        path: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<(), FetchError> {
        self.fetch(url, &Destination::Rest(path), tell).map(drop)
    }

    fn too_large(&self, url: &str) -> FetchError {
        FetchError::TooLarge {
            url: shown_url(url),
            what: self.what.to_owned(),
            max_bytes: self.max_bytes,
        }
    }

    /// Through standard input: a URL may hold a token, and arguments are logged and seen by every process.
    /// An https URL stays https: what is fetched may carry consent and logins.
    fn config(&self, url: &str, into: &Destination<'_>) -> String {
        let redirects = match is_https(url) {
            true => "=https",
            false => "=http,https",
        };
        let mut config = format!(
            "url = \"{url}\"\ngloboff\nfail\nlocation\nmax-redirs = 5\nproto = \"=http,https\"\nproto-redir = \"{redirects}\"\n\
             max-filesize = {}\nconnect-timeout = {}\nsilent\nshow-error\n",
            self.max_bytes,
            self.stall.as_secs().clamp(1, 15)
        );
        config += &match into {
            Destination::Memory => format!("max-time = {}\n", self.stall.as_secs()),
            Destination::File(path) | Destination::Rest(path) => format!(
                "speed-limit = {SLOWEST}\nspeed-time = {}\noutput = \"{}\"\n",
                self.stall.as_secs(),
                path.display()
            ),
        };
        if let Destination::Rest(_) = into {
            config += "continue-at = -\n";
        }
        if let Some(proxy) = self.proxy {
            config += &format!("proxy = \"{proxy}\"\n");
        }
        if let Some(rate) = self.rate {
            config += &format!("limit-rate = {rate}\n");
        }
        if let Some(pin) = self.pin {
            // The key says who it is; no authority has to.
            config += &format!("insecure\npinnedpubkey = \"{pin}\"\n");
        }
        config
    }

    /// How long an attempt may take. One that is held back is not ended for being slow: twice what the rate makes of it.
    fn longest(&self, into: &Destination<'_>) -> Duration {
        match (into, self.rate) {
            (Destination::Memory, _) => self.stall + Duration::from_secs(30),
            (_, Some(rate)) => LONGEST.max(Duration::from_secs(
                (self.max_bytes / rate.max(1)).saturating_mul(2),
            )),
            (_, None) => LONGEST,
        }
    }

    fn fetch(
        &self,
        url: &str,
        into: &Destination<'_>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Vec<u8>, FetchError> {
        let what = self.what;
        let shown = shown_url(url);
        for given in [Some(url), self.proxy].into_iter().flatten() {
            if given.contains(|c: char| c.is_whitespace() || c.is_control() || "\"\\".contains(c)) {
                return Err(FetchError::NotUrl(shown_url(given)));
            }
        }
        if self.pin.is_some() && !is_https(url) {
            return Err(FetchError::PinInTheClear(shown));
        }
        let config = self.config(url, into);
        let longest = self.longest(into);
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
                    let reason = curl_reason(&stderr).replace(url, &shown);
                    (code, with_clock(code, reason))
                }
                Err(RunError::Timeout { .. }) => (None, "no answer in time".to_owned()),
                Err(error) => return Err(error.into()),
            };
            // 63: the size was known beforehand, and is too large (curl(1), exit codes).
            if code == Some(63) {
                return Err(self.too_large(url));
            }
            if let (Some(23), Destination::File(path) | Destination::Rest(path)) = (code, into) {
                let path = path.display().to_string();
                return Err(FetchError::NotWritten { path });
            }
            // 33: the server gives whole files alone. 36: what is there is no beginning of it.
            if let (Some(33 | 36), Destination::Rest(path)) = (code, into)
                && let Err(error) = self.system.remove_file(path)
            {
                return Err(FetchError::NotWritten {
                    path: error.path.display().to_string(),
                });
            }
            if is_final(code, &reason)
                || attempts >= self.attempts
                || started.elapsed() + wait > LIMIT
            {
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

/// With the clock where that may be what is wrong, and not the certificate (60) that is refused. The words are OpenSSL's
/// (crypto/x509/x509_txt.c).
fn with_clock(code: Option<i32>, reason: String) -> String {
    let by_time = ["not yet valid", "has expired"];
    match code == Some(60) && by_time.iter().any(|words| reason.contains(words)) {
        true => format!("{reason}; see first whether the clock of this machine is right (`date`)"),
        false => reason,
    }
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

/// A URL without what may be a secret: user, password, query and fragment.
pub fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::RecordingSystem;
    use std::cell::RefCell;

    const MAX_BYTES: u64 = 1000;

    fn run(system: &RecordingSystem, url: &str) -> (Result<Vec<u8>, FetchError>, Vec<u64>) {
        let pauses = RefCell::new(Vec::new());
        let pause = |pause: Duration| pauses.borrow_mut().push(pause.as_secs());
        let result = Download::new(system, "the answers", &pause, MAX_BYTES).get(url, &mut |_| {});
        (result, pauses.into_inner())
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_may_be_a_clock_that_is_wrong() {
        let why = |reason: &str| {
            let system = RecordingSystem::new().fails("curl", 60, reason);
            let (result, pauses) = run(&system, "https://host/a");
            assert!(pauses.is_empty(), "{reason}");
            result.unwrap_err().to_string()
        };
        let said = why("curl: (60) SSL certificate problem: certificate is not yet valid");
        assert!(
            said.contains("not yet valid; see first whether the clock"),
            "{said}"
        );
        let said = why("curl: (60) SSL certificate problem: self-signed certificate");
        assert!(!said.contains("clock"), "{said}");
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
    fn one_that_is_held_back_has_the_time_that_it_takes() {
        let system = RecordingSystem::new();
        let hours = |max_bytes, rate| {
            let download = Download {
                rate,
                ..Download::new(&system, "a file", &|_| {}, max_bytes)
            };
            let longest = download.longest(&Destination::Rest(Path::new("/var/part")));
            longest.as_secs() / 3600
        };
        // 300 MB at 16 KiB/s are five hours.
        assert_eq!(hours(300_000_000, Some(16 * 1024)), 10);
        assert_eq!(hours(300_000_000, Some(10 << 20)), 4);
        assert_eq!(hours(300_000_000, None), 4);
        assert_eq!(hours(1000, Some(0)), 4);
    }

    #[test]
    fn a_download_in_the_background_goes_on_slowly_by_a_proxy() {
        let system = RecordingSystem::new().prints("curl", "");
        let path = Path::new("/var/part");
        let download = Download {
            proxy: Some("http://user:pw@proxy:3128"),
            rate: Some(65536),
            ..Download::new(&system, "a file", &|_| {}, 5000)
        };
        download.resume("http://h/f", path, &mut |_| {}).unwrap();
        let commands = system.commands();
        assert_eq!(commands[0].to_string(), "curl --config -");
        let config = String::from_utf8(commands[0].stdin_bytes().to_vec()).unwrap();
        for line in [
            "continue-at = -",
            "proxy = \"http://user:pw@proxy:3128\"",
            "limit-rate = 65536",
            "output = \"/var/part\"",
            "max-filesize = 5000",
        ] {
            assert!(
                config.lines().any(|known| known == line),
                "{line}: {config}"
            );
        }
        let bad = Download {
            proxy: Some("http://proxy\"\noutput = \"/etc/passwd"),
            ..download
        };
        assert!(matches!(
            bad.resume("http://h/f", path, &mut |_| {}),
            Err(FetchError::NotUrl(_))
        ));
    }

    #[test]
    fn a_file_that_cannot_be_written_or_gone_on_with() {
        let path = Path::new("/var/part");
        let full = RecordingSystem::new().fails("curl", 23, "curl: (23) Failure writing output");
        let resume = |system: &RecordingSystem| {
            Download::new(system, "a file", &|_| {}, 5000).resume("http://h/f", path, &mut |_| {})
        };
        let error = resume(&full).unwrap_err();
        assert!(matches!(error, FetchError::NotWritten { .. }), "{error}");
        assert_eq!(full.command_lines().len(), 1);
        // The beginning goes, so that the next attempt is for all of it.
        for code in [33, 36] {
            let odd = RecordingSystem::new()
                .fails("curl", code, "curl: no ranges")
                .file(path, "beginning");
            resume(&odd).unwrap_err();
            assert_eq!(odd.content(path), None, "{code}");
        }
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
