//! Virtual machines.

use super::{Class, Listed, Wanted};
use crate::XeError;
use crate::change::Change;
use crate::commands::Surroundings;
use crate::guest::{Domain, autostart, is_name, libvirt, rename, snapshots};
use crate::labels::{NAME_DESCRIPTION, NAME_LABEL, OTHER_CONFIG, TAGS};
use crate::local::host_uuid;
use crate::record::{Field, Record, Value};
use crate::{size, verb};
use std::collections::{BTreeMap, BTreeSet};
use steps::{Command, System};

/// UUID of the control domain, the same on every host.
pub const DOM0: &str = "00000000-0000-0000-0000-000000000000";

pub(super) const CLASS: Class = Class {
    name: "vm",
    plural: "virtual machines",
    fields: &[
        Field::listed("uuid"),
        NAME_LABEL,
        NAME_DESCRIPTION,
        Field::listed("power-state"),
        Field::more("is-control-domain"),
        Field::more("dom-id"),
        Field::more("resident-on"),
        Field::more("domain-type"),
        Field::more("memory-static-max").writable(),
        Field::more("memory-dynamic-max").writable(),
        Field::more("memory-actual"),
        Field::more("VCPUs-max").writable(),
        Field::more("VCPUs-at-startup").writable(),
        Field::more("VCPUs-number"),
        Field::more("auto-poweron").writable(),
        Field::more("actions-after-shutdown").writable(),
        Field::more("actions-after-reboot").writable(),
        Field::more("actions-after-crash").writable(),
        Field::more("PV-kernel").writable(),
        Field::more("PV-ramdisk").writable(),
        Field::more("PV-args").writable(),
        Field::more("PV-bootloader").writable(),
        Field::map("HVM-boot-params").writable(),
        Field::more_set("VBDs"),
        Field::more_set("VIFs"),
        Field::more_set("snapshots"),
        OTHER_CONFIG,
        TAGS,
    ],
    labeled: false,
    single: false,
    read,
    write: Some(write),
};

/// Fields that `xl list` and `virsh list` know; everything else is in the definitions.
const QUICK: [&str; 8] = [
    "uuid",
    "name-label",
    "power-state",
    "is-control-domain",
    "dom-id",
    "resident-on",
    "memory-actual",
    "VCPUs-number",
];

/// What separates the lists that one `virsh` prints: the answer to `uri`. (Its `echo` ends no line, and lists may be empty.)
const MARK: &str = "xen:///system";

/// All of them. Without libvirt it would seem that there are no halted ones.
fn read(system: &dyn System, wanted: &Wanted<'_>) -> Result<Vec<Record>, XeError> {
    match listed(system, wanted)? {
        (records, None) => Ok(records),
        (_, Some(error)) => Err(error),
    }
}

