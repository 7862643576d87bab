//! The network tells where the answers are, by a DHCP option or by a DNS record, and is trusted in nothing: SMBIOS says by whose
//! key they must be signed.

use super::network_source::{ended, oem_strings, sign};
use crate::answers;
use crate::case::Run;
use crate::disk::{self, Image};
use crate::installation::{DISK_MIB, FAILED, FINISHED, Hardware, boot_medium};
use crate::lan::{DOMAIN, Lan};
use crate::machine::Machine;
use crate::qemu::{Bus, Nic};
use crate::ssh::Key;
use crate::web_server::WebServer;
use anyhow::{Context, Result, ensure};

const HARDWARE: Hardware = Hardware {
    uefi: false,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPDISCOV1",
};
const HOSTNAME: &str = "bp-discovered";
/// The path of the answers on the server.
const ANSWERS: &str = "answers.toml";
/// The option and the record that docs/answers.md names.
const OPTION: u8 = 250;
const RECORD: &str = "bedplate-answers";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let key = Key::make(run.dir())?;
    let mut lan = Lan::new()?;
    let folder = tempfile::tempdir_in(run.bench.workspace.target())
        .context("the server's folder cannot be made")?;
    let server = WebServer::start_on(folder.path(), lan.address(), lan.address())?;
    let file = folder.path().join(ANSWERS);
    let text = answers::file(
        HOSTNAME,
        "match = { serial = \"BPDISCOV1\" }",
        "dhcp = true\n",
        Some(&key),
    );
    std::fs::write(&file, &text)?;
    let oem = [format!("bedplate.answers-key={}", sign(run, &file)?)];
    let url = format!("{}/{ANSWERS}", server.url());
    let disk = run.file("installed.raw");
    let image = Image::blank(&disk, DISK_MIB)?;

    // Signed, and then another disk was put in.
    std::fs::write(&file, text.replace("BPDISCOV1", "BPDISCOV2"))?;
    lan.serve(&[format!("--txt-record={RECORD}.{DOMAIN},{url}")])?;
    let before = disk::fingerprint(&disk)?;
    let mut machine = start(run, &image, &lan, &oem, "by-dns")?;
    run.phase("by DNS: answers that were changed are refused", |run| {
        let told = ended(run, &mut machine, "by-dns", FAILED)?;
        lan.check()?;
        ensure!(
            told.contains("are not signed by the key"),
            "the reason does not tell of the signature:\n{told}"
        );
        ensure!(
            disk::fingerprint(&disk)? == before,
            "the disk was written to"
        );
        let asked = server.asked();
        ensure!(
            asked == [format!("/{ANSWERS}"), format!("/{ANSWERS}.sig")],
            "asked for: {asked:?}"
        );
        Ok(())
    })?;
    drop(machine);

    std::fs::write(&file, &text)?;
    lan.serve(&[format!("--dhcp-option={OPTION},{url}")])?;
    let mut machine = start(run, &image, &lan, &oem, "by-dhcp")?;
    run.phase("by DHCP: install", |run| {
        let told = ended(run, &mut machine, "by-dhcp", FINISHED)?;
        lan.check()?;
        let asked = server.asked();
        ensure!(
            asked.contains(&format!("/{ANSWERS}")),
            "asked for: {asked:?}; it says\n{told}"
        );
        ensure!(
            machine.serial.said("by DHCP option 250"),
            "it does not say where the answers come from"
        );
        Ok(())
    })?;
    run.phase("power off after the install", |run| {
        machine.wait_off(run.bench.limit(30))
    })
}

/// Starts the machine from the medium without answers in it, on the network of the case.
fn start(run: &mut Run, image: &Image, lan: &Lan, oem: &[String], name: &str) -> Result<Machine> {
    let mut spec = HARDWARE.medium(image, run.bench.workspace.iso()?);
    spec.nic = None;
    spec.further.extend(lan.arguments());
    spec.further.extend(oem_strings(oem));
    let mut machine = run.start(&spec, name)?;
    boot_medium(run, &mut machine)?;
    Ok(machine)
}
