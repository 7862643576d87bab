//! CPUID: of the CPU itself, or as it was recorded on another machine.

use crate::hex;
use crate::root::{CAPTURE, Root};
use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// One CPU has some 60 lines of 80 characters; `cpuid -r` without `-1` writes them for each CPU.
const LIMIT: usize = 16 << 20;
/// Leaves of one CPU that are kept.
const LEAVES: usize = 1024;
/// Last leaf that is recorded of each range; the ranges end with 0x21 and 0x28 by now.
const RANGE: u32 = 0x3f;
/// Subleaves that are recorded of leaves that have any.
const SUBLEAVES: u32 = 8;
/// Leaves with subleaves (Intel SDM volume 2A and AMD APM volume 3, "CPUID").
const WITH_SUBLEAVES: &[u32] = &[
    0x4,
    0x7,
    0xb,
    0xd,
    0xf,
    0x10,
    0x12,
    0x14,
    0x17,
    0x18,
    0x1d,
    0x1f,
    0x8000_001d,
    0x8000_0020,
    0x8000_0026,
];

type Leaves = BTreeMap<(u32, u32), [u32; 4]>;

/// Who answers.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// The CPU that runs this.
    #[cfg(target_arch = "x86_64")]
    Cpu,
    /// A recording; what is not in it is zero, as for a leaf that the CPU does not have.
    Recorded(Arc<Leaves>),
}

impl CpuIdReader for Reader {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Cpu => raw_cpuid::native_cpuid::cpuid_count(leaf, subleaf),
            Self::Recorded(leaves) => {
                let [eax, ebx, ecx, edx] =
                    leaves.get(&(leaf, subleaf)).copied().unwrap_or_default();
                CpuIdResult { eax, ebx, ecx, edx }
            }
        }
    }
}

#[cfg(test)]
impl Reader {
    /// A recording of leaves with their subleaves.
    pub(super) fn recorded(leaves: &[(u32, u32, [u32; 4])]) -> Self {
        let leaves = leaves
            .iter()
            .map(|(leaf, subleaf, registers)| ((*leaf, *subleaf), *registers));
        Self::Recorded(Arc::new(leaves.collect()))
    }
}

/// CPUID of the machine, decoded; see [`reader`].
pub(super) fn of(root: &Root) -> Option<CpuId<Reader>> {
    reader(root).map(CpuId::with_cpuid_reader)
}

/// CPUID of the machine; `None` for a captured tree that does not hold it. It goes into a recording.
pub(super) fn reader(root: &Root) -> Option<Reader> {
    let path = format!("{CAPTURE}/cpuid");
    if !root.is_system() {
        let leaves = parse(&root.text(&path, LIMIT).ok()?);
        return (!leaves.is_empty()).then(|| Reader::Recorded(Arc::new(leaves)));
    }
    #[cfg(target_arch = "x86_64")]
    {
        if root.records() {
            root.keep(&path, &dump(&Reader::Cpu));
        }
        Some(Reader::Cpu)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Text as `cpuid -r -1` writes it. The numbers of the CPU that happened to run this (its APIC id) are left in.
fn dump(reader: &Reader) -> String {
    let mut text = "CPU:\n".to_owned();
    for base in [0, 0x4000_0000, 0x8000_0000_u32] {
        let last = reader.cpuid2(base, 0).eax;
        // A range that does not exist answers with what belongs to another one.
        if last < base || last - base > 0xffff {
            continue;
        }
        for leaf in base..=last.min(base + RANGE) {
            let subleaves = if WITH_SUBLEAVES.contains(&leaf) {
                SUBLEAVES
            } else {
                1
            };
            for subleaf in 0..subleaves {
                let CpuIdResult { eax, ebx, ecx, edx } = reader.cpuid2(leaf, subleaf);
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "   {leaf:#010x} {subleaf:#04x}: eax={eax:#010x} ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}"
                );
            }
        }
    }
    text
}

/// Lines of the first CPU: `   0x00000000 0x00: eax=0x0000000d ebx=... ecx=... edx=...`.
fn parse(text: &str) -> Leaves {
    let mut leaves = Leaves::new();
    for line in text.lines() {
        if line.starts_with("CPU") && !leaves.is_empty() {
            break;
        }
        if let Some((key, registers)) = parse_line(line)
            && leaves.len() < LEAVES
        {
            leaves.entry(key).or_insert(registers);
        }
    }
    leaves
}

fn parse_line(line: &str) -> Option<((u32, u32), [u32; 4])> {
    let (key, values) = line.split_once(':')?;
    let (leaf, subleaf) = key.trim().split_once(' ')?;
    let mut words = values.split_ascii_whitespace();
    let mut register =
        |name: &str| hex::parse_as(words.next()?.strip_prefix(name)?.strip_prefix('=')?);
    let registers = [
        register("eax")?,
        register("ebx")?,
        register("ecx")?,
        register("edx")?,
    ];
    Some(((hex::parse_as(leaf)?, hex::parse_as(subleaf)?), registers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "CPU 0:\n   0x00000000 0x00: eax=0x00000001 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n   \
                        0x00000001 0x00: eax=0x000806f8 ebx=0x00800800 ecx=0x7ffefbff edx=0xbfebfbff\nCPU 1:\n   \
                        0x00000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n";

    #[test]
    fn reads_the_first_cpu() {
        let leaves = parse(TEXT);
        assert_eq!(leaves.len(), 2);
        let cpuid = CpuId::with_cpuid_reader(Reader::Recorded(Arc::new(leaves)));
        assert_eq!(
            cpuid.get_vendor_info().expect("vendor").as_str(),
            "GenuineIntel"
        );
        assert!(cpuid.get_feature_info().expect("features").has_vmx());
    }

    #[test]
    fn what_is_dumped_is_read() {
        let reader = Reader::Recorded(Arc::new(parse(TEXT)));
        let dumped = parse(&dump(&reader));
        assert_eq!(
            dumped.get(&(1, 0)),
            Some(&[0x000806f8, 0x00800800, 0x7ffefbff, 0xbfebfbff])
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "( |0x[0-9a-f]{1,9}|:|eax=|ebx=|ecx=|edx=|\\PC){0,40}") {
            let _ = parse(&text);
        }
    }
}
