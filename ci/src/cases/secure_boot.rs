//! Secure Boot from setup mode to a host that starts nothing else: who is root in dom0 changes what lies on the ESP, in the
//! firmware's list and in the slot, and none of it starts or has an effect.

use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::host_checks::{self, Check};
use crate::installation::{
    DISK_MIB, Entries, Hardware, Installation, Wishes, boot_medium, embed_unchecked, install,
};
use crate::process;
use crate::qemu::{Boot, Bus, Nic};
use crate::tpm::Tpm;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// What DHCP gives in QEMU's network.
const ADDRESS: &str = "10.0.2.15";
/// Name of the host.
const NAME: &str = "bp-secure";
/// A word that no command line has by itself.
const INJECTED: &str = "bedplate-injected";
/// A shell's way to the folder of the boot files.
const FOLDER: &str = "cd /boot/efi/bedplate/*/";
/// Turns over one bit in the middle of the file that is named behind it.
const FLIP: &str = r#"flip() { at=$(($(stat -c %s "$1") / 2)); byte=$(od -An -tu1 -j$at -N1 "$1"); printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none; sync; }; flip"#;

/// Runs the case.
///
/// # Errors
/// What starts, or has an effect, and must not; and what does not start.
pub fn run(run: &mut Run) -> Result<()> {
    let installation = install(
        run,
        Hardware {
            uefi: true,
            secure_boot: true,
            bus: Bus::Nvme,
            nic: Nic::Virtio,
            serial: "BPSECURE01",
        },
        Wishes {
            hostname: NAME,
            disk: "match = { serial = \"BPSECURE01\" }",
            network: "dhcp = true\n\n[boot]\nenroll_keys = true",
            pull_medium: false,
        },
    )?;
    let tpm = Tpm::start(run)?;
    let machine = installation.boot_as(run, Entries::Kept, "host", |spec| {
        spec.further.extend(tpm.arguments());
    })?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("look at the host", |run| {
        let mut checks = host_checks::under_xen(NAME, ADDRESS);
        checks.extend(enforced());
        checks.push(measured(run)?);
        host_checks::run_all(run, &host.ssh, &checks, "first-boot")
    })?;
    // The crash kernel is started by the hypervisor and not by the firmware, without its services and from a kernel that is
    // locked down.
    host.crash_hypervisor(run, "after a crash of the hypervisor")?;
    changed_boot_files(run, &mut host)?;
    injected_options(run, &mut host)?;
    host.power_off(run)?;
    drop(host);
    medium(run, &installation)?;
    changed_root(run, &installation)
}

/// What a host shows on which Secure Boot is enforced.
fn enforced() -> Vec<Check> {
    vec![
        Check::is(
            "the firmware enforces Secure Boot",
            "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-*",
            "1",
        ),
        Check::has(
            "the kernel is locked down",
            "cat /sys/kernel/security/lockdown",
            &["[integrity]"],
        ),
    ]
}

/// The registers of the TPM hold what `image-build inspect --pcrs` says of the medium.
fn measured(run: &Run) -> Result<Check> {
    let iso = run.bench.workspace.iso()?;
    let mut inspect = Command::new(run.bench.workspace.program("image-build")?);
    inspect.args(["inspect", "--pcrs", "--json"]).arg(iso);
    inspect.current_dir(run.bench.workspace.root());
    let said = process::run(&mut inspect, b"", Duration::from_secs(300))?;
    let said: Predicted = serde_json::from_str(&said)
        .context("`image-build inspect --pcrs --json` printed something else")?;
    anyhow::ensure!(!said.sha256.is_empty(), "no register is predicted");
    let (registers, values): (Vec<_>, Vec<_>) = said.sha256.into_iter().unzip();
    Ok(Check::is(
        "the TPM holds what is predicted",
        &format!(
            "cd /sys/class/tpm/tpm0/pcr-sha256 && cat {} | tr A-F a-f",
            registers.join(" ")
        ),
        &values.join("\n"),
    ))
}

#[derive(Deserialize)]
struct Predicted {
    sha256: BTreeMap<String, String>,
}

