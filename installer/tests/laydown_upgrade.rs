//! The host on a disk is upgraded: the release goes beside the one that it runs, and wherever the run is stopped, the host starts
//! that one, with everything that it has; another run finishes.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::installed::{installed, old_guids, old_layout};
use common::machine::{DISK, FakeMachine, FakeSystem, SIZE, facts};
use common::medium::Medium;
use common::{choices, verdict};
use hcl_checker::Known;
use hcl_checker::facts::{BedplateHost, Disk, FirmwareKind};
use hcl_checker::verdict::Level;
use installer::installed::look;
use installer::laydown::Machine;
use installer::plan::{Input, Planned, UpgradePlan, decide};
use installer::upgrade::{self, Context};
use release::{Artifact, BOOT_FILES, OpenRelease};
use slots::block::{Access, BlockDevice, Fault, MemoryDevice, OpenError};
use slots::boot_state::{Choice, GOOD_ENV, STATE_ENV, release_env};
use slots::env_block::{EnvBlock, EnvFileError};
use slots::gpt::write_table;
use slots::verity::{BLOCK, TreeBuilder, root_fits};
use slots::{BootState, Console, PartitionKind, RootIdentity, Verity};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use steps::report::Heading;
use steps::sink::FanOut;
use steps::{Emitter, Outcome, Report, System};

const ESP: &str = "/run/bedplate/target/bedplate-esp";
const STATE: &str = "/run/bedplate/target/bedplate-state";
/// Where a host is looked at before.
const LOOK: &str = "/run/bedplate/look";
const NEW: &str = "c3c3c3c3c3c3c3c3";
/// What was in the other slot before.
const BEFORE: &str = "0123456789abcdef";

/// Data and hash tree of the root that the host runs, and what it is.
fn old_root() -> (Vec<u8>, RootIdentity) {
    let mut image: Vec<u8> = (0..8 * BLOCK).map(|at| (at % 251) as u8).collect();
    let mut verity = Verity {
        data_blocks: 8,
        salt: "5a".repeat(32),
        root_hash: String::new(),
    };
    let mut tree = TreeBuilder::new(&verity).unwrap();
    tree.update(&image);
    let tree = tree.finish();
    // One level: the hash of its only block is the root hash.
    let mut hash = TreeBuilder::new(&verity).unwrap();
    hash.update(&tree);
    hash.update(&vec![0; BLOCK as usize]);
    verity.root_hash = hex::encode(&hash.finish()[..32]);
    image.extend(&tree);
    let identity = RootIdentity {
        version: "0.0.9".into(),
        image_name: "old.root.img".into(),
        image_size: image.len() as u64,
        image_sha256: "00".repeat(32),
        verity,
    };
    (image, identity)
}

/// The host as the disk holds it: its root in `slot`, noise everywhere else.
fn old_disk(slot: PartitionKind) -> MemoryDevice {
    let mut device = MemoryDevice::new(SIZE).filled(0x5a);
    write_table(&mut device, &old_layout(), &old_guids()).unwrap();
    device.write_at(0, &[0x90; 446]).unwrap();
    let start = old_layout().get(slot).unwrap().start;
    device.write_at(start, &old_root().0).unwrap();
    device
}

fn good() -> BootState {
    BootState {
        good: Some(old_root().1.id().to_owned()),
        previous: Some(BEFORE.into()),
        console: Console::Com2,
        ..BootState::default()
    }
}

