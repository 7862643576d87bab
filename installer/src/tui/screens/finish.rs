//! What to do next.

use super::super::app::{App, Leave};
use super::super::key::Key;
use super::super::page::{Page, cut};
use crate::choices::{AddressChoice, After, Ipv6Choice};
use crate::plan::{Plan, Planned, SWITCH_ON, UpgradePlan};
use crate::run_dir::RUN_DIR;

/// What F1 says.
pub const HELP: &str = "Restart the machine and take the medium away; the host starts from its disk. Compare the fingerprint \
when you log in by ssh for the first time. Where keys of Secure Boot were enrolled, /sys/kernel/security/lockdown says [integrity] \
on the host when Secure Boot is on.\n\nAfter a failed installation nothing on the disk starts; after a failed upgrade the host starts what it started before. Log, events and report are in \
/run/bedplate/install; a shell lets you look.";

fn actions(app: &App) -> &'static [(&'static str, After)] {
    if app.run.good == Some(true) {
        &[
            ("Restart the machine", After::Reboot),
            ("Switch it off", After::Poweroff),
            ("Open a shell", After::Shell),
        ]
    } else {
        &[
            ("Open a shell", After::Shell),
            ("Restart the machine", After::Reboot),
            ("Switch it off", After::Poweroff),
        ]
    }
}

/// Takes a key.
pub fn key(app: &mut App, key: Key) {
    let actions = actions(app);
    match key {
        Key::Enter => {
            let (_, after) = actions[app.focus().min(actions.len() - 1)];
            app.leave = Some(Leave::Over(after));
        }
        _ => {
            app.move_focus(key, actions.len());
        }
    }
}

/// How the host is reached, in words.
fn address(plan: &Plan) -> String {
    let Some(bridge) = plan.network.management() else {
        return "none".to_owned();
    };
    let mut ways = Vec::new();
    match &bridge.address {
        AddressChoice::Static(fixed) => ways.push(fixed.address.address.to_string()),
        AddressChoice::Dhcp => ways.push(format!("from DHCP, for {}", bridge.mac)),
        AddressChoice::None => {}
    }
    if let Ipv6Choice::Static(fixed) = &bridge.ipv6 {
        ways.push(fixed.address.address.to_string());
    }
    if ways.is_empty() {
        ways.push(format!("as the routers announce, for {}", bridge.mac));
    }
    ways.join(", ")
}

/// True where an installation that went well has enrolled keys.
fn enrolled(app: &App) -> bool {
    app.run.good == Some(true) && app.plan().is_some_and(|plan| plan.boot.enroll_keys)
}

fn upgraded(plan: &UpgradePlan, page: &mut Page<'_, '_>) {
    page.heading(crate::upgrade::DONE);
    page.gap();
    if let Some(name) = &plan.host.hostname {
        page.pair("Host", name);
    }
    page.pair(
        "Next start",
        &format!("tries Bedplate {}", plan.release.version),
    );
    page.pair(
        "Way back",
        &format!(
            "the host is in {} again by itself where that does not come up; `xe host-rollback` by hand",
            plan.host.version
        ),
    );
    page.gap();
    page.text("Take the medium away when the machine restarts.");
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let run = &app.run;
    let upgrade = match app.planned() {
        Some(Planned::Upgrade(plan)) => Some(plan),
        _ => None,
    };
    if let (Some(plan), Some(true)) = (upgrade, run.good) {
        upgraded(plan, page);
    } else if run.good == Some(true) {
        page.heading("Bedplate is installed.");
        page.gap();
        if let Some(plan) = app.plan() {
            let name = plan.system.hostname.as_str();
            page.pair("Host", name);
            page.pair("Address", &address(plan));
            page.pair("Log in", &format!("ssh root@{name}, or at the console"));
        }
        page.pair(
            "ssh host key",
            run.fingerprint
                .as_deref()
                .unwrap_or("see the console of the host"),
        );
        if enrolled(app) {
            page.pair(
                "Secure Boot",
                "keys are enrolled; firmware that does not switch it on by itself needs that done in its setup",
            );
        }
        page.gap();
        page.text(
            "Take the medium away when the machine restarts. The host comes up by itself; `xe host-license-view` and \
             `xl list` show that it works.",
        );
    } else {
        page.heading(match upgrade {
            Some(_) => "The host is NOT upgraded.",
            None => "Bedplate is NOT installed.",
        });
        page.gap();
        for (index, error) in run.errors.iter().enumerate() {
            if index == 0 {
                page.problem(error);
            } else {
                page.text(&format!("  because: {error}"));
            }
        }
        page.gap();
        let starts = match upgrade {
            Some(_) => "The host starts what it started before",
            None => "Nothing on the disk starts",
        };
        page.text(&format!(
            "{starts}. Log, events and report are in {RUN_DIR}."
        ));
    }
    page.gap();
    let actions = actions(app);
    let focus = app.focus().min(actions.len() - 1);
    for (index, (label, _)) in actions.iter().enumerate() {
        page.button(label, index == focus);
    }
    let warnings: Vec<&String> = run
        .warnings
        .iter()
        .filter(|warning| !(enrolled(app) && *warning == SWITCH_ON))
        .collect();
    if warnings.is_empty() {
        return;
    }
    page.gap();
    page.heading("Good to know");
    let room = usize::from(page.left());
    for warning in warnings.into_iter().take(room) {
        let text = cut(warning, page.width() - 2, page.theme.glyphs.cut);
        page.text(&format!("- {text}"));
    }
}
