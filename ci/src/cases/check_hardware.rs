//! "Check this hardware" of the medium's boot menu, to its end: the report on a stick, and without one the summary as a code
//! that a telephone reads from the screen.

use crate::boot_menu;
use crate::case::Run;
use crate::machine;
use crate::process;
use crate::qemu::{Boot, Firmware, Nic, Spec};
use crate::shell::Shell;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the first partition of a stick starts: 1 MiB, as every tool makes it.
const PARTITION: u64 = 1 << 20;
/// Bytes of a stick.
const STICK: u64 = 64 << 20;
/// Folder of the machine's report: its model and serial number as QEMU is told them.
const REPORT: &str = "bedplate-check/Test-machine-BP-TEST-1";

/// How the file system lies on a stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stick {
    /// All of it, as many sticks are sold.
    Whole,
    /// In a partition, as tools make it.
    Partition,
}

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let variables = run.file("variables");
    for (name, firmware, kind) in [
        ("BIOS", Firmware::Bios, Stick::Whole),
        ("UEFI", Firmware::uefi(&variables), Stick::Partition),
    ] {
        if name == "UEFI" {
            machine::empty_variables(&run.bench.tools, &variables)?;
        }
        let stick = stick(run, name, kind)?;
        run.look(&format!("{name}: the report on a stick"), |run| {
            let spec = spec(run, &firmware, Some(&stick))?;
            with_stick(run, &spec, name, &stick, kind)
        })?;
        run.look(&format!("{name}: the summary as a code"), |run| {
            let spec = spec(run, &firmware, None)?;
            with_code(run, &spec, name)
        })?;
    }
    Ok(())
}

fn spec(run: &Run, firmware: &Firmware, stick: Option<&Path>) -> Result<Spec> {
    let mut spec = Spec {
        boot: Boot::Optical,
        optical: Some(run.bench.workspace.iso()?.to_path_buf()),
        nic: Some(Nic::Virtio),
        firmware: firmware.clone(),
        ..Spec::new()
    };
    let mut further = vec!["-device".to_owned(), "qemu-xhci".to_owned()];
    if let Some(stick) = stick {
        let node = format!(
            "driver=raw,node-name=stick,file.driver=file,file.filename={}",
            stick.display()
        );
        let device = "usb-storage,drive=stick,removable=on".to_owned();
        further.extend(["-blockdev".to_owned(), node, "-device".to_owned(), device]);
    }
    spec.further = further;
    Ok(spec)
}

/// A stick with an empty FAT file system labelled BEDPLATE.
fn stick(run: &Run, name: &str, kind: Stick) -> Result<PathBuf> {
    let path = run.file(&format!("stick-{name}.raw"));
    std::fs::File::create(&path)?.set_len(STICK)?;
    let mut make = run.bench.tools.command("mkfs.vfat");
    make.args(["-F", "16", "-n", slots::names::ANSWER_LABEL]);
    if kind == Stick::Partition {
        make.args(["--offset", &(PARTITION / 512).to_string()]);
        write_table(&path)?;
    }
    make.arg(&path);
    if kind == Stick::Partition {
        make.arg(((STICK - PARTITION) / 1024).to_string());
    }
    process::run(&mut make, b"", Duration::from_secs(60))?;
    Ok(path)
}

/// A partition table of the old kind with one partition of FAT16.
///
/// Source: UEFI specification 2.10, 5.2.1: four records of 16 bytes from byte 446 on, start and size in sectors at 8 and 12
/// of each; then 55 AA.
fn write_table(path: &Path) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut record = [0; 16];
    record[4] = 0x06;
    let sectors = |bytes: u64| u32::try_from(bytes / 512);
    record[8..12].copy_from_slice(&sectors(PARTITION)?.to_le_bytes());
    record[12..16].copy_from_slice(&sectors(STICK - PARTITION)?.to_le_bytes());
    let file = std::fs::File::options().write(true).open(path)?;
    file.write_all_at(&record, 446)?;
    file.write_all_at(&[0x55, 0xaa], 510)?;
    Ok(())
}

/// Takes the entry and waits for the shell at the end.
fn check(run: &Run, spec: &Spec, name: &str) -> Result<(machine::Machine, String)> {
    let mut machine = run.start(spec, name)?;
    let title = boot_menu::choose(&mut machine, "Check this hardware", run.bench.limit(20))?;
    run.note(&format!("took `{title}`"));
    machine
        .serial
        .expect(&["Bedplate hardware check"], run.bench.limit(100))?;
    let said = machine
        .serial
        .expect(&["root@"], run.bench.limit(60))
        .context("no shell opened")?
        .before;
    // What is on the serial line may not be on the screen yet.
    std::thread::sleep(Duration::from_secs(3));
    run.screenshot(&mut machine, name)?;
    Ok((machine, said))
}

