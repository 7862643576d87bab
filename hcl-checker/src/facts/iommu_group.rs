//! Which functions can only be given to a guest together, where the kernel does not say so: dom0 has no IOMMU groups.
//!
//! Computed as Linux does it (drivers/iommu/iommu.c, `pci_device_group`; drivers/pci/pci.c, `pci_acs_enabled`), without
//! its list of devices that are isolated in spite of what they say, so a group may come out too big, never too small.

use super::pci_config::{Parsed, PortKind};
use crate::known::Known;
use std::collections::BTreeMap;

/// What is needed of one function.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) address: &'a str,
    /// The bridge that it hangs on.
    pub(super) parent: Known<String>,
    /// Its configuration space.
    pub(super) parsed: Known<Parsed>,
}

/// A number for each function, the same one for those that belong together.
pub(super) fn groups(members: &[Member<'_>]) -> Vec<Known<u32>> {
    let by_address: BTreeMap<&str, usize> = members
        .iter()
        .enumerate()
        .map(|(number, member)| (member.address, number))
        .collect();
    let mut sets = Sets::new(members.len());
    let mut doubts: Vec<Option<String>> = vec![None; members.len()];
    let slots = slots(members);
    for (number, member) in members.iter().enumerate() {
        let joined = join_upwards(members, &by_address, &mut sets, number)
            .and_then(|()| join_slot(members, &slots, &mut sets, number, member));
        doubts[number] = joined.err();
    }
    let mut names = BTreeMap::new();
    doubts
        .into_iter()
        .enumerate()
        .map(|(number, doubt)| match doubt {
            Some(reason) => Known::unknown(reason),
            None => {
                let next = names.len() as u32;
                Known::Value(*names.entry(sets.first(number)).or_insert(next))
            }
        })
        .collect()
}

/// Joins a function with every bridge above it from which on the path to the root does not isolate.
fn join_upwards(
    members: &[Member<'_>],
    by_address: &BTreeMap<&str, usize>,
    sets: &mut Sets,
    number: usize,
) -> Result<(), String> {
    // Bridges above it, the nearest first. More than there are functions would be a circle.
    let mut bridges = Vec::new();
    let mut at = number;
    while bridges.len() <= members.len() {
        match &members[at].parent {
            Known::Value(parent) => match by_address.get(parent.as_str()) {
                Some(&above) => {
                    bridges.push(above);
                    at = above;
                }
                None => {
                    return Err(format!(
                        "{parent}: the bridge above is not among the functions"
                    ));
                }
            },
            Known::Absent => break,
            Known::Unknown(unknown) => return Err(unknown.reason.to_string()),
        }
    }
    let mut isolated = Vec::new();
    for &bridge in &bridges {
        isolated.push(isolates(&members[bridge])?);
    }
    for (index, &bridge) in bridges.iter().enumerate() {
        if isolated[index..].iter().all(|isolated| *isolated) {
            break;
        }
        sets.join(number, bridge);
    }
    Ok(())
}

/// Joins functions of one device that are not kept apart.
fn join_slot(
    members: &[Member<'_>],
    slots: &BTreeMap<&str, Vec<usize>>,
    sets: &mut Sets,
    number: usize,
    member: &Member<'_>,
) -> Result<(), String> {
    let siblings = slots
        .get(slot(member.address))
        .map_or(&[][..], Vec::as_slice);
    if siblings.len() < 2 || isolates(member)? {
        return Ok(());
    }
    for &sibling in siblings {
        if !isolates(&members[sibling])? {
            sets.join(number, sibling);
        }
    }
    Ok(())
}

fn slots<'a>(members: &[Member<'a>]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut slots: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        slots.entry(slot(member.address)).or_default().push(number);
    }
    slots
}

/// The address without the function.
pub(super) fn slot(address: &str) -> &str {
    address.split_once('.').map_or(address, |(slot, _)| slot)
}

