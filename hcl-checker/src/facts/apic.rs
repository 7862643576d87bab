//! What the bits of an APIC id mean: which of them name the thread, the core and the package.
//!
//! Sources: Intel SDM volume 3A, 10.9.1 ("Hierarchical Mapping of Shared Resources") and CPUID leaves 1, 4, 0B and 1F in
//! volume 2A; AMD APM volume 3, E.3 to E.5 (leaves 8000_0008, 8000_001E and 8000_0026).

use super::cpuid::Reader;
use super::cpuinfo::CpuInfo;
use crate::known::Known;
use raw_cpuid::{CpuId, CpuIdReader};
use std::collections::BTreeSet;

/// More levels than any leaf has (AMD has four, Intel six).
const LEVELS: u32 = 8;
/// The first AMD family whose leaf 8000_001E counts threads of a core. In family 15h it counts the cores of a module.
const ZEN: u8 = 0x17;
/// Feature bits: several logical processors (leaf 1, EDX), extended topology (leaf 8000_0001, ECX).
const HTT: u32 = 1 << 28;
const TOPOEXT: u32 = 1 << 22;

/// How an APIC id is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bits below those that name the core.
    pub(super) core: u32,
    /// Bits below those that name the package.
    pub(super) package: u32,
}

/// Numbers of processors by their APIC ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) packages: u32,
    pub(super) cores: u32,
    pub(super) threads: u32,
}

/// Counts the APIC ids of /proc/cpuinfo, which lists the processors that run.
pub(super) fn count(reader: &Reader, cpuinfo: &CpuInfo) -> Known<Count> {
    Layout::of(reader).and_then(|layout| cpuinfo.text().and_then(|text| layout.count(text)))
}

impl Layout {
    /// By the first leaf that tells it: 1F, 0B, 8000_0026, 8000_0008 with 8000_001E, 1 with 4.
    pub(super) fn of(reader: &Reader) -> Known<Self> {
        let last = reader.cpuid2(0, 0).eax;
        let last_extended = reader.cpuid2(0x8000_0000, 0).eax;
        let has = |leaf: u32| {
            if leaf & 0x8000_0000 == 0 {
                leaf <= last
            } else {
                (0x8000_0000..0x8001_0000).contains(&last_extended) && leaf <= last_extended
            }
        };
        if last == 0 {
            return Known::unknown("CPUID: has no leaf that tells how APIC ids are made");
        }
        let found = [0x1f, 0x0b, 0x8000_0026]
            .into_iter()
            .filter(|leaf| has(*leaf))
            .find_map(|leaf| Self::by_levels(reader, leaf))
            .or_else(|| has(0x8000_0008).then(|| Self::of_amd(reader)).flatten())
            .unwrap_or_else(|| Self::by_features(reader, has(4)));
        if found.package > 31 || found.core > found.package {
            return Known::unknown(format!(
                "CPUID: {} bits of an APIC id below the core and {} below the package make no sense",
                found.core, found.package
            ));
        }
        Known::Value(found)
    }

    /// A list of levels from the thread up, each with the bits below the next one. None where the leaf is not filled.
    fn by_levels(reader: &Reader, leaf: u32) -> Option<Self> {
        // A leaf that exists and is not filled has no processors at its first level.
        if reader.cpuid2(leaf, 0).ebx & 0xffff == 0 {
            return None;
        }
        let levels = (0..LEVELS).map(|level| reader.cpuid2(leaf, level));
        let widths: Vec<u32> = levels
            .take_while(|level| (level.ecx >> 8) & 0xff != 0)
            .map(|level| level.eax & 0x1f)
            .collect();
        Some(Self {
            core: *widths.first()?,
            package: *widths.last()?,
        })
    }

    /// AMD before leaf 0B: the size of the part of an id within a package, and the threads of a core.
    fn of_amd(reader: &Reader) -> Option<Self> {
        let cpuid = CpuId::with_cpuid_reader(reader.clone());
        let vendor = cpuid.get_vendor_info()?;
        if !matches!(vendor.as_str(), "AuthenticAMD" | "HygonGenuine") {
            return None;
        }
        let size = reader.cpuid2(0x8000_0008, 0).ecx;
        let package = match (size >> 12) & 0xf {
            0 => bits((size & 0xff) + 1),
            width => width,
        };
        let zen = cpuid
            .get_feature_info()
            .is_some_and(|features| features.family_id() >= ZEN);
        let core = if zen && reader.cpuid2(0x8000_0001, 0).ecx & TOPOEXT != 0 {
            bits(((reader.cpuid2(0x8000_001e, 0).ebx >> 8) & 0xff) + 1)
        } else {
            0
        };
        Some(Self { core, package })
    }

    /// Intel before leaf 0B: logical processors of a package, and its cores.
    fn by_features(reader: &Reader, has_cores: bool) -> Self {
        let features = reader.cpuid2(1, 0);
        if features.edx & HTT == 0 {
            return Self {
                core: 0,
                package: 0,
            };
        }
        let package = bits((features.ebx >> 16) & 0xff);
        let cores = if has_cores {
            bits((reader.cpuid2(4, 0).eax >> 26) + 1)
        } else {
            0
        };
        Self {
            core: package.saturating_sub(cores),
            package,
        }
    }

    /// Different packages, cores and threads in the APIC ids of a /proc/cpuinfo.
    fn count(self, cpuinfo: &str) -> Known<Count> {
        let ids: BTreeSet<u32> = cpuinfo
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.trim() == "apicid")
            .filter_map(|(_, id)| id.trim().parse().ok())
            .collect();
        if ids.is_empty() {
            return Known::unknown("/proc/cpuinfo: no APIC id");
        }
        let different = |width: u32| {
            ids.iter()
                .map(|id| id >> width)
                .collect::<BTreeSet<_>>()
                .len() as u32
        };
        Known::Value(Count {
            packages: different(self.package),
            cores: different(self.core),
            threads: ids.len() as u32,
        })
    }
}