/// The files of the host: on its ESP and its state file system, wherever they are mounted.
fn host_files(state: &BootState) -> Vec<(PathBuf, Vec<u8>)> {
    let root = old_root().1;
    let id = root.id();
    let esp = [
        (
            STATE_ENV.to_owned(),
            state.to_env().unwrap().to_bytes().unwrap().to_vec(),
        ),
        (
            GOOD_ENV.to_owned(),
            state.to_good_env().unwrap().to_bytes().unwrap().to_vec(),
        ),
        ("grub/grub.cfg".to_owned(), b"menu".to_vec()),
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), b"loader".to_vec()),
        (format!("bedplate/{id}/vmlinuz"), b"old kernel".to_vec()),
        (
            format!("bedplate/{BEFORE}/vmlinuz"),
            b"older kernel".to_vec(),
        ),
    ];
    let json = serde_json::to_vec(&root).unwrap();
    let files = [
        (format!("var/lib/bedplate/hotfix/roots/{id}.json"), json),
        (format!("etc/{id}/upper/hostname"), b"xen1\n".to_vec()),
        (format!("etc/{id}/upper/marker"), b"kept".to_vec()),
        (format!("etc/{BEFORE}/upper/marker"), b"older".to_vec()),
        ("root/marker".to_owned(), b"kept".to_vec()),
    ];
    let at = |mount: &str, list: &[(String, Vec<u8>)]| {
        list.iter()
            .map(|(path, bytes)| (Path::new(mount).join(path), bytes.clone()))
            .collect::<Vec<_>>()
    };
    // One folder stands for both where the host is looked at: they have no name in common.
    [
        at(LOOK, &esp),
        at(LOOK, &files),
        at(ESP, &esp),
        at(STATE, &files),
    ]
    .concat()
}

fn system(release: &OpenRelease, state: &BootState) -> FakeSystem {
    host_files(state)
        .into_iter()
        .fold(FakeSystem::new(release), |system, (path, bytes)| {
            system.change(|system| system.file(path, bytes))
        })
}

/// The machine, whose boot loader's blocks are files of `system`.
struct Host<'s> {
    machine: FakeMachine,
    system: &'s FakeSystem,
    /// Bytes that are free on the ESP.
    free: u64,
}

impl Machine for Host<'_> {
    fn disk(&self, path: &str) -> Option<Disk> {
        self.machine.disk(path)
    }
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice>, OpenError> {
        self.machine.open(path, access)
    }
    fn has_device(&self, path: &Path) -> bool {
        self.machine.has_device(path)
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        let bytes = block.to_bytes().unwrap();
        self.system
            .write_file(path, &bytes, 0o600)
            .map_err(|error| EnvFileError::Io {
                action: "write",
                path: path.to_owned(),
                source: error.source,
            })
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free)
    }
}

fn host(system: &FakeSystem, disk: MemoryDevice, fault: Option<Fault>) -> Host<'_> {
    Host {
        machine: FakeMachine::with_disk(installed(), disk, fault),
        system,
        free: 1 << 30,
    }
}

fn plan_of(medium: &Medium, slot: PartitionKind) -> UpgradePlan {
    let root = old_root().1;
    let mut disk = installed();
    disk.host = Known::Value(BedplateHost {
        hostname: Some("xen1".into()),
        version: root.version.clone(),
        root_hash: root.verity.root_hash.clone(),
        slot: slot.name().into(),
        trial: None,
    });
    let facts = facts(disk, FirmwareKind::Uefi);
    let input = Input {
        release: &medium.manifest,
        facts: &facts,
        judge: &|_| verdict(Level::Compatible),
        choices: &choices(&format!(
            "schema = 1\n[disk]\npath = \"{DISK}\"\nupgrade = true\n"
        )),
        medium: None,
        command_line: "",
    };
    match decide(&input).unwrap_or_else(|problems| panic!("{problems}")) {
        Planned::Upgrade(plan) => *plan,
        Planned::Install(_) => panic!("no upgrade"),
    }
}

fn run(release: &OpenRelease, plan: &UpgradePlan, host: &Host<'_>) -> Report {
    let mut emitter = Emitter::new(FanOut::new());
    let mut context = Context::new(plan, release, host.system, host);
    upgrade::steps().run(&mut context, &mut emitter, Heading::default())
}

fn failed_step(report: &Report) -> String {
    report
        .failed_step()
        .map_or("none".into(), |step| step.id.clone())
}

/// The state of the boot loader, as it is on the ESP.
fn loader(system: &FakeSystem) -> BootState {
    let bytes = system
        .inner
        .content(Path::new(ESP).join(STATE_ENV))
        .unwrap();
    BootState::from_env(&EnvBlock::parse(&bytes).unwrap())
}