/// Nothing that was injected has reached a command line.
fn nothing_injected() -> Vec<Check> {
    vec![
        Check::is(
            "the hypervisor got no option",
            &format!("xl info | grep -c {INJECTED} || true"),
            "0",
        ),
        Check::is(
            "dom0's kernel got no option",
            &format!("grep -c {INJECTED} /proc/cmdline || true"),
            "0",
        ),
    ]
}

/// A flipped bit in xen.efi: GRUB does not start it, and falls back to the rescue system, which is signed, too. The firmware
/// does not start it either, nor the true one without its signature.
fn changed_boot_files(run: &mut Run, host: &mut Host) -> Result<()> {
    let limit = run.bench.limit(30);
    host.ssh.run(
        &format!("set -e; {FOLDER}; cp xen.efi /root/xen.efi; {FLIP} xen.efi"),
        limit,
    )?;
    host.restart(run, None, "flipped xen.efi")?;
    run.look("a flipped bit leads to the rescue system", |run| {
        let mut checks = vec![host_checks::mode("rescue")];
        checks.extend(enforced());
        host_checks::run_all(run, &host.ssh, &checks, "flipped")
    })?;
    // The directory entry of the certificates is at byte 168 behind the PE header; without it the file is what it was before it
    // was signed.
    host.ssh.run(
        &format!(
            "set -e; {FOLDER}; mv xen.efi flipped.efi; cp /root/xen.efi xen.efi; cp xen.efi unsigned.efi; \
             pe=$(od -An -tu4 -j60 -N4 xen.efi | tr -d ' '); \
             dd if=/dev/zero of=unsigned.efi bs=1 seek=$((pe + 168)) count=8 conv=notrunc status=none; \
             truncate -s $(od -An -tu4 -j$((pe + 168)) -N4 xen.efi | tr -d ' ') unsigned.efi; sync"
        ),
        limit,
    )?;
    for file in ["flipped.efi", "unsigned.efi"] {
        start_next(run, host, file, None)?;
        host.restart(run, None, file)?;
        run.look(&format!("the firmware does not start {file}"), |run| {
            // What it starts instead is the next in its list: the loader.
            let mut checks = vec![
                host_checks::mode("host"),
                Check::new("another entry was taken", "efibootmgr", |said| {
                    anyhow::ensure!(started(said) != Some("tampered"), "it was started");
                    Ok(())
                }),
            ];
            checks.extend(enforced());
            host_checks::run_all(run, &host.ssh, &checks, file)
        })?;
    }
    Ok(())
}

/// The label of the entry that the machine was started by.
fn started(efibootmgr: &str) -> Option<&str> {
    let number = efibootmgr
        .lines()
        .find_map(|line| line.strip_prefix("BootCurrent: "))?;
    let entry = efibootmgr
        .lines()
        .find_map(|line| line.strip_prefix(&format!("Boot{number}")))?;
    entry
        .trim_start_matches(['*', ' '])
        .split(['\t', ' '])
        .next()
}

/// Has the firmware start a file of the boot files itself, once.
fn start_next(run: &Run, host: &Host, file: &str, options: Option<&str>) -> Result<()> {
    let options = options.map_or(String::new(), |text| format!("--unicode '{text}'"));
    host.ssh.run(
        &format!(
            "set -e; {FOLDER}; id=$(basename $PWD); \
             old=$(efibootmgr | sed -n 's/^Boot\\([0-9A-F]*\\)[* ]* tampered.*/\\1/p'); \
             if [ -n \"$old\" ]; then efibootmgr -q -b $old -B; fi; \
             efibootmgr -q --create-only --disk /dev/nvme0n1 --part 1 --label tampered \
             --loader '\\bedplate\\'$id'\\{file}' {options}; \
             new=$(efibootmgr | sed -n 's/^Boot\\([0-9A-F]*\\)[* ]* tampered.*/\\1/p'); efibootmgr -q --bootnext $new"
        ),
        run.bench.limit(20),
    )?;
    Ok(())
}

