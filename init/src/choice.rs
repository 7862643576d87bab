//! Which slot and which state partition belong to this boot. Pure: it is told what was seen and decides.
//!
//! The initrd is the same on every host and knows only its root hash. A second disk with Bedplate on it (a returned
//! half of a mirror, a cloned LUN, a disk from another host) can hold the same root but another host's state, so the
//! state partition is taken from the disk that the loader came from, and never guessed.

use crate::block::{Block, human};
use crate::mirror::{self, Members, Mirror};
use slots::PartitionKind;
use slots::names::{
    CMDLINE_ESP, PART_ASIDE, PART_ESP, PART_SLOT_A, PART_SLOT_B, PART_STATE, PART_STORAGE,
};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a slot holds the root of this initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Its hash tree leads to the root hash.
    Fits,
    /// It holds another root, or none; the reason.
    Other(String),
    /// It could not be read; the error.
    Unread(String),
}

/// How much may still change by itself. Waiting for more of it costs time at every boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Calm {
    /// Drivers are being loaded or devices appear.
    Busy,
    /// Not now: a copy of a disk on the same controller would have been seen. Enough where the loader told its ESP.
    Idle,
    /// Drivers are busy for so long that half of a mirror is started without waiting for the other one any more.
    Late,
    /// Not for a while: "there is only one" is a statement about the machine. Needed where the loader did not tell.
    Quiet,
}

/// What follows from what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Boot from these.
    Open {
        /// The slot whose root is this initrd's.
        slot: Box<Block>,
        /// The state partition on the same disk.
        state: Box<Block>,
    },
    /// Start the arrays, and boot from those.
    OpenMirror {
        /// The slot whose root is this initrd's.
        slot: PartitionKind,
        /// The arrays.
        mirror: Box<Mirror>,
    },
    /// More devices may appear; why none is taken yet.
    Wait(String),
    /// The root is not where it must be, and waiting changes nothing: the reason.
    Missing(String),
    /// It cannot be told which disk is this host's, and neither time nor another slot changes that: the reason.
    Ambiguous(String),
}

/// True for a partition that is a root slot.
pub fn is_slot(block: &Block) -> bool {
    matches!(block.part_name.as_deref(), Some(PART_SLOT_A | PART_SLOT_B))
}

/// True for a partition that any decision here is about.
pub fn is_ours(block: &Block) -> bool {
    is_slot(block) || matches!(block.part_name.as_deref(), Some(PART_ESP)) || is_member(block)
}

/// True for a partition that may be a member of an array of this host.
pub fn is_member(block: &Block) -> bool {
    is_slot(block)
        || matches!(
            block.part_name.as_deref(),
            Some(PART_STATE | PART_STORAGE | PART_ASIDE)
        )
}

/// What was read from the partitions, by the kernel's name.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// What each slot holds.
    pub fits: BTreeMap<String, Fit>,
    /// What the members of arrays say about them.
    pub members: Members,
}

/// Decides from the devices seen, what their partitions hold, and the PARTUUID of the ESP that the loader came
/// from.
pub fn choose(blocks: &[Block], contents: &Contents, esp: Option<&str>, calm: Calm) -> Decision {
    match esp {
        Some(esp) => choose_by_esp(blocks, contents, esp, calm),
        None => choose_alone(blocks, contents, calm),
    }
}

/// The loader told its ESP.
fn choose_by_esp(blocks: &[Block], contents: &Contents, esp: &str, calm: Calm) -> Decision {
    let disks: BTreeSet<&str> = blocks
        .iter()
        .filter(|block| {
            block
                .part_uuid
                .as_deref()
                .is_some_and(|uuid| uuid.eq_ignore_ascii_case(esp))
        })
        .map(|block| block.disk.as_str())
        .collect();
    let mut disks = disks.into_iter();
    match (disks.next(), disks.next()) {
        (None, _) => Decision::Wait(format!(
            "no disk holds the EFI system partition {esp} that the loader came from"
        )),
        (Some(_), None) if calm == Calm::Busy => {
            Decision::Wait("a copy of the disk may appear".to_owned())
        }
        (Some(disk), None) => choose_on(blocks, contents, disk, calm),
        (Some(first), Some(second)) => Decision::Ambiguous(format!(
            "{first} and {second} both hold the EFI system partition {esp} that the loader came from: one is a copy of \
             the other; remove the one that is not this host's"
        )),
    }
}

