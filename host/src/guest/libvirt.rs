//! libvirt, which defines and runs guests through its Xen driver. `virsh` is its stable command line.

use super::Domain;
use crate::XeError;
use std::collections::BTreeSet;
use std::time::Duration;
use steps::{Command, RunError, System};

/// Arguments of every `virsh`.
pub const CONNECTION: [&str; 3] = ["-q", "-c", "xen:///system"];

/// How long a command of a guest's life may take: a large guest's memory is written to disk when it is suspended.
const LIFE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long an answer may take that changes nothing. A libvirtd that hangs must not hold up whoever only asks.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A `virsh` command.
pub fn virsh<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new("virsh").args(CONNECTION).args(args)
}

/// Runs a `virsh` command and returns what it prints.
pub fn run<'a>(
    system: &dyn System,
    args: impl IntoIterator<Item = &'a str>,
) -> Result<String, XeError> {
    run_within(system, args, LIFE_TIMEOUT)
}

/// Like [`run`], for at most `limit`.
pub fn run_within<'a>(
    system: &dyn System,
    args: impl IntoIterator<Item = &'a str>,
    limit: Duration,
) -> Result<String, XeError> {
    system
        .run(&virsh(args).timeout(limit))
        .map(|output| output.text())
        .map_err(|e| failure(&e))
}

/// The codes of what an administrator can do something about.
fn failure(error: &RunError) -> XeError {
    let message = XeError::system(error).message;
    let text = message.to_lowercase();
    let code = if text.contains("failed to connect to the hypervisor") {
        "HOST_OFFLINE"
    } else if text.contains("not enough memory")
        || text.contains("cannot allocate memory")
        || text.contains("failed to free memory")
    {
        "HOST_NOT_ENOUGH_FREE_MEMORY"
    } else {
        "INTERNAL_ERROR"
    };
    XeError::failure(code, message)
}

/// UUIDs that `virsh list` prints with these arguments.
fn uuids(system: &dyn System, args: &[&str]) -> Result<Vec<String>, XeError> {
    let args = ["list", "--uuid"].into_iter().chain(args.iter().copied());
    let text = run_within(system, args, ANSWER_TIMEOUT)?;
    Ok(text
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| uuid::Uuid::try_parse(line).is_ok())
        .collect())
}

/// The definitions of all guests, as they are for their next start. dom0 is none.
pub fn domains(system: &dyn System) -> Result<Vec<Domain>, XeError> {
    dump(system, &uuids(system, &["--all"])?, "dumpxml --inactive")
}

/// The definitions of the running guests as they are now, with their consoles.
pub fn running(system: &dyn System) -> Result<Vec<Domain>, XeError> {
    dump(system, &uuids(system, &[])?, "dumpxml")
}

/// The definition of one guest.
pub fn domain(system: &dyn System, uuid: &str) -> Result<Domain, XeError> {
    let text = run_within(system, ["dumpxml", "--inactive", uuid], ANSWER_TIMEOUT)?;
    Domain::parse(&text)
}

/// The same with its secrets, as the password of its screen: for whoever gives it back to libvirt, which forgets what is left out.
pub fn whole_domain(system: &dyn System, uuid: &str) -> Result<Domain, XeError> {
    let command = virsh(["dumpxml", "--inactive", "--security-info", uuid]);
    let output = system
        .run(&command.timeout(ANSWER_TIMEOUT).secret_stdout())
        .map_err(|e| failure(&e))?;
    Domain::parse(&output.text())
}

/// UUIDs and names of the guests that `virsh list` prints with these arguments; dom0 is none.
pub fn named(system: &dyn System, args: &[&str]) -> Result<Vec<(String, String)>, XeError> {
    let list = ["list", "--uuid", "--name"];
    let args = list.into_iter().chain(args.iter().copied());
    let text = run_within(system, args, ANSWER_TIMEOUT)?;
    let guest = |line: &str| {
        let (uuid, name) = line.trim().split_once(' ')?;
        uuid::Uuid::try_parse(uuid).ok()?;
        Some((uuid.to_owned(), name.trim().to_owned()))
    };
    let guests = text.lines().filter_map(guest);
    Ok(guests
        .filter(|(uuid, _)| uuid != crate::class::DOM0)
        .collect())
}

/// All guests that are defined, and dom0.
pub fn all(system: &dyn System) -> Result<BTreeSet<String>, XeError> {
    Ok(uuids(system, &["--all"])?.into_iter().collect())
}

/// Guests that start with the host.
pub fn autostarted(system: &dyn System) -> Result<BTreeSet<String>, XeError> {
    Ok(uuids(system, &["--all", "--autostart"])?
        .into_iter()
        .collect())
}

/// Guests whose memory is on disk.
pub fn suspended(system: &dyn System) -> Result<BTreeSet<String>, XeError> {
    Ok(uuids(system, &["--all", "--with-managed-save"])?
        .into_iter()
        .collect())
}

