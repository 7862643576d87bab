//! Which halves of a mirror belong together, and which of them count. Pure: it is told what was seen and decides.
//!
//! Only partitions that Bedplate named are looked at, and only those whose superblocks name one array as the boot disk's
//! do: arrays of guests, of other hosts and old ones are never touched.

use crate::block::Block;
use slots::PartitionKind;
use slots::md_superblock::{Halves, MdSuperblock};
use slots::names::PART_STATE;
use std::collections::{BTreeMap, BTreeSet};

/// What the members of arrays say, by the kernel's name of the partition.
pub type Members = BTreeMap<String, MdSuperblock>;

/// An array to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// What it holds.
    pub kind: PartitionKind,
    /// The partitions that it is started with; the first one is up to date.
    pub members: Vec<Block>,
}

/// The mirror of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The disk that the loader came from.
    pub booted: String,
    /// The disk whose state counts: the same one, unless that is an older half.
    pub kept: String,
    /// True when the state partition has no second half here.
    pub alone: bool,
    /// True when the half that is there knows of a second one.
    pub expects_other: bool,
    /// Slots, state, storage.
    pub arrays: Vec<Array>,
}

impl Mirror {
    /// The array of that kind.
    pub fn array(&self, kind: PartitionKind) -> Option<&Array> {
        self.arrays.iter().find(|array| array.kind == kind)
    }
}

/// The mirror that the disk is a half of. None where its state partition is no member of an array.
///
/// # Errors
/// There are three or more halves: one is a copy.
pub fn find(blocks: &[Block], members: &Members, disk: &str) -> Result<Option<Mirror>, String> {
    let Some(own) = part(blocks, disk, PartitionKind::State) else {
        return Ok(None);
    };
    let Some(own_state) = members.get(&own.name) else {
        return Ok(None);
    };
    let others: BTreeSet<&str> = blocks
        .iter()
        .filter(|block| block.disk != disk && block.part_name.as_deref() == Some(PART_STATE))
        .filter(|block| {
            let other = members.get(&block.name);
            other.is_some_and(|other| other.array == own_state.array)
        })
        .map(|block| block.disk.as_str())
        .collect();
    if others.len() > 1 {
        let names: Vec<&str> = others.into_iter().collect();
        return Err(format!(
            "{disk}, {} are all halves of one mirror of two: one is a copy; remove it",
            names.join(", ")
        ));
    }
    let other = others.first().copied();
    let halves = other
        .and_then(|other| part(blocks, other, PartitionKind::State))
        .and_then(|other| members.get(&other.name))
        .map(|other| own_state.compare(other));
    // After each half ran alone the one that the machine was started from is kept, all of it.
    let other = other.filter(|_| halves != Some(Halves::Apart));
    let kept = match halves {
        Some(Halves::SecondNewer) => other.unwrap_or(disk),
        _ => disk,
    };
    let arrays = PartitionKind::MIRRORED
        .into_iter()
        .filter_map(|kind| array(blocks, members, kind, disk, other));
    Ok(Some(Mirror {
        booted: disk.to_owned(),
        kept: kept.to_owned(),
        alone: other.is_none(),
        expects_other: halves.is_none()
            && (0..own_state.raid_disks + 1)
                .any(|number| number != own_state.number && own_state.has(number)),
        arrays: arrays.collect(),
    }))
}

/// The disk that goes on with a mirror that `aside`, a state partition that was set aside, was once a half of.
pub fn successor<'b>(blocks: &'b [Block], members: &Members, aside: &Block) -> Option<&'b str> {
    let array = members.get(&aside.name)?.array;
    blocks
        .iter()
        .filter(|block| block.part_name.as_deref() == Some(PART_STATE))
        .find(|block| {
            let member = members.get(&block.name);
            member.is_some_and(|member| member.array == array)
        })
        .map(|block| block.disk.as_str())
}

/// The array of one kind, with the members that are up to date.
fn array(
    blocks: &[Block],
    members: &Members,
    kind: PartitionKind,
    disk: &str,
    other: Option<&str>,
) -> Option<Array> {
    let of = |disk: &str| {
        let block = part(blocks, disk, kind)?;
        Some((block, members.get(&block.name)?))
    };
    let own = of(disk);
    let other = other.and_then(of);
    let members = match (own, other) {
        (Some((own, a)), Some((other, b))) if a.array == b.array => match a.compare(b) {
            Halves::Same => vec![own, other],
            Halves::FirstNewer | Halves::Apart => vec![own],
            Halves::SecondNewer => vec![other],
        },
        (Some((own, _)), _) => vec![own],
        (None, Some((other, _))) => vec![other],
        (None, None) => return None,
    };
    Some(Array {
        kind,
        members: members.into_iter().cloned().collect(),
    })
}

/// The partition of that kind on a disk.
fn part<'b>(blocks: &'b [Block], disk: &str, kind: PartitionKind) -> Option<&'b Block> {
    blocks
        .iter()
        .find(|block| block.disk == disk && block.part_name.as_deref() == Some(kind.name()))
}

#[cfg(test)]
pub mod fixtures {
    use super::*;
    use slots::md_superblock::fixtures::member;

