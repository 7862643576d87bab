//! Virtual machines.

use super::{Class, Wanted};
use crate::XeError;
use crate::record::{Field, Record};
use std::collections::BTreeSet;
use steps::{Command, System};

pub(super) const CLASS: Class = Class {
    name: "vm",
    plural: "virtual machines",
    fields: &[
        Field::listed("uuid"),
        Field::listed("name-label"),
        Field::listed("power-state"),
        Field::more("is-control-domain"),
        Field::more("dom-id"),
        Field::more("vcpus"),
        Field::more("memory-actual"),
    ],
    labeled: false,
    single: false,
    read,
    write: None,
};

/// Running domains are those of the hypervisor; halted ones are known to libvirt alone. Without libvirt the running
/// ones are still listed.
fn read(system: &dyn System, _: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    let output = system
        .run(&Command::new("xl").args(["list", "-v"]))
        .map_err(|e| XeError::system(&e))?;
    let mut domains = parse_xl_list(&output.text())?;
    let running: BTreeSet<_> = domains.iter().map(|domain| domain.uuid.clone()).collect();
    let virsh = Command::new("virsh").args([
        "-q",
        "-c",
        "xen:///system",
        "list",
        "--all",
        "--uuid",
        "--name",
    ]);
    if let Ok(output) = system.run(&virsh) {
        domains.extend(
            parse_virsh_list(&output.text()).filter(|domain| !running.contains(&domain.uuid)),
        );
    }
    Ok(domains.into_iter().map(Domain::into_record).collect())
}

#[derive(Debug, PartialEq, Eq)]
struct Domain {
    uuid: String,
    name: String,
    state: &'static str,
    id: Option<u32>,
    vcpus: Option<u32>,
    memory_mb: Option<u64>,
}

impl Domain {
    fn into_record(self) -> Record {
        Record::new()
            .with("uuid", self.uuid)
            .with("name-label", self.name)
            .with("power-state", self.state)
            .with("is-control-domain", self.id == Some(0))
            .with("dom-id", self.id)
            .with("vcpus", self.vcpus)
            .with("memory-actual", self.memory_mb.map(|mb| mb << 20))
    }
}

/// Lines of `Name ID Mem VCPUs State Time(s) UUID Reason-Code Security-Label` below a heading. Names may hold blanks,
/// so the columns are counted from the UUID.
fn parse_xl_list(text: &str) -> Result<Vec<Domain>, XeError> {
    text.lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(parse_xl_line)
        .collect()
}

fn parse_xl_line(line: &str) -> Result<Domain, XeError> {
    let odd = || {
        XeError::failure(
            "INTERNAL_ERROR",
            format!("`xl list -v` printed a line that is not known: {line:?}"),
        )
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let uuid = words
        .iter()
        .rposition(|word| is_uuid(word))
        .filter(|at| *at >= 5)
        .ok_or_else(odd)?;
    let number = |at: usize| words[at].parse::<u64>().map_err(|_| odd());
    let flags = words[uuid - 2];
    Ok(Domain {
        uuid: words[uuid].to_owned(),
        name: words[..uuid - 5].join(" "),
        state: match flags.contains('p') {
            true => "paused",
            // Crashed and shut down domains that were kept are not running either.
            false if flags.contains(['c', 's', 'd']) => "halted",
            false => "running",
        },
        id: number(uuid - 5)?.try_into().ok(),
        memory_mb: Some(number(uuid - 4)?),
        vcpus: number(uuid - 3)?.try_into().ok(),
    })
}

/// Lines of `UUID name`; names may hold blanks.
fn parse_virsh_list(text: &str) -> impl Iterator<Item = Domain> {
    text.lines().filter_map(|line| {
        let (uuid, name) = line.trim().split_once(' ')?;
        is_uuid(uuid).then(|| Domain {
            uuid: uuid.to_owned(),
            name: name.trim().to_owned(),
            state: "halted",
            id: None,
            vcpus: None,
            memory_mb: None,
        })
    })
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && uuid::Uuid::try_parse(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    const XL: &str = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label
Domain-0                                     0  1024     4     r-----      52.9 00000000-0000-0000-0000-000000000000        -                -
my guest                                     3   256     1     -b----       1.2 11111111-2222-3333-4444-555555555555        -                -
frozen                                       4   256     1     --p---       1.2 22222222-2222-3333-4444-555555555555        -                -
";
    const VIRSH: &str = "\
00000000-0000-0000-0000-000000000000 Domain-0
11111111-2222-3333-4444-555555555555 my guest
33333333-2222-3333-4444-555555555555 off
";

    #[test]
    fn running_paused_and_halted_guests_are_listed_once() {
        let system = RecordingSystem::new()
            .prints("xl list", XL)
            .prints("virsh", VIRSH);
        let records = read(&system, &Wanted(&[])).unwrap();
        let summary: Vec<_> = records
            .iter()
            .map(|r| {
                format!(
                    "{} {} {}",
                    r.get("name-label"),
                    r.get("power-state"),
                    r.get("dom-id")
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                "Domain-0 running 0",
                "my guest running 3",
                "frozen paused 4",
                "off halted <unknown>"
            ]
        );
        assert_eq!(records[1].get("memory-actual").to_string(), "268435456");
        assert_eq!(records[0].get("is-control-domain").to_string(), "true");
    }

    #[test]
    fn without_libvirt_the_running_ones_are_listed_and_without_xen_nothing() {
        let system = RecordingSystem::new()
            .prints("xl list", XL)
            .fails("virsh", 1, "no socket");
        assert_eq!(read(&system, &Wanted(&[])).unwrap().len(), 3);
        let system = RecordingSystem::new().fails("xl", 1, "not running under Xen");
        let error = read(&system, &Wanted(&[])).unwrap_err();
        assert!(
            error.message.contains("not running under Xen") && error.exit_code() == 1,
            "{error}"
        );
        let system = RecordingSystem::new().prints("xl list", "heading\nnonsense\n");
        assert!(
            read(&system, &Wanted(&[]))
                .unwrap_err()
                .message
                .contains("nonsense")
        );
    }
}
