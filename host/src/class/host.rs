//! The host.

use super::{Class, Wanted};
use crate::XeError;
use crate::local::{
    MANAGEMENT_BRIDGE, addresses, boot_record, hardware_uuid, host_uuid, short_text,
};
use crate::record::{Field, Record, Value};
use hcl_checker::facts::Facts;
use license::{LicenseState, Observation, PublicKeys};
use std::collections::BTreeMap;
use std::path::Path;
use steps::{Command, System};

/// The license of this host.
const LICENSE_TOKEN: &str = "/etc/bedplate/license.token";
/// The public keys that licenses are accepted from; part of the verified root.
const LICENSE_KEYS: &str = "/usr/share/bedplate/license-keys.json";

pub(super) const CLASS: Class = Class {
    name: "host",
    plural: "hosts",
    fields: &[
        Field::listed("uuid"),
        Field::listed("name-label"),
        Field::listed("name-description"),
        Field::more("address"),
        Field::more("hardware-uuid"),
        Field::more("product-version"),
        Field::more("root-id"),
        Field::map("software-version"),
        Field::more("cpu-count"),
        Field::more("memory-total"),
        Field::more("memory-free"),
        Field::more("hostname"),
    ],
    read,
};

fn read(system: &dyn System, wanted: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let name = short_text(system, "/proc/sys/kernel/hostname");
    let boot = boot_record(system).ok();
    let mut record = Record::new()
        .with("uuid", host_uuid(system).map(|uuid| uuid.to_string()))
        .with("name-label", name.clone())
        .with("hostname", name)
        .with("name-description", "Bedplate host")
        .with("hardware-uuid", hardware_uuid(system))
        .with(
            "product-version",
            boot.as_ref().map(|boot| boot.root.version.clone()),
        )
        .with(
            "root-id",
            boot.as_ref().map(|boot| boot.root.id().to_owned()),
        );
    if wanted.any(&["address"]) {
        record = record.with(
            "address",
            addresses(system, MANAGEMENT_BRIDGE).into_iter().next(),
        );
    }
    if wanted.any(&[
        "software-version",
        "cpu-count",
        "memory-total",
        "memory-free",
    ]) {
        let info = system
            .run(&Command::new("xl").arg("info"))
            .map(|output| xl_info(&output.text()))
            .unwrap_or_default();
        let megabytes = |name: &str| {
            info.get(name)
                .and_then(|text| text.parse::<u64>().ok())
                .map(|mb| mb << 20)
        };
        let mut versions = BTreeMap::new();
        let mut version = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                versions.insert(name.to_owned(), value.to_owned());
            }
        };
        version(
            "product-version",
            boot.as_ref().map(|boot| boot.root.version.as_str()),
        );
        version("xen", info.get("xen_version").map(String::as_str));
        version(
            "linux",
            short_text(system, "/proc/sys/kernel/osrelease").as_deref(),
        );
        record = record
            .with("software-version", Value::Map(versions))
            .with(
                "cpu-count",
                info.get("nr_cpus")
                    .and_then(|text| text.parse::<u32>().ok()),
            )
            .with("memory-total", megabytes("total_memory"))
            .with("memory-free", megabytes("free_memory"));
    }
    Ok(vec![record])
}

