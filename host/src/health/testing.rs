//! A host in memory for tests of its health.

use super::*;
use crate::local::boot_of;
use slots::boot_state::{BootState, GOOD_ENV, STATE_ENV};
use slots::env_block::EnvBlock;
use std::fs;
use steps::RecordingSystem;
use tempfile::TempDir;

pub(super) const RUNNING: &str = "aaaaaaaaaaaaaaaa";
pub(super) const OTHER: &str = "bbbbbbbbbbbbbbbb";

/// What the initrd left.
pub(super) fn record(mode: Mode) -> String {
    let boot = BootRecord {
        mode,
        ..boot_of("0.1.0", "/dev/sda3")
    };
    serde_json::to_string(&boot).unwrap()
}

pub(super) const UP: &str =
    r#"[{"addr_info":[{"family":"inet","local":"10.0.2.15","scope":"global"}]}]"#;

/// A host on which everything is as it should be.
pub(super) fn good_host() -> RecordingSystem {
    RecordingSystem::new()
        .strict()
        .file("/run/bedplate/boot.json", record(Mode::Host))
        .file("/proc/xen/capabilities", "control_d\n")
        .file("/proc/uptime", "31.42 60.00\n")
        .file(
            "/proc/self/mounts",
            "/dev/dm-0 / squashfs ro 0 0\noverlay /etc overlay rw,relatime,lowerdir=/x 0 0\n",
        )
        .file("/sys/class/net/xenbr0/operstate", "up\n")
        .prints(
            "xl list",
            "Name ID Mem VCPUs State Time(s)\nDomain-0 0 1024 1 r----- 9.0\n",
        )
        .prints("virsh -c xen:///system list", "")
        .prints("virsh -q -c xen:///system list", "")
        .prints("ip -json address show dev xenbr0", UP)
        .prints("vgs", crate::storage::lvm::VGS)
}

pub(super) const MORE_GROUPS: &str = r#"{"report":[{"vg":[
    {"vg_name":"bedplate-fast","vg_uuid":"f","vg_attr":"wz--n-","vg_size":"4294967296","vg_free":"3221225472","lv_count":"1"},
    {"vg_name":"bedplate-archive","vg_uuid":"a","vg_attr":"wz--n-","vg_size":"8589934592","vg_free":"0","lv_count":"1"},
    {"vg_name":"bedplate","vg_uuid":"l","vg_attr":"wz--n-","vg_size":"2147483648","vg_free":"1073741824","lv_count":"1"}]}]}"#;

/// The same with storage repositories on two more disks.
pub(super) fn more_storage() -> RecordingSystem {
    good_host()
        .file("/etc/lvm/lvmlocal.conf", crate::storage::groups::LVMLOCAL)
        .file(
            "/etc/fstab",
            "/dev/bedplate-archive/files /srv/storage/archive ext4 nofail 0 2\n\
             UUID=1 /srv/xen/cccccccc-1111-4111-8111-111111111111 ext4 nofail 0 2\n",
        )
        .prints("vgs", MORE_GROUPS)
        .prints(
            "df",
            "Mounted on 1B-blocks Used\n/srv/storage/archive 8589934592 4294967296\n",
        )
}

pub(super) fn before(system: &RecordingSystem) -> Vec<u8> {
    let (baseline, unknown) = Baseline::now(system, RUNNING);
    assert_eq!(unknown, [""; 0]);
    baseline.save(system, &Places::default()).unwrap();
    system.content(BEFORE).unwrap()
}

pub(super) const BEFORE: &str = "/var/lib/bedplate/hotfix/trial/before.json";

pub(super) fn esp(state: &BootState) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("grub")).unwrap();
    fs::write(
        dir.path().join(STATE_ENV),
        state.to_env().unwrap().to_bytes().unwrap(),
    )
    .unwrap();
    fs::write(
        dir.path().join(GOOD_ENV),
        state.to_good_env().unwrap().to_bytes().unwrap(),
    )
    .unwrap();
    dir
}

pub(super) fn state(good: Option<&str>, try_id: Option<&str>, tries: u8) -> BootState {
    BootState {
        good: good.map(Into::into),
        try_id: try_id.map(Into::into),
        tries,
        ..BootState::default()
    }
}

pub(super) fn on(dir: &TempDir, file: &str) -> BootState {
    BootState::from_env(&EnvBlock::read(&dir.path().join(file)).unwrap())
}

pub(super) fn check_once(system: &RecordingSystem, esp: &TempDir) -> HealthReport {
    check(system, esp.path(), &mut || false, &mut |_, _| true)
}
