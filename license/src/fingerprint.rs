//! By what a machine is recognized, also after a part of it was replaced.
//!
//! Several kinds of identifiers are recorded. The machine is the same as long as enough kinds still are: a new main board,
//! a new processor or a new disk alone does not make another machine of it. What is kept and sent are shortened hashes,
//! so no serial number leaves the host.

use hcl_checker::facts::{DiskKind, Facts, NicKind, Transport};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Bytes of a digest: enough to tell the machines of one customer apart, and a request stays small enough for a QR code.
pub const DIGEST: usize = 6;
/// Identifiers of one kind that are recorded. One that is still there is enough.
pub const RECORDED: usize = 2;
/// Identifiers of one kind that are looked at.
const LOOKED_AT: usize = 64;

/// A kind of identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The system's UUID (SMBIOS type 1).
    SystemUuid,
    /// The system's serial number (SMBIOS type 1).
    SystemSerial,
    /// The main board's serial number (SMBIOS type 2).
    BoardSerial,
    /// The case's serial number (SMBIOS type 3).
    ChassisSerial,
    /// Maker, family, model and stepping of the processor: it has no number of its own that every host can read.
    Processor,
    /// Permanent addresses of the first network interfaces.
    Nic,
    /// WWN or serial number of the first local disks.
    Disk,
}

impl Kind {
    /// All of them; the place in this list is their number in a request.
    pub const ALL: [Kind; 7] = [
        Kind::SystemUuid,
        Kind::SystemSerial,
        Kind::BoardSerial,
        Kind::ChassisSerial,
        Kind::Processor,
        Kind::Nic,
        Kind::Disk,
    ];

    /// For people: `main board`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SystemUuid => "system UUID",
            Kind::SystemSerial => "system serial number",
            Kind::BoardSerial => "main board",
            Kind::ChassisSerial => "case",
            Kind::Processor => "processor",
            Kind::Nic => "network interfaces",
            Kind::Disk => "disks",
        }
    }
}

/// A shortened SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartDigest(pub [u8; DIGEST]);

impl PartDigest {
    fn of(kind: Kind, value: &str) -> PartDigest {
        let mut hash = Sha256::new();
        hash.update(b"bedplate-fingerprint-1\0");
        hash.update([kind as u8]);
        hash.update(value.trim().to_ascii_lowercase());
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&hash.finalize()[..DIGEST]);
        PartDigest(digest)
    }
}

impl fmt::Debug for PartDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for PartDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serde::serialize(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PartDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::serde::deserialize(deserializer).map(PartDigest)
    }
}

/// The identifiers of a machine, by kind, those that are looked at first standing first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<Kind, Vec<PartDigest>>);

/// How much of a recorded machine was found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognition {
    /// Kinds that are still there.
    pub same: Vec<Kind>,
    /// Kinds that are not.
    pub changed: Vec<Kind>,
    /// How many must be there.
    pub needed: usize,
}

impl Recognition {
    /// Whether it is the same machine.
    pub fn is_same_machine(&self) -> bool {
        !self.same.is_empty() && self.same.len() >= self.needed
    }
}

