//! Building the plan. Pure: the same input always gives the same plan.

use super::problem::{About, PlanProblem, PlanProblems};
use super::wish::Uses;
use super::{
    BootPlan, DiskPlan, Firmware, HookPlan, NO_PASSWORD, NetworkPlan, Plan, ReleasePlan, SWITCH_ON,
    SecureBoot, SourcePlan, StoragePlan, SystemPlan, WebhookPlan, disk, hcl, hook, network,
    storage,
};
use crate::answers::MachineIdentity;
use crate::choices::Choices;
use crate::values::{Hostname, show_memory};
use hcl_checker::Known;
use hcl_checker::facts::{Context, Facts, FirmwareKind};
use hcl_checker::verdict::Verdict;
use release::Manifest;
use sha2::{Digest, Sha256};
use slots::Console;

/// What a plan is built from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What will be laid down.
    pub release: &'a Manifest,
    /// The machine.
    pub facts: &'a Facts,
    /// What the list says about the machine for an installation on these disks (kernel names). Must be pure.
    pub judge: &'a dyn Fn(&[&str]) -> Verdict,
    /// What the operator said.
    pub choices: &'a Choices,
    /// The block device that the medium is, which is never installed to; none when the facts are another machine's.
    pub medium: Option<&'a str>,
    /// The kernel command line of the live system: tells which console the operator uses.
    pub command_line: &'a str,
}

/// What can be decided without a release: everything about the machine, its disks and its networks. Pure.
struct Draft {
    firmware: Option<Firmware>,
    enroll_keys: bool,
    disk: Option<DiskPlan>,
    storage: Option<Vec<StoragePlan>>,
    network: Option<NetworkPlan>,
    hostname: Option<Hostname>,
    hooks: Option<Vec<HookPlan>>,
    problems: Vec<PlanProblem>,
    warnings: Vec<String>,
}

impl Draft {
    fn of(facts: &Facts, choices: &Choices, medium: Option<&str>) -> Self {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let firmware = firmware(facts).map_err(|problem| problems.push(problem));
        if facts.context == Known::Value(Context::Dom0) {
            problems.push(PlanProblem::new(
                About::Machine,
                "this system runs under Xen as dom0, which hides the truth about the processors",
                "start the medium with its entry `Install`, not the one that boots Xen",
            ));
        }
        let enroll_keys = boot(facts, choices, &mut problems, &mut warnings);
        let mut uses = Uses::default();
        let disk = match &facts.disks {
            Known::Value(disks) => disk::choose(
                &choices.disk,
                disks,
                medium,
                firmware.ok(),
                &mut uses,
                &mut warnings,
            ),
            other => Err(vec![not_known(About::Disk, "disks", other.reason())]),
        };
        let disk = disk.map_err(|list| problems.extend(list)).ok();
        let storage = storage::choose(
            &choices.storage,
            facts.disks.value().map_or(&[][..], Vec::as_slice),
            medium,
            &mut uses,
            &mut warnings,
        );
        // Without disks the reason is told already.
        let storage = match facts.disks {
            Known::Value(_) => storage.map_err(|list| problems.extend(list)).ok(),
            _ => None,
        };
        let network = match &facts.nics {
            Known::Value(nics) => network::choose(&choices.network, nics, &mut warnings),
            other => Err(vec![not_known(
                About::Network,
                "network interfaces",
                other.reason(),
            )]),
        };
        let network = network.map_err(|list| problems.extend(list)).ok();
        if choices.system.is_none() && disk.is_some() {
            problems.push(PlanProblem::new(
                About::Disk,
                "the answers allow an upgrade only, and the disk that they mean holds no Bedplate host",
                "choose the disk of a host, or say in [system] who a new host shall be",
            ));
        }
        let hostname = hostname(facts, choices, network.as_ref());
        let hostname = hostname.map_err(|problem| problems.extend(problem));
        let hooks = hook::decide(&choices.hooks);
        let hooks = hooks.map_err(|list| problems.extend(list)).ok();
        Draft {
            firmware: firmware.ok(),
            enroll_keys,
            disk,
            storage,
            network,
            hostname: hostname.ok().flatten(),
            hooks,
            problems,
            warnings,
        }
    }

