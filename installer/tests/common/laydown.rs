//! Running a lay-down on the machine in memory.

use super::machine::{DISK, FakeMachine, FakeSystem, facts_of};
use super::medium::Medium;
use super::{HASH, KEY, choices, verdict};
use hcl_checker::facts::{Disk, FirmwareKind};
use hcl_checker::verdict::Level;
use installer::laydown::{self, Context, Origin};
use installer::plan::{Input, Plan, PlanProblems, build};
use release::{Artifact, OpenRelease};
use slots::PartitionKind;
use slots::block::MemoryDevice;
use std::path::Path;
use steps::report::Heading;
use steps::sink::{Collect, FanOut};
use steps::{Emitter, Report};

/// Written by the tests' only machine.
pub const TARGET_ESP: &str = "/run/bedplate/target/bedplate-esp";

/// A finished run.
pub struct Run {
    pub report: Report,
    pub events: Vec<steps::Event>,
    pub system: FakeSystem,
    pub machine: FakeMachine,
}

/// `system` is added to `[system]`, `more` behind it.
pub fn plan_with(
    medium: &Medium,
    found: &Disk,
    firmware: FirmwareKind,
    system: &str,
    more: &str,
) -> Plan {
    plan_of(medium, found, firmware, "false", system, more)
}

pub fn plan_for(medium: &Medium, found: &Disk, firmware: FirmwareKind, wipe: bool) -> Plan {
    plan_of(medium, found, firmware, &wipe.to_string(), "", "")
}

/// A plan that keeps the storage repository of the host that is on the disk.
pub fn plan_keeping(medium: &Medium, found: &Disk, firmware: FirmwareKind) -> Plan {
    let keep = "true\nreinstall = true\nkeep_storage = true";
    plan_of(medium, found, firmware, keep, "", "")
}

/// `wipe` is `true` or `false`, and more lines of `[disk]`.
fn plan_of(
    medium: &Medium,
    found: &Disk,
    firmware: FirmwareKind,
    wipe: &str,
    system: &str,
    more: &str,
) -> Plan {
    try_plan(medium, vec![found.clone()], firmware, wipe, system, more)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same on a machine with several disks, the first of which gets the host; `more` may name the others.
pub fn plan_on(medium: &Medium, disks: Vec<Disk>, more: &str) -> Plan {
    try_plan(medium, disks, FirmwareKind::Bios, "false", "", more)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn try_plan(
    medium: &Medium,
    disks: Vec<Disk>,
    firmware: FirmwareKind,
    wipe: &str,
    system: &str,
    more: &str,
) -> Result<Plan, PlanProblems> {
    let text = format!(
        "schema = 1\n[disk]\npath = \"{DISK}\"\nwipe = {wipe}\n[system]\nhostname = \"xen1.example.org\"\n\
         root_password_hash = \"{HASH}\"\nssh_keys = [\"{KEY}\"]\ntimezone = \"Europe/Berlin\"\n{system}{more}"
    );
    let facts = facts_of(disks, firmware);
    let input = Input {
        release: &medium.manifest,
        facts: &facts,
        judge: &|_| verdict(Level::Compatible),
        choices: &choices(&text),
        medium: None,
        command_line: "",
    };
    build(&input)
}

/// Seconds since 1970 by a clock that is right.
pub const NOW: u64 = 1_795_305_600;

pub fn run(release: &OpenRelease, plan: &Plan, system: FakeSystem, machine: FakeMachine) -> Run {
    run_from(release, plan, system, machine, Origin::Folder, NOW)
}

/// The same with a release from somewhere, by a clock that says `now`.
pub fn run_from(
    release: &OpenRelease,
    plan: &Plan,
    system: FakeSystem,
    machine: FakeMachine,
    origin: Origin,
    now: u64,
) -> Run {
    let collect = Collect::new();
    let mut emitter = Emitter::new(FanOut::new().with("test", collect.clone()));
    let hash = plan.hash().unwrap();
    let mut context = Context::new(plan, hash, release, &system, &machine, now);
    context.origin = origin;
    let heading = Heading {
        facts: serde_json::to_value(plan).unwrap(),
        ..Heading::default()
    };
    let report = laydown::steps(plan).run(&mut context, &mut emitter, heading);
    Run {
        report,
        events: collect.events(),
        system,
        machine,
    }
}

pub fn failed_step(run: &Run) -> &str {
    run.report
        .failed_step()
        .map_or("none", |step| step.id.as_str())
}

/// What firmware would start: GRUB's code in the first sector, or a loader on the ESP.
pub fn looks_bootable(disk: &MemoryDevice, system: &FakeSystem, medium: &Medium) -> bool {
    let code = disk.bytes(0, 64) == medium.content(Artifact::GrubBiosBoot)[..64];
    let loader = ["EFI/BOOT/BOOTX64.EFI", "EFI/bedplate/grubx64.efi"];
    code || loader.iter().any(|path| {
        system
            .inner
            .content(Path::new(TARGET_ESP).join(path))
            .is_some()
    })
}

pub fn slot_is_whole(disk: &MemoryDevice, plan: &Plan, medium: &Medium) -> bool {
    let image = medium.content(Artifact::Root);
    let slot = plan.disk.layout.get(PartitionKind::SlotA).unwrap();
    disk.bytes(slot.start, image.len()) == image
}
