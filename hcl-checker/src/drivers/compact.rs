//! The drivers of a kernel as a short text, to be compiled into a program and to be compared by people.
//!
//! ```text
//! kernel 6.12.118+deb13-amd64
//! xen 4.20.2-1
//! modules ahci e1000e ...
//! driver e1000e
//!  8086:10d3 8086:10f6
//! driver bnx2 lacks bnx2/bnx2-mips-09-6.2.1b.fw
//!  14e4:1639
//! driver nvme
//!  pci:v*d*sv*sd*bc01sc08i02*
//! ```
//!
//! `8086:10d3` stands for the pattern `pci:v00008086d000010D3sv*sd*bc*sc*i*`, which nearly all are.

use super::claims::{self, Claims};
use super::ids::{DriversByIds, REST, ids};
use super::names::Names;
use super::{DriverIndex, Modules};
use crate::modalias::{AliasIndex, module_name};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Buses whose devices carry disks and networks, as patterns begin.
const BUSES: [&str; 4] = ["pci:", "virtio:", "vmbus:", "xen:"];

/// Width of a line of names.
const WIDTH: usize = 120;

/// The text is no index.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("driver index, line {line}: {problem}; make it with `image-build driver-index`")]
pub struct CompactError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// The name of a modules folder.
pub(super) fn release_of(folder: &Path) -> String {
    folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Writes the index of the kernel whose modules are in `folder`, with the version of the hypervisor that goes with it.
/// `lacking` names modules that cannot work for want of firmware, with the files that they name.
///
/// # Errors
/// `modules.alias` or `modules.dep` cannot be read; the error names it.
pub fn write(
    folder: &Path,
    xen: &str,
    lacking: &BTreeMap<String, Vec<String>>,
) -> io::Result<String> {
    let index = DriverIndex::read(folder)?;
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    for line in read("modules.dep")?
        .lines()
        .chain(read("modules.builtin")?.lines())
    {
        let name = module_name(line.split(':').next().unwrap_or_default());
        if index.has(&name) {
            names.insert(name);
        }
    }
    let mut drivers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in read("modules.alias")?.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some("alias"), Some(pattern), Some(module)) =
            (words.next(), words.next(), words.next())
            && BUSES.iter().any(|bus| pattern.starts_with(bus))
        {
            let module = module.replace('-', "_");
            if names.contains(&module) {
                drivers.entry(module).or_default().insert(shorten(pattern));
            }
        }
    }
    let mut text = String::from(
        "# The drivers of the shipped kernel, made by `image-build driver-index`. Do not edit.\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "kernel {}\nxen {xen}", index.release);
    lines(&mut text, "modules", &names);
    for (module, patterns) in &drivers {
        let _ = write!(text, "driver {module}");
        if let Some(files) = lacking.get(module) {
            let _ = write!(text, " lacks {}", files.join(" "));
        }
        text.push('\n');
        lines(&mut text, "", patterns);
    }
    Ok(text)
}

