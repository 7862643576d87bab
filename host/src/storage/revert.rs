//! Volumes that go back to what their snapshots show.
//!
//! LVM merges a snapshot into its origin, which uses the snapshot up, so it is made anew afterwards. Where one of the two is open,
//! LVM puts the merge off until they are activated next, and says that all is well: weeks later, a guest would be set back.

use super::lvm::{self, Report};
use crate::XeError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::{Command, System};

/// The changed parts are copied, at the speed of the disk.
const MERGE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked whether a merge that goes on is done, and how long between.
const LOOKS: u32 = 600;
const LOOK: Duration = Duration::from_secs(1);

/// A volume that is the snapshot of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The device of the snapshot.
    pub volume: PathBuf,
    /// Its UUID.
    pub uuid: String,
    /// The device of what it is a snapshot of.
    pub origin: PathBuf,
}

#[derive(Deserialize)]
struct Volumes {
    lv: Vec<Volume>,
}

/// lvs(8): the attributes of an origin that a snapshot is merged into begin with `O`, and the name of that snapshot, which LVM
/// hides, is in brackets.
#[derive(Deserialize)]
struct Volume {
    lv_name: String,
    lv_device_open: String,
    lv_attr: String,
}

/// What there is of a pair.
struct State {
    /// All of the origin.
    has_origin: bool,
    has_snapshot: bool,
    open: bool,
    /// A merge goes on, or is put off.
    merging: bool,
}

fn name(path: &Path) -> Option<String> {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
}

/// The volume group of a pair.
fn group(pair: &Pair) -> String {
    pair.origin.parent().and_then(name).unwrap_or_default()
}

fn state(system: &dyn System, pair: &Pair) -> Result<State, XeError> {
    // The name of a volume that is not there would be an error, so all are listed.
    let output = lvm::run(
        system,
        Command::new("lvs")
            .args(["--reportformat", "json", "--all"])
            .args(["-o", "lv_name,lv_device_open,lv_attr"])
            .arg(group(pair)),
    )?;
    let report: Report<Volumes> = serde_json::from_slice(&output.stdout)
        .map_err(|e| XeError::failure("INTERNAL_ERROR", format!("`lvs` printed no report: {e}")))?;
    let volumes: BTreeMap<_, _> = report
        .report
        .into_iter()
        .flat_map(|volumes| volumes.lv)
        .map(|volume| (volume.lv_name.clone(), volume))
        .collect();
    let snapshot = name(&pair.volume).unwrap_or_default();
    let hidden = volumes.get(&format!("[{snapshot}]"));
    let shown = volumes.get(&snapshot);
    let origin = name(&pair.origin).and_then(|name| volumes.get(&name));
    // Of a volume that is not active it is `unknown`.
    let is_open = |volume: &&Volume| volume.lv_device_open == "open";
    // lvs(8): the ninth of the attributes is `p` where a disk that a part of the volume is on is missing.
    let is_whole = |volume: &Volume| volume.lv_attr.chars().nth(8) != Some('p');
    Ok(State {
        has_origin: origin.is_some_and(is_whole),
        has_snapshot: shown.is_some(),
        open: [origin, shown, hidden]
            .into_iter()
            .flatten()
            .any(|volume| is_open(&volume)),
        merging: hidden.is_some() || origin.is_some_and(|volume| volume.lv_attr.starts_with('O')),
    })
}

/// What there is of the pairs whose origins are there; none for the others.
fn states<'p>(
    system: &dyn System,
    pairs: &'p [Pair],
) -> Result<Vec<(&'p Pair, Option<State>)>, XeError> {
    let groups = lvm::volume_groups(system)?;
    let of = |pair: &'p Pair| {
        // The name of a group that is not there would be an error for lvs.
        let is_there = groups.iter().any(|found| found.name == group(pair));
        let found = is_there.then(|| state(system, pair)).transpose()?;
        Ok((pair, found.filter(|state| state.has_origin)))
    };
    pairs.iter().map(of).collect()
}

/// The first volume that would go back and is not there, if any, be it alone or with its volume group: going back is not finished
/// before somebody brings it back.
pub fn lost(system: &dyn System, pairs: &[Pair]) -> Result<Option<PathBuf>, XeError> {
    let all = states(system, pairs)?;
    let mut lost = all.into_iter().filter(|(_, state)| state.is_none());
    Ok(lost.next().map(|(pair, _)| pair.origin.clone()))
}

/// Brings what was begun to its end for the volumes that are there. What LVM puts off it does with their next activation, and what is
/// written until then would be lost.
///
/// # Errors
/// A merge does not end now.
pub fn finish(system: &dyn System, pairs: &[Pair]) -> Result<(), XeError> {
    let merging = states(system, pairs)?;
    let merging = merging
        .into_iter()
        .filter(|(_, state)| state.as_ref().is_some_and(|state| state.merging));
    for (pair, _) in merging {
        go_on(system, pair)?;
    }
    Ok(())
}

