//! PCI configuration spaces of real devices.

use crate::counts::functions_are_parsed;
use crate::tree::Tree;
use crate::ways::lead_to_one_verdict;
use crate::{Outcome, entries, trial};
use hcl_checker::Known;
use hcl_checker::facts::{Acs, PciFunction, PcieLink};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

/// Bytes of a conventional configuration space; extended capabilities are behind it.
const CONVENTIONAL: usize = 256;

/// One function of a dump.
struct Dumped {
    address: String,
    space: Vec<u8>,
    /// What `lspci` said about it, where the dump has that.
    text: Vec<String>,
}

/// Dumps of `lspci -xxx` and `-xxxx`, most with the text that lspci made of them.
pub fn pciutils(folder: &Path) -> Vec<Trial> {
    let dumps = entries(folder, |name| folder.join(name).is_file());
    let tests = dumps.into_iter().filter_map(|(name, path)| {
        let text = fs::read(&path).ok()?;
        let functions = functions(&String::from_utf8_lossy(&text));
        let with_bytes = functions.iter().any(|function| !function.space.is_empty());
        with_bytes.then(|| trial(format!("pciutils/{name}"), move || compare(&functions)))
    });
    tests.collect()
}

/// Raw configuration spaces.
pub fn libvirt(folder: &Path) -> Vec<Trial> {
    let files = entries(folder, |name| name.ends_with(".config"));
    let tests = files.into_iter().map(|(name, path)| {
        trial(format!("libvirt/pci/{name}"), move || {
            let function = Dumped {
                // `0000-00-01.0.config`.
                address: name.trim_end_matches(".config").replace('-', ":"),
                space: fs::read(&path).map_err(|error| error.to_string())?,
                text: Vec::new(),
            };
            compare(&[function])
        })
    });
    tests.collect()
}

/// A line `00:1f.2 ...` begins a function, `40: 01 02 ...` are 16 bytes of it.
fn functions(dump: &str) -> Vec<Dumped> {
    let mut found: Vec<Dumped> = Vec::new();
    for line in dump.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is_address = first.len() >= 7
            && first.as_bytes()[first.len() - 2] == b'.'
            && first
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        if is_address {
            let domain = if first.matches(':').count() == 1 {
                "0000:"
            } else {
                ""
            };
            found.push(Dumped {
                address: format!("{domain}{first}"),
                space: Vec::new(),
                text: Vec::new(),
            });
            continue;
        }
        let Some(function) = found.last_mut() else {
            continue;
        };
        let offset = first
            .strip_suffix(':')
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let bytes: Option<Vec<u8>> = rest
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect();
        match (offset, bytes) {
            (Some(offset), Some(bytes)) if offset == function.space.len() => {
                function.space.extend(bytes)
            }
            _ => function.text.push(line.trim().to_owned()),
        }
    }
    found.retain(|function| !function.space.is_empty());
    found
}

fn compare(dumped: &[Dumped]) -> Outcome {
    let machine = tree(dumped);
    let facts = machine.facts();
    lead_to_one_verdict(&machine.root(), &facts)?;
    let mut addresses: Vec<String> = dumped
        .iter()
        .map(|function| function.address.clone())
        .collect();
    addresses.sort();
    functions_are_parsed(&facts, &addresses, |_| true)?;
    for function in dumped {
        let found = facts.pci_function(&function.address).ok_or("lost")?;
        function
            .fits(found)
            .map_err(|error| format!("{}: {error}", function.address))?;
    }
    Ok(())
}

/// The tree that the kernel would show.
fn tree(dumped: &[Dumped]) -> Tree {
    let machine = Tree::empty();
    for function in dumped {
        let space = &function.space;
        let word = |at: usize| u16::from_le_bytes([space[at], space[at + 1]]);
        let folder = format!("sys/bus/pci/devices/{}", function.address);
        machine
            .file(&format!("{folder}/config"), space)
            .file(&format!("{folder}/vendor"), format!("{:#06x}\n", word(0)))
            .file(&format!("{folder}/device"), format!("{:#06x}\n", word(2)))
            .file(
                &format!("{folder}/class"),
                format!("0x{:02x}{:02x}{:02x}\n", space[11], space[10], space[9]),
            );
    }
    machine
}

impl Dumped {
    /// What the facts say is what lspci said, and what the bytes of the header say.
    fn fits(&self, found: &PciFunction) -> Outcome {
        if found.multifunction != Known::Value(self.space[14] & 0x80 != 0) {
            return Err(format!("multifunction: {:?}", found.multifunction));
        }
        if let Some(link) = self.link()
            && found.link.value() != Some(&link)
        {
            return Err(format!("lspci: {link:?}, facts: {:?}", found.link));
        }
        // What the dump does not hold cannot be known, though lspci saw it.
        let whole = self.space.len() > CONVENTIONAL;
        let told = self
            .text
            .iter()
            .any(|line| line.starts_with("Capabilities:"));
        match (self.acs(), found.acs.value()) {
            (Some(acs), is) if whole && is != Some(&acs) => {
                Err(format!("lspci: {acs:?}, facts: {:?}", found.acs))
            }
            (None, Some(acs)) if told => Err(format!("lspci saw no ACS, facts: {acs:?}")),
            (_, Some(acs)) if !whole => Err(format!("not in the dump, facts: {acs:?}")),
            _ => Ok(()),
        }
    }

    /// `LnkCap: Port #0, Speed 2.5GT/s, Width x4, ...` and `LnkSta: Speed 2.5GT/s (ok), Width x4 (ok), ...`.
    fn link(&self) -> Option<PcieLink> {
        let of = |start: &str| {
            let line = self.text.iter().find(|line| line.starts_with(start))?;
            let speed = line.split_once("Speed ")?.1.split_once("GT/s")?.0;
            let width = line.split_once("Width x")?.1;
            let digits: String = width.chars().take_while(char::is_ascii_digit).collect();
            let speed = match speed {
                "2.5" => 2500,
                other => other.parse::<u32>().ok()? * 1000,
            };
            Some((speed, digits.parse().ok()?))
        };
        let ((max_speed_mts, max_width), (speed_mts, width)) = (of("LnkCap:")?, of("LnkSta:")?);
        Some(PcieLink {
            speed_mts,
            width,
            max_speed_mts,
            max_width,
        })
    }

    /// `ACSCap: SrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-`: bits 0 to 6.
    fn acs(&self) -> Option<Acs> {
        let of = |start: &str| {
            let line = self.text.iter().find_map(|line| line.strip_prefix(start))?;
            let flags = line.split_whitespace().take(7).enumerate();
            Some(
                flags
                    .map(|(bit, flag)| u16::from(flag.ends_with('+')) << bit)
                    .sum::<u16>(),
            )
        };
        Some(Acs {
            capability: of("ACSCap:")?,
            control: of("ACSCtl:")?,
        })
    }
}
