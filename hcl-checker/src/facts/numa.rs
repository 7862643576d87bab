//! NUMA nodes: which CPUs are near to which memory.

use super::attribute;
use crate::known::Known;
use crate::root::Root;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const NODES: &str = "/sys/devices/system/node";
/// A node's meminfo has some 40 lines.
const MEMINFO: usize = 64 * 1024;

/// A NUMA node. Not the same as a socket: two EPYC 7451 have eight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NumaNode {
    /// Where this was read.
    pub source: String,
    /// Its number.
    pub number: u32,
    /// Numbers of its CPUs, `0-27,56-83`; empty for a node of memory only.
    pub cpus: Known<String>,
    /// Its memory, bytes.
    pub memory_bytes: Known<u64>,
}

/// Source: `/sys/devices/system/node`.
pub(super) fn read(root: &Root) -> Known<Vec<NumaNode>> {
    let names = match root.list(NODES) {
        Ok(names) => names,
        Err(error) => return Known::unknown(error.to_string()),
    };
    let numbers = names.iter().filter_map(|name| {
        let digits = name.strip_prefix("node")?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    });
    let mut nodes: Vec<NumaNode> = numbers.map(|number| node(root, number)).collect();
    nodes.sort_by_key(|node| node.number);
    Known::Value(nodes)
}

fn node(root: &Root, number: u32) -> NumaNode {
    let source = format!("{NODES}/node{number}");
    let path = format!("{source}/meminfo");
    NumaNode {
        number,
        cpus: attribute(root, &format!("{source}/cpulist")),
        memory_bytes: match root.text(&path, MEMINFO) {
            Ok(text) => match parse_total(&text) {
                Some(bytes) => Known::Value(bytes),
                None => Known::unknown(format!("{path}: no usable line MemTotal")),
            },
            Err(error) => Known::unknown(error.to_string()),
        },
        source,
    }
}

/// `Node 0 MemTotal:       16417412 kB`, which is KiB.
fn parse_total(text: &str) -> Option<u64> {
    let rest = text
        .lines()
        .find_map(|line| Some(line.split_once("MemTotal:")?.1))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Numbers as the kernel lists them, `0-3,8`.
pub(super) fn cpu_list(numbers: BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(cpu_list([0, 1, 2, 8, 10, 11].into()), "0-2,8,10-11");
        assert_eq!(cpu_list(BTreeSet::new()), "");
        assert_eq!(cpu_list([u32::MAX, 0].into()), "0,4294967295");
    }

    #[test]
    fn memory_of_a_node() {
        assert_eq!(
            parse_total("Node 1 MemTotal:       16417412 kB\nNode 1 MemFree: 1 kB"),
            Some(16_417_412 * 1024)
        );
        assert_eq!(parse_total("MemTotal: 18446744073709551615 kB"), None);
        assert_eq!(parse_total(""), None);
    }
}
