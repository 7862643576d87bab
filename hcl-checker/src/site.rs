//! The public list: one static page that anybody can read and search, also without JavaScript and on paper.
//!
//! A row for each device, CPU or system that an entry names. What the page says comes from the list and from the public
//! database of PCI ids alone; every text of them is escaped.

mod links;

use crate::list::{CpuMatch, DeviceClass, DmiMatch, Entry, List, ListedLevel, Match, PciMatch};
use crate::pci_names;
use links::LinkNames;
use std::fmt::Write;

/// The page's form and script; they hold nothing of the list.
const STYLE: &str = include_str!("site/style.css");
const SCRIPT: &str = include_str!("site/filter.js");

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    vendor: String,
    product: String,
    id: String,
    /// What it is found by besides its texts: each model of a range.
    words: String,
}

/// The page as HTML, for the release that this program belongs to.
pub fn page(list: &List) -> String {
    let mut entries: Vec<&Entry> = list.entries().iter().collect();
    entries.sort_by(|a, b| (title(a.class), &a.id).cmp(&(title(b.class), &b.id)));
    let rows: Vec<(&Entry, Row)> = entries
        .iter()
        .flat_map(|entry| rows(entry).into_iter().map(move |row| (*entry, row)))
        .collect();
    let of_entries = list.entries().iter().flat_map(|entry| &entry.evidence);
    let of_requirements = list.requirements().iter().flat_map(|rule| &rule.evidence);
    let names = LinkNames::of(of_entries.chain(of_requirements).map(String::as_str));
    let version = env!("CARGO_PKG_VERSION");
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Bedplate hardware compatibility list</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Hardware compatibility list</h1>\n\
         <p>Bedplate {version}: {} rules about {} devices, processors and systems, and {} requirements of every machine. \
         Run <code>hcl-checker check</code> to have a whole machine judged.</p>\n</header>\n<main>\n",
        list.entries().len(),
        rows.len(),
        list.requirements().len(),
    );
    html.push_str(&form(&entries));
    html.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"listed\">\n<table id=\"list\">\n\
         <caption id=\"listed\">What is listed</caption>\n<thead><tr><th scope=\"col\">Kind</th><th scope=\"col\">Vendor</th>\
         <th scope=\"col\">Product</th><th scope=\"col\">Id</th><th scope=\"col\">Level</th><th scope=\"col\">Release</th><th scope=\"col\">Needs</th>\
         <th scope=\"col\">Notes</th><th scope=\"col\">Evidence</th><th scope=\"col\">Reviewed</th></tr></thead>\n<tbody>\n",
    );
    for (entry, row) in &rows {
        line(&mut html, entry, row, &names);
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    requirements(&mut html, list, &names);
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "</main>\n<footer><p>Levels: <b>certified</b>, tested with a signed report; <b>compatible</b>, known to work by public \
         evidence; <b>unsupported</b>, known not to work. What is not listed and has a driver can be installed with a warning.</p>\
         </footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    html
}

/// Hidden until the script shows it: without one it could do nothing. Offers only what finds something.
fn form(entries: &[&Entry]) -> String {
    let kinds = [
        DeviceClass::System,
        DeviceClass::Cpu,
        DeviceClass::Nic,
        DeviceClass::Storage,
        DeviceClass::Gpu,
        DeviceClass::Firmware,
        DeviceClass::Platform,
    ];
    let levels = [
        ListedLevel::Certified,
        ListedLevel::Compatible,
        ListedLevel::Unsupported,
    ];
    let option = |name: &str| format!("<option>{name}</option>");
    let kinds: String = kinds
        .iter()
        .filter(|&&kind| entries.iter().any(|entry| entry.class == kind))
        .map(|&kind| option(title(kind)))
        .collect();
    let levels: String = levels
        .iter()
        .filter(|&&level| entries.iter().any(|entry| entry.level == level))
        .map(|&level| option(level_name(level)))
        .collect();
    format!(
        "<form id=\"filter\" role=\"search\" hidden>\n<label>Search <input type=\"search\" id=\"words\" \
         placeholder=\"vendor, product, 8086:1572, driver\"></label>\n\
         <label>Kind <select id=\"kind\"><option value=\"\">all</option>{kinds}</select></label>\n\
         <label>Level <select id=\"level\"><option value=\"\">all</option>{levels}</select></label>\n\
         <output id=\"count\" aria-live=\"polite\"></output>\n</form>\n\
         <noscript><p>To search, use your browser's search in the page.</p></noscript>\n"
    )
}

