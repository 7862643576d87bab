//! What the installer must refuse, each tried in the same saved live system, with every disk's bytes compared.

use crate::answers;
use crate::boot_menu;
use crate::case::Run;
use crate::disk::{Image, fingerprint};
use crate::machine::Machine;
use crate::qemu::{Boot, Bus, Disk, Nic, STATE_NODE, Spec};
use crate::shell::Shell;
use anyhow::{Context, Result, bail, ensure};
use slots::Layout;
use slots::block::{Access, BlockDevice, FileDevice};
use slots::gpt::{Guids, write_table};

/// Name of the saved machine.
const TAG: &str = "live";
/// Where the answers of a case lie in the live system.
const ANSWERS: &str = "/run/answers.toml";
/// Where the artifacts lie in the live system.
const TARGETS: &str = "/run/bedplate/medium/bedplate/repository/targets";

/// One thing that must be refused.
struct Refusal {
    name: &'static str,
    /// Shell commands that prepare it.
    before: String,
    /// The answer file; none when `source` needs none.
    answers: String,
    /// What `--answers` is given.
    source: &'static str,
    /// Words that the message must have.
    says: Vec<&'static str>,
}

/// Runs the case.
///
/// # Errors
/// The first refusal that is none, or does not say why.
pub fn run(run: &mut Run) -> Result<()> {
    let disks = disks(run)?;
    let state = Image::store(&run.bench.tools, &run.file("saved.qcow2"), 8192)?;
    let spec = Spec {
        boot: Boot::Optical,
        optical: Some(run.bench.workspace.iso()?.to_path_buf()),
        disks: disks.clone(),
        nic: Some(Nic::Virtio),
        saved_state: Some(state),
        ..Spec::new()
    };
    let mut machine = run.start(&spec, "live")?;
    run.phase("boot the rescue shell of the medium", |run| {
        let title = boot_menu::choose(&mut machine, "rescue", run.bench.limit(20))?;
        run.note(&format!("took `{title}`"));
        machine
            .serial
            .expect(&["root@"], run.bench.limit(120))
            .context("no prompt of a rescue shell")?;
        let mut shell = Shell::attach(&mut machine, run.bench.limit(20))?;
        let said = shell.must("cat /run/bedplate/boot.json", run.bench.limit(10))?;
        ensure!(
            said.contains("\"in_memory\": true") || said.contains("\"in_memory\":true"),
            "the medium is not in memory:\n{said}"
        );
        run.screenshot(&mut machine, "rescue-shell")
    })?;
    run.phase("save the machine", |_| machine.qmp.save(TAG, STATE_NODE))?;
    let before = fingerprints(&disks)?;
    for refusal in refusals() {
        run.phase(&format!("refuses {}", refusal.name), |run| {
            machine.qmp.load(TAG, STATE_NODE)?;
            refuse(run, &mut machine, &refusal)?;
            for (disk, (before, now)) in disks.iter().zip(before.iter().zip(fingerprints(&disks)?))
            {
                ensure!(*before == now, "the disk {} was written to", disk.serial);
            }
            Ok(())
        })?;
    }
    run.note("all disks are untouched");
    Ok(())
}

fn refuse(run: &Run, machine: &mut Machine, refusal: &Refusal) -> Result<()> {
    let limit = run.bench.limit(30);
    let mut shell = Shell::resume(machine);
    if !refusal.before.is_empty() {
        shell.must(&refusal.before, limit)?;
    }
    if !refusal.answers.is_empty() {
        shell.write(ANSWERS, refusal.answers.as_bytes(), limit)?;
    }
    let ran = shell.run(
        &format!("installer install --answers {}", refusal.source),
        limit * 3,
    )?;
    std::fs::write(
        run.file(&format!("{}.txt", refusal.name.replace(' ', "-"))),
        format!("{}\nstatus {}\n", ran.output, ran.status),
    )?;
    if ran.status == 0 {
        bail!("it was installed:\n{}", ran.output);
    }
    // A crash is not a refusal.
    ensure!(
        (1..=63).contains(&ran.status),
        "the installer ended with status {}:\n{}",
        ran.status,
        ran.output
    );
    let said = ran.output.to_lowercase();
    for word in &refusal.says {
        ensure!(
            said.contains(&word.to_lowercase()),
            "the message does not say `{word}`:\n{}",
            ran.output
        );
    }
    ensure!(
        !ran.output.contains("panicked at"),
        "the installer crashed:\n{}",
        ran.output
    );
    Ok(())
}

