//! What the links of the page are called: by what they lead to, and no two of them alike.

use std::collections::{BTreeMap, BTreeSet};

/// Names of links, by address.
#[derive(Debug, Default)]
pub(super) struct LinkNames(BTreeMap<String, String>);

impl LinkNames {
    /// Names all of these that are addresses of the web. The names are short, and longer where two of them would be the same:
    /// `main.c` tells who reads on what it leads to, but not who jumps from link to link.
    pub(super) fn of<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for address in addresses {
            forms.extend(self::forms(address).map(|forms| (address, forms)));
        }
        let mut chosen: BTreeMap<&str, usize> = forms.keys().map(|address| (*address, 0)).collect();
        loop {
            let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (address, forms) in &forms {
                alike
                    .entry(&forms[chosen[address]])
                    .or_default()
                    .push(address);
            }
            alike.retain(|_, addresses| addresses.len() > 1);
            if alike.is_empty() {
                break;
            }
            for addresses in alike.into_values() {
                for (address, form) in longer(&addresses, &forms, &chosen) {
                    chosen.insert(address, form);
                }
            }
        }
        let named = chosen
            .into_iter()
            .map(|(address, form)| (address.to_owned(), forms[address][form].clone()));
        Self(named.collect())
    }

    /// The name of a link; nothing for what is no address of the web.
    pub(super) fn get(&self, address: &str) -> Option<&str> {
        self.0.get(address).map(String::as_str)
    }
}

/// The next forms of addresses whose names are alike now, by which they are not; else the last ones, which are the addresses.
fn longer<'a>(
    addresses: &[&'a str],
    forms: &BTreeMap<&str, Vec<String>>,
    chosen: &BTreeMap<&str, usize>,
) -> Vec<(&'a str, usize)> {
    let form = |address: &str, more: usize| {
        let last = forms[address].len() - 1;
        (chosen[address] + more).min(last)
    };
    let most = addresses.iter().map(|address| forms[*address].len()).max();
    let differ = |more: &usize| {
        let names = addresses
            .iter()
            .map(|address| &forms[*address][form(address, *more)]);
        let names: BTreeSet<&String> = names.collect();
        names.len() == addresses.len()
    };
    let most = most.unwrap_or_default();
    let more = (1..most).find(differ).unwrap_or(most);
    addresses
        .iter()
        .map(|address| (*address, form(address, more)))
        .collect()
}

/// Names for an address, from the shortest to the address itself: `ahci.c (git.kernel.org)`, the same with the version, with the
/// folder, and so on. Nothing for what is no address of the web.
fn forms(address: &str) -> Option<Vec<String>> {
    let rest = address.strip_prefix("https://")?;
    let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let parameter = |name: &str| {
        let mut parts = rest.split(['?', ';', '&']).skip(1);
        parts.find_map(|part| part.strip_prefix(name))
    };
    // gitweb has the file in its query, divided by semicolons.
    let path = parameter("f=").unwrap_or_else(|| rest.split(['?', '#']).next().unwrap_or_default());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut names = Vec::new();
    if let (Some(&last), Some(id)) = (parts.last(), parameter("id="))
        && last == "commit"
    {
        names.push(format!("commit {}", id.get(..12).unwrap_or(id)));
    }
    let name = |count: usize| parts[parts.len() - count..].join("/").replace("%20", " ");
    // The name of a file says enough; `5968` and `X9` do not without the folder that they are in.
    let least = match parts.last() {
        Some(last) if !last.contains('.') => 2,
        _ => 1,
    };
    let least = least.min(parts.len());
    if least > 0 {
        names.push(name(least));
        let version = parameter("hb=").or_else(|| parameter("h="));
        names.extend(version.map(|version| format!("{}, {version}", name(least))));
        names.extend((least + 1..=parts.len()).map(name));
    }
    let mut forms: Vec<String> = names
        .iter()
        .map(|name| format!("{name} ({host})"))
        .collect();
    if forms.is_empty() {
        forms.push(host.to_owned());
    }
    forms.push(address.to_owned());
    Some(forms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_called_by_what_they_lead_to() {
        for (source, shown) in [
            (
                "https://git.kernel.org/linux.git/tree/drivers/ata/ahci.c?h=linux-6.12.y",
                "ahci.c (git.kernel.org)",
            ),
            (
                "https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/arch/x86/apic.c;hb=RELEASE-4.20.4",
                "apic.c (xenbits.xen.org)",
            ),
            (
                "https://git.kernel.org/linux.git/commit/?id=0bdc924bfb319fb10d1113cbf091fc26fb7b1f99",
                "commit 0bdc924bfb31 (git.kernel.org)",
            ),
            (
                "https://github.com/QubesOS/qubes-issues/issues/5968",
                "issues/5968 (github.com)",
            ),
            (
                "https://github.com/linuxhw/DMI/tree/master/Server/Cisco%20Systems",
                "Server/Cisco Systems (github.com)",
            ),
            (
                "https://nvmexpress.org/specifications/",
                "specifications (nvmexpress.org)",
            ),
            ("https://example.org", "example.org"),
            ("https://example.org/#part", "example.org"),
        ] {
            let names = LinkNames::of([source]);
            assert_eq!(names.get(source), Some(shown), "{source}");
        }
        assert_eq!(
            LinkNames::of(["bedplate: ours"]).get("bedplate: ours"),
            None
        );
    }

    #[test]
    fn what_would_be_called_the_same_is_told_apart() {
        let xen = |file: &str, version: &str| {
            format!("https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/{file};hb={version}")
        };
        for (sources, shown) in [
            (
                [xen("cpu/amd.c", "4.20"), xen("cpu/microcode/amd.c", "4.20")],
                [
                    "cpu/amd.c (xenbits.xen.org)",
                    "microcode/amd.c (xenbits.xen.org)",
                ],
            ),
            (
                [xen("cpu/amd.c", "4.13"), xen("cpu/amd.c", "4.20")],
                [
                    "amd.c, 4.13 (xenbits.xen.org)",
                    "amd.c, 4.20 (xenbits.xen.org)",
                ],
            ),
            (
                ["https://a.org/".to_owned(), "https://a.org/#x".to_owned()],
                ["https://a.org/", "https://a.org/#x"],
            ),
        ] {
            let names = LinkNames::of(sources.iter().map(String::as_str));
            let named = sources.each_ref().map(|source| names.get(source));
            assert_eq!(named, shown.map(Some));
        }
    }

    proptest! {
        #[test]
        fn no_two_are_alike(
            addresses in proptest::collection::btree_set("https://[ab]\\.c(/[ab]{0,2}(\\.c)?){0,4}(\\?h=[ab])?(;f=[ab]/[ab])?(#x)?", 0..40)
        ) {
            let names = LinkNames::of(addresses.iter().map(String::as_str));
            let named: BTreeSet<Option<&str>> = addresses.iter().map(|address| names.get(address)).collect();
            prop_assert_eq!(named.len(), addresses.len());
            prop_assert!(!named.contains(&None));
        }
    }
}
