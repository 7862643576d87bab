//! The end-to-end cases.

mod certify;
mod check_hardware;
mod damaged_medium;
mod discovery;
mod guests;
mod hooks;
mod hosts;
mod hotfix;
mod medium;
mod mirror;
mod network_source;
mod power_cuts;
mod refusals;
mod reinstall;
mod screens;
mod secure_boot;
mod smoke;
mod storage;
mod updates;
mod upgrade;
mod xe_guests;

use crate::case::Run;
use anyhow::Result;

/// One case.
pub struct Case {
    /// Its name on the command line, and the name of its folder of evidence.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Only run by name or where all are asked for: it takes longer than the short run allows.
    pub long: bool,
    /// Runs it.
    pub run: fn(&mut Run) -> Result<()>,
}

/// All cases, in the order in which they run.
pub static ALL: &[Case] = &[
    Case {
        name: "smoke",
        about: "Xen and a tiny PV dom0 without any disk: the harness and the emulated processor work",
        long: false,
        run: smoke::run,
    },
    Case {
        name: "bios-virtio",
        about: "BIOS, virtio disk: install, boot, look, serial login, PV and PVH guests, restart, rescue entry",
        long: false,
        run: hosts::bios_virtio,
    },
    Case {
        name: "uefi-nvme",
        about: "UEFI, NVMe disk of 4096-byte sectors, Intel network card, static address: booted by the host's own entry, and by the fallback path",
        long: false,
        run: hosts::uefi_nvme,
    },
    Case {
        name: "bios-ahci",
        about: "BIOS, SATA disk taken by its path; the disk of another Bedplate beside it",
        long: true,
        run: hosts::bios_ahci,
    },
    Case {
        name: "hooks",
        about: "BIOS: hooks before the install, before the first boot and at the first boot, and none at the second",
        long: true,
        run: hooks::run,
    },
    Case {
        name: "hotfix",
        about: "UEFI: a hotfix applied with xe is good, a guest is back; one without toolstack falls back; licensed, the next comes by itself",
        long: true,
        run: hotfix::run,
    },
    Case {
        name: "secure-boot",
        about: "UEFI in setup mode: keys enrolled, host and medium started by them; a crash leaves a dump; what was changed, unsigned or injected is not",
        long: true,
        run: secure_boot::run,
    },
    Case {
        name: "updates",
        about: "BIOS: a repository with a newer release; an unlicensed host is told, a licensed one installs it and restarts by itself",
        long: true,
        run: updates::run,
    },
    Case {
        name: "falls-back",
        about: "UEFI: hotfixes that lose the network, panic and hang: the host goes back by itself and says why",
        long: true,
        run: hotfix::falls_back,
    },
    Case {
        name: "rollback",
        about: "UEFI: a hotfix applied with xe, good, and gone back from by hand",
        long: true,
        run: hotfix::by_hand,
    },
    Case {
        name: "power-cuts",
        about: "BIOS: the power goes at 20 random moments of a hotfix (--moments, --seed); what was not flushed is lost; a rerun finishes",
        long: true,
        run: power_cuts::run,
    },
    Case {
        name: "mirror",
        about: "BIOS, two disks: either alone boots, a half that comes back is made whole, two histories are never merged",
        long: true,
        run: mirror::run,
    },
    Case {
        name: "network-source",
        about: "BIOS: signed answers whose place SMBIOS tells, and a release, both from a server; answers that were changed are refused",
        long: true,
        run: network_source::run,
    },
    Case {
        name: "discovery",
        about: "BIOS: the network tells where signed answers are, by a DHCP option and by a DNS record; changed answers are refused",
        long: true,
        run: discovery::run,
    },
    Case {
        name: "storage",
        about: "BIOS, three disks: storage repositories of volumes and of files on disks of their own, used and taken away",
        long: true,
        run: storage::run,
    },
    Case {
        name: "reinstall",
        about: "BIOS: a host is installed anew on its own disk, and its storage repository stays with what was written",
        long: true,
        run: reinstall::run,
    },
    Case {
        name: "upgrade",
        about: "UEFI: a host is upgraded from the medium of the next release, keeps settings and storage; the old one starts from the menu",
        long: true,
        run: upgrade::run,
    },
    Case {
        name: "xe-guests",
        about: "BIOS: guests made with xe, seen by virsh, snapshot, export and import, back after a restart of the host",
        long: true,
        run: xe_guests::run,
    },
    Case {
        name: "certify",
        about: "BIOS: a certification with guests, disk, network, virtual functions, restart and crash, to the entry for the list",
        long: true,
        run: certify::run,
    },
    Case {
        name: "check-hardware",
        about: "\"Check this hardware\" by BIOS and by UEFI: the report on a stick, and without one a code that is read from the screen",
        long: true,
        run: check_hardware::run,
    },
    Case {
        name: "medium-xen",
        about: "Xen booted from the medium by BIOS and by UEFI, without a disk",
        long: true,
        run: medium::medium_xen,
    },
    Case {
        name: "no-answers",
        about: "the medium without answers, with a bad one, and without a network card, booted to the end: told, nothing written",
        long: false,
        run: medium::no_answers,
    },
    Case {
        name: "screens",
        about: "the installer's screens over the serial line, through a terminal: from welcome to a host that runs",
        long: false,
        run: screens::run,
    },
    Case {
        name: "refusals",
        about: "damaged artifacts, disks with data, no or small disks, bad answers: refused, disks untouched",
        long: false,
        run: refusals::run,
    },
    Case {
        name: "damaged-medium",
        about: "an ISO with one wrong bit, booted to the end: refused, the disk untouched",
        long: false,
        run: damaged_medium::run,
    },
];

/// The case `name`.
pub fn find(name: &str) -> Option<&'static Case> {
    ALL.iter().find(|case| case.name == name)
}
