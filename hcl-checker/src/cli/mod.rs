//! The commands, a file each, and what they share.

pub mod bundle;
pub mod certify;
pub mod check;
pub mod facts;
pub mod lint;
pub mod peer;
pub mod report;
pub mod schema;
pub mod site;

use anyhow::{Context, Result, bail};
use hcl_checker::Root;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::text::Style;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Exit code of wrong use, and of what cannot be read.
pub const WRONG_USE: u8 = 2;

/// An error with its causes. Errors that name their cause in a sentence of their own have it as their cause as well, and
/// nobody needs to read it twice.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn root(folder: &Path) -> Result<Root> {
    if folder.is_file() {
        let shown = folder.display();
        bail!(
            "--root {shown}: this is a file; an archive that `facts --capture` made is unpacked first: mkdir machine; \
             tar -xf {shown} -C machine; then give --root machine"
        );
    }
    Root::at(folder).with_context(|| {
        format!(
            "--root {}: give the folder that holds the captured proc and sys",
            folder.display()
        )
    })
}

fn read_drivers(folder: &Path) -> Result<DriverIndex> {
    DriverIndex::read(folder)
        .context("--modules: give a kernel's folder, like /lib/modules/6.12.117+deb13-amd64")
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Color only on a terminal, and not where `NO_COLOR` is set or the terminal is dumb; long lines wrapped where the width of
/// the terminal is known.
fn style() -> Style {
    if !io::stdout().is_terminal() {
        return Style::PLAIN;
    }
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let size = terminal_size::terminal_size_of(io::stdout());
    Style {
        color: !refused && !dumb,
        columns: size.map(|(width, _)| usize::from(width.0)),
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[derive(Debug, thiserror::Error)]
    #[error("/key: {source}; make another")]
    struct Named {
        source: io::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        let source = || io::Error::from_raw_os_error(13);
        let denied = "Permission denied (os error 13)";
        let named = anyhow!(Named { source: source() }).context("--key");
        assert_eq!(told(&named), format!("--key: /key: {denied}; make another"));
        let plain = anyhow!(source()).context("/facts");
        assert_eq!(told(&plain), format!("/facts: {denied}"));
        assert_eq!(told(&anyhow!("wrong")), "wrong");
    }
}
