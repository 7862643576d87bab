//! All alias patterns of a kernel, found by the fixed head of the pattern.

use super::{glob::glob, normalize};
use std::borrow::Cow;

/// Bytes of a pattern's fixed head that sort it. 13 is the width of `pci:v00008086` (bus and vendor), and within
/// USB reaches into the product. A pattern without a vendor (`pci:v*d*sv*sd*bc01sc08i02*`) has a shorter head, and so
/// stays apart from the thousands that have one.
const HEAD: usize = 13;

/// One pattern; the ranges point into [`AliasIndex::text`].
#[derive(Debug, Clone, Copy)]
struct Entry {
    pattern: (u32, u32),
    module: (u32, u32),
    builtin: bool,
}

/// A module that claims a modalias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AliasMatch<'a> {
    /// Name of the module, with `_`.
    pub module: &'a str,
    /// The pattern that matched, normalised.
    pub pattern: &'a str,
    /// Part of the kernel image, nothing to load.
    pub builtin: bool,
}

/// The patterns of `modules.alias` and `modules.builtin.modinfo`, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct AliasIndex {
    /// Normalised patterns and module names, one behind the other.
    text: String,
    /// In the order of the input.
    entries: Vec<Entry>,
    /// Heads, sorted; the entry's number is at the same place in `by_head`.
    heads: Vec<u128>,
    /// Entry numbers sorted by head, then by number.
    by_head: Vec<u32>,
}

impl AliasIndex {
    /// Reads the text of `modules.alias` and the bytes of `modules.builtin.modinfo` (either may be empty).
    ///
    /// Lines that are no alias, and aliases whose brackets do not pair up, are passed over, as kmod does.
    pub fn parse(aliases: &str, builtin_modinfo: &[u8]) -> Self {
        let mut index = Self::default();
        index.text.reserve(aliases.len());
        for line in aliases.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("alias"), Some(pattern), Some(module)) =
                (words.next(), words.next(), words.next())
            {
                index.push(pattern, module, false);
            }
        }
        for record in builtin_modinfo.split(|&byte| byte == 0) {
            let Ok(record) = std::str::from_utf8(record) else {
                continue;
            };
            if let Some((key, pattern)) = record.split_once('=')
                && let Some((module, "alias")) = key.split_once('.')
            {
                index.push(pattern.trim(), module, true);
            }
        }
        index.sort();
        index
    }

    /// Patterns, each with the module that claims it.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut index = Self::default();
        for (pattern, module) in pairs {
            index.push(pattern, module, false);
        }
        index.sort();
        index
    }

    fn sort(&mut self) {
        let numbers = 0..self.entries.len() as u32;
        let mut sorted: Vec<(u128, u32)> = numbers.map(|entry| (self.head(entry), entry)).collect();
        sorted.sort_unstable();
        (self.heads, self.by_head) = sorted.into_iter().unzip();
    }

    /// Number of patterns.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No pattern at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every module that claims `modalias`, each once, in the order of `modules.alias`. Several are common (six of 240
    /// storage and network functions of real servers): the kernel loads all of them and the first to bind wins.
    pub fn lookup(&self, modalias: &str) -> Vec<AliasMatch<'_>> {
        let Some(wanted) = normalize(modalias) else {
            return Vec::new();
        };
        let wanted = wanted.as_bytes();
        let mut hits = Vec::new();
        for width in 0..=wanted.len().min(HEAD) {
            let key = pack(&wanted[..width]);
            let start = self.heads.partition_point(|&head| head < key);
            let same_head = self.heads[start..]
                .iter()
                .zip(&self.by_head[start..])
                .take_while(|(head, _)| **head == key);
            hits.extend(
                same_head
                    .map(|(_, entry)| entry)
                    .filter(|&&entry| glob(self.pattern(entry).as_bytes(), wanted)),
            );
        }
        hits.sort_unstable();
        let mut found: Vec<AliasMatch<'_>> = Vec::new();
        for &entry in hits {
            let module = self.slice(self.entries[entry as usize].module);
            if found.iter().all(|known| known.module != module) {
                found.push(AliasMatch {
                    module,
                    pattern: self.pattern(entry),
                    builtin: self.entries[entry as usize].builtin,
                });
            }
        }
        found
    }

    /// Names of the modules that claim `modalias` (see [`AliasIndex::lookup`]).
    pub fn modules(&self, modalias: &str) -> Vec<&str> {
        self.lookup(modalias)
            .into_iter()
            .map(|found| found.module)
            .collect()
    }

    /// Takes in one pattern; one that cannot be normalised is passed over.
    fn push(&mut self, pattern: &str, module: &str, builtin: bool) {
        if pattern.is_empty() || module.is_empty() {
            return;
        }
        // Most patterns are normal already, and there are 27,000 of them to read before a machine boots on.
        let normal = if pattern
            .bytes()
            .any(|byte| matches!(byte, b'-' | b'[' | b']'))
        {
            let Some(normal) = normalize(pattern) else {
                return;
            };
            Cow::Owned(normal)
        } else {
            Cow::Borrowed(pattern)
        };
        let pattern: &str = &normal;
        // 4 GiB of patterns is no file of a kernel; such a rest is passed over.
        let Ok(end) = u32::try_from(self.text.len() + pattern.len() + module.len()) else {
            return;
        };
        let start = self.text.len() as u32;
        self.text.push_str(pattern);
        let middle = self.text.len() as u32;
        self.text
            .extend(module.chars().map(|c| if c == '-' { '_' } else { c }));
        self.entries.push(Entry {
            pattern: (start, middle),
            module: (middle, end),
            builtin,
        });
    }

    fn slice(&self, (start, end): (u32, u32)) -> &str {
        &self.text[start as usize..end as usize]
    }

    fn pattern(&self, entry: u32) -> &str {
        self.slice(self.entries[entry as usize].pattern)
    }

    /// The bytes before the first wildcard, [`HEAD`] at most.
    fn head(&self, entry: u32) -> u128 {
        let pattern = self.pattern(entry).as_bytes();
        let pattern = &pattern[..pattern.len().min(HEAD)];
        let fixed = pattern
            .iter()
            .position(|byte| b"*?[\\".contains(byte))
            .unwrap_or(pattern.len());
        pack(&pattern[..fixed])
    }
}

