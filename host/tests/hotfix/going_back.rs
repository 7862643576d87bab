//! Going back by hand, and what becomes of the settings in /etc: where it is cut off, where there is no room, and what is asked.

use crate::power_cut::{CutMachine, CutSystem, Power, restore};
use crate::site::Host;
use crate::trial::{both_were_good, health, record, report, settings, tried};
use host::XeError;
use host::hotfix::{
    self, Machine, PatchState, RealMachine, RolledBack, Settings, Verdict, after_boot, apply,
    deadline, try_failed, upload,
};
use slots::block::{Access, BlockDevice, OpenError};
use slots::boot_state::BootState;
use slots::env_block::{EnvBlock, EnvFileError};
use std::fs;
use std::io;
use std::path::Path;
use steps::sink::FanOut;

/// By somebody who agrees to everything.
pub fn rollback(host: &Host, settings: Settings) -> Result<RolledBack, XeError> {
    hotfix::rollback(&host.site(), settings, &mut |_| Ok(()))
}

/// A name of the host in a file of the settings, where it is there.
fn name(host: &Host, id: &str, folder: &str) -> Option<String> {
    fs::read_to_string(host.places.etc.join(id).join(folder).join("hostname")).ok()
}

fn guest(host: &Host, id: &str, name: &str) {
    let folder = host.places.etc.join(id).join("upper/libvirt/libxl");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.xml")), "<domain/>").unwrap();
}

/// 1.0.1 came up and is good; the name of the host was changed and a guest defined since.
pub fn updated() -> (Host, String) {
    let (host, uuid) = both_were_good();
    fs::write(settings(&host, host.new.id()).join("hostname"), "node-2").unwrap();
    guest(&host, host.new.id(), "web");
    (host, uuid)
}

fn take_the_try(host: &Host) {
    let state = host.state();
    assert_eq!(state.tries, 1);
    host.set_state(&BootState { tries: 0, ..state });
}

/// What the root `id` would start with, as its initrd decides it.
fn starts_with(host: &Host, id: &str) -> String {
    name(host, id, "upper").unwrap_or_else(|| {
        let from = fs::read_to_string(host.places.etc.join(id).join("from")).unwrap();
        name(host, from.trim(), "upper").unwrap()
    })
}

#[test]
fn what_changes_until_the_restart_comes_along() {
    let (host, uuid) = updated();
    let (old, new) = (host.old.id(), host.new.id());
    hotfix::rollback(&host.site(), Settings::Running, &mut |asked| {
        panic!("nothing is asked: {asked}")
    })
    .unwrap();
    fs::write(settings(&host, new).join("fstab"), "late").unwrap();
    take_the_try(&host);
    let upper = settings(&host, old);
    assert_eq!(fs::read_to_string(upper.join("fstab")).unwrap(), "late");
    assert!(upper.join("libvirt/libxl/web.xml").exists());
    assert_eq!(health(&host, false, true), Verdict::Stay);
    assert_eq!(record(&host, &uuid).state, PatchState::RolledBack);
    // The slot of the newer one gets another release.
    apply(&host.site(), &uuid, FanOut::new()).unwrap();
    assert_eq!(name(&host, new, "upper.own"), None);
    assert_eq!(starts_with(&host, new), "node-2");
}

#[test]
fn the_old_settings_are_asked_for_with_the_names_of_the_guests() {
    let (host, _) = updated();
    let (old, new) = (host.old.id(), host.new.id());
    guest(&host, old, "dns");
    guest(&host, new, "dns");
    guest(&host, new, "mail");
    let before = host.snapshot();
    let mut asked = String::new();
    let error = hotfix::rollback(&host.site(), Settings::Old, &mut |meaning| {
        asked = meaning.to_owned();
        Err(XeError::failure("CANCELED", ""))
    })
    .unwrap_err();
    assert_eq!(error.code, "CANCELED");
    assert!(
        asked.contains("/etc as it was when 1.0.0 ran last") && asked.contains(": mail, web."),
        "{asked}"
    );
    assert_eq!(
        host.snapshot(),
        before,
        "nothing changes before it is agreed to"
    );
    rollback(&host, Settings::Old).unwrap();
    take_the_try(&host);
    assert_eq!(name(&host, old, "upper").unwrap(), "node-1");
    assert_eq!(health(&host, false, true), Verdict::Stay);
    assert_eq!(name(&host, new, "upper.own").unwrap(), "node-2", "not lost");
}