/// No hint: the one install in the machine, if it is the only one.
fn choose_alone(blocks: &[Block], contents: &Contents, calm: Calm) -> Decision {
    let disks: BTreeSet<&str> = blocks
        .iter()
        .filter(|block| block.part_name.as_deref() == Some(PART_STATE))
        .map(|block| block.disk.as_str())
        .collect();
    let one_mirror = |first: &str, second: &str| {
        // Without the loader's word it does not matter which of two equal halves is the booted one; of two histories none
        // is taken.
        mirror::find(blocks, &contents.members, first)
            .ok()
            .flatten()
            .is_some_and(|mirror| {
                let state = mirror.array(PartitionKind::State);
                !mirror.alone
                    && state.is_some_and(|state| state.members.len() == 2)
                    && state.is_some_and(|state| state.members[1].disk == second)
            })
    };
    let mut disks = disks.iter();
    match (disks.next(), disks.next()) {
        (Some(first), Some(second))
            if calm == Calm::Quiet && disks.len() == 0 && one_mirror(first, second) =>
        {
            choose_on(blocks, contents, first, calm)
        }
        (None, _) => Decision::Wait(format!("no partition is named {PART_STATE}")),
        _ if calm < Calm::Quiet => Decision::Wait(
            "more disks may appear, and the loader did not say which it came from".to_owned(),
        ),
        (Some(disk), None) => choose_on(blocks, contents, disk, calm),
        (Some(_), Some(_)) => Decision::Ambiguous(format!(
            "several disks hold a Bedplate install, and the loader did not say which it came from ({CMDLINE_ESP}= on \
             the kernel command line): remove the disks that are not this host's, or add {CMDLINE_ESP}= with the \
             PARTUUID of the right one's EFI system partition"
        )),
    }
}

/// Slot and state on one disk, or on the mirror that it is a half of.
fn choose_on(blocks: &[Block], contents: &Contents, disk: &str, calm: Calm) -> Decision {
    let on_disk = || blocks.iter().filter(|block| block.disk == disk);
    let aside = on_disk().find(|block| block.part_name.as_deref() == Some(PART_ASIDE));
    if let Some(aside) = aside {
        return match mirror::successor(blocks, &contents.members, aside) {
            Some(other) => choose_on(blocks, contents, other, calm),
            None if calm < Calm::Late => Decision::Wait(format!(
                "{disk} was set aside, and the half that was kept may appear"
            )),
            None => Decision::Ambiguous(format!(
                "{disk} was set aside when both halves of its mirror had run alone, and the half that was kept is not here: \
                 put that disk back, or boot the installation medium to save what is on this one"
            )),
        };
    }
    match mirror::find(blocks, &contents.members, disk) {
        Err(reason) => return Decision::Ambiguous(reason),
        Ok(Some(mirror)) => return choose_mirror(mirror, contents, calm),
        // A member is never opened as if it were a partition by itself.
        Ok(None) if on_disk().any(|block| contents.members.contains_key(&block.name)) => {
            return Decision::Wait(format!(
                "{disk} is half of a mirror, and its state partition cannot be read"
            ));
        }
        Ok(None) => {}
    }
    let mut states = on_disk().filter(|block| block.part_name.as_deref() == Some(PART_STATE));
    let (state, second) = (states.next(), states.next());
    if let (Some(state), Some(second)) = (state, second) {
        return Decision::Ambiguous(format!(
            "{} and {} on {disk} are both named {PART_STATE}: the partition table is not one that Bedplate wrote",
            state.name, second.name
        ));
    }
    let Some(state) = state else {
        return Decision::Wait(format!("{disk} has no partition named {PART_STATE}"));
    };
    let fit = |block: &Block| contents.fits.get(&block.name);
    if let Some(slot) = on_disk().find(|block| is_slot(block) && fit(block) == Some(&Fit::Fits)) {
        return Decision::Open {
            slot: Box::new(slot.clone()),
            state: Box::new(state.clone()),
        };
    }
    let reason = format!("no slot on {disk} holds this root");
    // Unread may be a disk that is not ready yet. Only when each slot told what it holds is there nothing to wait for.
    let all_told = on_disk()
        .filter(|block| is_slot(block))
        .all(|block| matches!(fit(block), Some(Fit::Other(_))));
    if calm == Calm::Quiet && all_told {
        Decision::Missing(reason)
    } else {
        Decision::Wait(reason)
    }
}