/// Refuses what cannot go back now. `begun`: going back was begun before and not finished, so snapshots may be used up.
pub fn check(system: &dyn System, pairs: &[Pair], begun: bool) -> Result<(), XeError> {
    let missing = |path: &Path, advice: &str| {
        XeError::failure(
            "VDI_MISSING",
            format!(
                "A volume that is needed to go back is not there: somebody removed it, or its disk is gone. {advice}"
            ),
        )
        .with("location", path.display().to_string())
    };
    if let Some(origin) = lost(system, pairs)? {
        return Err(missing(
            &origin,
            match begun {
                true => {
                    "The virtual machine stays in the middle: bring the volume back, or give the snapshot up by snapshot-uninstall, which \
                     lets it be used as it is."
                }
                false => "Nothing was changed.",
            },
        ));
    }
    for pair in pairs {
        let state = state(system, pair)?;
        if !(state.has_snapshot || state.merging || begun) {
            return Err(missing(&pair.volume, "Nothing was changed."));
        }
        if state.open {
            return Err(in_use(pair));
        }
    }
    Ok(())
}

fn in_use(pair: &Pair) -> XeError {
    XeError::failure(
        "VDI_IN_USE",
        "Somebody reads or writes the disk or its snapshot (an export or a copy: see task-list); wait for its end, and try again.",
    )
    .with("vdi", pair.uuid.clone())
    .with("location", pair.origin.display().to_string())
}

/// Brings a volume back to what its snapshot shows, and makes the snapshot anew. Running it again after it was cut off finishes
/// it, as long as nobody wrote to the volume in between.
pub fn revert(system: &dyn System, pair: &Pair) -> Result<(), XeError> {
    let before = state(system, pair)?;
    if before.merging {
        go_on(system, pair)?;
    }
    if before.has_snapshot {
        merge(system, pair)?;
    }
    lvm::snapshot(system, &pair.origin, &pair.uuid).map(drop)
}

/// Has a merge that was put off or cut off come to its end: it goes on when the volume is loaded again while nobody has it open.
fn go_on(system: &dyn System, pair: &Pair) -> Result<(), XeError> {
    lvm::run(
        system,
        Command::new("lvchange")
            .args(["--quiet", "--refresh"])
            .arg(&pair.origin),
    )?;
    wait(system, pair)
}

fn merge(system: &dyn System, pair: &Pair) -> Result<(), XeError> {
    lvm::run(
        system,
        Command::new("lvconvert")
            .args(["--quiet", "--yes", "--merge"])
            .arg(&pair.volume)
            .timeout(MERGE_TIMEOUT),
    )?;
    // It succeeds as well where the merge was put off.
    match state(system, pair)?.merging {
        true => Err(not_done(pair)),
        false => Ok(()),
    }
}

fn wait(system: &dyn System, pair: &Pair) -> Result<(), XeError> {
    for _ in 0..LOOKS {
        let now = state(system, pair)?;
        if !now.merging {
            return Ok(());
        }
        if now.open {
            break;
        }
        std::thread::sleep(LOOK);
    }
    Err(not_done(pair))
}

