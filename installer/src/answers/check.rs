//! What an answer file must hold beyond its shape, and the choices that it says.

mod boot;
mod hook;
mod network;
mod source;
mod system;
mod webhook;

use super::document::Document;
use super::schema::{AnswerFile, Disk, DiskMatch, Hcl, License, Policy};
use crate::choices::{After, Choices, DiskChoice, HclPolicy};
use crate::selector::{DiskSelector, TRANSPORTS};
use crate::values::{LicenseToken, PlanHash, ValueError, Zones, parse_size};
use boot::boot;
use hook::hooks;
use network::network;
use source::source;
use system::system;
use webhook::webhook;

/// The choices, or `None` with at least one problem added to `document`.
pub fn check(answers: AnswerFile, document: &mut Document<'_>, zones: &Zones) -> Option<Choices> {
    match answers.schema {
        Some(1) => {}
        Some(other) => document.problem_at(
            "schema",
            format!("this is schema {other}; this installer reads schema 1"),
            "use the installer of the release that the file was written for, or write `schema = 1`",
        ),
        None => document.missing(
            "schema",
            "`schema` is missing",
            "start the file with `schema = 1`",
        ),
    }
    let disk = disk(answers.disk, document);
    let system = system(answers.system, document, zones);
    let boot = boot(answers.boot.unwrap_or_default(), document);
    let network = network(answers.network, document);
    let hcl = hcl(answers.hcl.unwrap_or_default(), document);
    let license = license(answers.license, document);
    let webhook = webhook(answers.webhook, document);
    let source = source(answers.source, document);
    let hooks = hooks(answers.hook, document);
    let expect_plan = match answers.expect_plan {
        Some(text) => value(document, "expect_plan", PlanHash::parse(&text)).map(Some),
        None => Some(None),
    };
    Some(Choices {
        disk: disk?,
        system: system?,
        boot: boot?,
        network: network?,
        hcl: hcl?,
        license: license?,
        webhook: webhook?,
        source: source?,
        hooks: hooks?,
        expect_plan: expect_plan?,
        on_success: answers.on_success.unwrap_or(After::Reboot),
        on_failure: answers.on_failure.unwrap_or(After::Shell),
    })
}

/// The value, or `None` with a problem about `path`.
fn value<T>(document: &mut Document<'_>, path: &str, parsed: Result<T, ValueError>) -> Option<T> {
    match parsed {
        Ok(value) => Some(value),
        Err(error) => {
            document.problem_at(path, format!("`{path}` {}", error.message), error.advice);
            None
        }
    }
}

fn disk(disk: Option<Disk>, document: &mut Document<'_>) -> Option<DiskChoice> {
    const ADVICE: &str = "write `path = \"/dev/...\"` in [disk], or properties such as `serial = \"...\"` in a section [disk.match]";
    let Some(disk) = disk else {
        document.missing("disk", "the section [disk] is missing", ADVICE);
        return None;
    };
    let mirror = disk.mirror.unwrap_or(false);
    if disk.second.is_some() && !mirror {
        document.problem_at(
            "disk.second",
            "[disk.second] names a second disk, but [disk] does not say `mirror = true`",
            "write `mirror = true` in [disk] to install on both, or leave [disk.second] out",
        );
        return None;
    }
    let both = mirror && disk.second.is_none();
    if both && disk.path.is_some() {
        document.problem_at(
            "disk.path",
            "`mirror = true` needs two disks, and `path` names one",
            "name the other one in a section [disk.second], or write a [disk.match] that fits both",
        );
        return None;
    }
    let select = match (disk.path, disk.matching) {
        (Some(_), Some(_)) => {
            document.problem_at(
                "disk.match",
                "[disk] has both `path` and [disk.match]",
                "keep one of them; `path` may also stand inside [disk.match]",
            );
            return None;
        }
        (None, None) => {
            if !document.is_settled("disk.match") {
                document.missing("disk.path", "[disk] does not say which disk", ADVICE);
            }
            return None;
        }
        (Some(path), None) => DiskSelector {
            path: Some(disk_path(document, "disk.path", path)?),
            ..Default::default()
        },
        (None, Some(matching)) => disk_match(matching, "disk.match", both, document)?,
    };
    let second = match disk.second {
        Some(second) => Some(disk_match(second, "disk.second", false, document)?),
        None => None,
    };
    Some(DiskChoice {
        select,
        mirror,
        second,
        wipe: disk.wipe.unwrap_or(false),
        reinstall: disk.reinstall.unwrap_or(false),
    })
}

fn disk_path(document: &mut Document<'_>, key: &str, path: String) -> Option<String> {
    let clean = path
        .split('/')
        .skip(1)
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if path.starts_with("/dev/") && clean {
        return Some(path);
    }
    document.problem_at(
        key,
        format!("`{key}` is not the path of a device"),
        "write a path such as `/dev/sda` or `/dev/disk/by-id/...`",
    );
    None
}

