//! The machine that a license is for.

use crate::Fingerprint;
use hcl_checker::facts::Facts;

/// What of a machine matters to a license.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Populated sockets. None where they could not be counted: that is told, and never held against the host.
    pub sockets: Option<u32>,
    /// UUID of the system from its firmware, lowercase. None where the firmware gives none.
    pub hardware: Option<String>,
    /// By what it is recognized.
    pub fingerprint: Fingerprint,
}

impl Machine {
    /// Of these facts.
    pub fn of(facts: &Facts) -> Machine {
        Machine {
            sockets: socket_count(facts),
            hardware: facts.dmi.uuid.value().map(|uuid| uuid.to_lowercase()),
            fingerprint: Fingerprint::of(facts),
        }
    }
}

/// Populated sockets by the rule of the hardware checker: what the kernel (in dom0, Xen) counts, and where that is not
/// known, what the firmware's tables say.
pub fn socket_count(facts: &Facts) -> Option<u32> {
    let topology = &facts.topology;
    let by_tables = || {
        topology
            .socket_counts
            .iter()
            .find_map(|count| count.sockets.value().copied())
    };
    topology
        .sockets
        .value()
        .copied()
        .or_else(by_tables)
        .filter(|sockets| *sockets > 0)
}
