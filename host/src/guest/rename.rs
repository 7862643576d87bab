//! A guest gets another name.
//!
//! libvirt's Xen driver renames nothing (it has no `domainRename`), and defines no second guest with the same UUID. So the old
//! definition goes and comes back under the new name. What it was is in a file meanwhile: where the power goes in between, the
//! guest is brought back with its old name.

use super::{Domain, libvirt};
use crate::XeError;
use crate::local::names_in;
use crate::locks;
use std::path::{Path, PathBuf};
use steps::System;

/// One file for each guest that is being renamed: its old definition.
const FOLDER: &str = "/var/lib/bedplate/xe/renames";
/// What stands before the UUID in the name of the file of a guest that starts with the host.
const AUTO: &str = "auto-";

fn file(uuid: &str, auto: bool) -> PathBuf {
    let auto = if auto { AUTO } else { "" };
    Path::new(FOLDER).join(format!("{auto}{uuid}.xml"))
}

/// Defines the guest `old`, which must be halted, as `new`. Where that does not work, it stays `old`.
pub fn rename(system: &dyn System, old: &Domain, new: &Domain) -> Result<(), XeError> {
    let uuid = old.uuid();
    let auto = libvirt::autostarted(system)?.contains(&uuid);
    let kept = file(&uuid, auto);
    system
        .create_dir_all(Path::new(FOLDER))
        .and_then(|()| system.write_file(&kept, old.print().as_bytes(), 0o600))
        .map_err(|e| XeError::system(&e))?;
    let renamed = libvirt::run(system, ["undefine", &uuid])
        .and_then(|_| define(system, new, auto))
        .inspect_err(|_| {
            // The error that is told is the first one.
            let _ = define(system, old, auto);
        });
    if renamed.is_ok() || is_defined(system, &uuid)? {
        system.remove_file(&kept).map_err(|e| XeError::system(&e))?;
    }
    renamed
}

/// Brings back guests whose renaming was cut off. One that goes on now is left to who does it. Returns why some do not come back:
/// their files stay for the next time, and nobody else is to be kept from anything by them.
#[must_use]
pub fn finish(system: &dyn System) -> Vec<XeError> {
    let names = match names_in(system, FOLDER, ".xml") {
        Ok(names) => names,
        Err(error) => return vec![error],
    };
    let failed = |name: &String| {
        let error = finish_one(system, name).err()?;
        let message = format!(
            "The renaming of a virtual machine was cut off, and it is in no list until libvirt takes its definition back, which is in \
             the file: {}",
            error.message
        );
        let file = Path::new(FOLDER).join(format!("{name}.xml"));
        Some(XeError { message, ..error }.with("file", file.display().to_string()))
    };
    names.iter().filter_map(failed).collect()
}

/// The same for one, by the name of its file.
fn finish_one(system: &dyn System, name: &str) -> Result<(), XeError> {
    let (auto, uuid) = match name.strip_prefix(AUTO) {
        Some(uuid) => (true, uuid),
        None => (false, name),
    };
    // Between the steps of a renaming that goes on the guest is not defined. To bring it back would keep its new definition out, and
    // without the file a power cut would lose both.
    let Some(_held) = locks::of_idle_definition(system, uuid)? else {
        return Ok(());
    };
    let path = file(uuid, auto);
    // It was done before the lock was had.
    if !system.exists(&path) {
        return Ok(());
    }
    if !is_defined(system, uuid)? {
        let bytes = system.read_file(&path).map_err(|e| XeError::system(&e))?;
        let mut domain = Domain::parse(&String::from_utf8_lossy(&bytes))?;
        match define(system, &domain, auto) {
            // Somebody gave the name to another one meanwhile. This one would be in no list until it has a name of its own.
            Err(error) if error.code == "VM_NAME_IN_USE" => {
                domain.set_name(&format!("{}-{uuid}", domain.name()));
                define(system, &domain, auto)?;
            }
            result => result?,
        }
    } else if auto {
        libvirt::run(system, ["autostart", uuid])?;
    }
    system.remove_file(&path).map_err(|e| XeError::system(&e))
}

fn define(system: &dyn System, domain: &Domain, auto: bool) -> Result<(), XeError> {
    libvirt::define(system, domain)?;
    match auto {
        true => libvirt::run(system, ["autostart", &domain.uuid()]).map(drop),
        false => Ok(()),
    }
}

