//! What an answer file must hold beyond its shape, and the choices that it says.

mod addresses;
mod boot;
mod disk;
mod hook;
mod network;
mod source;
mod storage;
mod system;
mod webhook;

use super::document::Document;
use super::schema::{AnswerFile, Hcl, License, Policy};
use crate::choices::{After, Choices, HclPolicy};
use crate::values::{LicenseToken, PlanHash, ValueError, Zones};
use boot::boot;
use disk::disk;
use hook::hooks;
use network::network;
use source::source;
use storage::storage;
use system::system;
pub(super) use webhook::webhook;

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
    // Who a new host is needs not be said where there is an old one.
    let upgrade = answers.disk.as_ref().and_then(|disk| disk.upgrade) == Some(true);
    let disk = disk(answers.disk, document);
    let storage = storage(answers.storage.unwrap_or_default(), document);
    let system = match answers.system {
        None if upgrade && !document.is_settled("system") => Some(None),
        answers => system(answers, document, zones).map(Some),
    };
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
        storage: storage?,
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
