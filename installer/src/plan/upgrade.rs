//! The plan of an upgrade: the release of the medium goes beside the one that a host on a disk runs.

use super::contents::{holds_bedplate, uses};
use super::problem::{About, PlanProblem, PlanProblems};
use super::wish::{Uses, verdict};
use super::{DiskIdentity, HclPlan, Input, ReleasePlan, SourcePlan, WebhookPlan, disk, hcl, hook};
use crate::choices::{After, Choices, DiskChoice};
use hcl_checker::Known;
use hcl_checker::facts::{BedplateHost, Disk, Facts, Partition};
use release::is_older;
use serde::{Serialize, Serializer};
use slots::PartitionKind;
use steps::Secrets;
use uuid::Uuid;

/// The partitions that an upgrade opens; all others it does not look at.
const OPENED: [PartitionKind; 4] = [
    PartitionKind::Esp,
    PartitionKind::SlotA,
    PartitionKind::SlotB,
    PartitionKind::State,
];
/// What udev calls a member of an md array (libblkid).
const MD_MEMBER: &str = "linux_raid_member";
/// What to do on a mirror.
const BY_HOTFIX: &str =
    "apply the release as a hotfix on the host itself, which also works on a mirror";

/// What an upgrade will do. Serializes without secrets, like a [`super::Plan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpgradePlan {
    /// Schema of the serialized plan: 1.
    pub schema: u32,
    /// What tells it from the plan of an installation: `upgrade`.
    pub kind: &'static str,
    /// What is written.
    pub release: ReleasePlan,
    /// The disk; compared again just before the first write.
    pub disk: DiskIdentity,
    /// The host that is on it.
    pub host: UpgradedHost,
    /// The slot that is written; the other one stays as it is.
    #[serde(serialize_with = "by_name")]
    pub writes: PartitionKind,
    /// The partitions that are opened; compared again just before the first write.
    pub partitions: Vec<OpenedPartition>,
    /// What the compatibility list said.
    pub hcl: HclPlan,
    /// SHA-256 of what the plan does not show, as in the plan of an installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_sha256: Option<String>,
    /// Who hears how the upgrade goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookPlan>,
    /// The server that the release is fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlan>,
    /// What follows success.
    pub on_success: After,
    /// What follows a failure.
    pub on_failure: After,
    /// What the operator should know; nothing here stops the upgrade.
    pub warnings: Vec<String>,
    /// What no program may show.
    #[serde(skip)]
    pub secrets: Secrets,
}

/// The host that is upgraded, as it is before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradedHost {
    /// Its name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Version of the release that it runs.
    pub version: String,
    /// Root hash of that release.
    pub root_hash: String,
    /// The slot that holds it, and stays.
    #[serde(serialize_with = "by_name")]
    pub slot: PartitionKind,
}

/// A partition that an upgrade opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenedPartition {
    /// Which one.
    #[serde(serialize_with = "by_name")]
    pub kind: PartitionKind,
    /// PARTUUID.
    pub part_uuid: Uuid,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

fn by_name<S: Serializer>(kind: &PartitionKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// The host on `disk`, where the release `version` with that root hash can go beside the one that it runs.
///
/// # Errors
/// Says why not, and what to do.
pub fn upgradable(disk: &Disk, version: &str, root_hash: &str) -> Result<UpgradedHost, Refusal> {
    let (host, slot) = host_on(disk)?;
    let name = host_words(host.hostname.as_deref(), &disk.path);
    if host.root_hash == root_hash {
        return Err(Refusal::new(
            format!("{name} runs Bedplate {version} already, which is the release of this medium"),
            "start the host from its disk, or use a medium with a newer release",
        ));
    }
    if let Some(trial) = &host.trial {
        let what = match root_hash.starts_with(trial.as_str()) {
            true => format!("{version} is written to {name} already, and its next start tries it"),
            false => {
                format!("the next start of {name} tries a release that is not known to be good yet")
            }
        };
        return Err(Refusal::new(
            what,
            "start the host from its disk, and come back when it has decided about that release",
        ));
    }
    if is_older(version, &host.version) {
        return Err(Refusal::new(
            format!(
                "{name} runs Bedplate {}, and {version} of this medium is older",
                host.version
            ),
            "use a medium with a newer release; `xe host-rollback` on the host goes back to the one before",
        ));
    }
    Ok(UpgradedHost {
        hostname: host.hostname.clone(),
        version: host.version.clone(),
        root_hash: host.root_hash.clone(),
        slot,
    })
}

/// The host on `disk` that gets some release, and the slot that it runs.
fn host_on(disk: &Disk) -> Result<(&BedplateHost, PartitionKind), Refusal> {
    let path = &disk.path;
    if disk.partitions.iter().any(is_mirrored) {
        return Err(Refusal::new(
            format!("{path} is one half of a mirror, and an upgrade from a medium knows one disk"),
            BY_HOTFIX,
        ));
    }
    let host = match &disk.host {
        Known::Value(host) => host,
        Known::Absent => {
            return Err(Refusal::new(
                format!("{path} holds slots of Bedplate and no host"),
                "install anew, with `wipe = true` and `reinstall = true` in place of `upgrade`",
            ));
        }
        Known::Unknown(unknown) => {
            return Err(Refusal::new(
                format!("what runs on {path} is not known: {}", unknown.reason),
                "start the host from its disk and see that it is good; facts in a file are those of `installer facts` in the \
                 live system",
            ));
        }
    };
    let slot = slot(host).ok_or_else(|| {
        Refusal::new(
            format!("the facts about the host on {path} make no sense"),
            "take the facts anew in the live system, with `installer facts`",
        )
    })?;
    Ok((host, slot))
}

/// Why a host is not upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is in the way.
    pub reason: String,
    /// What to do.
    pub advice: &'static str,
}