/// A head as a number that sorts as its bytes do: [`HEAD`] bytes at most, filled up with zeros.
fn pack(head: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..head.len()].copy_from_slice(head);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines as Debian's 6.12 kernel has them.
    const ALIASES: &str = "\
# Aliases extracted from modules themselves.
alias pci:v*d*sv*sd*bc01sc08i02* nvme
alias pci:v0000144Dd0000A80Asv*sd*bc*sc*i* nvme-quirky
alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias pci:v*d00008139sv00001186sd00001300bc*sc*i* 8139too
alias virtio:d00000002v* virtio_blk
alias virtio:d00000001v* virtio_net
alias usb:v13FDp3940d0[0-2]*dc*dsc*dp*ic*isc*ip*in* ums_cypress
alias net-pf-10 ipv6
alias acpi*:PNP0303:* i8042-like
alias dmi*:svn*PCEngines*:pn*apu1*: leds_apu
alias broken[ broken
alias short
nonsense pci:v* evil
";

    fn index() -> AliasIndex {
        AliasIndex::parse(
            ALIASES,
            b"zsmalloc.alias=zpool-zsmalloc\0fuse.license=GPL\0fuse.alias=fs-fuse\0\xff\xfe\0",
        )
    }

    #[test]
    fn finds_with_and_without_vendor() {
        let index = index();
        let nvme = "pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02";
        assert_eq!(index.modules(nvme), ["nvme", "nvme_quirky"]);
        assert_eq!(
            index.modules("pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00"),
            ["e1000e"]
        );
        assert_eq!(
            index.modules("pci:v00001186d00008139sv00001186sd00001300bc02sc00i00"),
            ["8139too"]
        );
        assert_eq!(
            index.modules("pci:v00008086d0000FFFFsv00008086sd00000000bc02sc00i00"),
            [""; 0]
        );
    }

    #[test]
    fn finds_other_buses() {
        let index = index();
        assert_eq!(index.modules("virtio:d00000002v00001AF4"), ["virtio_blk"]);
        assert_eq!(
            index.modules("usb:v13FDp3940d0112dc00dsc00dp00ic08isc06ip50in00"),
            ["ums_cypress"]
        );
        assert_eq!(
            index.modules("usb:v13FDp3940d0312dc00dsc00dp00ic08isc06ip50in00"),
            [""; 0]
        );
        assert_eq!(index.modules("acpi:PNP0303:"), ["i8042_like"]);
        assert_eq!(index.modules("dmi:bvnX:svnPCEngines:pnapu1:"), ["leds_apu"]);
    }

    #[test]
    fn dash_and_underscore_are_one() {
        assert_eq!(index().modules("net_pf-10"), ["ipv6"]);
        assert_eq!(index().modules("net-pf-10"), ["ipv6"]);
    }

    #[test]
    fn built_in_is_told() {
        let index = index();
        let found = index.lookup("fs-fuse");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].module, found[0].builtin), ("fuse", true));
        assert!(!index.lookup("net-pf-10")[0].builtin);
    }

    #[test]
    fn passes_over_what_is_no_alias() {
        // 12 well-formed lines of modules.alias, 2 of modinfo.
        assert_eq!(index().len(), 14);
        assert!(index().modules("]").is_empty());
        assert!(AliasIndex::default().modules("pci:x").is_empty());
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in "(alias )?\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let index = AliasIndex::parse(&text, &bytes);
            let _ = index.lookup(&text);
        }

        /// The index finds exactly what asking every pattern in turn finds.
        #[test]
        fn equals_a_plain_scan(
            patterns in proptest::collection::vec("(pci:v0000[0-1]{4}|pci:v|usb:v[0-1]{4}|)[*?0-1]{0,4}", 0..20),
            wanted in "(pci:v0000[0-1]{4}|pci:v|usb:v[0-1]{4}|)[0-1]{0,4}",
        ) {
            let text: String =
                patterns.iter().enumerate().map(|(n, pattern)| format!("alias {pattern} m{n}\n")).collect();
            let index = AliasIndex::parse(&text, b"");
            let expected: Vec<String> = patterns
                .iter()
                .enumerate()
                .filter(|(_, pattern)| !pattern.is_empty() && crate::modalias::matches(pattern, &wanted))
                .map(|(n, _)| format!("m{n}"))
                .collect();
            prop_assert_eq!(index.modules(&wanted), expected);
        }
    }
}