fn line(html: &mut String, entry: &Entry, row: &Row, names: &LinkNames) {
    let level = level_name(entry.level);
    let features = entry
        .features
        .known()
        .map(|(name, can)| format!("{name}: {}.", if can { "yes" } else { "no" }));
    let deviation = entry
        .deviation
        .as_ref()
        .map(|note| format!("Otherwise: {note}"));
    let notes: Vec<String> = [entry.caution.clone(), entry.notes.clone(), deviation]
        .into_iter()
        .flatten()
        .chain(features)
        .map(|text| sentence(&text))
        .collect();
    let releases = if entry.releases.is_empty() {
        "all".to_owned()
    } else {
        entry.releases.join(", ")
    };
    let valid = entry.valid_until.as_ref();
    let valid = valid.map_or(String::new(), |day| format!(", until {day}"));
    let words = match row.words.as_str() {
        "" => String::new(),
        words => format!(" data-words=\"{}\"", escape(words)),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        html,
        "<tr{}><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td><td><span class=\"{level}\">{level}</span></td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td title=\"{}\">{}{valid}</td></tr>",
        words,
        title(entry.class),
        escape(&row.vendor),
        escape(&row.product),
        escape(&row.id),
        escape(&releases),
        escape(&needs(entry)),
        escape(&notes.join(" ")),
        evidence(&entry.evidence, names),
        escape(&entry.id),
        entry.date,
    );
}

/// With a full stop: texts of the list stand alone elsewhere and may have none, here another one follows.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn requirements(html: &mut String, list: &List, names: &LinkNames) {
    html.push_str("<section>\n<h2>What every machine must have</h2>\n<ul>\n");
    for requirement in list.requirements() {
        let _ = writeln!(
            html,
            "<li id=\"{}\">{} <small>{}</small></li>",
            escape(&requirement.id),
            escape(&requirement.expected),
            evidence(&requirement.evidence, names)
        );
    }
    html.push_str("</ul>\n</section>\n");
}

/// What an entry names, a row each.
fn rows(entry: &Entry) -> Vec<Row> {
    match &entry.matches {
        Match::Pci(pci) => pci_rows(pci),
        Match::Cpu(cpu) => vec![cpu_row(cpu)],
        Match::Dmi(dmi) => vec![dmi_row(dmi)],
    }
}

fn pci_rows(pci: &PciMatch) -> Vec<Row> {
    let name_of = |vendor: u16| {
        pci_names::vendor(vendor).map_or_else(|| format!("{vendor:04x}"), str::to_owned)
    };
    let vendor = pci.vendor.map_or_else(|| "any".to_owned(), name_of);
    let mut more = String::new();
    if let Some(subvendor) = pci.subvendor {
        let _ = write!(more, " card {subvendor:04x}");
    }
    if let Some(subdevice) = pci.subdevice {
        let _ = write!(more, ":{subdevice:04x}");
    }
    if let Some(class) = pci.class {
        let _ = write!(more, " class {}", String::from(class));
    }
    if let Some((first, last)) = pci.revisions {
        let _ = write!(more, " revision {first:02x} to {last:02x}");
    }
    let start = pci
        .vendor
        .map_or(String::new(), |vendor| format!("{vendor:04x}:"));
    if pci.devices.is_empty() {
        return vec![Row {
            vendor,
            product: "all of the class".to_owned(),
            id: format!("{start}*{more}").trim().to_owned(),
            words: String::new(),
        }];
    }
    let row = |device: &u16| Row {
        vendor: vendor.clone(),
        product: pci
            .vendor
            .and_then(|vendor| pci_names::device(vendor, *device))
            .unwrap_or("not in the database of names")
            .to_owned(),
        id: format!("{start}{device:04x}{more}"),
        words: String::new(),
    };
    pci.devices.iter().map(row).collect()
}

