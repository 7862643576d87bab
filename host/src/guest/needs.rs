//! What guests that start with the host need before they can: disks, boot files and bridges.
//!
//! libvirtd starts them once, as soon as it runs itself, and never again. The volumes of a repository come by udev's events,
//! mounts of late disks after those, and both may well be later than libvirtd is: such a guest would stay off until somebody
//! notices.

use super::Domain;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::{Command, System};

/// Where libvirt's Xen driver keeps links to the definitions of the guests that it starts (`src/libxl/libxl_conf.c`).
const AUTOSTART: &str = "/etc/libvirt/libxl/autostart";
/// A folder per network interface.
const NETWORK: &str = "/sys/class/net";
/// Activating volumes waits for nothing but locks of LVM.
const ACTIVATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Paths that must be there before this guest starts.
pub fn of(domain: &Domain) -> BTreeSet<PathBuf> {
    let disks = domain.disks().into_iter().filter_map(|disk| disk.source);
    let boot = ["kernel", "initrd", "loader"].map(|name| domain.boot_file(name));
    let bridges = domain.nics().into_iter().filter_map(|nic| nic.bridge);
    disks
        .chain(boot)
        .map(PathBuf::from)
        // What is in a pool or behind a network is not looked for in a path.
        .filter(|path| path.is_absolute())
        .chain(bridges.map(|bridge| Path::new(NETWORK).join(bridge)))
        .collect()
}

/// What the guests that start with the host need and is not there, by the name of the guest. Definitions that cannot be read
/// need nothing: libvirt says what is wrong with them.
pub fn missing(system: &dyn System) -> Vec<(String, PathBuf)> {
    let links = system.list_dir(Path::new(AUTOSTART)).unwrap_or_default();
    let domains = links.iter().filter_map(|link| {
        let text = system.read_file(&Path::new(AUTOSTART).join(link)).ok()?;
        Domain::parse(&String::from_utf8(text).ok()?).ok()
    });
    domains
        .flat_map(|domain| {
            let name = domain.name();
            of(&domain)
                .into_iter()
                .map(move |path| (name.clone(), path))
        })
        .filter(|(_, path)| !system.exists(path))
        .collect()
}

/// Waits until nothing is missing or `wait` says that it is enough; activates volumes meanwhile, as an event of udev's may have
/// been lost. Returns what is missing still.
pub fn wait(system: &dyn System, wait: &mut dyn FnMut() -> bool) -> Vec<(String, PathBuf)> {
    loop {
        let missing = missing(system);
        if missing.is_empty() {
            return missing;
        }
        if missing.iter().any(|(_, path)| path.starts_with("/dev")) {
            // Which volumes are this host's is said in its lvmlocal.conf. What fails is seen by what stays missing.
            let activate = Command::new("vgchange").args(["-q", "-aay"]);
            let _ = system.run(&activate.timeout(ACTIVATE_TIMEOUT));
        }
        if !wait() {
            return self::missing(system);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::RecordingSystem;

    const DEFINITION: &str = "<domain type='xen'><name>web</name><uuid>926e3663-238a-42c0-988c-c4b0dc835e83</uuid>\
        <os><type>linux</type><kernel>/boot/efi/vmlinuz</kernel><loader>hvmloader</loader></os><devices>\
        <disk type='block' device='disk'><source dev='/dev/bedplate/vdi-1'/><target dev='xvda'/></disk>\
        <disk type='file' device='cdrom'><target dev='hdc'/></disk>\
        <interface type='bridge'><mac address='00:16:3e:00:00:01'/><source bridge='xenbr0'/></interface>\
        </devices></domain>";
    const ACTIVATE: &str = "vgchange -q -aay";

    fn host() -> RecordingSystem {
        RecordingSystem::new().file(format!("{AUTOSTART}/web.xml"), DEFINITION)
    }

    #[test]
    fn disks_boot_files_and_bridges_are_needed() {
        let needs = of(&Domain::parse(DEFINITION).unwrap());
        let paths = [
            "/boot/efi/vmlinuz",
            "/dev/bedplate/vdi-1",
            "/sys/class/net/xenbr0",
        ];
        assert_eq!(needs, paths.map(PathBuf::from).into());
    }

    #[test]
    fn without_guests_nothing_is_waited_for() {
        let system = RecordingSystem::new();
        assert_eq!(wait(&system, &mut || panic!("waited")), []);
        assert!(system.command_lines().is_empty());
    }

    #[test]
    fn a_volume_that_comes_late_is_waited_for() {
        let system = host()
            .file("/boot/efi/vmlinuz", "")
            .file("/sys/class/net/xenbr0/address", "")
            .prints(ACTIVATE, "");
        let mut rounds = 0;
        let left = wait(&system, &mut || {
            rounds += 1;
            if rounds == 2 {
                system
                    .write_file(Path::new("/dev/bedplate/vdi-1"), b"", 0o600)
                    .unwrap();
            }
            true
        });
        assert_eq!((left, rounds), (vec![], 2));
        assert_eq!(
            system
                .command_lines()
                .iter()
                .filter(|line| *line == ACTIVATE)
                .count(),
            2
        );
    }

    #[test]
    fn what_never_comes_is_named() {
        let system = host().file("/boot/efi/vmlinuz", "").prints(ACTIVATE, "");
        let mut rounds = 0;
        let left = wait(&system, &mut || {
            rounds += 1;
            rounds < 3
        });
        let web = |path: &str| ("web".to_owned(), PathBuf::from(path));
        assert_eq!(
            left,
            [web("/dev/bedplate/vdi-1"), web("/sys/class/net/xenbr0")]
        );
        assert_eq!(rounds, 3);
    }
}