/// Running domains are those of the hypervisor; halted ones are known to libvirt alone. Without libvirt the running
/// ones are still listed.
pub(super) fn listed(system: &dyn System, wanted: &Wanted<'_>) -> Result<Listed, XeError> {
    let unfinished = rename::finish(system).into_iter();
    for error in unfinished.chain(autostart::finish(system)) {
        eprintln!("Warning: {error}");
    }
    let output = system
        .run(&Command::new("xl").args(["list", "-v"]))
        .map_err(|e| XeError::system(&e))?;
    let mut domains = parse_xl_list(&output.text())?;
    let running: BTreeSet<_> = domains.iter().map(|domain| domain.uuid.clone()).collect();
    let lists = "list --all --uuid --name; uri; list --all --uuid --with-managed-save; uri; list --all --uuid --autostart";
    let mut missing = None;
    let mut or_missing = |error: XeError| missing = Some(unknown(&error));
    let text = libvirt::run_within(system, [lists], libvirt::ANSWER_TIMEOUT)
        .map_err(&mut or_missing)
        .unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut lists = lines.split(|line| *line == MARK);
    let mut next = || lists.next().unwrap_or_default().iter().copied();
    let defined_ones: Vec<_> = next().filter_map(parse_virsh_line).collect();
    let saved: BTreeSet<_> = next().collect();
    let auto: BTreeSet<_> = next().collect();
    domains.extend(
        defined_ones
            .into_iter()
            .filter(|domain| !running.contains(&domain.uuid)),
    );
    for domain in &mut domains {
        if domain.state == "halted" && saved.contains(domain.uuid.as_str()) {
            domain.state = "suspended";
        }
    }
    let more = CLASS
        .fields
        .iter()
        .map(|field| field.name)
        .filter(|name| !QUICK.contains(name));
    let definitions: BTreeMap<String, Domain> = match wanted.any(&more.collect::<Vec<_>>()) {
        true => libvirt::domains(system)
            .map_err(&mut or_missing)
            .unwrap_or_default()
            .into_iter()
            .map(|domain| (domain.uuid(), domain))
            .collect(),
        false => BTreeMap::new(),
    };
    let snapshots = match wanted.any(&["snapshots"]) {
        true => snapshots::all(system)?,
        false => Vec::new(),
    };
    let host = host_uuid(system).map(|uuid| uuid.to_string());
    let records = domains
        .into_iter()
        .map(|domain| {
            let uuid = domain.uuid.clone();
            let lives = domain.id.is_some();
            let mut record = domain.into_record().with(
                "resident-on",
                host.clone().filter(|_| lives).unwrap_or_default(),
            );
            if let Some(definition) = definitions.get(&uuid) {
                record = defined(record, definition)
                    .with("auto-poweron", auto.contains(uuid.as_str()))
                    .with("snapshots", Value::Set(snapshots::of(&snapshots, &uuid)));
            } else if uuid == DOM0 {
                record = record.with("name-description", "The control domain, dom0");
            }
            record
        })
        .collect();
    Ok((records, missing))
}

/// libvirt did not say which guests there are, or what they are.
fn unknown(error: &XeError) -> XeError {
    XeError::failure(
        "HOST_OFFLINE",
        "libvirt, which knows the guests that do not run, gives no answer; see `systemctl status libvirtd`. What runs is shown by \
         vm-list.",
    )
    .with("reason", error.message.clone())
}

/// What the definition of a guest adds; snapshots have the same.
pub(super) fn defined(record: Record, domain: &Domain) -> Record {
    let uuid = domain.uuid();
    let mut boot = BTreeMap::new();
    let hvm = domain.virtualization() == Some(crate::guest::Virtualization::Hvm);
    if hvm {
        boot.insert("order".to_owned(), domain.boot_order());
        boot.insert("firmware".to_owned(), domain.firmware().to_owned());
    }
    record
        .with("name-description", domain.description())
        .with(
            "domain-type",
            domain.virtualization().map(|kind| kind.name()),
        )
        .with("memory-static-max", domain.memory_max())
        .with("memory-dynamic-max", domain.memory())
        .with("VCPUs-max", domain.vcpus_max())
        .with("VCPUs-at-startup", domain.vcpus())
        .with("actions-after-shutdown", domain.action("on_poweroff"))
        .with("actions-after-reboot", domain.action("on_reboot"))
        .with("actions-after-crash", domain.action("on_crash"))
        .with("PV-kernel", domain.boot_file("kernel"))
        .with("PV-ramdisk", domain.boot_file("initrd"))
        .with("PV-args", domain.boot_file("cmdline"))
        .with("PV-bootloader", domain.bootloader())
        .with("HVM-boot-params", Value::Map(boot))
        .with(
            "VBDs",
            Value::Set(domain.disks().iter().map(|disk| disk.uuid(&uuid)).collect()),
        )
        .with(
            "VIFs",
            Value::Set(domain.nics().iter().map(|nic| nic.uuid(&uuid)).collect()),
        )
        .with("other-config", Value::Map(domain.other_config()))
        .with("tags", Value::Set(domain.tags().into_iter().collect()))
}