fn with_stick(run: &Run, spec: &Spec, name: &str, stick: &Path, kind: Stick) -> Result<()> {
    let (mut machine, said) = check(run, spec, &format!("stick-{name}"))?;
    ensure!(
        said.contains(&format!("The report is in {REPORT} on /dev/sd")),
        "it does not say where the report is:\n{said}"
    );
    ensure!(!said.contains('\u{2588}'), "no code is needed:\n{said}");
    let mut shell = Shell::attach(&mut machine, run.bench.limit(20))?;
    let mounts = shell.must("findmnt -rno TARGET,SOURCE", run.bench.limit(10))?;
    ensure!(
        !mounts.contains("check-volume"),
        "the stick is still mounted:\n{mounts}"
    );
    // Pulled without a word, as everybody does.
    drop(machine);
    let image = match kind {
        Stick::Whole => stick.display().to_string(),
        Stick::Partition => format!("{}@@{PARTITION}", stick.display()),
    };
    for file in ["report.txt", "facts.json", "verdict.json"] {
        let copy = run.file(&format!("{name}-{file}"));
        let mut mcopy = run.bench.tools.command("mcopy");
        mcopy
            .args(["-n", "-i", &image, &format!("::{REPORT}/{file}")])
            .arg(&copy);
        process::run(&mut mcopy, b"", Duration::from_secs(60))?;
    }
    // The same facts give the same verdict at a desk.
    let facts = run.file(&format!("{name}-facts.json"));
    let mut again = Command::new(run.bench.workspace.program("hcl-checker")?);
    again.args(["check", "--json", "--facts"]).arg(&facts);
    let again = process::output(&mut again, b"", Duration::from_secs(60))?;
    let again: Value = serde_json::from_slice(&again.stdout).context("the verdict at a desk")?;
    let verdict = json(&run.file(&format!("{name}-verdict.json")))?;
    ensure!(
        verdict["level"] == again["level"],
        "the stick says {}, its facts give {}",
        verdict["level"],
        again["level"]
    );
    let report = std::fs::read_to_string(run.file(&format!("{name}-report.txt")))?;
    ensure!(
        report.contains("Bedplate Test machine"),
        "the report does not name the machine:\n{report}"
    );
    Ok(())
}

fn json(file: &Path) -> Result<Value> {
    let bytes = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}", file.display()))
}

fn with_code(run: &Run, spec: &Spec, name: &str) -> Result<()> {
    let picture = format!("code-{name}");
    let (machine, said) = check(run, spec, &picture)?;
    drop(machine);
    ensure!(
        said.contains("There is no file system labelled BEDPLATE"),
        "it does not say why there is no report:\n{said}"
    );
    let mut scan = Command::new("zbarimg");
    scan.args([
        "--quiet",
        "--raw",
        "--nodbus",
        "-Sdisable",
        "-Sqrcode.enable",
    ])
    .arg(run.file(&format!("{picture}.png")));
    let scanned = process::run(&mut scan, b"", Duration::from_secs(60))
        .context("the code on the screen cannot be read")?;
    run.note(scanned.trim());
    let verdict = json(&run.file(&format!("{name}-verdict.json")))?;
    // As people read it: `unlisted_no_driver` of the file is `UNLISTED, NO DRIVER` there.
    let level = said
        .lines()
        // The rest of the line that was waited for.
        .skip(1)
        .map(str::trim)
        .find(|line| !line.is_empty())
        .and_then(|line| line.split("  ").next())
        .unwrap_or_default()
        .to_owned();
    let expected = format!(
        "BEDPLATE {}: {level}: TEST MACHINE: SN BP-TEST-1: ",
        env!("CARGO_PKG_VERSION")
    );
    ensure!(
        !level.is_empty() && scanned.starts_with(&expected),
        "it says `{scanned}` and should begin with `{expected}`"
    );
    // What blocks comes first, by its rule.
    let findings = verdict["findings"].as_array().context("no findings")?;
    let blocking = findings
        .iter()
        .find(|finding| finding["severity"] == "blocks");
    if let Some(rule) = blocking.and_then(|finding| finding["rule"].as_str()) {
        ensure!(
            scanned.contains(&format!(": X {}", rule.to_uppercase())),
            "it does not name {rule}: `{scanned}`"
        );
    }
    Ok(())
}
