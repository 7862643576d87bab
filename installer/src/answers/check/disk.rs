//! Which disks are meant.

use super::super::document::{Document, section as section_header};
use super::super::schema::{Disk, DiskMatch};
use super::value;
use crate::choices::DiskChoice;
use crate::selector::{DiskSelector, TRANSPORTS};
use crate::values::parse_size;
use slots::layout::{GIB, MIN_STATE_SIZE};

/// Which disk is installed on, or none with a problem.
pub(super) fn disk(disk: Option<Disk>, document: &mut Document<'_>) -> Option<DiskChoice> {
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
    let takes = if both { Takes::Mirror } else { Takes::One };
    let mut fallbacks = Vec::new();
    let select = match (disk.path, disk.matching) {
        (path, matching) if disk.any_of.is_some() => {
            if path.is_some() || matching.is_some() {
                let other = if path.is_some() {
                    "`path`"
                } else {
                    "[disk.match]"
                };
                document.problem_at(
                    "disk.any_of",
                    format!("[disk] has both {other} and [[disk.any_of]]"),
                    "keep one of them; what is preferred stands first in [[disk.any_of]]",
                );
                return None;
            }
            let list: Vec<_> = disk
                .any_of
                .unwrap_or_default()
                .into_iter()
                .enumerate()
                .map(|(n, one)| disk_match(one, &format!("disk.any_of.{n}"), takes, document))
                .collect();
            let mut list = list.into_iter().collect::<Option<Vec<_>>>()?;
            if list.is_empty() {
                document.problem_at("disk.any_of", "`disk.any_of` is empty", ADVICE);
                return None;
            }
            fallbacks = list.split_off(1);
            list.pop()?
        }
        (Some(_), Some(_)) => {
            document.problem_at(
                "disk.match",
                "[disk] has both `path` and [disk.match]",
                "keep one of them; `path` may also stand inside [disk.match]",
            );
            return None;
        }
        (None, None) => {
            if !document.is_settled("disk.match") && !document.is_settled("disk.any_of") {
                document.missing("disk.path", "[disk] does not say which disk", ADVICE);
            }
            return None;
        }
        (Some(path), None) => DiskSelector {
            path: Some(disk_path(document, "disk.path", path)?),
            ..Default::default()
        },
        (None, Some(matching)) => disk_match(matching, "disk.match", takes, document)?,
    };
    let second = match disk.second {
        Some(second) => Some(disk_match(second, "disk.second", Takes::One, document)?),
        None => None,
    };
    let state_size = match disk.state_size {
        Some(text) => {
            let key = "disk.state_size";
            let bytes = value(document, key, parse_size(&text))?;
            if bytes < MIN_STATE_SIZE {
                document.problem_at(
                    key,
                    format!("`{key}` is less than a host needs"),
                    format!("write {} GiB or more", MIN_STATE_SIZE / GIB),
                );
                return None;
            }
            Some(bytes)
        }
        None => None,
    };
    let (wipe, reinstall) = (disk.wipe.unwrap_or(false), disk.reinstall.unwrap_or(false));
    let keep_storage = disk.keep_storage.unwrap_or(false);
    let upgrade = disk.upgrade.unwrap_or(false);
    if upgrade && (reinstall || keep_storage) {
        document.problem_at(
            "disk.upgrade",
            "`upgrade` keeps the host that is on the disk, and `reinstall` loses it",
            "leave `reinstall` and `keep_storage` out to upgrade, or `upgrade` to install anew",
        );
        return None;
    }
    if upgrade && mirror {
        document.problem_at(
            "disk.upgrade",
            "`upgrade` knows hosts on one disk, and `mirror = true` is for two",
            "leave `upgrade` out; a host on a mirror gets a newer release as a hotfix",
        );
        return None;
    }
    if keep_storage && !(wipe && reinstall) {
        document.problem_at(
            "disk.keep_storage",
            "`keep_storage` says what stays of a host that is installed anew, but [disk] does not allow that",
            "write `wipe = true` and `reinstall = true` beside it: the rest of the disk is lost; or leave `keep_storage` out",
        );
        return None;
    }
    if keep_storage && disk.storage.is_some() {
        document.problem_at(
            "disk.storage",
            "`storage` says how a new storage repository keeps the disks of guests, and with `keep_storage = true` there is none",
            "leave `storage` out: what is kept stays as it is",
        );
        return None;
    }
    Some(DiskChoice {
        select,
        fallbacks,
        state_size,
        storage: disk.storage.unwrap_or_default(),
        mirror,
        second,
        wipe,
        reinstall,
        upgrade,
        keep_storage,
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

/// How many disks must fit a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// One.
    One,
    /// The two of a mirror.
    Mirror,
    /// As many as it says itself.
    Counted,
}

/// The selector in the section at `section`.
pub(super) fn disk_match(
    matching: DiskMatch,
    section: &str,
    takes: Takes,
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
    let both = takes == Takes::Mirror;
    if let Some(count) = matching.count
        && takes != Takes::Counted
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
            format!(
                "`mirror = true` needs two disks, and {} names one by `path`, `serial` or `wwn`",
                section_header(section)
            ),
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
            format!(
                "{} names no property, so every disk would match",
                section_header(section)
            ),
            "add a property such as `serial = \"...\"`; `installer facts` shows them",
        );
        return None;
    }
    fine.then_some(select)
}