impl fmt::Display for Recognition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.same.len() + self.changed.len();
        write!(f, "{} of {all} identifiers are the same", self.same.len())?;
        if !self.changed.is_empty() {
            let names: Vec<_> = self.changed.iter().map(|kind| kind.name()).collect();
            write!(f, ", changed: {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl Fingerprint {
    /// Nothing known yet.
    pub fn new() -> Fingerprint {
        Fingerprint::default()
    }

    /// Adds an identifier; texts that careless makers write in place of one are left out.
    pub fn with(mut self, kind: Kind, value: &str) -> Fingerprint {
        if is_an_identity(value) {
            self.insert(kind, PartDigest::of(kind, value));
        }
        self
    }

    /// Adds a digest.
    pub(crate) fn insert(&mut self, kind: Kind, digest: PartDigest) {
        let known = self.0.entry(kind).or_default();
        if known.len() < LOOKED_AT && !known.contains(&digest) {
            known.push(digest);
        }
    }

    /// Of a machine with these facts.
    pub fn of(facts: &Facts) -> Fingerprint {
        let dmi = &facts.dmi;
        let mut fingerprint = Fingerprint::new();
        for (kind, value) in [
            (Kind::SystemUuid, &dmi.uuid),
            (Kind::SystemSerial, &dmi.serial),
            (Kind::BoardSerial, &dmi.board_serial),
            (Kind::ChassisSerial, &dmi.chassis.serial),
        ] {
            if let Some(value) = value.value() {
                fingerprint = fingerprint.with(kind, value);
            }
        }
        let cpu = &facts.cpu;
        if let (Some(vendor), Some(family), Some(model), Some(stepping)) = (
            cpu.vendor.value(),
            cpu.family.value(),
            cpu.model.value(),
            cpu.stepping.value(),
        ) {
            let text = format!("{vendor} {family} {model} {stepping}");
            fingerprint = fingerprint.with(Kind::Processor, &text);
        }
        for address in nics(facts) {
            fingerprint = fingerprint.with(Kind::Nic, &address);
        }
        for disk in disks(facts) {
            fingerprint = fingerprint.with(Kind::Disk, &disk);
        }
        fingerprint
    }

    /// What is written down of it: [`RECORDED`] identifiers of a kind.
    pub fn recorded(&self) -> Fingerprint {
        let first = |digests: &Vec<PartDigest>| digests.iter().take(RECORDED).copied().collect();
        Fingerprint(self.0.iter().map(|(kind, d)| (*kind, first(d))).collect())
    }

    /// Its identifiers.
    pub fn parts(&self) -> impl Iterator<Item = (Kind, PartDigest)> {
        self.0
            .iter()
            .flat_map(|(kind, digests)| digests.iter().map(|digest| (*kind, *digest)))
    }

    /// True where nothing is known by which the machine could be recognized.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }

    /// How much of this recorded machine is in the machine that is there now.
    ///
    /// Half of the kinds must be: at least two where two are known, and three are always enough.
    pub fn recognize(&self, now: &Fingerprint) -> Recognition {
        let (mut same, mut changed) = (Vec::new(), Vec::new());
        for (kind, digests) in self.0.iter().filter(|(_, digests)| !digests.is_empty()) {
            let there: BTreeSet<_> = now.0.get(kind).into_iter().flatten().collect();
            if digests.iter().any(|digest| there.contains(digest)) {
                same.push(*kind);
            } else {
                changed.push(*kind);
            }
        }
        let known = same.len() + changed.len();
        Recognition {
            same,
            changed,
            needed: known.div_ceil(2).clamp(2, 3).min(known.max(1)),
        }
    }
}

/// Ethernet interfaces in the order of their places in the machine, so those on the main board come first.
fn nics(facts: &Facts) -> Vec<String> {
    let mut nics: Vec<_> = facts
        .nics
        .value()
        .into_iter()
        .flatten()
        .filter(|nic| nic.kind.value() == Some(&NicKind::Ethernet))
        .filter_map(|nic| {
            let address = nic.permanent_mac.value().or(nic.mac.value())?;
            let place = nic.pci_address.value().cloned();
            Some((place.is_none(), place, nic.name.clone(), address.clone()))
        })
        .collect();
    nics.sort();
    nics.into_iter().map(|(.., address)| address).collect()
}

/// Disks that belong to the machine: those that Bedplate is on first, then by name.
fn disks(facts: &Facts) -> Vec<String> {
    let remote = |transport: &Transport| {
        matches!(
            transport,
            Transport::Iscsi | Transport::FibreChannel | Transport::Usb
        )
    };
    let ours = |name: &String| name.starts_with("bedplate-");
    let mut disks: Vec<_> = facts
        .disks
        .value()
        .into_iter()
        .flatten()
        .filter(|disk| disk.kind == DiskKind::Disk && disk.removable.value() != Some(&true))
        .filter(|disk| !disk.transport.value().is_some_and(remote))
        .filter_map(|disk| {
            let identity = disk.wwn.value().or(disk.serial.value())?;
            let partitions = &disk.partitions;
            let holds_us = partitions
                .iter()
                .any(|part| part.gpt_name.value().is_some_and(ours));
            Some((!holds_us, disk.name.clone(), identity.clone()))
        })
        .collect();
    disks.sort();
    disks.into_iter().map(|(.., identity)| identity).collect()
}

/// False for what stands in a table where nobody wrote a number.
fn is_an_identity(value: &str) -> bool {
    const NONE: [&str; 13] = [
        "none",
        "n/a",
        "na",
        "unknown",
        "default string",
        "not specified",
        "not applicable",
        "not available",
        "system serial number",
        "base board serial number",
        "chassis serial number",
        "0123456789",
        "123456789",
    ];
    // Boards of several makers share this one.
    const SHARED: &str = "03000200-0400-0500-0006-000700080009";
    let value = value.trim().to_ascii_lowercase();
    let mut letters = value.chars().filter(char::is_ascii_alphanumeric);
    let first = letters.next();
    // All the same: 000..., fff..., xxx.
    let one_letter = letters.all(|c| Some(c) == first);
    first.is_some()
        && !one_letter
        && !NONE.contains(&value.as_str())
        && !value.contains("o.e.m")
        && !value.starts_with("to be filled")
        && value != SHARED
}