/// Everything of the host but the other slot is what it was.
fn untouched(host: &Host<'_>, plan: &UpgradePlan) {
    let written = old_layout();
    let slot = written.get(plan.writes).unwrap();
    for (start, size) in host.machine.written() {
        assert!(
            start >= slot.start && start + size <= slot.end(),
            "{size} bytes at {start}"
        );
    }
    let old = old_root().1;
    let removed = |path: &Path| path.components().any(|part| part.as_os_str() == BEFORE);
    for (path, bytes) in host_files(&good()) {
        if !path.ends_with(STATE_ENV) && !removed(&path) {
            assert_eq!(
                host.system.inner.content(&path),
                Some(bytes),
                "{}",
                path.display()
            );
        }
    }
    for line in host.system.inner.command_lines() {
        let reads = line.starts_with("sha256sum ");
        let removes = line.starts_with("rm ") && !line.contains(old.id());
        assert!(reads || removes, "{line}");
    }
}

/// What the next start does, which must be something whole.
fn starts(
    disk: &mut MemoryDevice,
    host_system: &FakeSystem,
    plan: &UpgradePlan,
    medium: &Medium,
) -> String {
    let layout = old_layout();
    let old = old_root().1;
    let slot = layout.get(plan.host.slot).unwrap();
    let mut window = slots::block::Window::new(&mut *disk, slot.start, slot.size).unwrap();
    assert!(
        root_fits(&mut window, &old.verity).unwrap(),
        "the old root is not whole"
    );
    let state = loader(host_system);
    assert_eq!(state.good.as_deref(), Some(old.id()));
    match state.choice() {
        Choice::Good(id) => id.to_owned(),
        Choice::Try(id) => {
            let image = medium.content(Artifact::Root);
            let slot = layout.get(plan.writes).unwrap();
            assert!(
                disk.bytes(slot.start, image.len()) == image,
                "a root is tried that is not whole"
            );
            for (artifact, name) in BOOT_FILES {
                let path = Path::new(ESP).join("bedplate").join(id).join(name);
                assert_eq!(
                    host_system.inner.content(path),
                    Some(medium.content(artifact)),
                    "{name}"
                );
            }
            let from = Path::new(STATE).join("etc").join(id).join("from");
            let from = host_system.inner.content(from).unwrap();
            assert_eq!(from, format!("{}\n", old.id()).as_bytes());
            id.to_owned()
        }
        Choice::Rescue => panic!("nothing would start"),
    }
}

#[test]
fn the_release_goes_beside_the_one_that_runs() {
    let medium = Medium::new();
    let release = medium.open();
    for (slot, other) in [
        (PartitionKind::SlotA, PartitionKind::SlotB),
        (PartitionKind::SlotB, PartitionKind::SlotA),
    ] {
        let plan = plan_of(&medium, slot);
        assert_eq!((plan.host.slot, plan.writes), (slot, other));
        let system = system(&release, &good());
        let host = host(&system, old_disk(slot), None);
        let report = run(&release, &plan, &host);
        assert_eq!(report.result, Outcome::Ok, "{report}");
        assert!(upgrade::is_of(&report));
        let steps: Vec<&str> = report.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(
            steps,
            [
                "verify-release",
                "identify-host",
                "forget-other",
                "slot",
                "boot-files",
                "etc",
                "try"
            ]
        );
        untouched(&host, &plan);
        assert_eq!(
            loader(&system),
            BootState {
                previous: None,
                try_id: Some(NEW.into()),
                tries: 1,
                ..good()
            }
        );
        let version = Path::new(ESP)
            .join("bedplate")
            .join(NEW)
            .join("release.env");
        assert_eq!(
            system.inner.content(version),
            Some(release_env("0.1.0").unwrap().to_vec())
        );
        let removed = system.inner.command_lines();
        for gone in [
            format!("{ESP}/bedplate/{BEFORE}"),
            format!("{STATE}/etc/{BEFORE}"),
        ] {
            assert!(
                removed
                    .iter()
                    .any(|line| line.starts_with("rm ") && line.ends_with(&gone)),
                "{gone}"
            );
        }
        assert!(system.inner.mounted().is_empty());
        let mut disk = host.machine.into_disk();
        assert_eq!(starts(&mut disk, &system, &plan, &medium), NEW);
    }
}