/// Changes a guest's definition, and its start with the host.
fn write(around: &Surroundings<'_>, record: &Record, changes: &[Change]) -> Result<(), XeError> {
    let system = around.system;
    let uuid = record.text("uuid").unwrap_or_default();
    if uuid == DOM0 {
        return Err(XeError::failure(
            "OPERATION_NOT_ALLOWED",
            "The control domain is set up by the installation and the answers, not here.",
        ));
    }
    let old = libvirt::whole_domain(system, &uuid)?;
    let mut new = old.clone();
    let mut auto = None;
    for change in changes {
        match change {
            // As XenServer's administrators write it.
            Change::SetKey("other-config", key, value) if key == "auto_poweron" => {
                auto = Some(verb::flag(key, value)?);
            }
            Change::RemoveKey("other-config", key) if key == "auto_poweron" => auto = Some(false),
            Change::Set("auto-poweron", value) => auto = Some(verb::flag("auto-poweron", value)?),
            _ => apply(&mut new, change)?,
        }
    }
    if new.name() != old.name() {
        let state = record.text("power-state").unwrap_or_default();
        if state != "halted" {
            return Err(bad_power_state(&uuid, "halted", &state));
        }
        rename::rename(system, &old, &new)?;
    } else if new != old {
        libvirt::define(system, &new)?;
    }
    auto.map_or(Ok(()), |on| autostart::set(system, &uuid, on))
}

/// Applies a change to a definition.
pub(super) fn apply(domain: &mut Domain, change: &Change) -> Result<(), XeError> {
    const ACTIONS: [&str; 3] = ["destroy", "restart", "preserve"];
    let wrong = |why: &str| Err(XeError::usage(format!("{}: {why}", change.field())));
    let (max, start) = (domain.vcpus_max().unwrap_or(1), domain.vcpus().unwrap_or(1));
    let memory_max = domain.memory_max().unwrap_or(0);
    let memory = domain.memory().unwrap_or(memory_max);
    match change {
        Change::Set("name-label", name) => match is_name(name) {
            true => domain.set_name(name),
            false => return wrong("a name is one line, not empty, and without a slash"),
        },
        Change::Set("name-description", text) => domain.set_description(text),
        Change::Clear("name-description") => domain.set_description(""),
        Change::Set("memory-static-max", text) => {
            let bytes = size::parse("memory-static-max", text)?;
            domain.set_memory(
                bytes,
                bytes.min(match memory == memory_max {
                    true => bytes,
                    false => memory,
                }),
            );
        }
        Change::Set("memory-dynamic-max", text) => {
            let bytes = size::parse("memory-dynamic-max", text)?;
            match bytes > memory_max {
                true => return wrong("it is more than memory-static-max"),
                false => domain.set_memory(memory_max, bytes),
            }
        }
        Change::Set("VCPUs-max", text) => {
            let count = verb::number("VCPUs-max", text)?;
            domain.set_vcpus(
                count,
                if start == max {
                    count
                } else {
                    start.min(count)
                },
            );
        }
        Change::Set("VCPUs-at-startup", text) => {
            let count = verb::number("VCPUs-at-startup", text)?;
            match count > max {
                true => return wrong("it is more than VCPUs-max"),
                false => domain.set_vcpus(max, count),
            }
        }
        Change::Set("PV-kernel", path) => domain.set_boot_file("kernel", path),
        Change::Set("PV-ramdisk", path) => domain.set_boot_file("initrd", path),
        Change::Set("PV-args", args) => domain.set_boot_file("cmdline", args),
        Change::Set("PV-bootloader", program) => domain.set_bootloader(program),
        Change::Clear("PV-kernel") => domain.set_boot_file("kernel", ""),
        Change::Clear("PV-ramdisk") => domain.set_boot_file("initrd", ""),
        Change::Clear("PV-args") => domain.set_boot_file("cmdline", ""),
        Change::Clear("PV-bootloader") => domain.set_bootloader(""),
        Change::Set(field, action) if field.starts_with("actions-after-") => {
            if !ACTIONS.contains(&action.as_str()) {
                return wrong("it is one of destroy, restart, preserve");
            }
            let event = match field.trim_start_matches("actions-after-") {
                "shutdown" => "on_poweroff",
                "reboot" => "on_reboot",
                _ => "on_crash",
            };
            domain.set_action(event, action);
        }
        Change::SetKey("HVM-boot-params", key, order) if key == "order" => {
            if !domain.set_boot_order(order) {
                return wrong("the order is made of c (disk), d (optical drive), n (network)");
            }
        }
        Change::SetKey("other-config", key, value) => {
            domain.set_entry("other-config", key, Some(value));
        }
        Change::RemoveKey("other-config", key) => domain.set_entry("other-config", key, None),
        Change::Clear("other-config") => {
            for key in domain.other_config().into_keys() {
                domain.set_entry("other-config", &key, None);
            }
        }
        Change::Add("tags", tag) => domain.set_entry("tag", tag, Some("")),
        Change::Remove("tags", tag) => domain.set_entry("tag", tag, None),
        Change::Clear("tags") => {
            for tag in domain.tags() {
                domain.set_entry("tag", &tag, None);
            }
        }
        _ => return wrong("it cannot be changed like this"),
    }
    Ok(())
}