fn cpu_row(cpu: &CpuMatch) -> Row {
    let range = |(first, last): (u32, u32)| {
        if first == last {
            hex(first)
        } else if last == u32::MAX {
            format!("{} and later", hex(first))
        } else {
            format!("{} to {}", hex(first), hex(last))
        }
    };
    let mut id = format!("family {}", range(cpu.families));
    if !cpu.models.is_empty() {
        let _ = write!(id, ", model {}", models(&cpu.models));
    }
    if let Some(steppings) = cpu.steppings {
        let _ = write!(id, ", stepping {}", range(steppings));
    }
    let vendor = match cpu.vendor.as_str() {
        "GenuineIntel" => "Intel",
        "AuthenticAMD" => "AMD",
        "HygonGenuine" => "Hygon",
        other => other,
    };
    Row {
        vendor: vendor.to_owned(),
        product: "processors".to_owned(),
        id,
        words: each_model(&cpu.models),
    }
}

/// As vendors and kernels write families and steppings: up to 9 there is nothing to tell apart.
fn hex(number: u32) -> String {
    if number < 10 {
        number.to_string()
    } else {
        format!("{number:#x}")
    }
}

/// Models with two digits; three and more in a row as a range, since one entry has 64 of them.
fn models(models: &[u32]) -> String {
    let mut sorted = models.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let runs = sorted.chunk_by(|a, b| a + 1 == *b);
    let texts: Vec<String> = runs
        .flat_map(|run| match run {
            [first, _, .., last] => vec![format!("{first:#04x} to {last:#04x}")],
            few => few.iter().map(|model| format!("{model:#04x}")).collect(),
        })
        .collect();
    texts.join(", ")
}

/// Every model for the search, also those that [`models`] names by a range, as vendors and as Linux write them.
fn each_model(models: &[u32]) -> String {
    let each = models.iter().map(|model| format!("{model:#04x} {model}"));
    each.collect::<Vec<_>>().join(" ")
}

fn dmi_row(dmi: &DmiMatch) -> Row {
    Row {
        vendor: dmi.vendor.clone(),
        product: dmi.product.clone().unwrap_or_else(|| "any".to_owned()),
        id: dmi
            .board
            .as_ref()
            .map_or(String::new(), |board| format!("board {board}")),
        words: String::new(),
    }
}

/// What an entry demands: `driver e1000e`.
fn needs(entry: &Entry) -> String {
    let require = &entry.require;
    let versions = require.driver_versions.as_ref();
    let driver = require.driver.as_ref().map(|driver| match versions {
        Some(versions) => format!("driver {driver} ({versions})"),
        None => format!("driver {driver}"),
    });
    let firmware = require.firmware.as_ref();
    let firmware = firmware.map(|versions| format!("firmware {versions}"));
    let bios = require.bios_min.as_ref();
    let bios = bios.map(|version| format!("BIOS {version} or newer"));
    let microcode = require.microcode_min.as_ref();
    let microcode = microcode.map(|revision| format!("microcode {revision} or newer"));
    let all = [driver, firmware, bios, microcode].into_iter().flatten();
    all.collect::<Vec<_>>().join(", ")
}

/// Links where they are addresses of the web, the text as it is otherwise.
fn evidence(sources: &[String], names: &LinkNames) -> String {
    let one = |source: &String| {
        let text = escape(source);
        match names.get(source) {
            Some(shown) => format!("<a href=\"{text}\" rel=\"noopener\">{}</a>", escape(shown)),
            None => text,
        }
    };
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn title(class: DeviceClass) -> &'static str {
    match class {
        DeviceClass::System => "system",
        DeviceClass::Cpu => "CPU",
        DeviceClass::Nic => "network",
        DeviceClass::Storage => "storage",
        DeviceClass::Gpu => "graphics",
        DeviceClass::Firmware => "firmware",
        DeviceClass::Platform => "platform",
    }
}

fn level_name(level: ListedLevel) -> &'static str {
    match level {
        ListedLevel::Certified => "certified",
        ListedLevel::Compatible => "compatible",
        ListedLevel::Unsupported => "unsupported",
    }
}

