//! Answers and the release come over the network: the machine's SMBIOS says where the answers are and who must have signed them,
//! and the answers say where the release is.

use crate::answers;
use crate::case::Run;
use crate::disk::{self, Image};
use crate::host::Host;
use crate::installation::{DISK_MIB, FAILED, FINISHED, Hardware, boot_medium};
use crate::machine::Machine;
use crate::process;
use crate::qemu::{Boot, Bus, Nic, Spec};
use crate::ssh::Key;
use crate::web_server::WebServer;
use anyhow::{Context, Result, bail, ensure};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const HARDWARE: Hardware = Hardware {
    uefi: false,
    secure_boot: false,
    bus: Bus::Virtio,
    nic: Nic::Virtio,
    serial: "BPNETSRC1",
};
const HOSTNAME: &str = "bp-network";
/// The path of the answers on the server, and of the release.
const ANSWERS: &str = "answers.toml";
const RELEASE: &str = "release";

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let key = Key::make(run.dir())?;
    let folder = tempfile::tempdir_in(run.bench.workspace.target())
        .context("the server's folder cannot be made")?;
    let repository = run.bench.workspace.target().join("iso/bedplate/repository");
    ensure!(
        repository.join("metadata").is_dir(),
        "{} is not there: `cargo run --release -p image-build -- iso` makes it",
        repository.display()
    );
    symlink(&repository, folder.path().join(RELEASE))?;
    let server = WebServer::start(folder.path())?;
    let file = folder.path().join(ANSWERS);
    let text = format!(
        "{}\n[source]\nurl = \"{}/{RELEASE}\"\n",
        answers::file(
            HOSTNAME,
            "match = { serial = \"BPNETSRC1\" }",
            "dhcp = true\n",
            Some(&key)
        ),
        server.url()
    );
    std::fs::write(&file, &text)?;
    let signed_by = sign(run, &file)?;
    let oem = [
        format!("bedplate.answers={}/{ANSWERS}", server.url()),
        format!("bedplate.answers-key={signed_by}"),
    ];

    // Signed, and then another disk was put in.
    std::fs::write(&file, text.replace("BPNETSRC1", "BPNETSRC2"))?;
    let disk = run.file("installed.raw");
    let image = Image::blank(&disk, DISK_MIB)?;
    let before = disk::fingerprint(&disk)?;
    let mut machine = start(run, &image, &oem, "changed answers")?;
    run.phase("answers that were changed are refused", |run| {
        let told = ended(run, &mut machine, "changed-answers", FAILED)?;
        ensure!(
            told.contains("sign"),
            "the reason does not tell of the signature:\n{told}"
        );
        ensure!(
            disk::fingerprint(&disk)? == before,
            "the disk was written to"
        );
        let asked = server.asked();
        ensure!(
            asked.iter().any(|path| path.ends_with(".sig"))
                && !asked.iter().any(|path| path.contains(RELEASE)),
            "asked for: {asked:?}"
        );
        Ok(())
    })?;
    drop(machine);

    std::fs::write(&file, &text)?;
    let mut machine = start(run, &image, &oem, "install")?;
    run.phase("install", |run| {
        ended(run, &mut machine, "install", FINISHED)?;
        let asked = server.asked();
        ensure!(
            asked.iter().any(|path| path.ends_with(".root.img")),
            "the release did not come from the server, which was asked for {asked:?}"
        );
        Ok(())
    })?;
    run.phase("power off after the install", |run| {
        machine.wait_off(run.bench.limit(30))
    })?;
    drop(machine);

    let spec = Spec {
        boot: Boot::Disk,
        ..HARDWARE.spec(&image, None)
    };
    let machine = run.start(&spec, "host")?;
    let mut host = Host::come_up(run, machine, &key, None, "first boot")?;
    run.look("the host that the answers describe", |run| {
        let said = host.ssh.run(
            "hostname; systemctl --failed --no-legend | wc -l",
            run.bench.limit(30),
        )?;
        ensure!(said == format!("{HOSTNAME}\n0\n"), "it says:\n{said}");
        Ok(())
    })?;
    host.power_off(run)
}

/// Signs the answers at `file` with a new key; returns its public half in hexadecimal digits.
pub(super) fn sign(run: &Run, file: &Path) -> Result<String> {
    let mut command = Command::new(run.bench.workspace.program("installer")?);
    command.arg("sign-answers").arg(file);
    command.arg("--key").arg(file.with_extension("key"));
    let said = process::run(&mut command, b"", Duration::from_secs(60))?;
    let word = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("bedplate.answers-key="));
    Ok(word
        .with_context(|| format!("no key in what sign-answers said:\n{said}"))?
        .to_owned())
}

/// The arguments for OEM strings in SMBIOS.
pub(super) fn oem_strings(texts: &[String]) -> impl Iterator<Item = String> {
    texts
        .iter()
        .flat_map(|text| ["-smbios".to_owned(), format!("type=11,value={text}")])
}

/// Starts the machine from the medium without answers in it, with OEM strings in its SMBIOS table.
fn start(run: &mut Run, image: &Image, oem: &[String], name: &str) -> Result<Machine> {
    let mut spec = HARDWARE.medium(image, run.bench.workspace.iso()?);
    spec.further.extend(oem_strings(oem));
    let mut machine = run.start(&spec, &name.replace(' ', "-"))?;
    boot_medium(run, &mut machine)?;
    Ok(machine)
}

/// Waits for the installer's end, which must be `wanted`. Returns its last lines.
pub(super) fn ended(
    run: &Run,
    machine: &mut Machine,
    picture: &str,
    wanted: &str,
) -> Result<String> {
    let ends = [FAILED, FINISHED];
    let found = machine.serial.expect(&ends, run.bench.limit(300))?;
    run.screenshot(machine, picture)?;
    let said = machine.serial.tail(30);
    if ends[found.index] != wanted {
        bail!("it ended with `{}`:\n{said}", ends[found.index]);
    }
    Ok(said)
}
