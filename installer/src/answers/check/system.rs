//! What `[system]` must hold beyond its shape.

use super::super::document::Document;
use super::super::schema::{Services, System};
use super::value;
use crate::choices::SystemChoice;
use crate::values::{
    HostnamePattern, Keymap, Locale, PasswordHash, SshKey, Timezone, Unit, ValueError, Zones,
};

/// The choice, or `None` with at least one problem added to `document`.
pub fn system(
    system: Option<System>,
    document: &mut Document<'_>,
    zones: &Zones,
) -> Option<SystemChoice> {
    let Some(system) = system else {
        document.missing(
            "system",
            "the section [system] is missing",
            "add [system] with `hostname` and `root_password_hash` or `ssh_keys`",
        );
        return None;
    };
    let hostname = match system.hostname {
        Some(text) => value(document, "system.hostname", HostnamePattern::parse(&text)),
        None => {
            document.missing(
                "system.hostname",
                "`hostname` is missing in [system]",
                "add a name, for example `hostname = \"xen1\"`",
            );
            None
        }
    };
    let timezone = match system.timezone {
        Some(text) => value(document, "system.timezone", Timezone::parse(&text, zones)),
        None => Some(Timezone::utc()),
    };
    let mut fine = true;
    let root_password = system.root_password_hash.and_then(|text| {
        let hash = value(
            document,
            "system.root_password_hash",
            PasswordHash::parse(&text),
        );
        fine &= hash.is_some();
        hash
    });
    let mut ssh_keys = Vec::new();
    for (index, text) in system.ssh_keys.unwrap_or_default().iter().enumerate() {
        match value(
            document,
            &format!("system.ssh_keys.{index}"),
            SshKey::parse(text),
        ) {
            Some(key) => ssh_keys.push(key),
            None => fine = false,
        }
    }
    let login_said =
        document.is_settled("system.root_password_hash") || document.is_settled("system.ssh_keys");
    if fine && root_password.is_none() && ssh_keys.is_empty() && !login_said {
        document.problem_at(
            "system",
            "[system] gives no way to log in",
            "add `root_password_hash` (from `openssl passwd -6`) or `ssh_keys`",
        );
        fine = false;
    }
    let keymap = optional(document, "system.keymap", system.keymap, Keymap::parse);
    let locale = optional(document, "system.locale", system.locale, Locale::parse);
    let services = services(system.services.unwrap_or_default(), document);
    let (enable, disable) = services?;
    if let Some(index) = disable.iter().position(Unit::is_ssh)
        && fine
        && root_password.is_none()
        && !ssh_keys.is_empty()
    {
        document.problem_at(
            &format!("system.services.disable.{index}"),
            "nobody could log in: [system] gives keys and no password, and keys work by ssh alone",
            "leave ssh on, or add `root_password_hash` for the console",
        );
        fine = false;
    }
    let choice = SystemChoice {
        hostname: hostname?,
        root_password,
        ssh_keys,
        timezone: timezone?,
        keymap: keymap?,
        locale: locale?,
        enable,
        disable,
    };
    fine.then_some(choice)
}

/// The outer option is none where the value is wrong.
fn optional<T>(
    document: &mut Document<'_>,
    path: &str,
    text: Option<String>,
    parse: fn(&str) -> Result<T, ValueError>,
) -> Option<Option<T>> {
    match text {
        Some(text) => value(document, path, parse(&text)).map(Some),
        None => Some(None),
    }
}

/// The units to switch on, and those to switch off.
fn services(services: Services, document: &mut Document<'_>) -> Option<(Vec<Unit>, Vec<Unit>)> {
    const PATH: &str = "system.services";
    let mut fine = true;
    let mut units = |key: &str, list: Option<Vec<String>>, document: &mut Document<'_>| {
        let mut units = Vec::new();
        for (index, text) in list.unwrap_or_default().iter().enumerate() {
            let path = format!("{PATH}.{key}.{index}");
            match value(document, &path, Unit::parse(text)) {
                Some(unit) if units.contains(&unit) => {
                    document.problem_at(
                        &path,
                        format!("`{path}` is in the list twice"),
                        "name it once",
                    );
                    fine = false;
                }
                Some(unit) => units.push(unit),
                None => fine = false,
            }
        }
        units
    };
    let enable = units("enable", services.enable, document);
    let disable = units("disable", services.disable, document);
    for (index, unit) in disable.iter().enumerate() {
        let path = format!("{PATH}.disable.{index}");
        if unit.is_needed() {
            document.problem_at(
                &path,
                format!("`{path}` is a part of the host that it cannot do without"),
                "take it out of the list",
            );
            fine = false;
        } else if enable.contains(unit) {
            document.problem_at(
                &path,
                format!("`{path}` is also in `enable`"),
                "keep it in one of the two lists",
            );
            fine = false;
        }
    }
    fine.then_some((enable, disable))
}