    /// Kernel names of all disks that are written.
    fn disks(&self) -> Vec<&str> {
        let host = self.disk.iter().flat_map(DiskPlan::members);
        let storage = self.storage.iter().flatten().flat_map(|plan| &plan.disks);
        host.map(|(identity, _)| identity)
            .chain(storage.map(|disk| &disk.identity))
            .filter_map(|identity| identity.path.strip_prefix("/dev/"))
            .collect()
    }
}

fn firmware(facts: &Facts) -> Result<Firmware, PlanProblem> {
    match &facts.firmware.kind {
        Known::Value(FirmwareKind::Uefi) => Ok(Firmware::Uefi),
        Known::Value(FirmwareKind::Bios) => Ok(Firmware::Bios),
        other => Err(PlanProblem::new(
            About::Machine,
            format!(
                "it is not known whether this machine was started by BIOS or UEFI{}",
                other
                    .reason()
                    .map_or(String::new(), |reason| format!(": {reason}"))
            ),
            "see that /sys is mounted, or take the facts anew",
        )),
    }
}

/// Whether keys are enrolled. What of [boot] this machine cannot have is among the problems.
fn boot(
    facts: &Facts,
    choices: &Choices,
    problems: &mut Vec<PlanProblem>,
    warnings: &mut Vec<String>,
) -> bool {
    let firmware_has = SecureBoot::of(&facts.firmware);
    let secure_boot = firmware_has == SecureBoot::On;
    // Where it is on, this medium was started by keys that are enrolled already.
    let enroll_keys = choices.boot.enroll_keys && !secure_boot;
    if enroll_keys && !firmware_has.takes_keys() {
        problems.push(PlanProblem::new(
            About::Machine,
            "`enroll_keys` in [boot] is true, and the firmware is not in setup mode",
            "clear the platform key (Secure Boot keys, \"reset to setup mode\") in the setup of the firmware, or leave \
             `enroll_keys` out",
        ));
    }
    if enroll_keys {
        warnings.push(SWITCH_ON.to_owned());
    }
    if (secure_boot || enroll_keys) && !choices.boot.options().is_empty() {
        problems.push(PlanProblem::new(
            About::Machine,
            "with Secure Boot, [boot] cannot change the command lines of hypervisor or kernel: they are signed with the release",
            "leave `dom0_memory`, `dom0_vcpus`, `xen_args` and `kernel_args` out of [boot], or do without Secure Boot",
        ));
    }
    if let (Some(wanted), Known::Value(total)) =
        (choices.boot.dom0_memory, &facts.memory.total_bytes)
        && wanted > *total
    {
        problems.push(PlanProblem::new(
            About::Machine,
            format!(
                "`dom0_memory` in [boot] is {}, and this machine has {}",
                show_memory(wanted),
                show_memory(*total)
            ),
            "give dom0 less, or leave the key out",
        ));
    }
    enroll_keys
}

/// The name with the facts in it; none where answers say none. An error without a problem is told already.
fn hostname(
    facts: &Facts,
    choices: &Choices,
    network: Option<&NetworkPlan>,
) -> Result<Option<Hostname>, Option<PlanProblem>> {
    let machine = MachineIdentity::of(facts);
    let uplink = network.and_then(|network| network.management());
    let uplink = uplink.map(|bridge| bridge.mac);
    let Some(system) = &choices.system else {
        return Ok(None);
    };
    // Without a network the address is missing for a reason that is told already; what else is missing is told beside that.
    let mut stands_in = false;
    let mut missing = false;
    let resolved = system.hostname.resolve(|fact| {
        let value = match fact {
            "serial" => machine.serial.clone(),
            "uuid" => machine.uuid.clone(),
            "asset_tag" => machine.asset_tag.clone(),
            "mac" if network.is_none() => {
                stands_in = true;
                Some("00:00:00:00:00:00".to_owned())
            }
            "mac" => uplink.map(|mac| mac.to_string()),
            _ => None,
        };
        missing |= value.is_none();
        value
    });
    match resolved {
        // Nobody knows what the name would be.
        _ if stands_in && !missing => Err(None),
        Ok(hostname) => Ok(Some(hostname)),
        Err(message) => Err(Some(PlanProblem::new(
            About::Machine,
            message,
            "change `hostname` in [system]",
        ))),
    }
}