/// The selector in the section `section`; with `both`, two disks must fit it.
fn disk_match(
    matching: DiskMatch,
    section: &str,
    both: bool,
    document: &mut Document<'_>,
) -> Option<DiskSelector> {
    let key_of = |key: &str| format!("{section}.{key}");
    let mut fine = true;
    let mut select = DiskSelector {
        rotational: matching.rotational,
        ..Default::default()
    };
    if let Some(path) = matching.path {
        select.path = disk_path(document, &key_of("path"), path);
        fine &= select.path.is_some();
    }
    for (key, text, place) in [
        ("serial", matching.serial, &mut select.serial),
        ("wwn", matching.wwn, &mut select.wwn),
    ] {
        let Some(text) = text else { continue };
        if text.trim().is_empty() {
            let advice =
                "write the whole value as `installer facts` shows it, or leave the key out";
            document.problem_at(&key_of(key), format!("`{}` is empty", key_of(key)), advice);
            fine = false;
        } else {
            *place = Some(text.trim().to_owned());
        }
    }
    if let Some(model) = matching.model {
        match glob::Pattern::new(&model) {
            Ok(pattern) if !model.trim().is_empty() => select.model = Some(pattern),
            _ => {
                let advice = "write the model with `*` for any characters and `?` for one, for example `Samsung*PM9A3*`";
                document.problem_at(
                    &key_of("model"),
                    format!("`{}` is not a pattern", key_of("model")),
                    advice,
                );
                fine = false;
            }
        }
    }
    if let Some(transport) = matching.transport {
        select.transport = TRANSPORTS
            .into_iter()
            .find(|known| known.name() == transport);
        if select.transport.is_none() {
            let advice = format!(
                "possible are {}",
                TRANSPORTS.map(|known| known.name()).join(", ")
            );
            document.problem_at(
                &key_of("transport"),
                format!("`{}` is not known", key_of("transport")),
                advice,
            );
            fine = false;
        }
    }
    for (key, text, place) in [
        ("size_min", matching.size_min, &mut select.size_min),
        ("size_max", matching.size_max, &mut select.size_max),
    ] {
        let Some(text) = text else { continue };
        *place = value(document, &key_of(key), parse_size(&text));
        fine &= place.is_some();
    }
    if let (Some(min), Some(max)) = (select.size_min, select.size_max)
        && min > max
    {
        document.problem_at(
            &key_of("size_max"),
            format!(
                "`{}` is below `size_min`, so no disk can match",
                key_of("size_max")
            ),
            "swap the two, or leave one out",
        );
        fine = false;
    }
    if let Some(count) = matching.count
        && count != u64::from(both) + 1
    {
        let (what, right) = match both {
            true => ("a mirror without [disk.second] takes exactly two disks", 2),
            false => ("it means exactly one disk", 1),
        };
        document.problem_at(
            &key_of("count"),
            format!("`{}` is {count}; {what}", key_of("count")),
            match count {
                2 if section == "disk.match" => {
                    "write `mirror = true` in [disk] to install on two disks, or leave the key out"
                        .to_owned()
                }
                _ => format!("write `count = {right}` or leave the key out"),
            },
        );
        fine = false;
    }
    if both && fine && (select.path.is_some() || select.serial.is_some() || select.wwn.is_some()) {
        document.problem_at(
            section,
            "`mirror = true` needs two disks, and [disk.match] names one by `path`, `serial` or `wwn`",
            "name the other one in a section [disk.second], or use properties that both have",
        );
        fine = false;
    }
    if fine && select.is_empty() {
        // A key that was misspelled or has a wrong type was reported already, and would have been the property.
        if document.is_settled_inside(section) {
            return None;
        }
        document.missing(
            section,
            format!("[{section}] names no property, so every disk would match"),
            "add a property such as `serial = \"...\"`; `installer facts` shows them",
        );
        return None;
    }
    fine.then_some(select)
}

/// The outer option is none where something is wrong.
fn license(license: Option<License>, document: &mut Document<'_>) -> Option<Option<LicenseToken>> {
    let Some(license) = license else {
        return Some(None);
    };
    match license.token {
        Some(text) => value(document, "license.token", LicenseToken::parse(&text)).map(Some),
        None => {
            document.missing(
                "license.token",
                "[license] has no token",
                "add `token = \"v4.public....\"`, or leave the section out",
            );
            None
        }
    }
}

fn hcl(hcl: Hcl, document: &mut Document<'_>) -> Option<HclPolicy> {
    let reason = hcl.reason.map(|reason| reason.trim().to_owned());
    match (hcl.policy.unwrap_or(Policy::Refuse), reason) {
        (policy @ (Policy::Warn | Policy::Allow), Some(reason))
            if !reason.is_empty() && !reason.contains(char::is_control) =>
        {
            Some(match policy {
                Policy::Allow => HclPolicy::Allow { reason },
                _ => HclPolicy::Warn { reason },
            })
        }
        (policy @ (Policy::Warn | Policy::Allow), _) => {
            let word = if policy == Policy::Allow {
                "allow"
            } else {
                "warn"
            };
            document.missing(
                "hcl.reason",
                format!("`policy = \"{word}\"` needs a reason in one line"),
                "add `reason = \"...\"` to [hcl]: it is kept in the report",
            );
            None
        }
        (Policy::Refuse, None) => Some(HclPolicy::Refuse),
        (Policy::Refuse, Some(_)) => {
            document.missing(
                "hcl.reason",
                "[hcl] has a reason, but `policy` is \"refuse\"",
                "write `policy = \"warn\"` to install anyway, or leave the reason out",
            );
            None
        }
    }
}
