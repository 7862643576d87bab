//! The medium is what its maker signed.

use super::super::app::{App, Verification};
use super::super::effects::Job;
use super::super::key::Key;
use super::super::page::Page;
use crate::values::show_size;

/// What F1 says.
pub const HELP: &str = "Everything on the medium is read once and compared with what its maker signed. You can go on while \
that runs; the installation starts only when it is done.\n\nA medium that fails here is damaged or was changed. Write it \
anew, or use another one. A virtual medium of a management controller can be slow: one hour for a gigabyte is possible.";

/// A medium that is not what was signed ends it.
pub fn problem(app: &App) -> Option<String> {
    match app.verification {
        Verification::Failed(_) => Some(
            "This medium cannot be installed from. Use another one and start again.".to_owned(),
        ),
        Verification::Opening => Some("The medium is being opened; one moment.".to_owned()),
        _ => None,
    }
}

/// Takes a key.
pub fn key(app: &mut App, key: Key, jobs: &mut Vec<Job>) {
    match key {
        Key::Enter => app.next(),
        Key::Esc => app.back(),
        Key::F(5) if matches!(app.verification, Verification::Failed(_)) => {
            app.verification = Verification::Opening;
            jobs.push(Job::Open);
        }
        _ => {}
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    page.heading("Is the medium what its maker signed?");
    page.gap();
    if let Some(subject) = &app.subject {
        page.pair("Release", &format!("Bedplate {}", subject.version));
        page.pair("Hypervisor", &format!("Xen {}", subject.xen));
        page.pair("Kernel of dom0", &format!("Linux {}", subject.kernel));
        page.pair("Root image", &subject.root_hash);
        page.gap();
    }
    match &app.verification {
        Verification::Opening => page.text("The release is being opened ..."),
        Verification::Failed(errors) => {
            page.problem("No. It is damaged, or it was changed.");
            for error in errors {
                page.text(&format!("  {error}"));
            }
            page.gap();
            page.text("F5 tries again. If that fails, write the medium anew, or use another one.");
        }
        Verification::Reading { done, total, ms } => {
            let fraction = *done as f64 / (*total).max(1) as f64;
            let rate = u128::from(*done) * 1000 / u128::from((*ms).max(1));
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            page.gauge(fraction, &format!("{:3.0} %", fraction * 100.0));
            let left = total
                .saturating_sub(*done)
                .checked_div(rate)
                .map_or(String::new(), |left| format!(", {left} s left"));
            page.text(&format!(
                "{} of {}, {}/s{left}",
                show_size(*done),
                show_size(*total),
                show_size(rate)
            ));
            page.gap();
            page.text("You can go on meanwhile.");
        }
        Verification::Good => {
            page.gauge(1.0, "100 %");
            page.strong("Yes. Every file was read and fits its signature.");
        }
    }
    if let Some(expired) = app
        .subject
        .as_ref()
        .and_then(|subject| subject.expired.as_ref())
    {
        page.gap();
        page.problem(&format!(
            "{expired}. A medium in your hand installs all the same; look for a newer release soon."
        ));
    }
}
