//! A disk with a Bedplate host.

use super::machine::{DISK, SIZE, disk};
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, Partition};
use slots::gpt::Guids;
use slots::{Layout, PartitionKind};
use uuid::Uuid;

/// The identities of its partitions.
pub fn old_guids() -> Guids {
    let id = |n: u128| Uuid::from_u128(0xaaaa_0000_0000_4000_8000_0000_0000_0000 + n);
    Guids {
        disk: id(99),
        partitions: [1, 2, 3, 4, 5, 6].map(id),
    }
}

/// Where they are.
pub fn old_layout() -> Layout {
    Layout::plan(SIZE, 512).unwrap()
}

/// The disk of a host, as the facts tell.
pub fn installed() -> Disk {
    let partition = |part: &slots::Partition| Partition {
        path: format!("{DISK}{}", part.kind.number()),
        number: Known::Value(part.kind.number()),
        start_bytes: Known::Value(part.start),
        size_bytes: Known::Value(part.size),
        gpt_name: Known::Value(part.kind.name().to_owned()),
        part_uuid: Known::Value(old_guids().of(part.kind).to_string()),
        type_id: Known::Value(part.kind.type_guid().to_string()),
        content: match part.kind {
            PartitionKind::Storage => Known::Value(Content {
                kind: Some("LVM2_member".into()),
                ..Content::default()
            }),
            _ => Known::Absent,
        },
        ..Partition::default()
    };
    Disk {
        content: Known::Value(Content {
            table: Some("gpt".into()),
            ..Content::default()
        }),
        partitions: old_layout().partitions.iter().map(partition).collect(),
        ..disk()
    }
}