fn not_done(pair: &Pair) -> XeError {
    XeError::failure(
        "OTHER_OPERATION_IN_PROGRESS",
        "The disk is not back yet: LVM goes on when nobody has it open (an export or a copy: see task-list). The virtual machine cannot \
         be started until then; run this command again.",
    )
    .with("vdi", pair.uuid.clone())
    .with("location", pair.origin.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    const MERGE: &str = "lvconvert --quiet --yes --merge /dev/bedplate/vdi-1";
    const MAKE: &str =
        "lvcreate --quiet --yes --snapshot --extents 100%ORIGIN --name vdi-1 /dev/bedplate/a";
    const REFRESH: &str = "lvchange --quiet --refresh /dev/bedplate/a";

    fn pair() -> Pair {
        Pair {
            volume: "/dev/bedplate/vdi-1".into(),
            uuid: "1".into(),
            origin: "/dev/bedplate/a".into(),
        }
    }

    /// Name, open, attributes.
    fn lvs(volumes: &[(&str, &str, &str)]) -> RecordingSystem {
        let volumes: Vec<_> = volumes
            .iter()
            .map(|(name, open, attributes)| {
                format!(
                    r#"{{"lv_name":"{name}","lv_device_open":"{open}","lv_attr":"{attributes}"}}"#
                )
            })
            .collect();
        let text = format!(r#"{{"report":[{{"lv":[{}]}}]}}"#, volumes.join(","));
        RecordingSystem::new()
            .prints("vgs", lvm::VGS)
            .prints("lvs", &text)
    }

    fn changes(system: &RecordingSystem) -> Vec<String> {
        let mut lines = system.command_lines();
        lines.retain(|line| !line.starts_with("lvs") && !line.starts_with("vgs"));
        lines
    }

    #[test]
    fn a_snapshot_is_merged_and_made_anew() {
        let system = lvs(&[("a", "", "owi-a-s---"), ("vdi-1", "", "swi-a-s---")]);
        check(&system, &[pair()], false).unwrap();
        revert(&system, &pair()).unwrap();
        assert_eq!(changes(&system), [MERGE, MAKE]);
    }

    #[test]
    fn volumes_that_are_not_active_are_in_nobodys_use() {
        let volumes = [
            ("a", "unknown", "owi---s---"),
            ("vdi-1", "unknown", "swi---s---"),
        ];
        check(&lvs(&volumes), &[pair()], false).unwrap();
    }

    #[test]
    fn what_is_open_is_refused_before_lvm_puts_it_off() {
        for volumes in [
            [("a", "open", "owi-aos---"), ("vdi-1", "", "swi-a-s---")],
            [("a", "", "owi-a-s---"), ("vdi-1", "open", "swi-aos---")],
            [("a", "", "Owi-a-s---"), ("[vdi-1]", "open", "Swi-aos---")],
        ] {
            let error = check(&lvs(&volumes), &[pair()], true).unwrap_err();
            assert_eq!(error.code, "VDI_IN_USE", "{volumes:?}");
        }
    }

    #[test]
    fn a_merge_that_was_put_off_is_told_and_the_snapshot_is_not_made_of_what_is_there() {
        let system = lvs(&[("a", "open", "Owi-aos---"), ("[vdi-1]", "", "Swi-a-s---")]);
        let error = revert(&system, &pair()).unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        assert_eq!(changes(&system), [REFRESH]);
        // Somebody opened it after it was looked at, and `lvconvert` succeeds all the same.
        let error = merge(&system, &pair()).unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        assert_eq!(changes(&system), [REFRESH, MERGE]);
    }

    #[test]
    fn a_volume_that_is_missing_is_an_error_unless_going_back_was_begun() {
        let rest = lvs(&[("a", "", "owi-a-s---")]);
        let error = check(&rest, &[pair()], false).unwrap_err();
        assert_eq!(error.code, "VDI_MISSING");
        assert!(error.to_string().contains("/dev/bedplate/vdi-1"), "{error}");
        check(&rest, &[pair()], true).unwrap();
        revert(&rest, &pair()).unwrap();
        assert_eq!(changes(&rest), [MAKE]);
        let nothing = lvs(&[("vdi-1", "", "swi-a-s---")]);
        let error = check(&nothing, &[pair()], true).unwrap_err();
        assert!(error.to_string().contains("location: /dev/bedplate/a"));
        assert!(error.to_string().contains("snapshot-uninstall"), "{error}");
    }

    #[test]
    fn what_was_begun_is_finished_for_the_volumes_that_are_there() {
        let gone = Pair {
            origin: "/dev/other/b".into(),
            ..pair()
        };
        let pairs = [gone, pair()];
        let open = lvs(&[("a", "open", "Owi-aos---"), ("[vdi-1]", "", "Swi-a-s---")]);
        let error = finish(&open, &pairs).unwrap_err();
        assert_eq!(error.code, "OTHER_OPERATION_IN_PROGRESS", "{error}");
        assert_eq!(changes(&open), [REFRESH]);
        let idle = lvs(&[("a", "open", "owi-aos---"), ("vdi-1", "", "swi-a-s---")]);
        finish(&idle, &pairs).unwrap();
        assert_eq!(changes(&idle), [""; 0]);
    }

    #[test]
    fn what_is_gone_with_its_group_is_lost() {
        let there = || lvs(&[("a", "", "owi-a-s---"), ("vdi-1", "", "swi-a-s---")]);
        assert_eq!(lost(&there(), &[pair()]).unwrap(), None);
        let origin = Some(PathBuf::from("/dev/bedplate/a"));
        let alone = lvs(&[("vdi-1", "", "swi-a-s---")]);
        assert_eq!(lost(&alone, &[pair()]).unwrap(), origin);
        // A part of it is on a disk that is gone.
        let part = lvs(&[("a", "", "owi---s-p-"), ("vdi-1", "", "swi---s---")]);
        assert_eq!(lost(&part, &[pair()]).unwrap(), origin);
        let error = check(&part, &[pair()], true).unwrap_err();
        assert_eq!(error.code, "VDI_MISSING", "{error}");
        let other = lvs(&[("a", "", "owi---s---"), ("vdi-1", "", "swi---s-p-")]);
        assert_eq!(lost(&other, &[pair()]).unwrap(), None, "it is made anew");
        let group = there().prints("vgs", r#"{"report":[{"vg":[]}]}"#).fails(
            "lvs",
            5,
            "  Volume group \"bedplate\" not found",
        );
        assert_eq!(lost(&group, &[pair()]).unwrap(), origin);
        assert_eq!(
            check(&group, &[pair()], true).unwrap_err().code,
            "VDI_MISSING"
        );
        // Where it cannot be told, nothing is taken for lost.
        let broken = there().fails("vgs", 5, "no locking");
        assert!(lost(&broken, &[pair()]).is_err());
    }
}