/// Bits that number so many things.
fn bits(things: u32) -> u32 {
    things.max(1).next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTEL: (u32, u32, [u32; 4]) = (0, 0, [0x0b, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]);

    fn layout(leaves: &[(u32, u32, [u32; 4])]) -> Known<Layout> {
        Layout::of(&Reader::recorded(leaves))
    }

    fn value(core: u32, package: u32) -> Known<Layout> {
        Known::Value(Layout { core, package })
    }

    #[test]
    fn by_the_list_of_levels() {
        // Two threads a core, up to 64 threads a package: SDM's levels 1 (SMT) and 2 (core).
        let smt = (0x0b, 0, [1, 2, 0x100, 0]);
        let core = (0x0b, 1, [6, 56, 0x201, 0]);
        assert_eq!(layout(&[INTEL, smt, core]), value(1, 6));
        // A leaf that is there and empty says nothing; the next way does.
        let features = (1, 0, [0, 0x0010_0000, 0, HTT]);
        assert_eq!(
            layout(&[
                INTEL,
                (0x0b, 0, [0; 4]),
                features,
                (4, 0, [7 << 26, 0, 0, 0])
            ]),
            value(1, 4)
        );
    }

    #[test]
    fn by_what_amd_says() {
        let vendor = (0, 0, [0x0d, 0x6874_7541, 0x444d_4163, 0x6974_6e65]);
        let extended = (0x8000_0000, 0, [0x8000_001f, 0, 0, 0]);
        let size = (0x8000_0008, 0, [0, 0, 0x602f, 0]);
        let threads = (0x8000_001e, 0, [0, 0x100, 0, 0]);
        let topoext = (0x8000_0001, 0, [0, 0, TOPOEXT, 0]);
        let zen = (1, 0, [0x0080_0f12, 0, 0, HTT]);
        assert_eq!(
            layout(&[vendor, extended, size, threads, topoext, zen]),
            value(1, 6)
        );
        // In family 15h two cores share a module, and are cores.
        let bulldozer = (1, 0, [0x0060_0f12, 0, 0, HTT]);
        assert_eq!(
            layout(&[vendor, extended, size, threads, topoext, bulldozer]),
            value(0, 6)
        );
        // Without the size of the id the number of cores tells it.
        let twelve = (0x8000_0008, 0, [0, 0, 0x0b, 0]);
        assert_eq!(layout(&[vendor, extended, twelve, bulldozer]), value(0, 4));
    }

    #[test]
    fn a_processor_alone_is_a_package() {
        assert_eq!(layout(&[INTEL, (1, 0, [0, 0, 0, 0])]), value(0, 0));
        assert!(layout(&[]).is_unknown());
    }

    #[test]
    fn counts_different_ids() {
        // Two packages of two cores with two threads each, the second one far away.
        let text: String = [0, 1, 2, 3, 64, 65, 66, 67]
            .iter()
            .map(|id| format!("apicid\t\t: {id}\ninitial apicid\t: 9\n\n"))
            .collect();
        let count = Layout {
            core: 1,
            package: 2,
        }
        .count(&text);
        assert_eq!(
            count,
            Known::Value(Count {
                packages: 2,
                cores: 4,
                threads: 8
            })
        );
        let none = Layout {
            core: 0,
            package: 0,
        };
        assert!(none.count("apicid : x\n").is_unknown());
    }

    /// Two EPYC 9654, whose dump hwloc tests with (`AMD-19h-Zen4-2xEpyc-9654`): 96 of 128 possible cores in each package.
    #[test]
    fn three_hundred_and_eighty_four_threads() {
        let vendor = (0, 0, [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65]);
        let smt = (0x0b, 0, [1, 2, 0x100, 0]);
        let core = (0x0b, 1, [8, 192, 0x201, 0]);
        let extended = (0x8000_0000, 0, [0x8000_0028, 0, 0, 0]);
        let levels = [
            (0, [1, 2, 0x100, 0]),
            (1, [4, 16, 0x201, 0]),
            (2, [4, 16, 0x302, 0]),
            (3, [8, 192, 0x403, 0]),
        ];
        let [complex, die, socket, whole] =
            levels.map(|(level, registers)| (0x8000_0026, level, registers));
        let text: String = (0..192)
            .chain(256..448)
            .map(|id| format!("apicid\t\t: {id}\n\n"))
            .collect();
        for leaves in [
            &[vendor, smt, core][..],
            &[vendor, extended, complex, die, socket, whole],
        ] {
            let Known::Value(layout) = layout(leaves) else {
                panic!("{leaves:x?}");
            };
            let count = Count {
                packages: 2,
                cores: 192,
                threads: 384,
            };
            assert_eq!(layout.count(&text), Known::Value(count), "{leaves:x?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            leaves in proptest::collection::vec(
                (prop_oneof![Just(0_u32), Just(1), Just(4), Just(0xb), Just(0x1f), Just(0x8000_0000), Just(0x8000_0001),
                    Just(0x8000_0008), Just(0x8000_001e), Just(0x8000_0026)], 0_u32..4, any::<[u32; 4]>()),
                0..20,
            ),
            ids in proptest::collection::vec(any::<u32>(), 0..8),
        ) {
            if let Known::Value(layout) = layout(&leaves) {
                let text: String = ids.iter().map(|id| format!("apicid: {id}\n")).collect();
                if let Known::Value(count) = layout.count(&text) {
                    prop_assert!(count.packages <= count.cores && count.cores <= count.threads);
                }
            }
        }
    }
}