/// Slot and state of a mirror.
fn choose_mirror(mirror: Mirror, contents: &Contents, calm: Calm) -> Decision {
    if mirror.alone && mirror.expects_other && calm < Calm::Late {
        return Decision::Wait(format!(
            "the other half of the mirror on {} may appear",
            mirror.booted
        ));
    }
    if mirror.array(PartitionKind::State).is_none() {
        return Decision::Wait(format!("{} has no state", mirror.kept));
    }
    let fit = |kind: PartitionKind| {
        let first = mirror.array(kind)?.members.first()?;
        contents.fits.get(&first.name)
    };
    let slots = [PartitionKind::SlotA, PartitionKind::SlotB];
    if let Some(slot) = slots
        .into_iter()
        .find(|kind| fit(*kind) == Some(&Fit::Fits))
    {
        return Decision::OpenMirror {
            slot,
            mirror: Box::new(mirror),
        };
    }
    let reason = if mirror.kept == mirror.booted {
        format!("no slot of the mirror on {} holds this root", mirror.kept)
    } else {
        format!(
            "{0} is an older half of the mirror, and no slot of {1} holds the root that its loader started: boot from {1}",
            mirror.booted, mirror.kept
        )
    };
    let all_told = slots
        .into_iter()
        .all(|kind| matches!(fit(kind), Some(Fit::Other(_))));
    if calm == Calm::Quiet && all_told {
        Decision::Missing(reason)
    } else {
        Decision::Wait(reason)
    }
}