/// `name : value` a line, as `xl info` prints.
fn xl_info(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Populated sockets by the rule of the hardware checker: what the kernel sees, and under Xen, where dom0 sees a
/// virtual processor, what the firmware's tables say.
pub fn socket_count(facts: &Facts) -> Option<u32> {
    let topology = &facts.topology;
    let by_tables = || {
        topology
            .socket_counts
            .iter()
            .find_map(|count| count.sockets.value().copied())
    };
    topology
        .sockets
        .value()
        .copied()
        .or_else(by_tables)
        .filter(|sockets| *sockets > 0)
}

/// The state of this host's license and what the license says; `now` in seconds since 1970.
///
/// A clock set back is not noticed yet: there is no high-water mark on the host. It would only matter to automatic
/// updates, which are not there yet either.
pub fn license_of_host(
    system: &dyn System,
    sockets: Option<u32>,
    now: u64,
) -> (LicenseState, Record) {
    let keys = match system.read_file(Path::new(LICENSE_KEYS)) {
        Ok(json) => PublicKeys::from_json(&json),
        // An image without keys knows none, and says so about every license.
        Err(_) => Ok(PublicKeys::default()),
    };
    let token = system
        .exists(Path::new(LICENSE_TOKEN))
        .then(|| short_text(system, LICENSE_TOKEN).unwrap_or_default());
    let verified = token.map(|token| keys.and_then(|keys| license::verify(&token, &keys)));
    let hardware = hardware_uuid(system);
    let observed = Observation {
        sockets,
        host: hardware.as_deref(),
        now,
        high_water_mark: 0,
        over_used_since: None,
    };
    let state = license::evaluate(verified.as_ref().map(Result::as_ref), &observed);
    let mut record = Record::new()
        .with("state", state.state.name())
        .with("reason", state.reason.clone())
        .with("days-left", state.days_left)
        .with("automatic-updates", state.allows_automatic_updates())
        .with("sockets-populated", sockets);
    if let Some(Ok(license)) = &verified {
        let claims = license.claims();
        let date = |seconds: u64| {
            i64::try_from(seconds)
                .ok()
                .and_then(|s| jiff::Timestamp::from_second(s).ok())
                .map(|at| at.to_string())
        };
        record = record
            .with("license-id", claims.id.clone())
            .with("customer", claims.customer.clone())
            .with("sockets-licensed", claims.sockets)
            .with("not-before", date(claims.not_before))
            .with("updates-until", date(claims.updates_until));
    }
    (state, record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use license::{Binding, Claims, KeyPair, State};
    use steps::RecordingSystem;

    const NOW: u64 = 1_795_305_600;

    fn licensed(key: &KeyPair, known: &KeyPair) -> RecordingSystem {
        let claims = Claims {
            schema: 1,
            id: "L-7".into(),
            customer: "Example".into(),
            sockets: 2,
            not_before: NOW,
            updates_until: NOW + 365 * 86_400,
            binding: Binding::Hosts(["4c4c4544-0042".to_owned()].into()),
        };
        let public = known.public_text().unwrap();
        let keys = PublicKeys::from_texts([public.as_str()])
            .unwrap()
            .to_json()
            .unwrap();
        RecordingSystem::new()
            .file(LICENSE_TOKEN, license::issue(key, &claims).unwrap() + "\n")
            .file(LICENSE_KEYS, keys)
            .file("/sys/class/dmi/id/product_uuid", "4C4C4544-0042\n")
    }

    #[test]
    fn the_license_is_read_with_the_keys_of_the_image() {
        let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (state, record) = license_of_host(&licensed(&ours, &ours), Some(2), NOW + 1);
        assert_eq!(
            (state.state, state.days_left),
            (State::Licensed, Some(365)),
            "{}",
            state.reason
        );
        assert_eq!(
            record.get("updates-until"),
            &Value::from("2027-11-22T00:00:00Z")
        );
        let (state, record) = license_of_host(&licensed(&ours, &theirs), Some(2), NOW + 1);
        assert_eq!(state.state, State::Invalid);
        assert_eq!(
            record.get("customer"),
            &Value::Unknown,
            "nothing of a forged license is shown"
        );
        let (state, _) = license_of_host(&RecordingSystem::new(), Some(2), NOW);
        assert_eq!(state.state, State::Unlicensed);
        let broken = licensed(&ours, &ours).file(LICENSE_KEYS, "{");
        assert_eq!(
            license_of_host(&broken, Some(2), NOW + 1).0.state,
            State::Invalid
        );
    }

    #[test]
    fn reads_what_xl_info_prints() {
        let system = RecordingSystem::new()
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
            .prints(
                "xl info",
                "host : x\nnr_cpus                : 8\nxen_version : 4.20.2\ntotal_memory : 4096\n",
            );
        let record = &read(&system, &Wanted(&["memory-total", "software-version"])).unwrap()[0];
        assert_eq!(record.get("memory-total"), &Value::Number(4096 << 20));
        assert_eq!(record.get("cpu-count"), &Value::Number(8));
        assert_eq!(record.get("memory-free"), &Value::Unknown);
        assert_eq!(record.get("software-version").to_string(), "xen: 4.20.2");
        assert_eq!(
            record.get("uuid").to_string(),
            "01234567-89ab-cdef-0123-456789abcdef"
        );
        let quick = RecordingSystem::new();
        read(&quick, &Wanted(&["uuid", "name-label"])).unwrap();
        assert!(
            quick.command_lines().is_empty(),
            "host-list runs no command"
        );
    }
}
