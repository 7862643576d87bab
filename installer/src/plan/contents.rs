//! What is on a disk, in plain words.

use super::keep::KeptStorage;
use crate::values::show_size;
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, Partition};
use slots::layout::SLOT_TYPE;
use slots::names::{PART_SLOT_A, PART_SLOT_B};

pub(super) fn slots_on(disk: &Disk) -> Vec<&str> {
    let slot = |partition: &&Partition| {
        let name = partition.gpt_name.value().map(String::as_str);
        let by_type = partition
            .type_id
            .value()
            .is_some_and(|id| id.eq_ignore_ascii_case(&SLOT_TYPE.to_string()));
        by_type || matches!(name, Some(PART_SLOT_A | PART_SLOT_B))
    };
    disk.partitions
        .iter()
        .filter(slot)
        .map(|partition| partition.path.as_str())
        .collect()
}

/// True when the disk has a slot of Bedplate.
pub fn holds_bedplate(disk: &Disk) -> bool {
    !slots_on(disk).is_empty()
}

pub(super) fn uses(disk: &Disk) -> Vec<String> {
    let of = |path: &str, holders: &[String], mounts: &[String]| {
        let held = holders
            .iter()
            .map(|holder| format!("{path} is a part of {holder}"));
        let mounted = mounts
            .iter()
            .map(|mount| format!("{path} is mounted at {mount}"));
        held.chain(mounted).collect::<Vec<_>>()
    };
    let mut list = of(&disk.path, &disk.holders, &disk.mount_points);
    for partition in &disk.partitions {
        list.extend(of(
            &partition.path,
            &partition.holders,
            &partition.mount_points,
        ));
    }
    list
}

/// What is on a disk, in plain words.
pub fn contents(disk: &Disk) -> Vec<String> {
    let mut list = Vec::new();
    if let Known::Value(content) = &disk.content {
        list.extend(content_words(&disk.path, content));
    }
    list.extend(disk.partitions.iter().map(partition_words));
    list
}

/// The same without the partition that stays.
pub(super) fn contents_but(disk: &Disk, kept: &KeptStorage) -> Vec<String> {
    let lost = disk.partitions.iter().map(partition_words);
    lost.filter(|words| *words != kept.shown).collect()
}

/// What a partition is and holds, in plain words.
pub(super) fn partition_words(partition: &Partition) -> String {
    let mut words = partition.path.clone();
    if let Known::Value(name) = &partition.gpt_name {
        words.push_str(&format!(" \"{name}\""));
    }
    if let Known::Value(size) = partition.size_bytes {
        words.push_str(&format!(", {}", show_size(size)));
    }
    if let Known::Value(Content {
        kind: Some(kind),
        label,
        ..
    }) = &partition.content
    {
        words.push_str(&format!(", {kind}"));
        if let Some(label) = label {
            words.push_str(&format!(" \"{label}\""));
        }
    }
    words
}

fn content_words(path: &str, content: &Content) -> Vec<String> {
    let table = content
        .table
        .as_ref()
        .map(|table| format!("{path} has a partition table ({table})"));
    let kind = content.kind.as_ref().map(|kind| match &content.label {
        Some(label) => format!("{path} holds {kind} \"{label}\""),
        None => format!("{path} holds {kind}"),
    });
    table.into_iter().chain(kind).collect()
}
