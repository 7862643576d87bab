//! The license of this host: where it is kept, what it is worth now, and what that is shown as.
//!
//! Nothing here stops anything. The one who asks is the automatic update, through [`Look::allows_automatic_updates`].

mod change;
mod request;
mod warning;

pub use change::{add, reactivate, remove};
pub use request::{request, request_text};
pub use warning::{ISSUE_FILE, warn};

use crate::clock;
use crate::error::chain;
use crate::local::short_text;
use crate::record::{Field, Record, Value};
use license::{
    Binding, Bundle, Error, Evaluation, KEYS_FILE, Machine, Memory, Observation, PublicKeys,
    RELEASED_FILE, State,
};
use std::collections::BTreeMap;
use std::path::Path;
use steps::{Command, System};

/// Where licenses and what is remembered about them are kept: in /var, so that neither a hotfix nor going back from one
/// changes them.
pub const FOLDER: &str = "/var/lib/bedplate/license";
/// The license that `xe` installed: the token and this host's activation record, one a line.
pub const LICENSE_FILE: &str = "/var/lib/bedplate/license/license.token";
/// The license that the installer wrote, or whatever manages the files of this host. The other one goes first.
pub const INSTALLED_FILE: &str = "/etc/bedplate/license.token";
/// What is remembered: see [`Memory`].
pub const MEMORY_FILE: &str = "/var/lib/bedplate/license/memory.json";

/// Field of hosts: `per-socket` with a license that counts, else `free`. There is one edition, with everything in it.
pub const EDITION: &str = "edition";
/// What that field can be: without a license, and with one.
pub const EDITIONS: [&str; 2] = ["free", "per-socket"];
/// Field of hosts: the license as a map, with the keys that XenServer has for the same things.
pub const LICENSE_PARAMS: &str = "license-params";

/// What `host-license-view` shows.
pub const LICENSE_FIELDS: [Field; 17] = [
    Field::listed("state"),
    Field::listed("reason"),
    Field::listed("days-left"),
    Field::listed("automatic-updates"),
    Field::listed("license-id"),
    Field::listed("customer"),
    Field::listed("binding"),
    Field::listed("sockets-licensed"),
    Field::listed("sockets-used"),
    Field::listed("sockets-populated"),
    Field::listed("not-before"),
    Field::listed("updates-until"),
    Field::listed("activated"),
    Field::listed("hardware"),
    Field::more("key-id"),
    Field::more("license-file"),
    Field::more("clock"),
];

/// A look at the license.
#[derive(Debug, Clone)]
pub struct Look {
    /// The file that the license is in; none where there is none.
    pub file: Option<&'static str>,
    /// What the file holds, or why it cannot be used.
    pub bundle: Option<Result<Bundle, Error>>,
    /// The state, and what to remember.
    pub evaluation: Evaluation,
    machine: Machine,
    remembered: Memory,
}

/// Looks at the license of this host; `now` is its clock, in seconds since 1970. Changes nothing.
pub fn look(system: &dyn System, machine: &Machine, now: u64) -> Look {
    let file = [LICENSE_FILE, INSTALLED_FILE]
        .into_iter()
        .find(|path| system.exists(Path::new(path)));
    let bundle = file.map(|path| {
        let text = system
            .read_file(Path::new(path))
            .map_err(|e| Error::NotAToken { problem: chain(&e) })?;
        Bundle::read(&String::from_utf8_lossy(&text), &keys(system)?)
    });
    evaluate(system, machine, now, file, bundle)
}

fn evaluate(
    system: &dyn System,
    machine: &Machine,
    now: u64,
    file: Option<&'static str>,
    bundle: Option<Result<Bundle, Error>>,
) -> Look {
    // A damaged memory is begun anew: the floors that are signed stay.
    let remembered = system
        .read_file(Path::new(MEMORY_FILE))
        .ok()
        .and_then(|json| Memory::from_json(&json).ok())
        .unwrap_or_default();
    let observed = Observation {
        machine,
        clock: now,
        // It only matters where the clock is behind, so the question is only asked then.
        clock_is_synchronized: remembered.high_water_mark > now && is_synchronized(system),
        released: released(system),
        memory: &remembered,
    };
    let evaluation = license::evaluate(bundle.as_ref().map(Result::as_ref), &observed);
    Look {
        file,
        bundle,
        evaluation,
        machine: machine.clone(),
        remembered,
    }
}