/// An empty disk, one with data, one that is too small, one that runs Bedplate.
fn disks(run: &Run) -> Result<Vec<Disk>> {
    let image = |name: &str, mib| Image::blank(&run.file(&format!("{name}.raw")), mib);
    let data = image("data", 24 * 1024)?;
    // An ext4 file system: the installer must see that something is there.
    let mut mkfs = run.bench.tools.command("mkfs.ext4");
    mkfs.args(["-q", "-F", "-L", "precious"]).arg(&data.path);
    crate::process::run(&mut mkfs, b"", std::time::Duration::from_secs(120))?;
    let disk = |image, serial: &str| Disk {
        image,
        bus: Bus::Virtio,
        serial: serial.into(),
    };
    // A disk that runs Bedplate, as far as its partition table tells.
    let host = image("host", 24 * 1024)?;
    let mut device = FileDevice::open(&host.path, Access::Exclusive)?;
    let layout = Layout::plan(device.size(), device.sector_size())?;
    write_table(&mut device, &layout, &Guids::random())?;
    Ok(vec![
        disk(image("empty", 24 * 1024)?, "BPEMPTY"),
        disk(data, "BPDATA"),
        disk(image("small", 4 * 1024)?, "BPSMALL"),
        disk(host, "BPHOST"),
    ])
}

fn fingerprints(disks: &[Disk]) -> Result<Vec<String>> {
    disks
        .iter()
        .map(|disk| fingerprint(&disk.image.path))
        .collect()
}

fn refusals() -> Vec<Refusal> {
    let answers = |disk: &str| answers::file("bp-refused", disk, "dhcp = true", None);
    let good = answers("match = { serial = \"BPEMPTY\" }");
    let plain = |name, answers: String, says: &[&'static str]| Refusal {
        name,
        before: String::new(),
        answers,
        source: ANSWERS,
        says: says.to_vec(),
    };
    let flipped = |name, artifact: &'static str| Refusal {
        name,
        // One bit in the middle is turned over, in the copy in memory, which is mounted read-only.
        before: format!(
            "mount -o remount,rw /run/bedplate/medium && f=$(ls {TARGETS}/*.{artifact}) && at=$(($(stat -c %s $f) / 2)) && \
             old=$(od -An -tu1 -j $at -N 1 $f) && printf \"\\\\x$(printf %02x $((old ^ 16)))\" | \
             dd of=$f bs=1 seek=$at conv=notrunc status=none && test $(od -An -tu1 -j $at -N 1 $f) -ne $old"
        ),
        answers: good.clone(),
        source: ANSWERS,
        says: vec![artifact, "damaged"],
    };
    vec![
        flipped("a damaged kernel", "vmlinuz"),
        flipped("a damaged hypervisor", "xen.gz"),
        flipped("a damaged root image", "root.img"),
        flipped("a damaged boot loader", "grub-bios-core.img"),
        flipped("a damaged initrd", "initrd.img"),
        flipped("damaged microcode", "ucode.img"),
        plain(
            "a disk with data and no consent",
            answers("match = { serial = \"BPDATA\" }"),
            &["BPDATA", "wipe"],
        ),
        plain(
            "a disk that runs Bedplate with no more than the consent to wipe",
            answers("match = { serial = \"BPHOST\" }\nwipe = true"),
            &["already runs Bedplate", "reinstall = true"],
        ),
        plain(
            "a match without a disk and lists the candidates",
            answers("match = { serial = \"NOSUCH\" }\nwipe = true"),
            &["BPEMPTY", "BPDATA", "BPSMALL", "BPHOST", "serial"],
        ),
        plain(
            "a disk that is too small",
            answers("match = { serial = \"BPSMALL\" }\nwipe = true"),
            &["GiB"],
        ),
        plain(
            "answers that are not TOML",
            good.replace("[system]", "[system"),
            &["TOML", "answers.toml:8:"],
        ),
        plain(
            "an unknown key with the nearest known one",
            good.replace("hostname =", "hostnane ="),
            &["hostnane", "did you mean `hostname`", "answers.toml:9:1"],
        ),
        Refusal {
            name: "a machine without a network card",
            before: "for n in /sys/class/net/e*; do d=$(readlink -f $n/device); echo ${d##*/} > $d/driver/unbind; done; \
                     sleep 1; ! ls -d /sys/class/net/e*"
                .into(),
            answers: good,
            source: ANSWERS,
            says: vec!["network"],
        },
        Refusal {
            name: "a URL that nobody answers",
            before: String::new(),
            answers: String::new(),
            // Port 9 of the machine that tests: nobody listens there.
            source: "http://10.0.2.2:9/answers.toml",
            says: vec!["http://10.0.2.2:9/answers.toml"],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_answers_are_bad_in_the_line_that_is_expected() {
        let line = |name: &str, word: &str| {
            let refusal = refusals()
                .into_iter()
                .find(|refusal| refusal.name.contains(name))
                .unwrap();
            refusal
                .answers
                .lines()
                .position(|line| line.starts_with(word))
                .unwrap()
                + 1
        };
        assert_eq!(line("not TOML", "[system"), 8);
        assert_eq!(line("unknown key", "hostnane"), 9);
    }

    #[test]
    fn names_are_file_names_and_differ() {
        let mut names: Vec<_> = refusals().iter().map(|refusal| refusal.name).collect();
        assert!(names.iter().all(|name| !name.contains('/')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), refusals().len());
    }
}