/// Text for HTML, also within an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[entry]]\nid = \"x\"\nclass = \"nic\"\nmatch.pci = { vendor = 0x8086, devices = [0x10d3, 0x10c9] }\n\
        require.driver = \"e1000e\"\nlevel = \"compatible\"\nevidence = [\"https://example.org/a?b&c\", \"bedplate: ours\"]\n\
        date = \"2026-11-22\"\nnotes = \"<script>alert(1)</script>\"\n";

    #[test]
    fn a_row_for_each_device_with_its_public_name() {
        let list = List::parse("test", ENTRY).expect("list");
        let html = page(&list);
        assert_eq!(html.matches("<tr><td>network</td>").count(), 2);
        assert!(
            html.contains("<code>8086:10d3</code>") && html.contains("82574L"),
            "{html}"
        );
        assert!(html.contains("driver e1000e"), "{html}");
    }

    #[test]
    fn releases_demands_and_features_are_told() {
        let list = List::parse("test", ENTRY).expect("list");
        let cells = "</span></td><td>all</td><td>driver e1000e</td>";
        assert!(page(&list).contains(cells));
        let more = "require.firmware.min = \"4.0\"\nrequire.driver_versions = { min = \"6.1\", below = \"7\" }\n\
                    releases = [\"0.1\", \"0.2\"]\ndeviation = \"it stalls\"\nfeatures = { sriov = true, boot = false }\n";
        let list = List::parse("test", &format!("{ENTRY}{more}")).expect("list");
        let html = page(&list);
        for part in [
            "<td>0.1, 0.2</td>",
            "<td>driver e1000e (6.1 or newer, before 7), firmware 4.0 or newer</td>",
            "Otherwise: it stalls. SR-IOV: yes. boot: no.</td>",
            "<th scope=\"col\">Release</th>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn texts_of_the_list_are_no_markup() {
        let list = List::parse("test", ENTRY).expect("list");
        let html = page(&list);
        assert!(
            html.contains("&lt;script&gt;alert(1)") && !html.contains("<script>alert"),
            "{html}"
        );
        assert!(
            html.contains("<a href=\"https://example.org/a?b&amp;c\" rel=\"noopener\">a (example.org)</a>, bedplate: ours"),
            "{html}"
        );
        assert_eq!(escape("\"'&<>"), "&quot;&#39;&amp;&lt;&gt;");
    }

    #[test]
    fn processors_are_named_in_hexadecimal() {
        let row = |families, models: &[u32], steppings| {
            cpu_row(&CpuMatch {
                vendor: "GenuineIntel".to_owned(),
                families,
                models: models.to_vec(),
                steppings,
            })
            .id
        };
        assert_eq!(
            row((6, 6), &[0x3e, 0x05], Some((4, 4))),
            "family 6, model 0x05, 0x3e, stepping 4"
        );
        assert_eq!(
            row((0x15, 0x16), &[], Some((10, u32::MAX))),
            "family 0x15 to 0x16, stepping 0xa and later"
        );
        assert_eq!(
            row((15, 15), &[0, 1, 2, 3, 0x41, 0x42, 0x50], None),
            "family 0xf, model 0x00 to 0x03, 0x41, 0x42, 0x50"
        );
    }

    #[test]
    fn a_model_within_a_range_is_found() {
        let cpu = "[[entry]]\nid = \"x\"\nclass = \"cpu\"\nmatch.cpu = { vendor = \"GenuineIntel\", families = [6, 6], \
                   models = [0x8a, 0x8b, 0x8c] }\nlevel = \"compatible\"\nevidence = [\"bedplate: ours\"]\n\
                   date = \"2026-11-22\"\n";
        let html = page(&List::parse("test", cpu).expect("list"));
        assert!(
            html.contains("<tr data-words=\"0x8a 138 0x8b 139 0x8c 140\"><td>CPU</td>"),
            "{html}"
        );
    }

    #[test]
    fn only_what_finds_something_is_offered() {
        let list = List::parse("test", ENTRY).expect("list");
        let html = page(&list);
        assert!(html.contains("<option>network</option>"), "{html}");
        assert!(!html.contains("<option>graphics</option>"), "{html}");
        assert!(!html.contains("<option>certified</option>"), "{html}");
    }

    #[test]
    fn notes_end_with_a_full_stop() {
        assert_eq!(sentence("loses packets "), "loses packets.");
        assert_eq!(sentence("Does it?"), "Does it?");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn every_entry_of_the_list_is_on_the_page() {
        let list = List::built_in().expect("list");
        let html = page(&list);
        for entry in list.entries() {
            assert!(
                html.contains(&format!("title=\"{}\"", escape(&entry.id))),
                "{}",
                entry.id
            );
        }
        for requirement in list.requirements() {
            assert!(
                html.contains(&format!("<li id=\"{}\"", escape(&requirement.id))),
                "{}",
                requirement.id
            );
        }
        // Nothing is fetched from elsewhere.
        assert!(!html.contains("src=") && !html.contains("<link") && !html.contains("@import"));
    }
}
