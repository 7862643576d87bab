//! Keyboard, locale and services of the host.

use super::{Content, HostFile, text};
use crate::plan::{NO_PASSWORD, SystemPlan};
use crate::values::Unit;

/// The image has the map of its own layout ready in a file, and a script of this name that loads it. It makes way for
/// one that reads `/etc/default/keyboard` at each start, so that a change there is enough.
const KEYBOARD_SCRIPT: &str = "#!/bin/sh
# Made by the installer: loads the layout of /etc/default/keyboard.
. /etc/default/keyboard
ckbcomp -layout \"$XKBLAYOUT\" ${XKBVARIANT:+-variant \"$XKBVARIANT\"} | loadkeys --quiet --unicode --console /dev/tty1 -
";
/// Starts the keyboard layout of `/etc/default/keyboard`; the image leaves it off, as its own layout needs no program.
const KEYBOARD_UNIT: &str = "keyboard-setup.service";
/// Where the image has its units.
pub const UNITS: &str = "/usr/lib/systemd/system";

/// Where the login by ssh is narrowed: the first value that sshd reads counts (sshd_config(5)), and the image's own file starts
/// with 10.
const SSH_LOGIN: &str = "ssh/sshd_config.d/05-login.conf";
/// What it says where there are keys alone.
const KEYS_ONLY: &str = "# Made by the installer: the answers gave keys and no password. Remove this file to log in with a password, too.
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
";

/// The files of logins, keyboard and locale, and the links by which services are switched off.
pub fn settings_files(system: &SystemPlan) -> Vec<HostFile> {
    let mut files = Vec::new();
    if system.root_password == NO_PASSWORD {
        files.push(text(SSH_LOGIN, KEYS_ONLY));
    }
    if let Some(keymap) = &system.keymap {
        files.push(text("default/keyboard", keymap.settings()));
        files.push(HostFile {
            path: "console-setup/cached_setup_keyboard.sh".into(),
            content: Content::File {
                bytes: KEYBOARD_SCRIPT.into(),
                mode: 0o755,
                group: 0,
            },
        });
        files.push(wanted_by("sysinit.target", KEYBOARD_UNIT, KEYBOARD_UNIT));
    }
    if let Some(locale) = &system.locale {
        let line = format!("LANG={}\n", locale.as_str());
        files.push(text("default/locale", line.clone()));
        files.push(text("locale.conf", line));
    }
    for unit in &system.disable {
        // A link that the image has in its own /etc cannot be taken away from above; a masked unit starts for nobody.
        files.push(link(
            format!("systemd/system/{}", unit.as_str()),
            "/dev/null".into(),
        ));
    }
    files
}

/// The links by which `unit` is switched on, as `systemctl enable` makes them. `definition` is the text of its file.
/// None where it cannot be switched on: it has no `[Install]` that says when.
pub fn enable_files(unit: &Unit, definition: &str) -> Option<Vec<HostFile>> {
    let mut files = Vec::new();
    let mut section = "";
    for line in definition.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, values)) = line.split_once('=') else {
            continue;
        };
        if section != "[Install]" {
            continue;
        }
        for value in values.split_ascii_whitespace() {
            match key.trim() {
                "WantedBy" => files.push(wanted_by(value, unit.as_str(), &unit.file())),
                "RequiredBy" => files.push(link(
                    format!("systemd/system/{value}.requires/{}", unit.as_str()),
                    format!("{UNITS}/{}", unit.file()),
                )),
                "Alias" => files.push(link(
                    format!("systemd/system/{value}"),
                    format!("{UNITS}/{}", unit.file()),
                )),
                _ => {}
            }
        }
    }
    (!files.is_empty()).then_some(files)
}

fn wanted_by(target: &str, name: &str, file: &str) -> HostFile {
    link(
        format!("systemd/system/{target}.wants/{name}"),
        format!("{UNITS}/{file}"),
    )
}

fn link(path: String, target: String) -> HostFile {
    HostFile {
        path,
        content: Content::Link { target },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(files: &[HostFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn a_unit_is_linked_where_it_says() {
        let unit = Unit::parse("multipathd.service").unwrap();
        let text = "[Unit]\nWantedBy=nobody.target\n[Install]\nWantedBy=sysinit.target a.target\nAlias=mp.service\n";
        let files = enable_files(&unit, text).unwrap();
        assert_eq!(
            paths(&files),
            [
                "systemd/system/sysinit.target.wants/multipathd.service",
                "systemd/system/a.target.wants/multipathd.service",
                "systemd/system/mp.service",
            ]
        );
        assert!(enable_files(&unit, "[Unit]\nDescription=static\n").is_none());
    }

    #[test]
    fn an_instance_points_to_its_template() {
        let unit = Unit::parse("getty@tty3.service").unwrap();
        let files = enable_files(&unit, "[Install]\nWantedBy=getty.target\n").unwrap();
        assert_eq!(
            paths(&files),
            ["systemd/system/getty.target.wants/getty@tty3.service"]
        );
        let Content::Link { target } = &files[0].content else {
            panic!("no link")
        };
        assert_eq!(target, "/usr/lib/systemd/system/getty@.service");
    }
}