impl Refusal {
    fn new(reason: impl Into<String>, advice: &'static str) -> Self {
        Refusal {
            reason: reason.into(),
            advice,
        }
    }
}

fn is_mirrored(partition: &Partition) -> bool {
    let kind = partition
        .content
        .value()
        .and_then(|content| content.kind.as_deref());
    kind == Some(MD_MEMBER)
}

/// The slot that holds the root of the host.
fn slot(host: &BedplateHost) -> Option<PartitionKind> {
    let kinds = [PartitionKind::SlotA, PartitionKind::SlotB];
    let hash = host.root_hash.len() == 64 && host.root_hash.bytes().all(|b| b.is_ascii_hexdigit());
    kinds
        .into_iter()
        .find(|kind| hash && kind.name() == host.slot)
}

/// How a host is called in a sentence.
fn host_words(hostname: Option<&str>, path: &str) -> String {
    match hostname {
        Some(name) => format!("the host {name} on {path}"),
        None => format!("the host on {path}"),
    }
}

/// The plan of an upgrade, or all that is in the way. None where the answers ask for none, or no disk that they mean holds
/// Bedplate: then it is an installation.
pub(super) fn build(input: &Input<'_>) -> Option<Result<UpgradePlan, PlanProblems>> {
    let disks = input.facts.disks.value()?;
    let taken = wanted(&input.choices.disk, disks, input.medium)?;
    Some(plan(input, &taken, disks).map_err(PlanProblems))
}

/// The disks that an upgrade is about; none where it is an installation, which then also tells what is wrong with the choice of
/// the disk.
pub(super) fn wanted<'d>(
    choice: &DiskChoice,
    disks: &'d [Disk],
    medium: Option<&str>,
) -> Option<Vec<&'d Disk>> {
    if !choice.upgrade {
        return None;
    }
    let taken = disk::taken(choice, disks, medium, &mut Uses::default()).ok()?;
    taken
        .iter()
        .any(|disk| holds_bedplate(disk))
        .then_some(taken)
}

/// What stands in the way of an upgrade whatever the release is; otherwise as [`build`].
pub(super) fn check(
    facts: &Facts,
    choices: &Choices,
    medium: Option<&str>,
) -> Option<Result<Vec<String>, PlanProblems>> {
    let disks = facts.disks.value()?;
    let taken = wanted(&choices.disk, disks, medium)?;
    let problems = match taken.as_slice() {
        [disk] => {
            let (mut problems, _, _) = ready(disk, disks);
            let host = host_on(disk).err();
            problems.extend(host.map(|refusal| about(&taken, refusal.reason, refusal.advice)));
            problems
        }
        _ => vec![two_disks(&taken)],
    };
    Some(match problems.is_empty() {
        true => Ok(Vec::new()),
        false => Err(PlanProblems(problems)),
    })
}

fn about(taken: &[&Disk], message: String, advice: &str) -> PlanProblem {
    let candidates = taken.iter().map(|disk| verdict(disk, Vec::new()));
    PlanProblem::new(About::Disk, message, advice).with(candidates.collect())
}

fn two_disks(taken: &[&Disk]) -> PlanProblem {
    let message = "[disk] means two disks, and an upgrade from a medium knows one".to_owned();
    about(taken, message, BY_HOTFIX)
}

