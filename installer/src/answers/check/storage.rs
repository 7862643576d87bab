//! Storage repositories on disks of their own.

use super::super::document::{Document, section};
use super::super::schema::Storage;
use super::disk::{Takes, disk_match};
use super::value;
use crate::choices::StorageChoice;
use crate::values::StorageName;

/// All of them, or none with a problem.
pub(super) fn storage(
    list: Vec<Storage>,
    document: &mut Document<'_>,
) -> Option<Vec<StorageChoice>> {
    let mut fine = true;
    let mut choices: Vec<StorageChoice> = Vec::new();
    for (index, written) in list.into_iter().enumerate() {
        let path = format!("storage.{index}");
        match one(written, &path, document) {
            Some(choice) if choices.iter().any(|other| other.name == choice.name) => {
                document.problem_at(
                    &format!("{path}.name"),
                    format!("there are two storage repositories `{}`", choice.name),
                    "give each a name of its own",
                );
                fine = false;
            }
            Some(choice) => choices.push(choice),
            None => fine = false,
        }
    }
    fine.then_some(choices)
}

fn one(written: Storage, path: &str, document: &mut Document<'_>) -> Option<StorageChoice> {
    let key = |name: &str| format!("{path}.{name}");
    let name = match &written.name {
        Some(text) => value(document, &key("name"), StorageName::parse(text)),
        None => {
            if !document.is_settled(&key("name")) {
                document.missing(
                    &key("name"),
                    format!("{} has no `name`", section(path)),
                    "add `name = \"fast\"` or the like: `xe` shows it",
                );
            }
            None
        }
    };
    let Some(matching) = written.matching else {
        if !document.is_settled(&key("match")) {
            document.missing(
                &key("match"),
                format!("{} does not say which disks", section(path)),
                "add properties such as `serial = \"...\"` in a section [storage.match] behind it",
            );
        }
        return None;
    };
    let count = matching.count.unwrap_or(1);
    let select = disk_match(matching, &key("match"), Takes::Counted, document);
    if count == 0 {
        document.problem_at(
            &key("match.count"),
            format!("`{}` is 0", key("match.count")),
            "write how many disks the storage repository shall have, or leave the section out",
        );
        return None;
    }
    let keep = written.keep.unwrap_or(false);
    let wipe = written.wipe.unwrap_or(false);
    let contrary = [("wipe", wipe), ("type", written.kind.is_some())];
    if let Some((name, _)) = contrary.into_iter().find(|(_, given)| keep && *given) {
        document.problem_at(
            &key(name),
            format!(
                "{} has `keep = true` and `{name}`, and what is kept stays as it is",
                section(path)
            ),
            format!(
                "leave `{name}` out to keep the storage repository, or `keep` to make a new one"
            ),
        );
        return None;
    }
    Some(StorageChoice {
        name: name?,
        kind: written.kind.unwrap_or_default(),
        select: select?,
        count: usize::try_from(count).unwrap_or(usize::MAX),
        wipe,
        keep,
    })
}