#[test]
fn what_changes_while_the_old_settings_are_asked_for_is_not_lost() {
    let (host, _) = updated();
    let (state, site) = (host.state(), host.site());
    let error = hotfix::rollback(&site, Settings::Old, &mut |_| {
        hotfix::lock(site.system, site.places, "patch-upload").expect("nothing is held meanwhile");
        guest(&host, host.new.id(), "late");
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.code, "CHANGED_MEANWHILE", "{error}");
    assert_eq!(host.state(), state);
    // A hotfix that was arranged meanwhile would be taken back, and nobody asked for that.
    let error = hotfix::rollback(&site, Settings::Old, &mut |_| {
        host.set_state(&state.trying_once(host.old.id()));
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.code, "CHANGED_MEANWHILE", "{error}");
    assert_eq!(host.state().tries, 1);
}

#[test]
fn a_way_back_that_fails_leaves_everything_to_try_again() {
    #[derive(Debug, PartialEq)]
    enum Recorded {
        Whole,
        /// The power went before the boot loader forgot the try.
        CutOff,
        Not,
    }
    for recorded in [Recorded::Whole, Recorded::CutOff, Recorded::Not] {
        let (host, uuid) = updated();
        let (old, new) = (host.old.id(), host.new.id());
        rollback(&host, Settings::Running).unwrap();
        take_the_try(&host);
        fs::write(settings(&host, old).join("hostname"), "spoilt").unwrap();
        match recorded {
            Recorded::Whole => {
                assert_eq!(health(&host, true, true), Verdict::Stay);
                assert_eq!(host.state().try_id, None);
            }
            Recorded::CutOff => try_failed(&host.site(), new, old).unwrap(),
            Recorded::Not => host.boot(&host.new.manifest.root, "sda4"),
        }
        assert_eq!(record(&host, &uuid).state, PatchState::Applied);
        assert_eq!(host.next_start(), "1.0.1");
        assert_eq!(name(&host, new, "upper").unwrap(), "node-2");
        rollback(&host, Settings::Old).unwrap();
        assert_eq!(starts_with(&host, old), "node-1", "{recorded:?}");
        assert_eq!(
            name(&host, old, "upper.tried").unwrap(),
            "spoilt",
            "{recorded:?}"
        );
        // Once it failed with these, they are there still.
        take_the_try(&host);
        assert_eq!(health(&host, true, true), Verdict::Stay);
        assert_eq!(starts_with(&host, old), "node-2");
        rollback(&host, Settings::Old).unwrap();
        assert_eq!(starts_with(&host, old), "node-1");
    }
}

/// A machine with little room.
struct Full;

impl Machine for Full {
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn BlockDevice + Send>, OpenError> {
        RealMachine.open(path, access)
    }
    fn write_env(&self, path: &Path, block: &EnvBlock) -> Result<(), EnvFileError> {
        RealMachine.write_env(path, block)
    }
    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(64 << 20)
    }
}

#[test]
fn without_room_for_a_copy_nothing_changes() {
    let (host, uuid) = updated();
    let before = host.snapshot();
    let site = host.site_with(&host.system, &Full);
    let error = hotfix::rollback(&site, Settings::Running, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.code, "OUT_OF_SPACE");
    assert!(
        error.message.contains("a copy of the settings in /etc"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("xe patch-clean uuid={uuid}")),
        "{error}"
    );
    assert_eq!(host.snapshot(), before);
    // Its own need no copy.
    hotfix::rollback(&site, Settings::Old, &mut |_| Ok(())).unwrap();
}

fn cut_everywhere(which: Settings, torn: bool) {
    let (host, _) = updated();
    let (old, new) = (host.old.id(), host.new.id());
    let wanted = match which {
        Settings::Running => "node-2",
        Settings::Old => {
            // Its settings were moved away already.
            rollback(&host, Settings::Running).unwrap();
            rollback(&host, Settings::Running).unwrap();
            "node-1"
        }
    };
    // An older generation.
    if which == Settings::Running {
        let older = host.places.etc.join(old).join("upper.own");
        fs::create_dir_all(&older).unwrap();
        fs::write(older.join("hostname"), "node-0").unwrap();
        fs::write(older.join("motd"), "").unwrap();
    }
    let start = host.snapshot();
    for writes in 0.. {
        fs::remove_dir_all(&host.places.etc).unwrap();
        restore(&host, &start);
        let power = Power::after(writes, torn);
        let system = CutSystem::new(power.clone());
        let machine = CutMachine(power);
        let site = host.site_with(&system, &machine);
        let finished = hotfix::rollback(&site, which, &mut |_| Ok(())).is_ok();
        let after = format!("{which:?} after {writes} writes");
        assert_eq!(
            name(&host, new, "upper").as_deref(),
            Some("node-2"),
            "{after}"
        );
        if host.next_start() == "1.0.0" {
            assert_eq!(starts_with(&host, old), wanted, "{after}");
        } else {
            assert!(!finished, "{after}");
            // Also from the menu of the boot loader it would have settings.
            assert!(["node-1", "node-2"].contains(&starts_with(&host, old).as_str()));
            rollback(&host, which).unwrap_or_else(|e| panic!("{after}: {e}"));
            assert_eq!(host.next_start(), "1.0.0", "{after}");
            assert_eq!(starts_with(&host, old), wanted, "{after}");
        }
        if which == Settings::Running {
            assert_eq!(
                name(&host, old, "upper.own").as_deref(),
                Some("node-1"),
                "{after}"
            );
        }
        if finished {
            assert!(writes >= 4, "so few writes: {writes}");
            return;
        }
    }
}

#[test]
fn the_power_may_go_before_and_within_every_write() {
    for which in [Settings::Running, Settings::Old] {
        for torn in [false, true] {
            cut_everywhere(which, torn);
        }
    }
}

#[test]
fn the_host_goes_back_where_nothing_can_be_written() {
    let (host, uuid) = tried();
    host.boot(&host.new.manifest.root, "sda4");
    let power = Power::after(-1, false);
    let system = CutSystem::new(power.clone());
    let machine = CutMachine(power);
    let site = host.site_with(&system, &machine);
    let unhealthy = after_boot(&site, &host.record(), &host.state(), &report(false, None)).unwrap();
    let late = deadline(&site, &host.record(), &host.state(), 10);
    for (verdict, why) in [(unhealthy, "xenbr0 is down"), (late, "10 minutes")] {
        let Verdict::GoBack { to, reason } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(to, host.old.id());
        assert!(
            reason.contains(why) && reason.contains("not recorded"),
            "{reason}"
        );
    }
    assert_eq!(record(&host, &uuid).state, PatchState::RestartNeeded);
}

#[test]
fn a_disk_of_a_mirror_that_cannot_be_told_finds_settings() {
    let host = Host::new();
    let uploaded = upload(&host.site(), &host.hotfix("hotfix", false)).unwrap();
    apply(&host.site(), &uploaded.uuid, FanOut::new()).unwrap();
    let array = slots::PartitionKind::State.array_name();
    let md = host.places.sys_block.join(array).join("md");
    fs::create_dir_all(&md).unwrap();
    fs::write(md.join("degraded"), "0\n").unwrap();
    // There is no ESP in this test, so that the other one cannot be made equal to it.
    let RolledBack::Canceled { warning, .. } = rollback(&host, Settings::Running).unwrap() else {
        panic!("it was not taken back");
    };
    let warning = warning.unwrap();
    assert!(
        warning.contains("the other disk of the mirror is not told"),
        "{warning}"
    );
    assert_eq!(record(&host, &uploaded.uuid).state, PatchState::RolledBack);
    assert_eq!(starts_with(&host, host.new.id()), "node-1");
}
