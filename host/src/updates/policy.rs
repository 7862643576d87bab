//! What the administrator decided about automatic updates: the file `/etc/bedplate/updates.toml`.

use super::wave::Wave;
use super::window::{Window, WindowError};
use crate::record::{Record, Value};
use crate::{XeError, size};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use steps::System;
use steps::fetch::shown_url;

/// The lowest rate, in bytes a second: below it a full image takes days.
const MIN_RATE: u64 = 16 * 1024;
/// The rate where nothing else is said: a release in a minute or two, and most of a line of 1 Gbit/s left to the guests.
const DEFAULT_RATE: u64 = 10 * 1024 * 1024;
/// Hours in which few administrators are astonished by a host without guests that restarts.
const DEFAULT_WINDOW: &str = "daily 01:00-05:00";

/// When the host restarts to take a release that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// By hand alone.
    Never,
    /// In the window, when no guest runs.
    #[default]
    NoGuests,
    /// In the window; guests are shut down first, and those that start with the host come back with it.
    Always,
}

impl Restart {
    /// All of them.
    pub const ALL: [Restart; 3] = [Restart::Never, Restart::NoGuests, Restart::Always];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Restart::Never => "never",
            Restart::NoGuests => "no-guests",
            Restart::Always => "always",
        }
    }
}

/// Whether updates are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// They are not.
    #[default]
    No,
    /// Until somebody says otherwise.
    Yes,
    /// Until this day begins, by the clock on the wall.
    Until(Date),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::No => f.write_str("no"),
            Hold::Yes => f.write_str("yes"),
            Hold::Until(date) => write!(f, "{date}"),
        }
    }
}

/// What the administrator decided. A field that is not set has its default.
#[derive(Clone, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// URL of the repository; none where no updates are looked for. It may hold a password.
    pub repository: Option<String>,
    /// Whether hotfixes are installed without being told to, where the license allows it.
    pub automatic: bool,
    /// When a release is written and the host restarts; none is always.
    pub windows: Vec<Window>,
    /// Whether it restarts by itself.
    pub restart: Restart,
    /// When this host takes its turn.
    pub wave: Wave,
    /// Whether updates are held back.
    pub hold: Hold,
    /// Bytes a second at most; none is as quickly as it comes.
    pub rate: Option<u64>,
    /// URL of the proxy. It may hold a password.
    pub proxy: Option<String>,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        UpdatePolicy {
            repository: None,
            automatic: true,
            windows: Window::parse(DEFAULT_WINDOW).into_iter().collect(),
            restart: Restart::default(),
            wave: Wave::default(),
            hold: Hold::default(),
            rate: Some(DEFAULT_RATE),
            proxy: None,
        }
    }
}

/// As it may be shown: URLs lose user, password and query.
impl fmt::Debug for UpdatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is no TOML, or has a key that is not known.
    #[error("it cannot be understood: {0}")]
    File(String),
    /// It is no URL.
    #[error("{0} is no http or https URL without blanks, quotes and backslashes")]
    Url(&'static str),
    /// It is none of the words.
    #[error("{name}={value} is none of {words}")]
    Word {
        /// The setting.
        name: &'static str,
        /// What it was to be.
        value: String,
        /// What it can be.
        words: String,
    },
    /// It is no window.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// It is no hold.
    #[error("hold={0} is neither yes, nor no, nor a day such as 2027-01-07")]
    Hold(String),
    /// It is no rate.
    #[error(
        "rate-limit={0} is no number of bytes a second, as 10MiB, of at least 16KiB; 0 is no limit"
    )]
    Rate(String),
}

/// The file, as it is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
}

/// Names of the settings, as `xe` and the file have them.
pub const SETTINGS: [&str; 8] = [
    "repository",
    "automatic",
    "window",
    "restart",
    "wave",
    "hold",
    "rate-limit",
    "proxy",
];

