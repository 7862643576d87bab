//! Which volume groups are storage repositories of this host: those that it activates by itself. The installer writes the list;
//! there is no other.

use crate::XeError;
use crate::locks;
use slots::names::{LOCAL_STORAGE, STORAGE_VG};
use std::path::Path;
use steps::System;

/// lvm.conf(5) of this host.
const CONFIG: &str = "/etc/lvm/lvmlocal.conf";
/// The list in it, on one line.
const LIST: &str = "auto_activation_volume_list";

/// Their names, in the order of the list. Where there is none, that of the host's own disk.
pub fn names(system: &dyn System) -> Result<Vec<String>, XeError> {
    let text = config(system)?;
    Ok(text
        .lines()
        .find(|line| is_list(line))
        .map_or_else(|| vec![STORAGE_VG.to_owned()], quoted))
}

/// Takes a group out of the list: the host does not activate it any more.
pub fn forget(system: &dyn System, group: &str) -> Result<(), XeError> {
    let _held = locks::edit(system, CONFIG)?;
    let text = config(system)?;
    let changed: String = text
        .split_inclusive('\n')
        .map(|line| match is_list(line) {
            false => line.to_owned(),
            true => {
                let kept: Vec<_> = quoted(line)
                    .into_iter()
                    .filter(|name| name != group)
                    .map(|name| format!("\"{name}\""))
                    .collect();
                format!("\t{LIST} = [ {} ]\n", kept.join(", "))
            }
        })
        .collect();
    if changed == text {
        return Ok(());
    }
    system
        .write_file(Path::new(CONFIG), changed.as_bytes(), 0o644)
        .map_err(|e| XeError::system(&e))
}

/// The name of the repository in a group.
pub fn label(group: &str) -> &str {
    match group.strip_prefix(STORAGE_VG) {
        Some("") => LOCAL_STORAGE,
        Some(rest) => rest.strip_prefix('-').unwrap_or(group),
        None => group,
    }
}

fn config(system: &dyn System) -> Result<String, XeError> {
    let path = Path::new(CONFIG);
    if !system.exists(path) {
        return Ok(String::new());
    }
    let bytes = system.read_file(path).map_err(|e| XeError::system(&e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_list(line: &str) -> bool {
    line.trim_start()
        .strip_prefix(LIST)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// What stands in quotes.
fn quoted(line: &str) -> Vec<String> {
    line.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
pub(crate) const LVMLOCAL: &str = "# dom0 activates its own storage repositories and nothing of its guests.\n\
    activation {\n\tauto_activation_volume_list = [ \"bedplate\", \"bedplate-fast\", \"bedplate-archive\" ]\n}\n\
    devices {\n\tglobal_filter = [ \"a|^/dev/disk/by-partuuid/1$|\" ]\n}\n";

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    #[test]
    fn what_is_forgotten_is_activated_no_more_and_the_rest_stays() {
        let system = RecordingSystem::new().file(CONFIG, LVMLOCAL);
        assert_eq!(
            names(&system).unwrap(),
            ["bedplate", "bedplate-fast", "bedplate-archive"]
        );
        forget(&system, "bedplate-fast").unwrap();
        assert_eq!(names(&system).unwrap(), ["bedplate", "bedplate-archive"]);
        let text = String::from_utf8(system.read_file(Path::new(CONFIG)).unwrap()).unwrap();
        assert_eq!(text, LVMLOCAL.replace("\"bedplate-fast\", ", ""));
    }

    #[test]
    fn a_host_without_a_list_has_the_local_one() {
        assert_eq!(names(&RecordingSystem::new()).unwrap(), ["bedplate"]);
        let other = RecordingSystem::new().file(CONFIG, "devices {\n}\n");
        assert_eq!(names(&other).unwrap(), ["bedplate"]);
        let none = RecordingSystem::new().file(
            CONFIG,
            "activation {\n auto_activation_volume_list = [ ]\n}\n",
        );
        assert!(names(&none).unwrap().is_empty());
    }

    #[test]
    fn labels_are_what_the_answers_said() {
        for (group, expected) in [
            ("bedplate", "local"),
            ("bedplate-fast-2", "fast-2"),
            ("bedplates", "bedplates"),
            ("data", "data"),
        ] {
            assert_eq!(label(group), expected);
        }
    }
}
