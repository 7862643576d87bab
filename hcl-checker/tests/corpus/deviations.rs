//! Where the facts count differently from a dump's own project, and why that is right.

use crate::counts::Counts;
use crate::trial;
use libtest_mimic::Trial;
use std::collections::BTreeSet;

/// One known difference. It is an error when it changes or goes away.
pub struct Deviation {
    /// The dump.
    pub dump: &'static str,
    /// What the facts say.
    pub ours: Counts,
    /// What its project expects.
    pub theirs: Counts,
    /// Why both are right, each in its way.
    pub reason: &'static str,
}

const ALLOWED: &str = "hwloc shows the processors that the gathering process was allowed to use; the facts count what runs.";
const NUMBERLESS: &str = "The kernel numbers every package -1; hwloc goes by core_siblings instead. Not seen on x86, so it stays unknown.";

const KNOWN: &[Deviation] = &[
    Deviation {
        dump: "16amd64-4n4c-cgroup-distance-merge",
        ours: [Some(4), Some(16), Some(16)],
        theirs: [Some(3), Some(0), Some(4)],
        reason: ALLOWED,
    },
    Deviation {
        dump: "16amd64-8n2c-cpusets",
        ours: [Some(8), Some(15), Some(15)],
        theirs: [Some(7), Some(10), Some(10)],
        reason: ALLOWED,
    },
    Deviation {
        dump: "16em64t-4s2ca2c-cpusetreorder",
        ours: [Some(4), Some(16), Some(16)],
        theirs: [Some(4), Some(11), Some(11)],
        reason: ALLOWED,
    },
    Deviation {
        dump: "32amd64-4s2n4c-cgroup2",
        ours: [Some(4), Some(32), Some(32)],
        theirs: [Some(3), Some(6), Some(6)],
        reason: ALLOWED,
    },
    Deviation {
        dump: "16ia64-8n2s",
        ours: [Some(8), Some(16), Some(16)],
        theirs: [Some(16), Some(16), Some(16)],
        reason: "Itanium: two packages of a node have one number; hwloc tells them apart by core_siblings. The facts go by the number, no x86 kernel repeats it.",
    },
    Deviation {
        dump: "20s390-2g6s4c",
        ours: [None, Some(20), Some(20)],
        theirs: [Some(8), Some(20), Some(20)],
        reason: NUMBERLESS,
    },
    Deviation {
        dump: "256ppc-8n8s4t",
        ours: [None, Some(64), Some(256)],
        theirs: [Some(64), Some(64), Some(256)],
        reason: NUMBERLESS,
    },
    Deviation {
        dump: "4ia64-4s",
        ours: [None, Some(4), Some(4)],
        theirs: [Some(4), Some(4), Some(4)],
        reason: NUMBERLESS,
    },
    Deviation {
        dump: "2ps3-2t",
        ours: [None, Some(1), Some(2)],
        theirs: [Some(0), Some(1), Some(2)],
        reason: "The tree names no package: hwloc shows none, here it is unknown.",
    },
    Deviation {
        dump: "2s390-2c",
        ours: [None, None, Some(2)],
        theirs: [Some(1), Some(0), Some(2)],
        reason: "The tree names neither package nor siblings: hwloc draws one package around everything, here it is unknown.",
    },
    Deviation {
        dump: "40intel64-4n10c+pci-conflicts",
        ours: [Some(4), Some(40), Some(40)],
        theirs: [Some(3), Some(40), Some(40)],
        reason: "The tree's PCI buses contradict its packages, which is what it tests; hwloc leaves one package out of its drawing.",
    },
    Deviation {
        dump: "4em64t-2c2t-ignore-reorder",
        ours: [Some(1), Some(2), Some(4)],
        theirs: [Some(0), Some(0), Some(0)],
        reason: "Printed without packages and cores, and with the system's numbers of processors: nothing in it can be counted.",
    },
    Deviation {
        dump: "4fake-4gr1nu1pu",
        ours: [Some(1), None, Some(4)],
        theirs: [Some(1), Some(0), Some(2)],
        reason: "A made-up tree without siblings, and with a memory node for two of its processors; hwloc leaves the others out.",
    },
    Deviation {
        dump: "64amd64-4s2n4ca2co",
        ours: [Some(4), Some(32), Some(64)],
        theirs: [Some(4), Some(64), Some(64)],
        reason: "Opteron 6272: the kernel calls the two cores of a module threads of one core, hwloc corrects that.",
    },
];

/// The known difference of a dump.
pub fn of(dump: &str) -> Option<&'static Deviation> {
    KNOWN.iter().find(|known| known.dump == dump)
}

/// The table itself: each dump stands there once, with a difference and a reason.
pub fn trials() -> Vec<Trial> {
    vec![trial("deviations: are told once".to_owned(), || {
        let dumps: BTreeSet<&str> = KNOWN.iter().map(|known| known.dump).collect();
        if dumps.len() != KNOWN.len() {
            return Err("a dump stands there twice".to_owned());
        }
        match KNOWN
            .iter()
            .find(|known| known.ours == known.theirs || known.reason.is_empty())
        {
            Some(known) => Err(format!("{}: no difference, or no reason", known.dump)),
            None => Ok(()),
        }
    })]
}
