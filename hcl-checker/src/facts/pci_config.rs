//! The configuration space of a PCI function: its link, and what keeps it apart from others.
//!
//! Source: PCI Express Base Specification 5.0, 7.5 (header, PCI Express capability), 7.6.3 (extended capabilities), 7.7.8
//! (ACS). Only the registers that are needed are read: each costs an access to the device.

use crate::root::Window;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of a whole configuration space.
pub(super) const LENGTH: usize = 4096;
/// Capabilities are 4 bytes at least, so a longer list goes in a circle.
const CAPABILITIES: usize = 48;
const EXTENDED_CAPABILITIES: usize = 960;
/// Where extended capabilities begin.
const EXTENDED: usize = 0x100;
/// Capability of PCI Express, and extended capability of access control services.
const EXPRESS: u8 = 0x10;
const ACS: u16 = 0x000d;

/// A PCI Express link: how fast and how wide it runs, and how it could run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PcieLink {
    /// Megatransfers per second on each lane now; 0 without a link.
    pub speed_mts: u32,
    /// Lanes in use; 0 without a link.
    pub width: u8,
    /// The most that the function can do.
    pub max_speed_mts: u32,
    /// Lanes that the function has.
    pub max_width: u8,
}

impl PcieLink {
    /// Fewer lanes than the function has: a card in a slot that is too narrow, or a bad contact. Speed says little: many
    /// cards slow down while they have nothing to do.
    pub fn is_narrow(&self) -> bool {
        self.width > 0 && self.width < self.max_width
    }
}

/// Access control services: what keeps traffic between functions from passing by the IOMMU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acs {
    /// Bits that the function has: 0 source validation, 2 request redirect, 3 completion redirect, 4 upstream forwarding.
    pub capability: u16,
    /// Bits that are switched on.
    pub control: u16,
}

impl Acs {
    /// Bits without which Linux puts functions into one group (`REQ_ACS_FLAGS` of drivers/iommu/iommu.c).
    const REQUIRED: u16 = 0b0001_1101;

    /// Whether functions are kept apart: everything that is required is on, as far as it exists here.
    pub fn isolates(&self) -> bool {
        let wanted = Self::REQUIRED & self.capability;
        self.control & wanted == wanted
    }
}

/// Kind of a PCI Express function, as far as isolation depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortKind {
    /// Not PCI Express.
    Conventional,
    /// An endpoint, also one of the root complex, and the upstream port of a switch.
    Endpoint,
    /// A root port or the downstream port of a switch.
    Downstream,
    /// A bridge between PCI Express and PCI.
    Bridge,
    /// An event collector of the root complex, and what is not known.
    Other,
}

/// What is read of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) multifunction: bool,
    pub(super) kind: PortKind,
    /// None without a link: conventional PCI, or a part of the root complex.
    pub(super) link: Option<PcieLink>,
    /// None where it does not have the capability; an error where that part cannot be read.
    pub(super) acs: Result<Option<Acs>, &'static str>,
}

/// Reads what is needed; the reason where even the header cannot be read.
pub(super) fn parse(space: &Window) -> Result<Parsed, &'static str> {
    const NO_HEADER: &str = "the configuration space cannot be read";
    let [id, command, _, header]: [[u8; 4]; 4] = {
        let bytes: [u8; 16] = space.read(0).ok_or(NO_HEADER)?;
        [0, 4, 8, 12].map(|at| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    if id == [0xff; 4] {
        return Err("the function does not answer");
    }
    let multifunction = header[2] & 0x80 != 0;
    let has_capabilities = command[2] & 0x10 != 0;
    let conventional = Parsed {
        multifunction,
        kind: PortKind::Conventional,
        link: None,
        acs: Ok(None),
    };
    if !has_capabilities {
        return Ok(conventional);
    }
    let express = find(space, EXPRESS)?;
    let Some(express) = express else {
        return Ok(conventional);
    };
    let [_, _, flags, _]: [u8; 4] = space.read(express).ok_or(BEYOND_HEADER)?;
    let kind = match flags >> 4 {
        0 | 1 | 5 | 9 => PortKind::Endpoint,
        4 | 6 => PortKind::Downstream,
        7 | 8 => PortKind::Bridge,
        _ => PortKind::Other,
    };
    // Integrated endpoints and event collectors have no link.
    let has_link = !matches!(flags >> 4, 9 | 10);
    Ok(Parsed {
        multifunction,
        kind,
        link: if has_link { link(space, express) } else { None },
        acs: acs(space),
    })
}

const BEYOND_HEADER: &str = "only root can read the configuration space behind the header";

/// Offset of a capability. The list's pointers have two low bits that are to be ignored.
fn find(space: &Window, wanted: u8) -> Result<Option<usize>, &'static str> {
    let [first]: [u8; 1] = space.read(0x34).ok_or(BEYOND_HEADER)?;
    let mut at = usize::from(first & 0xfc);
    for _ in 0..CAPABILITIES {
        if at < 0x40 {
            return Ok(None);
        }
        let [kind, next]: [u8; 2] = space.read(at).ok_or(BEYOND_HEADER)?;
        if kind == wanted {
            return Ok(Some(at));
        }
        at = usize::from(next & 0xfc);
    }
    Ok(None)
}

/// Link capabilities and link status.
fn link(space: &Window, express: usize) -> Option<PcieLink> {
    let capabilities = u32::from_le_bytes(space.read(express + 0x0c)?);
    let status = u16::from_le_bytes(space.read(express + 0x12)?);
    let width = |register: u32| ((register >> 4) & 0x3f) as u8;
    Some(PcieLink {
        speed_mts: speed(u32::from(status) & 0xf),
        width: width(u32::from(status)),
        max_speed_mts: speed(capabilities & 0xf),
        max_width: width(capabilities),
    })
}