/// What is wrong with the disk itself, and what is known about it among `disks`.
fn ready(
    disk: &Disk,
    disks: &[Disk],
) -> (
    Vec<PlanProblem>,
    Option<DiskIdentity>,
    Option<Vec<OpenedPartition>>,
) {
    let mut problems = Vec::new();
    if disk.is_in_use() {
        problems.push(about(
            &[disk],
            format!("{} is in use: {}", disk.path, uses(disk).join(", ")),
            "stop what uses it",
        ));
    }
    let identity = disk::identity_among(disk, disks).map_err(|reason| {
        problems.push(about(
            &[disk],
            reason,
            "look at the disk's cable and at `dmesg`, and take the facts anew",
        ));
    });
    let partitions = opened(disk).map_err(|reason| {
        problems.push(about(
            &[disk],
            reason,
            "the partition table is not as this release makes it: install anew, or apply the release as a hotfix",
        ));
    });
    (problems, identity.ok(), partitions.ok())
}

fn plan(
    input: &Input<'_>,
    taken: &[&Disk],
    disks: &[Disk],
) -> Result<UpgradePlan, Vec<PlanProblem>> {
    let (choices, release) = (input.choices, input.release);
    let [disk] = taken else {
        return Err(vec![two_disks(taken)]);
    };
    let mut warnings = Vec::new();
    let (mut problems, identity, partitions) = ready(disk, disks);
    warnings.extend(identity.as_ref().and_then(disk::doubts));
    let root_hash = &release.root.verity.root_hash;
    let host = upgradable(disk, &release.version, root_hash).map_err(|refusal| {
        problems.push(about(taken, refusal.reason, refusal.advice));
    });
    let name = disk.path.trim_start_matches("/dev/");
    let hcl = hcl::decide(&(input.judge)(&[name]), &choices.hcl, &mut warnings)
        .map_err(|problem| problems.push(problem));
    if !choices.hooks.is_empty() {
        warnings.push(
            "the hooks of the answers belong to an installation; none of them runs in an upgrade"
                .to_owned(),
        );
    }
    let (Ok(host), Some(identity), Some(partitions), Ok(hcl), true) =
        (host, identity, partitions, hcl, problems.is_empty())
    else {
        return Err(problems);
    };
    Ok(UpgradePlan {
        schema: 1,
        kind: "upgrade",
        release: ReleasePlan::of(release),
        disk: identity,
        writes: match host.slot {
            PartitionKind::SlotA => PartitionKind::SlotB,
            _ => PartitionKind::SlotA,
        },
        host,
        partitions,
        hcl,
        secrets_sha256: hook::secrets_sha256(choices),
        webhook: WebhookPlan::of(choices),
        source: SourcePlan::of(choices),
        on_success: choices.on_success,
        on_failure: choices.on_failure,
        warnings,
        secrets: hook::secrets(choices),
    })
}

/// The partitions that are opened, each where the facts say. Only a table that Bedplate wrote has them all.
fn opened(disk: &Disk) -> Result<Vec<OpenedPartition>, String> {
    let find = |kind: PartitionKind| {
        let is_it = |partition: &&Partition| {
            let name = partition.gpt_name.value().map(String::as_str);
            partition.number == Known::Value(kind.number()) && name == Some(kind.name())
        };
        let partition = disk.partitions.iter().find(is_it).ok_or_else(|| {
            format!(
                "{} has no partition {} named {}",
                disk.path,
                kind.number(),
                kind.name()
            )
        })?;
        let uuid = partition.part_uuid.value();
        let uuid = uuid.and_then(|uuid| Uuid::try_parse(uuid).ok());
        match (uuid, &partition.start_bytes, &partition.size_bytes) {
            (Some(part_uuid), Known::Value(start), Known::Value(size)) => Ok(OpenedPartition {
                kind,
                part_uuid,
                start: *start,
                size: *size,
            }),
            _ => Err(format!(
                "it is not known where {} lies, or which partition it is",
                partition.path
            )),
        }
    };
    OPENED.into_iter().map(find).collect()
}

impl UpgradePlan {
    /// The device of one of the partitions.
    pub fn device(&self, kind: PartitionKind) -> std::path::PathBuf {
        crate::laydown::partition_path(&self.disk.path, kind.number())
    }

    /// What stays as it is, in plain words.
    pub fn kept() -> [&'static str; 4] {
        [
            "settings, logins, network, license and logs of the host",
            "its guests, and all storage repositories",
            "the release that it runs, for the way back",
            "partition table, boot loaders, and the firmware's boot list",
        ]
    }
}