fn is_defined(system: &dyn System, uuid: &str) -> Result<bool, XeError> {
    Ok(libvirt::all(system)?.contains(uuid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::domain::tests::PVH;
    use steps::RecordingSystem;

    const UUID: &str = "33333333-3333-4333-8333-333333333333";
    const OTHER: &str = "44444444-3333-4333-8333-333333333333";
    const V: &str = "virsh -q -c xen:///system";

    fn definitions() -> (Domain, Domain) {
        let old = Domain::parse(PVH).unwrap();
        let mut new = old.clone();
        new.set_name("b");
        (old, new)
    }

    /// The commands that change something, without what stands before them.
    fn changes(system: &RecordingSystem) -> Vec<String> {
        let changing = |line: &String| !line.contains(" list ");
        let lines = system.command_lines().into_iter().filter(changing);
        lines
            .map(|line| line.replace(&format!("{V} "), ""))
            .collect()
    }

    #[test]
    fn what_is_renamed_still_starts_with_the_host() {
        let (old, new) = definitions();
        let system =
            RecordingSystem::new().prints(&format!("{V} list --uuid --all --autostart"), UUID);
        rename(&system, &old, &new).unwrap();
        assert_eq!(
            changes(&system),
            [
                format!("undefine {UUID}"),
                "define /dev/stdin".to_owned(),
                format!("autostart {UUID}")
            ]
        );
        let printed = String::from_utf8(system.commands()[2].stdin_bytes().to_vec()).unwrap();
        assert!(printed.contains("<name>b</name>"), "{printed}");
        assert!(!system.exists(&file(UUID, true)), "nothing is left over");
    }

    #[test]
    fn a_new_name_that_is_taken_leaves_the_old_one() {
        let (old, new) = definitions();
        let taken = format!("error: operation failed: domain 'b' already exists with uuid {OTHER}");
        let system = RecordingSystem::new().fails(&format!("{V} define"), 1, &taken);
        let error = rename(&system, &old, &new).unwrap_err();
        assert_eq!(error.code, "VM_NAME_IN_USE");
        assert_eq!(
            changes(&system)[1..],
            ["define /dev/stdin", "define /dev/stdin"],
            "it is tried again with the old name"
        );
        assert!(
            system.exists(&file(UUID, false)),
            "libvirt does not know the guest: what it was is kept"
        );
    }

    #[test]
    fn a_guest_whose_renaming_was_cut_off_comes_back() {
        let (old, _) = definitions();
        let cut = |defined: &str| {
            let system = RecordingSystem::new()
                .prints(&format!("{V} list --uuid --all"), defined)
                .file(file(UUID, true), old.print());
            assert_eq!(finish(&system), []);
            assert!(!system.exists(&file(UUID, true)));
            changes(&system)
        };
        assert_eq!(
            cut("\n"),
            ["define /dev/stdin".to_owned(), format!("autostart {UUID}")],
            "after undefine"
        );
        assert_eq!(
            cut(&format!("{UUID}\n")),
            [format!("autostart {UUID}")],
            "before undefine, or after the new definition: one command is not too much"
        );
        let none = RecordingSystem::new();
        assert_eq!(finish(&none), []);
        assert!(none.command_lines().is_empty(), "it costs nothing else");
    }

    #[test]
    fn a_renaming_that_goes_on_is_left_alone() {
        let (old, _) = definitions();
        let system = RecordingSystem::new()
            .prints(&format!("{V} list --uuid --all"), "\n")
            .file(file(UUID, true), old.print());
        let renaming = locks::of_definition(&system, UUID).unwrap();
        assert_eq!(finish(&system), []);
        assert_eq!(changes(&system), [""; 0], "undefined, and not yet defined");
        assert!(system.exists(&file(UUID, true)));
        drop(renaming);
        assert_eq!(finish(&system), []);
        assert!(!system.exists(&file(UUID, true)), "it was cut off there");
    }

    #[test]
    fn a_renaming_that_was_done_before_the_lock_was_had_is_done() {
        let system = RecordingSystem::new().prints(&format!("{V} list --uuid --all"), "\n");
        // Its file was listed, and is gone.
        finish_one(&system, &format!("{AUTO}{UUID}")).unwrap();
        assert!(system.command_lines().is_empty());
    }

    #[test]
    fn one_whose_name_was_taken_meanwhile_comes_back_under_another() {
        let (old, _) = definitions();
        let taken =
            format!("error: operation failed: domain 'lab pvh' already exists with uuid {OTHER}");
        let system = RecordingSystem::new()
            .prints(&format!("{V} list --uuid --all"), "\n")
            .file(file(UUID, false), old.print())
            .fails(&format!("{V} define"), 1, &taken)
            .prints_for(
                &format!("{V} define"),
                &format!("<name>lab pvh-{UUID}</name>"),
                "",
            );
        assert_eq!(finish(&system), []);
        assert_eq!(changes(&system).len(), 2);
        assert!(!system.exists(&file(UUID, false)));
    }

    #[test]
    fn one_that_does_not_come_back_keeps_no_other_from_it() {
        let (mut one, _) = definitions();
        let other = Domain::parse(&PVH.replace(UUID, OTHER)).unwrap();
        one.set_name("broken");
        let system = RecordingSystem::new()
            .prints(&format!("{V} list --uuid --all"), "\n")
            .file(file(UUID, false), one.print())
            .file(file(OTHER, false), other.print())
            .fails(&format!("{V} define"), 1, "error: XML error: no")
            .prints_for(&format!("{V} define"), OTHER, "");
        let [error] = &finish(&system)[..] else {
            panic!("one does not come back");
        };
        assert!(error.message.contains("XML error"), "{error}");
        let kept = file(UUID, false);
        assert_eq!(error.params, [("file", kept.display().to_string())]);
        assert!(system.exists(&kept), "for the next time");
        assert!(!system.exists(&file(OTHER, false)), "it came back");
    }
}