/// The power is cut before every write to the slot, within it, and at every other change; then the same is done again.
#[test]
fn wherever_it_is_stopped_the_old_release_starts_and_another_run_finishes() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_of(&medium, PartitionKind::SlotA);
    let old = old_root().1;
    let first = system(&release, &good());
    let whole = host(&first, old_disk(PartitionKind::SlotA), None);
    assert_eq!(run(&release, &plan, &whole).result, Outcome::Ok);
    let (writes, calls) = (whole.machine.writes(), first.count());
    assert!(
        writes > 2 && calls > 20,
        "only {writes} writes and {calls} calls"
    );

    let mut cuts: Vec<(Option<Fault>, Option<usize>)> = Vec::new();
    for at in 0..writes {
        cuts.push((Some(Fault::PowerCut { at }), None));
        cuts.push((Some(Fault::TornWrite { at, bytes: 512 }), None));
    }
    cuts.extend((0..calls).map(|at| (None, Some(at))));
    let mut seen = BTreeMap::new();
    for (fault, call) in cuts {
        let mut system = system(&release, &good());
        if let Some(at) = call {
            system = system.failing_at(at);
        }
        let stopped = host(&system, old_disk(PartitionKind::SlotA), fault);
        let report = run(&release, &plan, &stopped);
        assert_eq!(report.result, Outcome::Failed, "{fault:?} {call:?}");
        *seen.entry(failed_step(&report)).or_insert(0) += 1;
        untouched(&stopped, &plan);
        let mut disk = stopped.machine.into_disk();
        let next = starts(&mut disk, &system, &plan, &medium);
        // Only what comes after the last write leaves the try behind: making it durable, which may have happened.
        let last = failed_step(&report) == "try" && loader(&system).try_id.is_some();
        assert!(next == old.id() || last, "{fault:?} {call:?}: {next}");

        let facts_now = {
            let machine = host(&system, disk.clone(), None);
            let mut facts = facts(installed(), FirmwareKind::Uefi);
            relook(&system);
            look(&system.inner, &machine, &mut facts);
            facts
        };
        let found = facts_now.disks.value().unwrap()[0].host.clone();
        let found = found
            .value()
            .unwrap_or_else(|| panic!("{fault:?} {call:?}: {found:?}"));
        assert_eq!(found.root_hash, old.verity.root_hash);
        if last {
            assert_eq!(found.trial.as_deref(), Some(NEW));
            continue;
        }
        let again = host(&system, disk, None);
        let report = run(&release, &plan, &again);
        assert_eq!(report.result, Outcome::Ok, "{fault:?} {call:?}: {report}");
        untouched(&again, &plan);
        let mut disk = again.machine.into_disk();
        assert_eq!(starts(&mut disk, &system, &plan, &medium), NEW);
    }
    let steps: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(
        steps,
        [
            "boot-files",
            "etc",
            "forget-other",
            "identify-host",
            "slot",
            "try"
        ],
        "{seen:?}"
    );
}

/// What was written to the ESP is also what is seen where the host is looked at.
fn relook(system: &FakeSystem) {
    let bytes = system
        .inner
        .content(Path::new(ESP).join(STATE_ENV))
        .unwrap();
    system
        .inner
        .write_file(&Path::new(LOOK).join(STATE_ENV), &bytes, 0o600)
        .unwrap();
}

#[test]
fn a_host_that_is_not_as_planned_is_found_before_the_first_write() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_of(&medium, PartitionKind::SlotA);
    let slot_a = PartitionKind::SlotA;
    let moved = {
        let mut device = old_disk(slot_a);
        let mut guids = old_guids();
        guids.partitions[4] = uuid::Uuid::from_u128(7);
        write_table(&mut device, &old_layout(), &guids).unwrap();
        device
    };
    let never = BootState {
        good: None,
        ..good()
    };
    for (state, disk, expected) in [
        (
            good(),
            moved,
            "is not the bedplate-state in the plan any more",
        ),
        (
            good(),
            old_disk(PartitionKind::SlotB),
            "its release is in bedplate-b",
        ),
        (good(), MemoryDevice::new(SIZE), "in the plan any more"),
        (
            good().trying_once(BEFORE),
            old_disk(slot_a),
            "its next start tries the release 0123456789abcdef",
        ),
        (never, old_disk(slot_a), "no release on it came up"),
        (
            BootState {
                good: Some(BEFORE.into()),
                ..good()
            },
            old_disk(slot_a),
            "does not say what its release 0123456789abcdef is",
        ),
    ] {
        let system = system(&release, &state);
        let host = host(&system, disk, None);
        let report = run(&release, &plan, &host);
        assert_eq!(failed_step(&report), "identify-host", "{expected}");
        assert!(report.to_string().contains(expected), "{report}");
        assert_eq!(host.machine.writes(), 0);
        assert_eq!(loader(&system), state);
    }
}