/// A guest is in another state than a command needs.
pub fn bad_power_state(vm: &str, expected: &str, actual: &str) -> XeError {
    XeError::failure(
        "VM_BAD_POWER_STATE",
        "You attempted an operation on a VM that was not in an appropriate power state at the time.",
    )
    .with("vm", vm)
    .with("expected", expected)
    .with("actual", actual)
}

#[derive(Debug, PartialEq, Eq)]
struct Running {
    uuid: String,
    name: String,
    state: &'static str,
    id: Option<u32>,
    vcpus: Option<u32>,
    memory_mb: Option<u64>,
}

impl Running {
    fn into_record(self) -> Record {
        Record::new()
            .with("uuid", self.uuid)
            .with("name-label", self.name)
            .with("name-description", "")
            .with("power-state", self.state)
            .with("is-control-domain", self.id == Some(0))
            .with("dom-id", self.id)
            .with("VCPUs-number", self.vcpus)
            .with("memory-actual", self.memory_mb.map(|mb| mb << 20))
    }
}

/// Lines of `Name ID Mem VCPUs State Time(s) UUID Reason-Code Security-Label` below a heading. Names may hold blanks,
/// so the columns are counted from the UUID.
fn parse_xl_list(text: &str) -> Result<Vec<Running>, XeError> {
    text.lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .filter_map(|line| parse_xl_line(line).transpose())
        .collect()
}

/// None for one that was ended and whose memory is being given back: it is halted, and can be started again.
fn parse_xl_line(line: &str) -> Result<Option<Running>, XeError> {
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
    if flags.contains('d') {
        return Ok(None);
    }
    Ok(Some(Running {
        uuid: words[uuid].to_owned(),
        name: words[..uuid - 5].join(" "),
        state: match flags {
            // actions-after-crash=preserve: nothing runs in it, but it has its memory and its disks until it is ended.
            flags if flags.contains('c') => "crashed",
            flags if flags.contains('p') => "paused",
            // One that shut itself down is there until libvirt ends it; libvirt says that it runs, too.
            _ => "running",
        },
        id: number(uuid - 5)?.try_into().ok(),
        memory_mb: Some(number(uuid - 4)?),
        vcpus: number(uuid - 3)?.try_into().ok(),
    }))
}