/// The keys that licenses are accepted from. An image without keys knows none, and says so about every license.
fn keys(system: &dyn System) -> Result<PublicKeys, Error> {
    match system.read_file(Path::new(KEYS_FILE)) {
        Ok(json) => PublicKeys::from_json(&json),
        Err(_) => Ok(PublicKeys::default()),
    }
}

/// The signed time of the release that runs; 0 where the image has none.
fn released(system: &dyn System) -> u64 {
    short_text(system, RELEASED_FILE)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The kernel's own answer, which setting the clock by hand takes back at once (adjtimex(2), STA_UNSYNC).
pub(crate) fn is_synchronized(system: &dyn System) -> bool {
    let show = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]);
    system.run(&show).is_ok_and(|output| output.text() == "yes")
}

impl Look {
    /// Whether hotfixes may be installed without being told to. The only thing that a license decides.
    pub fn allows_automatic_updates(&self) -> bool {
        self.evaluation.state.allows_automatic_updates()
    }

    /// Writes down what is to be remembered, in one step.
    pub fn remember(&self, system: &dyn System) -> Result<(), steps::system::FileError> {
        if self.evaluation.memory == self.remembered {
            return Ok(());
        }
        let Ok(json) = self.evaluation.memory.to_json() else {
            return Ok(());
        };
        system.create_dir_all(Path::new(FOLDER))?;
        system.write_file(Path::new(MEMORY_FILE), json.as_bytes(), 0o600)
    }

    /// What a command that changed something prints: one line without its end, or the state alone.
    pub fn told(&self, minimal: bool) -> String {
        let state = &self.evaluation.state;
        match minimal {
            true => state.state.name().to_owned(),
            false => format!("{}: {}", state.state.name(), state.reason),
        }
    }

    /// For `host-license-view`. Nothing of a license that is not genuine is shown.
    pub fn record(&self) -> Record {
        let Evaluation {
            state,
            sockets_used,
            recognition,
            memory,
        } = &self.evaluation;
        let mut record = Record::new()
            .with("state", state.state.name())
            .with("reason", state.reason.clone())
            .with("days-left", state.days_left)
            .with("automatic-updates", state.allows_automatic_updates())
            .with("sockets-populated", self.machine.sockets)
            .with("license-file", self.file)
            .with("clock", clock::shown(memory.high_water_mark));
        if let Some(Ok(bundle)) = &self.bundle
            && let Some(license) = &bundle.license
        {
            let claims = license.claims();
            let binding = match &claims.binding {
                Binding::Hosts(hosts) => {
                    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
                    format!("hosts {}", hosts.join(", "))
                }
                Binding::Site(site) => format!("site {site}"),
            };
            let activation = bundle.activation_for(license, &self.machine);
            record = record
                .with("license-id", claims.id.clone())
                .with("customer", claims.customer.clone())
                .with("binding", binding)
                .with("sockets-licensed", claims.sockets)
                .with("sockets-used", *sockets_used)
                .with("not-before", clock::shown(claims.not_before))
                .with("updates-until", clock::shown(claims.updates_until))
                .with("key-id", license.key_id())
                .with(
                    "activated",
                    activation.and_then(|activation| clock::shown(activation.claims().issued)),
                )
                .with("hardware", recognition.as_ref().map(ToString::to_string));
        }
        record
    }

    /// Adds the license to the record of the host.
    pub fn add_to_host(&self, host: Record) -> Record {
        let state = &self.evaluation.state;
        let counts = matches!(
            state.state,
            State::Licensed | State::ExpiresSoon | State::Grace | State::OverUsed
        );
        let mut params = BTreeMap::new();
        let mut param = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                params.insert(name.to_owned(), value);
            }
        };
        param("state", Some(state.state.name().to_owned()));
        param("reason", Some(state.reason.clone()));
        param("days-left", state.days_left.map(|days| days.to_string()));
        param(
            "automatic-updates",
            Some(state.allows_automatic_updates().to_string()),
        );
        if let Some(Ok(bundle)) = &self.bundle
            && let Some(license) = &bundle.license
        {
            let claims = license.claims();
            let grace = matches!(state.state, State::Grace | State::OverUsed);
            param("grace", Some(if grace { "yes" } else { "no" }.to_owned()));
            param("serialnumber", Some(claims.id.clone()));
            param("company", Some(claims.customer.clone()));
            param("sockets", Some(claims.sockets.to_string()));
            param("expiry", clock::shown(claims.updates_until));
        }
        host.with(EDITION, EDITIONS[usize::from(counts)])
            .with(LICENSE_PARAMS, Value::Map(params))
    }
}