#[test]
fn another_disk_or_too_little_room_is_found_before_the_first_write() {
    let medium = Medium::new();
    let release = medium.open();
    let plan = plan_of(&medium, PartitionKind::SlotA);
    let expect = |host: &Host<'_>, expected: &str| {
        let report = run(&release, &plan, host);
        assert_eq!(failed_step(&report), "identify-host", "{expected}");
        assert!(report.to_string().contains(expected), "{report}");
        assert_eq!(host.machine.writes(), 0);
        assert_eq!(loader(host.system), good());
    };
    let system = system(&release, &good());
    let disk = || old_disk(PartitionKind::SlotA);
    let other = host(&system, disk(), None);
    other.machine.facts.lock().unwrap().as_mut().unwrap().serial = Known::Value("X".into());
    expect(&other, "its serial number is X, not SERIAL1");
    let used = host(&system, disk(), None);
    used.machine
        .facts
        .lock()
        .unwrap()
        .as_mut()
        .unwrap()
        .mount_points = vec!["/mnt".into()];
    expect(&used, "is in use");
    let full = Host {
        free: 1 << 20,
        ..host(&system, disk(), None)
    };
    expect(&full, "on the EFI system partition");
}

#[test]
fn what_is_on_a_disk_is_told_or_why_not() {
    let medium = Medium::new();
    let release = medium.open();
    let told = |state: &BootState, disk: MemoryDevice, found: Disk| {
        let system = system(&release, state);
        let host = host(&system, disk, None);
        let mut facts = facts(found, FirmwareKind::Uefi);
        look(&system, &host, &mut facts);
        assert_eq!(host.machine.writes(), 0);
        for mount in mounts(&system) {
            assert!(mount.read_only && mount.inert, "{mount:?}");
            assert_eq!(
                mount.options == "noload",
                mount.fs_type.as_deref() == Some("ext4")
            );
        }
        assert!(system.inner.mounted().is_empty());
        facts.disks.value().unwrap()[0].host.clone()
    };
    let slot_b = PartitionKind::SlotB;
    let found = told(&good().trying_once(NEW), old_disk(slot_b), installed());
    let root = old_root().1;
    assert_eq!(
        found,
        Known::Value(BedplateHost {
            hostname: Some("xen1".into()),
            version: "0.0.9".into(),
            root_hash: root.verity.root_hash,
            slot: "bedplate-b".into(),
            trial: Some(NEW.into()),
        })
    );
    let mut used = installed();
    used.holders = vec!["dm-0".into()];
    let mut overwritten = old_disk(slot_b);
    let start = old_layout().get(slot_b).unwrap().start;
    overwritten.write_at(start, &[0; 4096]).unwrap();
    for (state, disk, facts, expected) in [
        (good(), old_disk(slot_b), used, "the disk is in use"),
        (
            BootState::default(),
            old_disk(slot_b),
            installed(),
            "no release on it came up",
        ),
        (good(), overwritten, installed(), "neither slot holds 0.0.9"),
    ] {
        let found = told(&state, disk, facts);
        let reason = found.reason().unwrap_or_default();
        assert!(reason.contains(expected), "{found:?}");
    }
    // A disk without slots is not looked at.
    let found = told(&good(), old_disk(slot_b), common::machine::disk());
    assert_eq!(found, Known::default());
}

fn mounts(system: &FakeSystem) -> Vec<steps::system::Mount> {
    let calls = system.inner.calls().into_iter();
    calls
        .filter_map(|call| match call {
            steps::system::Call::Mount(mount) => Some(mount),
            _ => None,
        })
        .collect()
}