/// What was seen and why each device fell out: one line a disk, then one for each of its Bedplate partitions.
pub fn explain(blocks: &[Block], contents: &Contents) -> Vec<String> {
    if blocks.is_empty() {
        return vec!["No disk was seen: the storage controller has no driver in this release, or no disk answers.".to_owned()];
    }
    let mut lines = Vec::new();
    for disk in blocks.iter().filter(|block| block.is_disk()) {
        let parts = || {
            blocks
                .iter()
                .filter(|block| block.disk == disk.name && !block.is_disk())
        };
        let ours: Vec<&Block> = parts().filter(|block| is_ours(block)).collect();
        let what = match (parts().count(), ours.is_empty()) {
            (0, _) => "no partitions",
            (_, true) => "no partition of it is Bedplate's",
            _ => "Bedplate",
        };
        let model = disk
            .model
            .as_deref()
            .map(|model| format!(", {model}"))
            .unwrap_or_default();
        lines.push(format!(
            "{} ({}{model}): {what}",
            disk.name,
            human(disk.size)
        ));
        for part in ours {
            let verdict = match contents.fits.get(&part.name).filter(|_| is_slot(part)) {
                Some(Fit::Fits) => ": holds this root".to_owned(),
                Some(Fit::Other(reason)) => format!(": {reason}"),
                Some(Fit::Unread(error)) => format!(": cannot be read: {error}"),
                None => String::new(),
            };
            lines.push(format!(
                "  {} is {}, PARTUUID {}{verdict}",
                part.name,
                part.part_name.as_deref().unwrap_or("without a name"),
                part.part_uuid.as_deref().unwrap_or("unknown"),
            ));
        }
    }
    lines
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::block::fixtures::{disk, partition};

    /// A disk as the installer leaves it; PARTUUIDs are `<disk>-<number>`.
    pub fn install(name: &str) -> Vec<Block> {
        let part =
            |number, part_name| partition(name, number, part_name, &format!("{name}-{number}"));
        vec![
            disk(name),
            part(1, PART_ESP),
            part(3, PART_SLOT_A),
            part(4, PART_SLOT_B),
            part(5, PART_STATE),
            part(6, PART_STORAGE),
        ]
    }

    /// `fitting` hold the root, all other slots another one.
    fn fits(blocks: &[Block], fitting: &[&str]) -> Contents {
        let fits = blocks
            .iter()
            .filter(|block| is_slot(block))
            .map(|block| {
                let fit = if fitting.contains(&block.name.as_str()) {
                    Fit::Fits
                } else {
                    Fit::Other("another root".into())
                };
                (block.name.clone(), fit)
            })
            .collect();
        Contents {
            fits,
            ..Contents::default()
        }
    }

    fn opened(decision: Decision) -> (String, String) {
        match decision {
            Decision::Open { slot, state } => (slot.name, state.name),
            other => panic!("not opened: {other:?}"),
        }
    }

    fn pair(slot: &str, state: &str) -> (String, String) {
        (slot.to_owned(), state.to_owned())
    }

    #[test]
    fn the_only_install_is_taken_once_it_is_known_to_be_the_only_one() {
        let blocks = install("sda");
        let fits = fits(&blocks, &["sda4"]);
        assert!(matches!(
            choose(&blocks, &fits, None, Calm::Idle),
            Decision::Wait(_)
        ));
        assert_eq!(
            opened(choose(&blocks, &fits, None, Calm::Quiet)),
            pair("sda4", "sda5")
        );
    }

    #[test]
    fn the_hint_needs_no_quiet_and_takes_its_own_disk() {
        let blocks = [install("sda"), install("sdb")].concat();
        let fits = fits(&blocks, &["sda3", "sdb3"]);
        assert_eq!(
            opened(choose(&blocks, &fits, Some("SDB-1"), Calm::Idle)),
            pair("sdb3", "sdb5")
        );
        assert_eq!(
            opened(choose(&blocks, &fits, Some("sda-1"), Calm::Idle)),
            pair("sda3", "sda5")
        );
    }

    #[test]
    fn nothing_is_taken_while_a_copy_of_its_disk_may_appear() {
        let blocks = install("sda");
        let fits = fits(&blocks, &["sda3"]);
        for esp in [None, Some("sda-1")] {
            assert!(matches!(
                choose(&blocks, &fits, esp, Calm::Busy),
                Decision::Wait(_)
            ));
        }
    }

    #[test]
    fn several_installs_without_a_hint_stop() {
        // The second one does not even hold this root: its state must not be a candidate by accident either.
        let blocks = [install("sda"), install("sdb")].concat();
        let fits = fits(&blocks, &["sda3"]);
        let Decision::Ambiguous(reason) = choose(&blocks, &fits, None, Calm::Quiet) else {
            panic!("must stop")
        };
        assert!(reason.contains("bedplate.esp="), "{reason}");
    }

    #[test]
    fn a_cloned_disk_stops_even_with_a_hint() {
        let mut blocks = [install("sda"), install("sdb")].concat();
        for block in &mut blocks {
            block.part_uuid = block
                .part_uuid
                .take()
                .map(|uuid| uuid.replace("sdb", "sda"));
        }
        let fits = fits(&blocks, &["sda3", "sdb3"]);
        let Decision::Ambiguous(reason) = choose(&blocks, &fits, Some("sda-1"), Calm::Idle) else {
            panic!("must stop")
        };
        assert!(reason.contains("sda and sdb"), "{reason}");
    }

    #[test]
    fn a_slot_of_another_disk_is_never_paired_with_the_state() {
        let blocks = [install("sda"), install("sdb")].concat();
        let fits = fits(&blocks, &["sdb3"]);
        assert!(matches!(
            choose(&blocks, &fits, Some("sda-1"), Calm::Idle),
            Decision::Wait(_)
        ));
        let Decision::Missing(reason) = choose(&blocks, &fits, Some("sda-1"), Calm::Quiet) else {
            panic!("must stop")
        };
        assert!(reason.contains("no slot on sda"), "{reason}");
    }

    #[test]
    fn waits_for_the_disk_of_the_hint() {
        let blocks = install("sda");
        let fits = fits(&blocks, &["sda3"]);
        assert!(matches!(
            choose(&blocks, &fits, Some("sdb-1"), Calm::Quiet),
            Decision::Wait(_)
        ));
        assert!(matches!(
            choose(&[], &Contents::default(), Some("x"), Calm::Quiet),
            Decision::Wait(_)
        ));
        assert!(matches!(
            choose(&[], &Contents::default(), None, Calm::Quiet),
            Decision::Wait(_)
        ));
    }

    #[test]
    fn waits_for_partitions_that_are_not_there_yet_and_slots_that_cannot_be_read_yet() {
        let blocks = install("sda");
        let told = fits(&blocks, &["sda3"]);
        assert!(matches!(
            choose(&blocks[..4], &told, Some("sda-1"), Calm::Quiet),
            Decision::Wait(_)
        ));
        let mut unread = fits(&blocks, &[]);
        unread
            .fits
            .insert("sda3".into(), Fit::Unread("I/O error".into()));
        assert!(matches!(
            choose(&blocks, &unread, Some("sda-1"), Calm::Quiet),
            Decision::Wait(_)
        ));
        assert!(matches!(
            choose(&blocks, &Contents::default(), Some("sda-1"), Calm::Quiet),
            Decision::Wait(_)
        ));
    }

    #[test]
    fn two_state_partitions_on_a_disk_stop() {
        let mut blocks = install("sda");
        blocks.push(partition("sda", 7, PART_STATE, "sda-7"));
        let fits = fits(&blocks, &["sda3"]);
        assert!(matches!(
            choose(&blocks, &fits, Some("sda-1"), Calm::Quiet),
            Decision::Ambiguous(_)
        ));
        assert!(matches!(
            choose(&blocks, &fits, None, Calm::Quiet),
            Decision::Ambiguous(_)
        ));
    }

    /// Two halves whose slots A hold the root, with what their superblocks say.
    fn halves(a: (u64, [u16; 2]), b: (u64, [u16; 2])) -> (Vec<Block>, Contents) {
        let blocks = [install("sda"), install("sdb")].concat();
        let mut contents = fits(&blocks, &["sda3", "sdb3"]);
        contents.members = mirror::fixtures::halves("sda", 1, 0, a.0, &a.1);
        contents
            .members
            .extend(mirror::fixtures::halves("sdb", 1, 1, b.0, &b.1));
        (blocks, contents)
    }

    /// Which disk counts, and how many members its state has.
    fn mirrored(decision: Decision) -> (String, usize) {
        match decision {
            Decision::OpenMirror { slot, mirror } => {
                assert_eq!(slot, PartitionKind::SlotA);
                let state = mirror.array(PartitionKind::State).unwrap();
                (mirror.kept.clone(), state.members.len())
            }
            other => panic!("not opened: {other:?}"),
        }
    }

    const GONE: u16 = 0xffff;

    #[test]
    fn both_halves_of_a_mirror_are_one_host() {
        let (blocks, contents) = halves((9, [0, 1]), (9, [0, 1]));
        let open = |esp, calm| choose(&blocks, &contents, esp, calm);
        assert_eq!(mirrored(open(Some("sdb-1"), Calm::Idle)), ("sdb".into(), 2));
        // Without a hint, too: the two disks are no two installs.
        assert_eq!(mirrored(open(None, Calm::Quiet)), ("sda".into(), 2));
        assert!(matches!(open(None, Calm::Late), Decision::Wait(_)));
    }

    #[test]
    fn half_of_a_mirror_starts_alone_after_a_while() {
        let (blocks, mut contents) = halves((9, [0, 1]), (9, [0, 1]));
        let blocks: Vec<Block> = blocks.into_iter().filter(|b| b.disk == "sdb").collect();
        let open = |contents: &Contents, calm| choose(&blocks, contents, Some("sdb-1"), calm);
        assert!(matches!(open(&contents, Calm::Idle), Decision::Wait(_)));
        assert_eq!(mirrored(open(&contents, Calm::Late)), ("sdb".into(), 1));
        // It knows that there is no other half: nothing to wait for.
        contents.members = mirror::fixtures::halves("sdb", 1, 1, 9, &[GONE, 1]);
        assert_eq!(mirrored(open(&contents, Calm::Idle)), ("sdb".into(), 1));
    }

    #[test]
    fn two_histories_without_a_hint_stop() {
        let (blocks, contents) = halves((9, [0, GONE]), (12, [GONE, 1]));
        assert!(matches!(
            choose(&blocks, &contents, None, Calm::Quiet),
            Decision::Ambiguous(_)
        ));
        let open = |esp| mirrored(choose(&blocks, &contents, Some(esp), Calm::Idle));
        assert_eq!(open("sda-1"), ("sda".into(), 1));
        assert_eq!(open("sdb-1"), ("sdb".into(), 1));
    }

    #[test]
    fn what_was_set_aside_leads_to_the_half_that_was_kept() {
        let (mut blocks, contents) = halves((9, [0, GONE]), (12, [GONE, 1]));
        for block in blocks.iter_mut().filter(|block| block.name == "sdb5") {
            block.part_name = Some(PART_ASIDE.into());
        }
        for esp in ["sda-1", "sdb-1"] {
            let decision = choose(&blocks, &contents, Some(esp), Calm::Idle);
            assert_eq!(mirrored(decision), ("sda".into(), 1));
        }
        blocks.retain(|block| block.disk == "sdb");
        let Decision::Ambiguous(reason) = choose(&blocks, &contents, Some("sdb-1"), Calm::Late)
        else {
            panic!("must stop")
        };
        assert!(reason.contains("sdb was set aside"), "{reason}");
    }

    #[test]
    fn an_older_loader_whose_root_is_gone_says_where_to_boot_from() {
        let (blocks, mut contents) = halves((20, [0, GONE]), (9, [0, 1]));
        contents
            .fits
            .insert("sda3".into(), Fit::Other("another root".into()));
        let Decision::Missing(reason) = choose(&blocks, &contents, Some("sdb-1"), Calm::Quiet)
        else {
            panic!("must stop")
        };
        assert!(reason.contains("boot from sda"), "{reason}");
    }

    #[test]
    fn a_member_is_never_opened_by_itself() {
        let (blocks, mut contents) = halves((9, [0, 1]), (9, [0, 1]));
        contents.members.remove("sda5");
        assert!(matches!(
            choose(&blocks, &contents, Some("sda-1"), Calm::Quiet),
            Decision::Wait(_)
        ));
    }

    #[test]
    fn explains_every_disk() {
        let mut blocks = install("sda");
        blocks.push(disk("sdb"));
        blocks.push(disk("sdc"));
        blocks.push(partition("sdc", 1, "Windows", "w"));
        let mut fits = fits(&blocks, &["sda3"]);
        fits.fits
            .insert("sda4".into(), Fit::Unread("I/O error".into()));
        let text = explain(&blocks, &fits).join("\n");
        for part in [
            "sda (20 GiB, TESTDISK): Bedplate",
            "sda1 is bedplate-esp, PARTUUID sda-1",
            "sda3 is bedplate-a, PARTUUID sda-3: holds this root",
            "sda4 is bedplate-b, PARTUUID sda-4: cannot be read: I/O error",
            "sdb (20 GiB, TESTDISK): no partitions",
            "sdc (20 GiB, TESTDISK): no partition of it",
        ] {
            assert!(text.contains(part), "{part} not in:\n{text}");
        }
        assert!(explain(&[], &fits)[0].contains("No disk was seen"));
    }
}