/// Words in lines of a bounded width, each behind `key`.
fn lines(text: &mut String, key: &str, words: &BTreeSet<String>) {
    let mut width = WIDTH;
    for word in words {
        if width + word.len() >= WIDTH {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(key);
            width = key.len();
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.len();
    }
    text.push('\n');
}

/// Reads what [`write()`] wrote.
pub(super) fn read(text: &str) -> Result<DriverIndex, CompactError> {
    let claims = read_claims(text)?;
    read_lines(text, claims.into(), |names| Cow::Owned(names.to_owned()))
}

/// Reads the index of this program, which is well-formed. Every check of a machine begins with this, so that it makes as
/// little of the text as it can.
pub(super) fn read_own(text: &'static str) -> Result<DriverIndex, CompactError> {
    read_lines(text, Claims::of_own(text), Cow::Borrowed)
}

/// All but the claims.
fn read_lines<'a>(
    text: &'a str,
    claims: Claims,
    keep: impl Fn(&'a str) -> Cow<'static, str>,
) -> Result<DriverIndex, CompactError> {
    let (mut release, mut xen) = (None, None);
    let (mut names, mut lacking) = (Vec::new(), BTreeMap::new());
    for (number, line) in text.lines().enumerate() {
        let error = |problem| CompactError {
            line: number + 1,
            problem,
        };
        if line.starts_with([' ', '#']) {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split_ascii_whitespace();
        match word {
            "" => {}
            "kernel" => release = words.next().map(str::to_owned),
            "xen" => xen = words.next().map(str::to_owned),
            "modules" => names.push(keep(rest)),
            "driver" => {
                let module = words
                    .next()
                    .ok_or_else(|| error("a driver without a name"))?;
                match words.next() {
                    None => {}
                    Some("lacks") => {
                        lacking.insert(module.to_owned(), words.map(str::to_owned).collect());
                    }
                    Some(_) => return Err(error("a word that is not `lacks`")),
                }
            }
            _ => return Err(error("an unknown word")),
        }
    }
    Ok(DriverIndex {
        release: release.ok_or(CompactError {
            line: 1,
            problem: "no line `kernel`",
        })?,
        xen,
        claims,
        modules: Modules::Listed {
            names: Names::of_lines(names),
            lacking,
        },
    })
}

/// What the drivers claim.
pub(super) fn read_claims(text: &str) -> Result<claims::Read, CompactError> {
    let mut drivers: Vec<&str> = Vec::new();
    let (mut by_ids, mut patterns) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let error = |problem| CompactError {
            line: number + 1,
            problem,
        };
        if let Some(claims) = line.strip_prefix(' ') {
            let driver = *drivers
                .last()
                .ok_or_else(|| error("patterns of no driver"))?;
            for word in claims.split_ascii_whitespace() {
                if BUSES.iter().any(|bus| word.starts_with(bus)) {
                    patterns.push((word, driver));
                } else {
                    let ids = ids(word).ok_or_else(|| error("a pattern that is none"))?;
                    by_ids.push((ids, drivers.len() as u32 - 1));
                }
            }
        } else if let Some(module) = line.strip_prefix("driver ") {
            let mut words = module.split_ascii_whitespace();
            let module = words
                .next()
                .ok_or_else(|| error("a driver without a name"))?;
            if drivers.last().is_some_and(|last| *last >= module) {
                return Err(error("a driver that is not behind the one before it"));
            }
            drivers.push(module);
        }
    }
    Ok(claims::Read {
        by_ids: DriversByIds::new(by_ids),
        drivers: drivers.into_iter().map(str::to_owned).collect(),
        patterns: AliasIndex::of_pairs(patterns),
    })
}

/// `pci:v00008086d000010D3sv*sd*bc*sc*i*` as `8086:10d3`, everything else as it is.
fn shorten(pattern: &str) -> String {
    let ids = || {
        let digits = pattern.strip_prefix("pci:v0000")?;
        let (vendor, rest) = digits.split_at_checked(4)?;
        let (device, rest) = rest.strip_prefix("d0000")?.split_at_checked(4)?;
        let hex = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
        };
        (rest == REST && hex(vendor) && hex(device))
            .then(|| format!("{vendor}:{device}").to_ascii_lowercase())
    };
    ids().unwrap_or_else(|| pattern.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::Driver;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("temp dir");
        let release = folder.path().join("6.12.1-test");
        std::fs::create_dir_all(release.join("kernel")).expect("mkdir");
        let put = |name: &str, text: &str| std::fs::write(release.join(name), text).expect("write");
        put(
            "modules.alias",
            "alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\nalias pci:v*d*sv*sd*bc01sc08i02* nvme\n\
             alias pci:v00008086d000010D3sv*sd*bc*sc*i* cut-out\nalias pci:v000014E4d00001639sv*sd*bc*sc*i* bnx-2\n\
             alias usb:v13FDp3940d0* ums_cypress\nalias virtio:d00000001v* virtio_net\n",
        );
        put(
            "modules.dep",
            "kernel/e1000e.ko.xz: kernel/ptp.ko.xz\nkernel/nvme.ko.xz:\nkernel/cut-out.ko.xz:\nkernel/bnx-2.ko.xz:\nkernel/virtio_net.ko.xz:\n",
        );
        put("modules.builtin", "kernel/inside.ko\n");
        for file in ["e1000e", "nvme", "bnx-2", "virtio_net"] {
            put(&format!("kernel/{file}.ko.xz"), "");
        }
        let lacking = BTreeMap::from([("bnx_2".to_owned(), vec!["bnx2/x.fw".to_owned()])]);
        let text = write(&release, "4.20.2-1", &lacking).expect("written");
        assert!(text.contains("driver e1000e\n 8086:10d3\n"), "{text}");
        let index = read(&text).expect("read");
        assert_eq!(
            (index.release.as_str(), index.xen.as_deref()),
            ("6.12.1-test", Some("4.20.2-1"))
        );
        let driver = |module: &str, usable| Driver {
            module: module.to_owned(),
            usable,
        };
        assert_eq!(
            index.drivers("pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"),
            [driver("e1000e", true)]
        );
        assert_eq!(
            index.drivers("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02"),
            [driver("nvme", true)]
        );
        assert_eq!(
            index.drivers("pci:v000014E4d00001639sv0sd0bc02sc00i00"),
            [driver("bnx_2", false)]
        );
        assert_eq!(index.lacking("bnx-2"), ["bnx2/x.fw"]);
        assert_eq!(
            index.drivers("virtio:d00000001v00001AF4"),
            [driver("virtio_net", true)]
        );
        assert!(index.has("inside") && index.has("bnx-2") && !index.has("cut_out"));
        assert!(index.drivers("usb:v13FDp3940d0112").is_empty());
    }

    #[test]
    fn what_is_no_index() {
        for (text, line) in [
            ("", 1),
            ("kernel x\n 8086:1\n", 2),
            ("kernel x\ndriver\n", 2),
            ("kernel x\ndriver a has b\n", 2),
            ("kernel x\ndriver b\ndriver a\n", 3),
            ("kernel x\ndriver a\n 8086:1\n", 3),
            ("nonsense\n", 1),
        ] {
            assert_eq!(read(text).expect_err(text).line, line, "{text:?}");
        }
    }

    /// What is compiled in is read without a look at its claims: here somebody looks.
    #[test]
    fn the_own_index_is_as_one_that_is_read_with_care() {
        let text = super::super::SHIPPED;
        let (own, careful) = (read_own(text).expect("own"), read(text).expect("read"));
        assert_eq!((&own.release, &own.xen), (&careful.release, &careful.xen));
        let mut claimed = 0;
        for line in text.lines() {
            for word in line.split(' ') {
                if let Some((vendor, device)) = word.split_once(':') {
                    let [vendor, device] = [vendor, device].map(str::to_ascii_uppercase);
                    let modalias = format!("pci:v0000{vendor}d0000{device}sv0sd0bc02sc00i00");
                    let found = own.drivers(&modalias);
                    assert_eq!(found, careful.drivers(&modalias), "{word}");
                    claimed += usize::from(!found.is_empty());
                }
                assert_eq!(own.has(word), careful.has(word), "{word}");
                assert_eq!(own.lacking(word), careful.lacking(word), "{word}");
            }
        }
        assert!(claimed > 1000, "{claimed}");
    }

    proptest! {
        #[test]
        fn patterns_are_shortened(vendor: u16, device: u16) {
            let pattern = format!("pci:v0000{vendor:04X}d0000{device:04X}{REST}");
            prop_assert_eq!(ids(&shorten(&pattern)), Some(u32::from(vendor) << 16 | u32::from(device)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|\n){0,200}") {
            let _ = read(&text);
        }
    }
}