/// What stands in the way of an installation whatever the release is, and the warnings where nothing does.
pub(super) fn check(
    facts: &Facts,
    choices: &Choices,
    medium: Option<&str>,
) -> Result<Vec<String>, PlanProblems> {
    let draft = Draft::of(facts, choices, medium);
    match draft.problems.is_empty() {
        true => Ok(draft.warnings),
        false => Err(PlanProblems(draft.problems)),
    }
}

/// Decides everything, or says everything that is in the way.
pub fn build(input: &Input<'_>) -> Result<Plan, PlanProblems> {
    let Input {
        release,
        facts,
        choices,
        ..
    } = *input;
    let mut draft = Draft::of(facts, choices, input.medium);
    let verdict = (input.judge)(&draft.disks());
    let hcl = hcl::decide(&verdict, &choices.hcl, &mut draft.warnings);
    let hcl = hcl.map_err(|problem| draft.problems.push(problem)).ok();
    let Draft {
        firmware,
        enroll_keys,
        disk,
        storage,
        network,
        hostname,
        hooks,
        problems,
        warnings,
    } = draft;
    match (
        disk,
        storage,
        network,
        hcl,
        firmware,
        hostname.zip(choices.system.as_ref()),
        hooks,
    ) {
        (
            Some(disk),
            Some(storage),
            Some(network),
            Some(hcl),
            Some(firmware),
            Some((hostname, system)),
            Some(hooks),
        ) if problems.is_empty() => Ok(Plan {
            schema: 1,
            release: ReleasePlan::of(release),
            boot: BootPlan {
                firmware,
                bios_code: disk.identity.sector_size == 512,
                firmware_entry: firmware == Firmware::Uefi,
                enroll_keys,
                console: choices
                    .boot
                    .console
                    .unwrap_or_else(|| console(input.command_line)),
                console_follows: choices.boot.console.is_none(),
                options: choices.boot.options(),
            },
            disk,
            storage,
            system: SystemPlan {
                hostname,
                timezone: system.timezone.clone(),
                root_password: system
                    .root_password
                    .as_ref()
                    .map_or(NO_PASSWORD, |hash| hash.method())
                    .to_owned(),
                ssh_keys: system.ssh_keys.clone(),
                keymap: system.keymap.clone(),
                locale: system.locale.clone(),
                enable: system.enable.clone(),
                disable: system.disable.clone(),
            },
            network,
            hcl,
            license_sha256: choices
                .license
                .as_ref()
                .map(|token| hex::encode(Sha256::digest(token.expose()))),
            secrets_sha256: hook::secrets_sha256(choices),
            webhook: WebhookPlan::of(choices),
            source: SourcePlan::of(choices),
            hooks,
            on_success: choices.on_success,
            on_failure: choices.on_failure,
            warnings,
            root_password: system.root_password.clone(),
            license: choices.license.clone(),
            secrets: hook::secrets(choices),
        }),
        _ => Err(PlanProblems(problems)),
    }
}

fn not_known(about: About, what: &str, reason: Option<&str>) -> PlanProblem {
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    PlanProblem::new(
        about,
        format!("the {what} of this machine are not known{reason}"),
        "take the facts anew on the machine itself, as root",
    )
}

/// The console that the installed host uses: the serial port that the operator speaks through, and the screen in any
/// case. The last `console=` is where the kernel opens /dev/console (Linux
/// Documentation/admin-guide/serial-console.rst).
fn console(command_line: &str) -> Console {
    let last = command_line
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("console="))
        .next_back();
    match last.and_then(|console| console.split(',').next()) {
        Some("ttyS1") => Console::Com2,
        _ => Console::Com1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_speaks_where_the_installer_did() {
        assert_eq!(console("quiet"), Console::Com1);
        assert_eq!(
            console("console=tty0 console=ttyS0,115200n8 quiet"),
            Console::Com1
        );
        assert_eq!(console("console=ttyS1 console=ttyS0"), Console::Com1);
        assert_eq!(console("console=ttyS1,9600"), Console::Com2);
    }
}