/// Whether what passes through a function cannot reach another one behind the IOMMU's back.
fn isolates(member: &Member<'_>) -> Result<bool, String> {
    let parsed = match &member.parsed {
        Known::Value(parsed) => parsed,
        Known::Absent => return Err(format!("{}: no configuration space", member.address)),
        Known::Unknown(unknown) => return Err(unknown.reason.to_string()),
    };
    let by_acs = || match parsed.acs {
        Ok(acs) => Ok(acs.is_some_and(|acs| acs.isolates())),
        Err(reason) => Err(format!("{}: {reason}", member.address)),
    };
    match parsed.kind {
        PortKind::Conventional | PortKind::Bridge => Ok(false),
        PortKind::Downstream => by_acs(),
        // A device of one function has nobody to talk to.
        PortKind::Endpoint if !parsed.multifunction => Ok(true),
        PortKind::Endpoint => by_acs(),
        PortKind::Other => Ok(false),
    }
}

/// Sets that are joined; each is known by its lowest member.
struct Sets {
    above: Vec<usize>,
}

impl Sets {
    fn new(length: usize) -> Self {
        Self {
            above: (0..length).collect(),
        }
    }

    fn first(&self, mut of: usize) -> usize {
        while self.above[of] != of {
            of = self.above[of];
        }
        of
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.above[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pci_config::Acs;
    use super::*;

    fn member<'a>(
        address: &'a str,
        parent: Option<&str>,
        kind: PortKind,
        multifunction: bool,
        acs: bool,
    ) -> Member<'a> {
        let acs = acs.then_some(Acs {
            capability: 0x1d,
            control: 0x1d,
        });
        Member {
            address,
            parent: parent.map_or(Known::Absent, |parent| Known::Value(parent.to_owned())),
            parsed: Known::Value(Parsed {
                multifunction,
                kind,
                link: None,
                acs: Ok(acs),
            }),
        }
    }

    fn numbers(members: &[Member<'_>]) -> Vec<Option<u32>> {
        groups(members)
            .iter()
            .map(|group| group.value().copied())
            .collect()
    }

    #[test]
    fn cards_behind_ports_with_acs_are_apart() {
        use PortKind::{Downstream, Endpoint};
        let mut machine = vec![
            member("0000:00:01.0", None, Downstream, true, true),
            member("0000:00:01.1", None, Downstream, true, true),
            member("0000:01:00.0", Some("0000:00:01.0"), Endpoint, false, false),
            member("0000:02:00.0", Some("0000:00:01.1"), Endpoint, true, false),
            member("0000:02:00.1", Some("0000:00:01.1"), Endpoint, true, false),
        ];
        // The two ports of the last card can talk to each other.
        assert_eq!(
            numbers(&machine),
            [Some(0), Some(1), Some(2), Some(3), Some(3)]
        );
        // Without ACS in the ports everything there is one group.
        machine[0] = member("0000:00:01.0", None, Downstream, true, false);
        machine[1] = member("0000:00:01.1", None, Downstream, true, false);
        assert_eq!(numbers(&machine), [Some(0); 5]);
        // In one of them: that port and its card only.
        machine[1] = member("0000:00:01.1", None, Downstream, true, true);
        assert_eq!(
            numbers(&machine),
            [Some(0), Some(1), Some(0), Some(2), Some(2)]
        );
    }

    #[test]
    fn conventional_devices_share_a_bridge() {
        use PortKind::{Bridge, Conventional};
        let machine = [
            member("0000:00:1e.0", None, Bridge, false, false),
            member(
                "0000:05:00.0",
                Some("0000:00:1e.0"),
                Conventional,
                false,
                false,
            ),
            member(
                "0000:05:01.0",
                Some("0000:00:1e.0"),
                Conventional,
                false,
                false,
            ),
        ];
        assert_eq!(numbers(&machine), [Some(0); 3]);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        use PortKind::{Downstream, Endpoint};
        let mut machine = vec![
            member("0000:00:01.0", None, Downstream, false, true),
            member("0000:01:00.0", Some("0000:00:01.0"), Endpoint, false, false),
            member("0000:00:02.0", None, Endpoint, false, false),
        ];
        machine[0].parsed = Known::unknown("asleep");
        let found = groups(&machine);
        assert_eq!(found[1].reason(), Some("asleep"));
        assert!(matches!(found[2], Known::Value(_)));
        // A bridge that hangs on itself, as a broken tree may have it.
        machine[0].parent = Known::Value("0000:00:01.0".to_owned());
        assert!(groups(&machine)[0].is_unknown());
    }
}