impl UpdatePolicy {
    /// Understands the file.
    ///
    /// # Errors
    /// When something in it cannot be. Nothing is installed then: a setting that was misread could restart a host.
    pub fn parse(text: &str) -> Result<UpdatePolicy, PolicyError> {
        let file: File =
            toml::from_str(text).map_err(|e| PolicyError::File(e.message().to_owned()))?;
        let mut policy = UpdatePolicy::default();
        let texts = [
            ("repository", file.repository),
            ("restart", file.restart),
            ("wave", file.wave),
            ("hold", file.hold),
            ("rate-limit", file.rate_limit),
            ("proxy", file.proxy),
            ("automatic", file.automatic.map(|on| on.to_string())),
            ("window", file.window.map(|windows| windows.join("; "))),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                policy.set(name, &value)?;
            }
        }
        Ok(policy)
    }

    /// Changes a setting; an empty value brings back the default. Several windows are parted by semicolons.
    ///
    /// # Errors
    /// When the value cannot be. `name` is one of [`SETTINGS`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), PolicyError> {
        let value = value.trim();
        let default = UpdatePolicy::default();
        match name {
            "repository" => self.repository = url("repository", value)?,
            "proxy" => self.proxy = url("proxy", value)?,
            "automatic" => {
                self.automatic = match value {
                    "" => default.automatic,
                    "true" | "yes" | "1" => true,
                    "false" | "no" | "0" => false,
                    _ => return Err(word("automatic", value, &["true", "false"])),
                };
            }
            "window" => {
                self.windows = match value {
                    "" => default.windows,
                    "always" => Vec::new(),
                    _ => value
                        .split(';')
                        .map(Window::parse)
                        .collect::<Result<_, _>>()?,
                };
            }
            "restart" => {
                let names = Restart::ALL.map(Restart::name);
                self.restart = match names.iter().position(|name| *name == value) {
                    _ if value.is_empty() => default.restart,
                    Some(at) => Restart::ALL[at],
                    None => return Err(word("restart", value, &names)),
                };
            }
            "wave" => {
                let names = Wave::ALL.map(Wave::name);
                self.wave = match names.iter().position(|name| *name == value) {
                    _ if value.is_empty() => default.wave,
                    Some(at) => Wave::ALL[at],
                    None => return Err(word("wave", value, &names)),
                };
            }
            "hold" => {
                self.hold = match value {
                    "" | "no" | "false" => Hold::No,
                    "yes" | "true" => Hold::Yes,
                    day => Hold::Until(day.parse().map_err(|_| PolicyError::Hold(day.to_owned()))?),
                };
            }
            "rate-limit" => {
                self.rate = match value {
                    "" => default.rate,
                    "0" | "none" => None,
                    _ => Some(
                        size::parse("rate-limit", value)
                            .ok()
                            .filter(|rate| *rate >= MIN_RATE)
                            .ok_or_else(|| PolicyError::Rate(value.to_owned()))?,
                    ),
                };
            }
            _ => return Err(PolicyError::File(format!("there is no setting {name:?}"))),
        }
        Ok(())
    }

    /// The settings as `xe` shows them: no secrets.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let url = |url: &Option<String>| url.as_deref().map(shown_url).unwrap_or_default();
        self.texts(url)
    }

    /// The same for a program: a switch, a number and a list are what they are.
    pub fn record(&self) -> Record {
        let shown = self.shown().into_iter();
        let record = shown.fold(Record::new(), |record, (name, value)| {
            record.with(name, Some(value).filter(|value| !value.is_empty()))
        });
        let windows = self.windows.iter().map(Window::to_string).collect();
        record
            .with("automatic", self.automatic)
            .with("window", Value::Set(windows))
            .with("rate-limit", self.rate)
    }

    fn texts(&self, url: impl Fn(&Option<String>) -> String) -> Vec<(&'static str, String)> {
        let windows: Vec<String> = self.windows.iter().map(Window::to_string).collect();
        let window = match windows.is_empty() {
            true => "always".to_owned(),
            false => windows.join("; "),
        };
        let rate = self.rate.map_or("none".to_owned(), |rate| rate.to_string());
        let values = [
            url(&self.repository),
            self.automatic.to_string(),
            window,
            self.restart.name().to_owned(),
            self.wave.to_string(),
            self.hold.to_string(),
            rate,
            url(&self.proxy),
        ];
        SETTINGS.into_iter().zip(values).collect()
    }

    /// The file: what differs from the defaults.
    pub fn to_file(&self) -> String {
        let all = |policy: &UpdatePolicy| policy.texts(|url| url.clone().unwrap_or_default());
        let defaults = all(&UpdatePolicy::default());
        let changed = |name: &str| {
            let of = |texts: &[(&str, String)]| {
                texts
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.clone())
            };
            of(&all(self)).filter(|value| Some(value) != of(&defaults).as_ref())
        };
        let file = File {
            repository: changed("repository"),
            automatic: changed("automatic").map(|_| self.automatic),
            window: changed("window").map(|text| text.split("; ").map(str::to_owned).collect()),
            restart: changed("restart"),
            wave: changed("wave"),
            hold: changed("hold"),
            rate_limit: changed("rate-limit"),
            proxy: changed("proxy"),
        };
        let text = toml::to_string(&file).unwrap_or_default();
        format!(
            "# Automatic updates of this host; `xe host-update-policy-set` writes this file, `man xe-host` lists the settings.\n\
             # What is not here has its default.\n{text}"
        )
    }

    /// Reads it; without a file everything has its default.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(system: &dyn System, path: &Path) -> Result<UpdatePolicy, XeError> {
        if !system.exists(path) {
            return Ok(UpdatePolicy::default());
        }
        let bytes = system.read_file(path).map_err(|e| XeError::system(&e))?;
        UpdatePolicy::parse(&String::from_utf8_lossy(&bytes)).map_err(|e| {
            XeError::failure(
                "UPDATE_POLICY_INVALID",
                format!(
                    "{}: {e}. Nothing is installed by itself until it is mended.",
                    path.display()
                ),
            )
        })
    }

    /// Writes it. It may hold passwords, so only root reads it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, system: &dyn System, path: &Path) -> Result<(), XeError> {
        let write = || {
            if let Some(folder) = path.parent() {
                system.create_dir_all(folder)?;
            }
            system.write_file(path, self.to_file().as_bytes(), 0o600)
        };
        write().map_err(|e| XeError::system(&e))
    }
}

