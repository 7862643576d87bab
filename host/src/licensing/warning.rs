//! What the console and the journal say about a license that needs somebody's attention.

use super::Look;
use license::State;
use std::path::Path;
use steps::System;
use steps::system::FileError;

/// agetty(8) shows every `*.issue` of this folder after `/etc/issue`; this one after the host's own.
pub const ISSUE_FILE: &str = "/run/issue.d/60-bedplate-license.issue";

/// Says on the console above the login prompt what is the matter with the license, and takes it away where nothing is.
/// Returns the same as one line for the journal.
pub fn warn(system: &dyn System, look: &Look) -> Result<Option<String>, FileError> {
    let state = &look.evaluation.state;
    let text = match state.state {
        // Both are as they should be, and a console that always says something is not read.
        State::Unlicensed | State::Licensed => None,
        State::ExpiresSoon
        | State::Grace
        | State::OverUsed
        | State::Expired
        | State::Invalid
        | State::NotYetValid => Some(format!(
            "License: {}: {} (xe host-license-view)",
            state.state.name(),
            state.reason
        )),
    };
    let path = Path::new(ISSUE_FILE);
    match &text {
        // A backslash starts one of agetty's codes.
        Some(text) => {
            if let Some(folder) = path.parent() {
                system.create_dir_all(folder)?;
            }
            let line = format!("  {}\n\n", text.replace('\\', "\\\\"));
            system.write_file(path, line.as_bytes(), 0o644)?;
        }
        None => system.remove_file(path)?,
    }
    Ok(text)
}