/// Options through the loader's configuration and its blocks, and through an entry of the firmware that starts the signed xen.efi.
fn injected_options(run: &mut Run, host: &mut Host) -> Result<()> {
    let limit = run.bench.limit(20);
    host.ssh.run(
        &format!(
            "set -e; cd /boot/efi/grub; cp state.env /root; \
             sed -i '1i set bp_xen={INJECTED}\\nset bp_dom0={INJECTED}\\nset check_signatures=no' grub.cfg; \
             block() {{ {{ printf '# GRUB Environment Block\\n'; printf \"$1\"; head -c 1024 /dev/zero | tr '\\0' '#'; }} | head -c 1024; }}; \
             block 'bp_xen={INJECTED}\\nbp_dom0={INJECTED}\\n' > options.env; \
             id=$(ls /boot/efi/bedplate | head -n1); \
             block \"good=$id\\nconsole=com1 {INJECTED}\\nbp_xen={INJECTED}\\nbp_dom0={INJECTED}\\nsuperusers=root\\n\" > state.env; sync"
        ),
        limit,
    )?;
    host.restart(run, None, "injected by the loader's files")?;
    run.look("the loader's files add nothing", |run| {
        let mut checks = vec![host_checks::mode("host")];
        checks.extend(nothing_injected());
        checks.extend(enforced());
        host_checks::run_all(run, &host.ssh, &checks, "loader")
    })?;
    let options = format!(
        "xen.efi com1 -- {INJECTED} loglvl=all -- {INJECTED} bedplate.mode=rescue init=/bin/sh"
    );
    start_next(run, host, "xen.efi", Some(&options))?;
    host.go_down(run, "injected by the firmware")?;
    run.phase("injected by the firmware: to the login", |run| {
        host.machine
            .serial
            .expect(&["login: "], run.bench.limit(120))?;
        host.ssh.wait(run.bench.limit(30))
    })?;
    run.look("the firmware's entry adds nothing", |run| {
        let mut checks = vec![
            host_checks::mode("host"),
            Check::new("the entry was taken", "efibootmgr", |said| {
                anyhow::ensure!(started(said) == Some("tampered"), "another was started");
                Ok(())
            }),
        ];
        checks.extend(nothing_injected());
        checks.extend(enforced());
        host_checks::run_all(run, &host.ssh, &checks, "firmware")
    })
}

/// The medium starts, too: by the same keys.
fn medium(run: &mut Run, installation: &Installation) -> Result<()> {
    let iso = run.bench.workspace.iso()?.to_path_buf();
    let iso = embed_unchecked(run, &iso, "# none\n")?;
    let disk = Image::blank(&run.file("other.raw"), DISK_MIB)?;
    let variables = run.file("medium.variables");
    if let Some(installed) = &installation.variables {
        std::fs::copy(installed, &variables)?;
    }
    let mut spec = installation.hardware.spec(&disk, Some(&variables));
    spec.boot = Boot::Optical;
    spec.optical = Some(iso.clone());
    let mut machine = run.start(&spec, "medium")?;
    boot_medium(run, &mut machine)?;
    drop(machine);
    std::fs::remove_file(&iso)?;
    std::fs::remove_file(&disk.path)?;
    Ok(())
}

/// One bit of the root image: the initrd does not go on.
fn changed_root(run: &mut Run, installation: &Installation) -> Result<()> {
    let machine = installation.boot(run, Entries::Kept, "root")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "before the change")?;
    // The first block is the file system's own description, without which nothing of it is read.
    host.ssh.run(
        "set -e; slot=/dev/disk/by-partlabel/bedplate-a; byte=$(od -An -tu1 -j8 -N1 $slot); \
         printf \"\\x$(printf %x $((byte ^ 1)))\" | dd of=$slot bs=1 seek=8 conv=notrunc,fsync status=none",
        run.bench.limit(20),
    )?;
    run.phase("a flipped bit of the root image", |run| {
        host.machine.serial.skip();
        host.machine.qmp.reset()?;
        host.machine
            .serial
            .expect(&["The boot cannot go on"], run.bench.limit(120))?;
        Ok(())
    })
}