fn word(name: &'static str, value: &str, words: &[&str]) -> PolicyError {
    PolicyError::Word {
        name,
        value: value.to_owned(),
        words: words.join(", "),
    }
}

fn url(name: &'static str, value: &str) -> Result<Option<String>, PolicyError> {
    if value.is_empty() {
        return Ok(None);
    }
    let lower = value.get(..8).unwrap_or(value).to_ascii_lowercase();
    let web = lower.starts_with("http://") || lower.starts_with("https://");
    let bad = |c: char| c.is_whitespace() || c.is_control() || "\"\\?#".contains(c);
    match web && !value.contains(bad) && !shown_url(value).ends_with("//") {
        true => Ok(Some(value.trim_end_matches('/').to_owned())),
        false => Err(PolicyError::Url(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Result<UpdatePolicy, PolicyError> {
        let mut policy = UpdatePolicy::default();
        for (name, value) in pairs {
            policy.set(name, value)?;
        }
        Ok(policy)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = set(&[
            (
                "repository",
                "https://user:pw@updates.example.org/bedplate/",
            ),
            ("automatic", "no"),
            ("window", "sat 02:00-05:00; sun 22:00-04:00"),
            ("restart", "always"),
            ("wave", "first"),
            ("hold", "2027-01-07"),
            ("rate-limit", "2MiB"),
            ("proxy", "http://proxy:3128"),
        ])
        .unwrap();
        assert_eq!(all.rate, Some(2 << 20));
        assert_eq!(
            all.repository.as_deref(),
            Some("https://user:pw@updates.example.org/bedplate")
        );
        for policy in [
            UpdatePolicy::default(),
            all,
            set(&[("window", "always"), ("rate-limit", "0"), ("hold", "yes")]).unwrap(),
        ] {
            let file = policy.to_file();
            assert_eq!(UpdatePolicy::parse(&file).unwrap(), policy, "{file}");
            assert!(!format!("{policy:?}").contains("pw"));
        }
        // Only what was decided is written: a default that changes reaches the host.
        let lines = UpdatePolicy::default().to_file();
        assert!(lines.lines().all(|line| line.starts_with('#')), "{lines}");
    }

    #[test]
    fn an_empty_value_is_the_default() {
        for name in SETTINGS {
            let mut policy = set(&[
                ("repository", "http://h"),
                ("automatic", "false"),
                ("window", "always"),
                ("restart", "never"),
                ("wave", "last"),
                ("hold", "yes"),
                ("rate-limit", "0"),
                ("proxy", "http://h"),
            ])
            .unwrap();
            let find = |policy: &UpdatePolicy| {
                policy
                    .shown()
                    .into_iter()
                    .find(|(known, _)| *known == name)
                    .unwrap()
                    .1
            };
            assert_ne!(find(&policy), find(&UpdatePolicy::default()), "{name}");
            policy.set(name, "").unwrap();
            assert_eq!(find(&policy), find(&UpdatePolicy::default()), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (name, value) in [
            ("repository", "ftp://h"),
            ("repository", "https://"),
            ("repository", "http://h/a b"),
            ("repository", "http://h/a?token=x"),
            ("proxy", "proxy:3128"),
            ("automatic", "perhaps"),
            ("window", "tonight"),
            ("window", "sat 02:00-05:00;"),
            ("restart", "sometimes"),
            ("wave", "second"),
            ("hold", "tomorrow"),
            ("hold", "2027-02-30"),
            ("rate-limit", "fast"),
            ("rate-limit", "1"),
            ("color", "red"),
        ] {
            assert!(set(&[(name, value)]).is_err(), "{name}={value}");
        }
        for bad in [
            "x",
            "colour = \"red\"",
            "automatic = \"yes\"",
            "window = \"sat 1:00-2:00\"",
        ] {
            let error = UpdatePolicy::parse(bad).unwrap_err();
            assert!(matches!(error, PolicyError::File(_)), "{bad}: {error}");
        }
    }
}
