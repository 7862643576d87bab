//! From a license and what is observed on a host to its state. Pure: no clock, no files.

use crate::{Activation, Binding, Bundle, Claims, Error, License, Machine, Memory, Recognition};
use serde::{Deserialize, Serialize};

/// Days before the end of a license from which on it is said to expire soon.
pub const EXPIRES_SOON_DAYS: u64 = 30;
/// Days that automatic updates go on after the end of a license, after over-use was first seen, and after the license was
/// first seen on a machine that it is not activated for.
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
    /// The license ended less than [`GRACE_DAYS`] days ago, or this machine is to be activated within them.
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

/// What is known about the host.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The clock, in seconds since 1970.
    pub clock: u64,
    /// True where the clock follows a time server. Such a clock is believed also where it is behind the latest time ever
    /// seen, so that a clock that once ran ahead does not end a license forever.
    pub clock_is_synchronized: bool,
    /// The signed time of the release that runs, in seconds since 1970: it cannot be earlier than that. 0 where unknown.
    pub released: u64,
    /// What was remembered at the last look.
    pub memory: &'a Memory,
}

impl Observation<'_> {
    /// The time that counts: the clock, but never before what was seen already nor before what was signed.
    fn now(&self, signed: impl IntoIterator<Item = u64>) -> u64 {
        let mark = match self.clock_is_synchronized {
            true => 0,
            false => self.memory.high_water_mark,
        };
        let floor = mark.max(self.released);
        signed.into_iter().fold(floor.max(self.clock), u64::max)
    }
}

/// What a look at the license gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The state.
    pub state: LicenseState,
    /// Sockets that count against the license: those of all its hosts where an activation record tells them.
    pub sockets_used: Option<u32>,
    /// How much of the recorded machine was found again; none where nothing was recorded yet.
    pub recognition: Option<Recognition>,
    /// To be remembered until the next look.
    pub memory: Memory,
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

/// Whether a license is for this machine.
enum Confirmed {
    /// It names the machine.
    ByName,
    /// The machine was recognized.
    Recognized,
    /// It was, and too much has changed since.
    Changed,
    /// The site's license has no record for it yet.
    NotActivated,
    /// It is for others.
    No(String),
}

/// The state of a license. `license` is none where no license file is installed, and an error where [`Bundle::read`]
/// refused the one that is.
pub fn evaluate(
    license: Option<Result<&Bundle, &Error>>,
    observed: &Observation<'_>,
) -> Evaluation {
    let mut memory = observed.memory.clone();
    let without = |state, reason: String, mut memory: Memory| {
        memory.high_water_mark = observed.now([]);
        Evaluation {
            state: LicenseState {
                state,
                reason,
                days_left: None,
            },
            sockets_used: observed.machine.sockets,
            recognition: None,
            memory,
        }
    };
    let bundle = match license {
        None => {
            let reason =
                "no license is installed; everything works, hotfixes are installed with xe";
            return without(State::Unlicensed, reason.to_owned(), memory);
        }
        Some(Err(error)) => return without(State::Invalid, error.to_string(), memory),
        Some(Ok(bundle)) => bundle,
    };
    let license = match bundle.license() {
        Ok(license) => license,
        Err(error) => return without(State::Invalid, error.to_string(), memory),
    };
    let claims = license.claims();
    let records = || {
        let of_license = |record: &&Activation| record.claims().license == claims.id;
        bundle.activations.iter().filter(of_license)
    };
    let issued = records().map(|record| record.claims().issued);
    let now = observed.now(issued.chain([claims.issued]));
    memory.high_water_mark = now;
    if memory.license.as_ref() != Some(&claims.id) {
        memory = Memory {
            high_water_mark: now,
            license: Some(claims.id.clone()),
            ..Memory::default()
        };
    }
    let machine = observed.machine;
    let record = bundle.activation_for(license, machine);
    let recorded = memory.machine.as_ref().or_else(|| {
        let newest = records().max_by_key(|record| record.claims().issued);
        record.or(newest).map(|record| &record.claims().fingerprint)
    });
    let recognition = recorded.map(|recorded| recorded.recognize(&machine.fingerprint));
    let confirmed = confirm(
        license,
        machine,
        record.is_some(),
        records().next().is_some(),
        recognition.as_ref().filter(|_| memory.machine.is_some()),
    );
    let used = machine.sockets.map(|sockets| match record {
        // Sockets that were put in or taken out since the record was made count as they are now.
        Some(record) => {
            let claims = record.claims();
            (claims.site_sockets - claims.sockets).saturating_add(sockets)
        }
        None => sockets,
    });
    match used {
        Some(used) if used > claims.sockets => {
            memory.over_used_since.get_or_insert(now);
        }
        Some(_) => memory.over_used_since = None,
        None => {}
    }
    match &confirmed {
        Confirmed::ByName => {
            memory.unconfirmed_since = None;
            memory.machine = Some(machine.fingerprint.recorded());
        }
        Confirmed::Recognized => {
            memory.unconfirmed_since = None;
            memory
                .machine
                .get_or_insert_with(|| machine.fingerprint.recorded());
        }
        Confirmed::Changed | Confirmed::NotActivated => {
            memory.unconfirmed_since.get_or_insert(now);
        }
        Confirmed::No(_) => {}
    }
    let over_used = used.filter(|used| *used > claims.sockets);
    Evaluation {
        state: judge(
            claims,
            &confirmed,
            recognition.as_ref(),
            over_used,
            used,
            now,
            &memory,
        ),
        sockets_used: used,
        recognition,
        memory,
    }
}

