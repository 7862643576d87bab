//! From a license and what is observed on a host to its state. Pure: no clock, no files.

use crate::{Binding, Error, License};
use serde::{Deserialize, Serialize};

/// Days before the end of a license from which on it is said to expire soon.
pub const EXPIRES_SOON_DAYS: u64 = 30;
/// Days that automatic updates go on after the end of a license, and after over-use was first seen.
pub const GRACE_DAYS: u64 = 30;

const DAY: u64 = 86_400;

/// The states of a host's license.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No license. Everything works but automatic updates.
    Unlicensed,
    /// Licensed.
    Licensed,
    /// Licensed for [`EXPIRES_SOON_DAYS`] days at most.
    ExpiresSoon,
    /// The license ended less than [`GRACE_DAYS`] days ago.
    Grace,
    /// More sockets are populated than licensed.
    OverUsed,
    /// The license ended, and the days of grace did, too.
    Expired,
    /// The token is forged, damaged, for another host, or signed by an unknown key.
    Invalid,
    /// The license begins later.
    NotYetValid,
}

impl State {
    /// As it is shown: `expires-soon`.
    pub fn name(self) -> &'static str {
        match self {
            State::Unlicensed => "unlicensed",
            State::Licensed => "licensed",
            State::ExpiresSoon => "expires-soon",
            State::Grace => "grace",
            State::OverUsed => "over-used",
            State::Expired => "expired",
            State::Invalid => "invalid",
            State::NotYetValid => "not-yet-valid",
        }
    }
}

/// What is known about the host, or for a site about its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Populated sockets; for a site license those of all its hosts. None where they could not be counted: that is
    /// told, and never held against the host.
    pub sockets: Option<u32>,
    /// UUID of the host from its firmware, lowercase. None where the firmware gives none.
    pub host: Option<&'a str>,
    /// The clock, in seconds since 1970.
    pub now: u64,
    /// The latest time ever seen on this host, in seconds since 1970: a clock set back wins nothing.
    pub high_water_mark: u64,
    /// Since when more sockets are populated than licensed, in seconds since 1970, as it was recorded.
    pub over_used_since: Option<u64>,
}

/// The time that counts: the clock, but never before what was seen already. Persist it as the next high-water mark.
pub fn effective_now(clock: u64, high_water_mark: u64) -> u64 {
    clock.max(high_water_mark)
}

/// The state of a host's license, why, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LicenseState {
    /// The state.
    pub state: State,
    /// Why, in a sentence for the administrator.
    pub reason: String,
    /// Days, counted up to whole ones. Licensed and expires-soon: until the license ends. Grace and over-used: until
    /// automatic updates stop. Not-yet-valid: until it begins. Otherwise none.
    pub days_left: Option<u64>,
}

impl LicenseState {
    /// Whether hotfixes may be installed without being told to. The only thing that a license decides.
    pub fn allows_automatic_updates(&self) -> bool {
        match self.state {
            State::Licensed | State::ExpiresSoon | State::Grace => true,
            State::OverUsed => self.days_left.is_some_and(|days| days > 0),
            State::Unlicensed | State::Expired | State::Invalid | State::NotYetValid => false,
        }
    }
}

/// The state of a license. `license` is none where no token is installed, and an error where [`crate::verify`] refused
/// the one that is.
pub fn evaluate(
    license: Option<Result<&License, &Error>>,
    observed: &Observation<'_>,
) -> LicenseState {
    let answer = |state, days_left, reason: String| LicenseState {
        state,
        reason,
        days_left,
    };
    let license = match license {
        None => {
            let reason =
                "no license is installed; everything works, hotfixes are installed with xe";
            return answer(State::Unlicensed, None, reason.to_owned());
        }
        Some(Err(error)) => return answer(State::Invalid, None, error.to_string()),
        Some(Ok(license)) => license,
    };
    let claims = license.claims();
    if let Binding::Hosts(hosts) = &claims.binding {
        match observed.host {
            Some(host) if hosts.iter().any(|h| h.eq_ignore_ascii_case(host)) => {}
            Some(host) => {
                return answer(
                    State::Invalid,
                    None,
                    format!("the license is for other hosts, not for {host}"),
                );
            }
            None => {
                let reason =
                    "the license is for certain hosts, and the firmware of this one gives no UUID";
                return answer(State::Invalid, None, reason.to_owned());
            }
        }
    }
    let now = effective_now(observed.now, observed.high_water_mark);
    if now < claims.not_before {
        let days = days_up(claims.not_before - now);
        return answer(
            State::NotYetValid,
            Some(days),
            format!("the license begins in {days} days; check the clock"),
        );
    }
    let end_of_grace = claims.updates_until.saturating_add(GRACE_DAYS * DAY);
    if now >= end_of_grace {
        let days = (now - claims.updates_until) / DAY;
        let reason = format!(
            "the license ended {days} days ago; everything works, hotfixes are installed with xe"
        );
        return answer(State::Expired, None, reason);
    }
    let ended = now >= claims.updates_until;
    if let Some(sockets) = observed.sockets.filter(|sockets| *sockets > claims.sockets) {
        // Seen for the first time: the days of grace begin now. A time in the future is a mark from a wrong clock.
        let since = observed.over_used_since.unwrap_or(now).min(now);
        let mut stops = since.saturating_add(GRACE_DAYS * DAY);
        if ended {
            stops = stops.min(end_of_grace);
        }
        let days = days_up(stops.saturating_sub(now));
        let reason = format!(
            "{sockets} sockets are populated, and the license covers {}",
            claims.sockets
        );
        let reason = match days {
            0 => format!("{reason}; automatic updates have stopped"),
            _ => format!("{reason}; automatic updates stop in {days} days"),
        };
        return answer(State::OverUsed, Some(days), reason);
    }
    if ended {
        let days = days_up(end_of_grace - now);
        return answer(
            State::Grace,
            Some(days),
            format!("the license has ended; automatic updates stop in {days} days"),
        );
    }
    let days = days_up(claims.updates_until - now);
    let counted = match observed.sockets {
        Some(sockets) => format!("{sockets} of {} sockets are used", claims.sockets),
        None => format!(
            "{} sockets are licensed; how many are populated could not be counted",
            claims.sockets
        ),
    };
    let state = if days <= EXPIRES_SOON_DAYS {
        State::ExpiresSoon
    } else {
        State::Licensed
    };
    answer(
        state,
        Some(days),
        format!("{counted}; the license ends in {days} days"),
    )
}

fn days_up(seconds: u64) -> u64 {
    seconds.div_ceil(DAY)
}