/// `UUID name`; names may hold blanks.
fn parse_virsh_line(line: &str) -> Option<Running> {
    let (uuid, name) = line.split_once(' ')?;
    is_uuid(uuid).then(|| Running {
        uuid: uuid.to_owned(),
        name: name.trim().to_owned(),
        state: "halted",
        id: None,
        vcpus: None,
        memory_mb: None,
    })
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36 && uuid::Uuid::try_parse(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::domain::tests::PVH;
    use steps::RecordingSystem;

    const XL: &str = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label
Domain-0                                     0  1024     4     r-----      52.9 00000000-0000-0000-0000-000000000000        -                -
my guest                                     3   256     1     -b----       1.2 11111111-2222-3333-4444-555555555555        -                -
frozen                                       4   256     1     --p---       1.2 22222222-2222-3333-4444-555555555555        -                -
dead                                         5   256     1     --psc-       1.2 55555555-2222-3333-4444-555555555555        3                -
going                                        6   256     1     ---s--       1.2 66666666-2222-3333-4444-555555555555        0                -
off                                          7     0     1     --ps-d       1.2 33333333-2222-3333-4444-555555555555        0                -
";
    const VIRSH: &str = "\
00000000-0000-0000-0000-000000000000 Domain-0
11111111-2222-3333-4444-555555555555 my guest
33333333-2222-3333-4444-555555555555 off
44444444-2222-3333-4444-555555555555 asleep
xen:///system
44444444-2222-3333-4444-555555555555
xen:///system
11111111-2222-3333-4444-555555555555
";

    #[test]
    fn running_paused_crashed_and_halted_guests_are_listed_once() {
        let system = RecordingSystem::new()
            .prints("xl list", XL)
            .prints("virsh", VIRSH);
        let records = read(&system, &Wanted(&["uuid"])).unwrap();
        assert_eq!(system.command_lines().len(), 2, "a list asks twice");
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
                "dead crashed 5",
                "going running 6",
                "off halted <unknown>",
                "asleep suspended <unknown>"
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
        let (records, missing) = listed(&system, &Wanted(&["memory-static-max"])).unwrap();
        assert_eq!(records.len(), 5);
        assert_eq!(missing.unwrap().code, "HOST_OFFLINE");
        let error = read(&system, &Wanted(&[])).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
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

    #[test]
    fn changes_are_checked_against_each_other() {
        let mut domain = Domain::parse(PVH).unwrap();
        let set = |domain: &mut Domain, field, value: &str| {
            apply(domain, &Change::Set(field, value.to_owned()))
        };
        set(&mut domain, "VCPUs-max", "4").unwrap();
        assert_eq!((domain.vcpus_max(), domain.vcpus()), (Some(4), Some(1)));
        assert!(set(&mut domain, "VCPUs-at-startup", "5").unwrap_err().usage);
        set(&mut domain, "memory-dynamic-max", "192MiB").unwrap();
        set(&mut domain, "memory-static-max", "1GiB").unwrap();
        assert_eq!(
            domain.memory(),
            Some(1 << 30),
            "both were equal, so both grow"
        );
        set(&mut domain, "memory-dynamic-max", "512MiB").unwrap();
        set(&mut domain, "memory-static-max", "2GiB").unwrap();
        assert_eq!(domain.memory(), Some(1 << 29), "one was lower, so it stays");
        set(&mut domain, "memory-static-max", "256MiB").unwrap();
        assert_eq!(
            domain.memory(),
            Some(1 << 28),
            "never more than there can be"
        );
        assert!(set(&mut domain, "memory-dynamic-max", "1GiB").is_err());
        assert!(set(&mut domain, "actions-after-crash", "explode").is_err());
        assert!(set(&mut domain, "name-label", "a/b").is_err());
        set(&mut domain, "actions-after-crash", "preserve").unwrap();
        assert_eq!(domain.action("on_crash"), "preserve");
        let order = |value: &str| Change::SetKey("HVM-boot-params", "order".into(), value.into());
        apply(&mut domain, &order("ndc")).unwrap();
        assert_eq!(domain.boot_order(), "ndc");
        assert!(apply(&mut domain, &order("x")).is_err());
    }
}