/// Whether the license is for this machine. `remembered` is how much of the machine that it was for at the last look is
/// still there.
fn confirm(
    license: &License,
    machine: &Machine,
    has_record: bool,
    has_any_record: bool,
    remembered: Option<&Recognition>,
) -> Confirmed {
    let same = remembered.is_some_and(Recognition::is_same_machine);
    let was_known = remembered.is_some() || has_any_record;
    match &license.claims().binding {
        Binding::Hosts(hosts) => {
            let named = |uuid: &String| hosts.iter().any(|host| host.eq_ignore_ascii_case(uuid));
            match &machine.hardware {
                Some(uuid) if named(uuid) => Confirmed::ByName,
                _ if has_record || same => Confirmed::Recognized,
                _ if was_known => Confirmed::Changed,
                Some(uuid) => {
                    Confirmed::No(format!("the license is for other hosts, not for {uuid}"))
                }
                None => Confirmed::No(
                    "the license is for certain hosts, and the firmware of this one gives no UUID"
                        .to_owned(),
                ),
            }
        }
        Binding::Site(_) if has_record || same => Confirmed::Recognized,
        Binding::Site(_) if was_known => Confirmed::Changed,
        Binding::Site(_) => Confirmed::NotActivated,
    }
}

/// The state of a license that is genuine.
fn judge(
    claims: &Claims,
    confirmed: &Confirmed,
    recognition: Option<&Recognition>,
    over_used: Option<u32>,
    used: Option<u32>,
    now: u64,
    memory: &Memory,
) -> LicenseState {
    let answer = |state, days_left, reason: String| LicenseState {
        state,
        reason,
        days_left,
    };
    const HOW: &str = "send what `xe host-license-request` prints to who issued the license";
    let unconfirmed = match confirmed {
        Confirmed::ByName | Confirmed::Recognized => None,
        Confirmed::No(reason) => return answer(State::Invalid, None, reason.clone()),
        Confirmed::NotActivated => Some(format!("this host is not activated yet: {HOW}")),
        Confirmed::Changed => Some(format!(
            "too much of this machine has changed{}: {HOW}",
            recognition.map_or(String::new(), |what| format!(" ({what})"))
        )),
    };
    if now < claims.not_before {
        let days = days_up(claims.not_before - now);
        return answer(
            State::NotYetValid,
            Some(days),
            format!("the license begins in {}; check the clock", days_text(days)),
        );
    }
    let end_of_grace = claims.updates_until.saturating_add(GRACE_DAYS * DAY);
    if now >= end_of_grace {
        let days = (now - claims.updates_until) / DAY;
        let reason = format!(
            "the license ended {} ago; everything works, hotfixes are installed with xe",
            days_text(days)
        );
        return answer(State::Expired, None, reason);
    }
    // A time in the future is one that a wrong clock wrote.
    let stop = |since: Option<u64>| {
        let since = since.unwrap_or(now).min(now);
        since.saturating_add(GRACE_DAYS * DAY)
    };
    let ended = now >= claims.updates_until;
    // Whichever stops first.
    let mut stops = u64::MAX;
    if ended {
        stops = stops.min(end_of_grace);
    }
    if over_used.is_some() {
        stops = stops.min(stop(memory.over_used_since));
    }
    if let Some(reason) = &unconfirmed {
        let stop = stop(memory.unconfirmed_since);
        if now >= stop {
            return answer(State::Invalid, None, reason.clone());
        }
        stops = stops.min(stop);
    }
    let days = days_up(stops.saturating_sub(now));
    let until = match days {
        0 => "automatic updates have stopped".to_owned(),
        _ => format!("automatic updates stop in {}", days_text(days)),
    };
    if let Some(over_used) = over_used {
        let reason = format!(
            "{over_used} sockets are populated, and the license covers {}; {until}",
            claims.sockets
        );
        return answer(State::OverUsed, Some(days), reason);
    }
    if let Some(reason) = unconfirmed {
        return answer(State::Grace, Some(days), format!("{reason}; {until}"));
    }
    if ended {
        let reason = format!("the license has ended; {until}");
        return answer(State::Grace, Some(days), reason);
    }
    let days = days_up(claims.updates_until - now);
    let counted = match used {
        Some(used) => format!("{used} of {} sockets are used", claims.sockets),
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
        format!("{counted}; the license ends in {}", days_text(days)),
    )
}

fn days_up(seconds: u64) -> u64 {
    seconds.div_ceil(DAY)
}

fn days_text(days: u64) -> String {
    match days {
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}