/// Number of a bit in the vector of speeds: 2.5, 5, 8, 16, 32 and 64 GT/s.
fn speed(code: u32) -> u32 {
    match code {
        1 => 2500,
        2 => 5000,
        3 => 8000,
        4 => 16_000,
        5 => 32_000,
        6 => 64_000,
        _ => 0,
    }
}

fn acs(space: &Window) -> Result<Option<Acs>, &'static str> {
    const REASON: &str =
        "the extended configuration space cannot be read; root can, where the firmware lets it";
    let mut at = EXTENDED;
    for _ in 0..EXTENDED_CAPABILITIES {
        let header = u32::from_le_bytes(space.read(at).ok_or(REASON)?);
        // Zero ends the list, ones are a space that is not there.
        if header == 0 || header == u32::MAX {
            return Ok(None);
        }
        if header as u16 == ACS {
            let registers: [u8; 4] = space.read(at + 4).ok_or(REASON)?;
            return Ok(Some(Acs {
                capability: u16::from_le_bytes([registers[0], registers[1]]),
                control: u16::from_le_bytes([registers[2], registers[3]]),
            }));
        }
        at = (header >> 20) as usize & 0xffc;
        if at < EXTENDED {
            return Ok(None);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A port of a kind (4 root port, 0 endpoint) with a link and maybe with ACS.
    fn space(kind: u8, acs: Option<(u16, u16)>) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH];
        bytes[0..4].copy_from_slice(&[0x86, 0x80, 0x30, 0x20]);
        bytes[0x06] = 0x10;
        bytes[0x0e] = 0x81;
        bytes[0x34] = 0x40;
        // Power management first.
        bytes[0x40..0x42].copy_from_slice(&[1, 0x60]);
        bytes[0x60..0x64].copy_from_slice(&[EXPRESS, 0, kind << 4 | 2, 0]);
        // Could do 8 GT/s on 8 lanes, does 5 GT/s on 4.
        bytes[0x6c..0x70].copy_from_slice(&0x0040_0083_u32.to_le_bytes());
        bytes[0x72..0x74].copy_from_slice(&0x1042_u16.to_le_bytes());
        // Advanced error reporting first.
        bytes[0x100..0x104].copy_from_slice(&0x1401_0001_u32.to_le_bytes());
        if let Some((capability, control)) = acs {
            bytes[0x140..0x144].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
            bytes[0x144..0x146].copy_from_slice(&capability.to_le_bytes());
            bytes[0x146..0x148].copy_from_slice(&control.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_port_with_a_narrow_link() {
        let parsed = parse(&Window::Whole(space(4, Some((0x5f, 0x1d))))).expect("parsed");
        assert_eq!(
            (parsed.kind, parsed.multifunction),
            (PortKind::Downstream, true)
        );
        let link = parsed.link.expect("link");
        assert_eq!((link.speed_mts, link.width), (5000, 4));
        assert_eq!((link.max_speed_mts, link.max_width), (8000, 8));
        assert!(link.is_narrow());
        let acs = parsed.acs.expect("readable").expect("acs");
        assert!(acs.isolates());
        let none = parse(&Window::Whole(space(4, None))).expect("parsed");
        assert_eq!(none.acs, Ok(None));
    }

    #[test]
    fn isolation_counts_what_exists() {
        let acs = |capability, control| Acs {
            capability,
            control,
        };
        assert!(acs(0x1d, 0x1d).isolates() && !acs(0x1d, 0x0d).isolates());
        assert!(
            acs(0x01, 0x01).isolates(),
            "what a function does not have needs no switch"
        );
    }

    #[test]
    fn what_may_be_read_without_root() {
        let header = space(0, None)[..64].to_vec();
        assert_eq!(parse(&Window::Whole(header)), Err(BEYOND_HEADER));
        let legacy = parse(&Window::Whole(space(0, None)[..256].to_vec())).expect("parsed");
        assert!(legacy.link.is_some() && legacy.acs.is_err());
        assert!(parse(&Window::Whole(vec![0xff; LENGTH])).is_err());
        assert!(parse(&Window::Whole(Vec::new())).is_err());
    }

    #[test]
    fn conventional_and_integrated_functions_have_no_link() {
        let mut bytes = space(0, None);
        bytes[0x06] = 0;
        let parsed = parse(&Window::Whole(bytes)).expect("parsed");
        assert_eq!((parsed.kind, parsed.link), (PortKind::Conventional, None));
        let parsed = parse(&Window::Whole(space(9, None))).expect("parsed");
        assert_eq!((parsed.kind, parsed.link), (PortKind::Endpoint, None));
    }

    #[test]
    fn lists_that_circle_end() {
        let mut bytes = space(0, None);
        bytes[0x61] = 0x40;
        bytes[0x60] = 9;
        assert_eq!(
            parse(&Window::Whole(bytes)).expect("parsed").kind,
            PortKind::Conventional
        );
        let mut bytes = space(0, None);
        bytes[0x100..0x104].copy_from_slice(&0x1001_0001_u32.to_le_bytes());
        assert_eq!(parse(&Window::Whole(bytes)).expect("parsed").acs, Ok(None));
    }

    proptest! {
        #[test]
        fn never_panics(
            head in proptest::collection::vec(any::<u8>(), 0..256),
            extended in proptest::collection::vec(any::<u8>(), 0..600),
            whole: bool,
        ) {
            let mut bytes = head;
            if whole {
                bytes.resize(EXTENDED, 0x44);
                bytes[6] |= 0x10;
                bytes[0x34] |= 0x40;
                bytes.extend(extended);
            }
            let _ = parse(&Window::Whole(bytes));
        }
    }
}