    /// What the four members on a disk say: member `number` of each array, whose identity begins with `mirror`.
    pub fn halves(disk: &str, mirror: u8, number: u32, events: u64, roles: &[u16]) -> Members {
        PartitionKind::MIRRORED
            .into_iter()
            .map(|kind| {
                let name = format!("{disk}{}", kind.number());
                let array = [mirror, kind.number() as u8];
                (name, member(array, number, events, roles))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::halves;
    use super::*;
    use crate::choice::tests::install;

    const GONE: u16 = 0xffff;
    const BOTH: [u16; 2] = [0, 1];

    fn names(mirror: &Mirror) -> Vec<Vec<&str>> {
        mirror
            .arrays
            .iter()
            .map(|array| {
                array
                    .members
                    .iter()
                    .map(|block| block.name.as_str())
                    .collect()
            })
            .collect()
    }

    fn two(a: Members, b: Members) -> (Vec<Block>, Members) {
        let blocks = [install("sda"), install("sdb")].concat();
        (blocks, a.into_iter().chain(b).collect())
    }

    #[test]
    fn both_halves_are_started_together() {
        let (blocks, members) = two(halves("sda", 1, 0, 9, &BOTH), halves("sdb", 1, 1, 9, &BOTH));
        let mirror = find(&blocks, &members, "sdb").unwrap().unwrap();
        assert_eq!(
            names(&mirror),
            [
                ["sdb3", "sda3"],
                ["sdb4", "sda4"],
                ["sdb5", "sda5"],
                ["sdb6", "sda6"]
            ]
        );
        assert_eq!(
            (mirror.kept.as_str(), mirror.alone, mirror.expects_other),
            ("sdb", false, false)
        );
    }

    #[test]
    fn a_half_that_is_alone_says_whether_there_should_be_another() {
        let blocks = install("sda");
        let mirror = find(&blocks, &halves("sda", 1, 0, 9, &BOTH), "sda")
            .unwrap()
            .unwrap();
        assert!(mirror.alone && mirror.expects_other);
        let mirror = find(&blocks, &halves("sda", 1, 0, 9, &[0, GONE]), "sda")
            .unwrap()
            .unwrap();
        assert!(mirror.alone && !mirror.expects_other);
        assert_eq!(names(&mirror), [["sda3"], ["sda4"], ["sda5"], ["sda6"]]);
    }

    #[test]
    fn the_newer_half_counts_whichever_was_booted() {
        let (blocks, members) = two(
            halves("sda", 1, 0, 20, &[0, GONE]),
            halves("sdb", 1, 1, 9, &BOTH),
        );
        for booted in ["sda", "sdb"] {
            let mirror = find(&blocks, &members, booted).unwrap().unwrap();
            assert_eq!(names(&mirror), [["sda3"], ["sda4"], ["sda5"], ["sda6"]]);
            assert_eq!(
                (mirror.booted.as_str(), mirror.kept.as_str()),
                (booted, "sda")
            );
        }
    }

    #[test]
    fn after_both_ran_alone_the_booted_one_is_kept() {
        let (blocks, members) = two(
            halves("sda", 1, 0, 20, &[0, GONE]),
            halves("sdb", 1, 1, 30, &[GONE, 1]),
        );
        for (booted, five) in [("sda", "sda5"), ("sdb", "sdb5")] {
            let mirror = find(&blocks, &members, booted).unwrap().unwrap();
            assert_eq!(mirror.kept, booted);
            assert!(mirror.alone && !mirror.expects_other);
            assert_eq!(names(&mirror)[2], [five]);
            assert!(names(&mirror).iter().all(|members| members.len() == 1));
        }
    }

    #[test]
    fn one_leg_that_was_lost_does_not_take_the_disk_with_it() {
        let (blocks, mut members) =
            two(halves("sda", 1, 0, 9, &BOTH), halves("sdb", 1, 1, 9, &BOTH));
        members.extend(
            halves("sda", 1, 0, 12, &[0, GONE])
                .into_iter()
                .filter(|(name, _)| name == "sda6"),
        );
        let mirror = find(&blocks, &members, "sdb").unwrap().unwrap();
        assert_eq!(names(&mirror)[2], ["sdb5", "sda5"]);
        assert_eq!(names(&mirror)[3], ["sda6"]);
    }

    #[test]
    fn other_arrays_are_not_touched() {
        let (blocks, members) = two(halves("sda", 1, 0, 9, &BOTH), halves("sdb", 2, 1, 9, &BOTH));
        let mirror = find(&blocks, &members, "sda").unwrap().unwrap();
        assert!(mirror.alone && mirror.expects_other);
        assert_eq!(names(&mirror)[2], ["sda5"]);
        // No member at all: a host on one disk.
        assert_eq!(
            find(&blocks, &halves("sdb", 2, 1, 9, &BOTH), "sda"),
            Ok(None)
        );
    }

    #[test]
    fn a_third_half_stops() {
        let blocks = [install("sda"), install("sdb"), install("sdc")].concat();
        let all = ["sda", "sdb", "sdc"].map(|disk| halves(disk, 1, 0, 9, &BOTH));
        let members = all.into_iter().flatten().collect();
        let error = find(&blocks, &members, "sdb").unwrap_err();
        assert!(error.contains("sdb, sda, sdc"), "{error}");
    }
}