/// One `virsh` for all of them: starting it costs more than what it does. A guest that is gone in between is left out, and
/// virsh goes on with the next.
fn dump(system: &dyn System, uuids: &[String], command: &str) -> Result<Vec<Domain>, XeError> {
    let script: Vec<_> = uuids
        .iter()
        .filter(|uuid| **uuid != crate::class::DOM0)
        .map(|uuid| format!("{command} {uuid}"))
        .collect();
    if script.is_empty() {
        return Ok(Vec::new());
    }
    let text = run_within(system, [script.join("; ").as_str()], ANSWER_TIMEOUT)?;
    split(&text).map(Domain::parse).collect()
}

/// The definitions in what several `dumpxml` print.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive("</domain>")
        .filter_map(|part| part.find("<domain ").map(|start| &part[start..]))
}

/// What libvirt says where another guest has the name, and where the guest is defined under another name
/// (virDomainObjListAddLocked in its src/conf/virdomainobjlist.c).
const NAME_IS_TAKEN: &str = "already exists with uuid";
const UUID_IS_TAKEN: &str = "is already defined with uuid";

/// Defines a guest, or changes its definition for its next start.
pub fn define(system: &dyn System, domain: &Domain) -> Result<(), XeError> {
    with_file(system, &domain.print(), "define", &[]).map_err(|error| {
        if error.message.contains(NAME_IS_TAKEN) {
            XeError::failure(
                "VM_NAME_IN_USE",
                "Another virtual machine has this name; libvirt tells them apart by it.",
            )
            .with("name-label", domain.name())
        } else if error.message.contains(UUID_IS_TAKEN) {
            XeError::failure(
                "DUPLICATE_VM",
                "This virtual machine is defined under another name; vm-param-set name-label= changes it.",
            )
            .with("uuid", domain.uuid())
        } else {
            error
        }
    })
}

/// Attaches or detaches a device: in the definition, and in the running guest where it runs.
pub fn device(
    system: &dyn System,
    command: &str,
    uuid: &str,
    xml: &str,
    scopes: &[&str],
) -> Result<(), XeError> {
    let mut args = vec![uuid];
    let mut options = vec!["/dev/stdin"];
    options.extend(scopes);
    args.extend(options);
    system
        .run(
            &virsh([command].into_iter().chain(args))
                .stdin(xml)
                .timeout(LIFE_TIMEOUT),
        )
        .map(drop)
        .map_err(|e| failure(&e))
}

fn with_file(
    system: &dyn System,
    xml: &str,
    command: &str,
    options: &[&str],
) -> Result<(), XeError> {
    let args = [command, "/dev/stdin"]
        .into_iter()
        .chain(options.iter().copied());
    system
        .run(&virsh(args).secret_stdin(xml))
        .map(drop)
        .map_err(|e| failure(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::domain::tests::PVH;
    use steps::RecordingSystem;

    #[test]
    fn one_virsh_reads_all_definitions_and_skips_what_is_gone() {
        let list = "00000000-0000-0000-0000-000000000000\n33333333-3333-4333-8333-333333333333\n44444444-3333-4333-8333-333333333333\n";
        let other = PVH.replace("33333333-3", "44444444-3");
        let system = RecordingSystem::new()
            .prints("virsh -q -c xen:///system list", list)
            .prints(
                "virsh -q -c xen:///system 'dumpxml",
                &format!("{PVH}\nDomain not found\n{other}"),
            );
        let all = domains(&system).unwrap();
        let waits: Vec<_> = system.commands().iter().map(Command::limit).collect();
        assert_eq!(waits, [ANSWER_TIMEOUT; 2]);
        let uuids: Vec<_> = all.iter().map(Domain::uuid).collect();
        assert_eq!(
            uuids,
            [
                "33333333-3333-4333-8333-333333333333",
                "44444444-3333-4333-8333-333333333333"
            ]
        );
        assert_eq!(
            system.command_lines()[1],
            "virsh -q -c xen:///system 'dumpxml --inactive 33333333-3333-4333-8333-333333333333; \
             dumpxml --inactive 44444444-3333-4333-8333-333333333333'"
        );
        let none = RecordingSystem::new().prints("virsh", "\n");
        assert!(domains(&none).unwrap().is_empty());
        assert_eq!(none.command_lines().len(), 1);
    }

    #[test]
    fn failures_have_codes() {
        for (said, code) in [
            ("error: failed to connect to the hypervisor", "HOST_OFFLINE"),
            (
                "error: operation failed: domain 'lab pvh' already exists with uuid 44444444-3333-4333-8333-333333333333",
                "VM_NAME_IN_USE",
            ),
            (
                "error: operation failed: domain 'x' is already defined with uuid 33333333-3333-4333-8333-333333333333",
                "DUPLICATE_VM",
            ),
            (
                "error: internal error: libxenlight failed",
                "INTERNAL_ERROR",
            ),
        ] {
            let system = RecordingSystem::new().fails("virsh", 1, said);
            let error = define(&system, &Domain::parse(PVH).unwrap()).unwrap_err();
            assert_eq!(error.code, code);
        }
    }
}
