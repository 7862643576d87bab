//! A medium with one wrong bit in an artifact is refused before the first write.

use crate::answers;
use crate::case::Run;
use crate::disk::{Image, fingerprint};
use crate::installation::{DISK_MIB, FAILED, FINISHED, boot_medium, embed};
use crate::medium;
use crate::qemu::{Boot, Bus, Disk, Nic, Spec};
use anyhow::{Context, Result, bail, ensure};

/// Runs the case: a true boot, to the end, from an ISO that is damaged in the hypervisor.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let disk = Image::blank(&run.file("target.raw"), DISK_MIB)?;
    // Something to lose, and consent to lose it: only the damage stands between the installer and this.
    disk.write_at(0, &[0xa5; 4096])?;
    disk.write_at(DISK_MIB << 19, b"in the middle")?;
    let before = fingerprint(&disk.path)?;
    let text = answers::file(
        "bp-damaged",
        "path = \"/dev/vda\"\nwipe = true",
        "dhcp = true",
        None,
    );
    let iso = run.bench.workspace.iso()?.to_path_buf();
    let iso = run.phase("embed the answers", |run| embed(run, &iso, &text))?;
    let file = run.phase("turn one bit of xen.efi", |run| {
        medium::flip(run, &iso, ".xen.efi")
    })?;
    let spec = Spec {
        boot: Boot::Optical,
        optical: Some(iso.clone()),
        disks: vec![Disk {
            image: disk.clone(),
            bus: Bus::Virtio,
            serial: "BPVIRTIO01".into(),
        }],
        nic: Some(Nic::Virtio),
        ..Spec::new()
    };
    let mut machine = run.start(&spec, "damaged")?;
    boot_medium(run, &mut machine)?;
    run.phase("refusal", |run| {
        let found = machine
            .serial
            .expect(&[FAILED, FINISHED], run.bench.limit(100))?;
        if found.index == 1 {
            bail!("the damaged medium was installed");
        }
        run.screenshot(&mut machine, "refusal")?;
        machine
            .wait_off(run.bench.limit(30))
            .context("the answers say that a failed install switches off")?;
        for word in ["xen.efi", "damaged"] {
            ensure!(
                machine.serial.said(word),
                "the console does not say `{word}` about {file}:\n{}",
                machine.serial.tail(20)
            );
        }
        Ok(())
    })?;
    drop(machine);
    ensure!(
        fingerprint(&disk.path)? == before,
        "the disk was written to, although the medium is damaged"
    );
    run.note("the disk is untouched");
    std::fs::remove_file(&iso).with_context(|| format!("{} cannot be removed", iso.display()))
}
