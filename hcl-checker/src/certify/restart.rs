//! Restarts and crashes: the machine goes down on purpose, comes back, and the run goes on by itself.

use super::change::read_text;
use super::run_state::Waiting;
use super::{Bench, Change, CrashOf, Outcome, TestError, exit, now};
use crate::facts::{Disk, Facts};
use crate::known::Known;
use crate::root::Root;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use steps::{Command, System};

/// Another value after each boot (Documentation/admin-guide/sysctl/kernel.rst).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const UNIT: &str = "/etc/systemd/system/hcl-checker-resume.service";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/hcl-checker-resume.service";
/// Where crash dumps are kept: kdump-tools, systemd-pstore, and the firmware's own.
const DUMPS: [&str; 3] = ["/var/crash", "/var/lib/systemd/pstore", "/sys/fs/pstore"];
/// Dumps up to this size are hashed; a dump of all memory is told by name and size.
const HASHED: u64 = steps::system::MAX_FILE;
/// Dumps up to this size are kept as evidence: the last words of a kernel are, an image of its memory is not.
const KEPT: u64 = 1 << 20;
/// Folders within folders that are looked into: systemd-pstore makes two, for the time and for the part.
const DEPTH: usize = 4;
/// What a kernel says as it panics, in its log, and what Xen says in its own when it is told to (xen/common/keyhandler.c,
/// `do_crashdump_trigger`) or panics (xen/drivers/char/console.c). Of several the last counts: a ring may hold older ones.
const LAST_WORDS: [&str; 3] = ["Kernel panic", "triggering crashdump", "Panic on CPU"];
/// What dom0 sees of the memory may differ a little from boot to boot: one part in so many.
const MEMORY_DIFFERS: u64 = 64;

/// Sends the machine down. Returns only where that failed.
pub(super) fn start(bench: &mut Bench<'_>, crash: Option<CrashOf>) -> Result<Outcome, TestError> {
    let boot_id = read_text(bench.system, BOOT_ID)?;
    let program = std::env::current_exe()?;
    for path in [UNIT, WANTED] {
        bench.change(Change::File {
            path: PathBuf::from(path),
        })?;
    }
    let unit = unit(&program, bench.folder);
    let system = bench.system;
    system.write_file(Path::new(UNIT), unit.as_bytes(), 0o644)?;
    system.create_dir_all(Path::new(WANTED).parent().unwrap_or(Path::new("/")))?;
    system.symlink(Path::new(UNIT), Path::new(WANTED))?;
    system.sync(Path::new(UNIT))?;
    bench.go_on()?;
    bench.state.waiting = Some(Waiting {
        test: bench.test.clone(),
        boot_id,
        since: now(),
        dumps: dumps(system),
    });
    bench.state.save(system, bench.folder)?;
    // What others wrote should not be the price of the crash.
    system.run(&Command::new("sync"))?;
    let down = match crash {
        None => Command::new("systemctl").arg("reboot"),
        // Documentation/admin-guide/sysrq.rst: `c` crashes, whatever kernel.sysrq allows at the keyboard.
        Some(CrashOf::Kernel) => super::change::poke("/proc/sysrq-trigger", "c"),
        // xen/common/keyhandler.c: `C` triggers a crash dump.
        Some(CrashOf::Xen) => Command::new("xl").args(["debug-keys", "C"]),
    };
    if let Err(error) = system.run(&down) {
        bench.state.waiting = None;
        return Err(error.into());
    }
    Err(TestError::Restarting)
}

/// A unit that goes on with the run. It is removed first thing, so it never runs twice. A report that says failed (1) or
/// incomplete (4), and a machine that goes down once more (6), are no failure of the unit.
fn unit(program: &Path, folder: &Path) -> String {
    // systemd.unit(5): a percent sign stands for itself when doubled; quotes keep spaces together.
    let quoted = |path: &Path| {
        let text = path.display().to_string();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
    };
    format!(
        "[Unit]\nDescription=hcl-checker goes on with a certification after a restart\n\
         After=multi-user.target\n\n[Service]\nType=exec\nExecStart={} certify --resume --out {}\n\
         SuccessExitStatus={} {} {}\n",
        quoted(program),
        quoted(folder),
        // Each is a run that did its work: it reached its report, or goes on after the next start.
        exit::FAILED,
        exit::INCOMPLETE,
        exit::GOES_ON
    )
}

/// Every dump that is there, by path.
fn dumps(system: &dyn System) -> Vec<String> {
    let mut found = Vec::new();
    for folder in DUMPS {
        files(system, folder, DEPTH, &mut found);
    }
    found
}

fn files(system: &dyn System, folder: &str, depth: usize, found: &mut Vec<String>) {
    for name in system.list_dir(Path::new(folder)).unwrap_or_default() {
        let path = format!("{folder}/{name}");
        if depth > 0 && system.list_dir(Path::new(&path)).is_ok() {
            files(system, &path, depth - 1, found);
        } else {
            found.push(path);
        }
    }
}

/// Goes on after the machine came back.
pub(super) fn resumed(
    bench: &mut Bench<'_>,
    waiting: &Waiting,
    crash: Option<CrashOf>,
) -> Result<Outcome, TestError> {
    let mut outcome = Outcome::new();
    let same_boot = read_text(bench.system, BOOT_ID)? == waiting.boot_id;
    outcome.measured(
        "another boot",
        if same_boot { "no" } else { "yes" },
        "yes",
        BOOT_ID,
    );
    if same_boot {
        outcome.fail("the machine did not go down");
        return Ok(outcome);
    }
    let seconds = now().saturating_sub(waiting.since);
    outcome.measured(
        "down and up again",
        format!("{seconds} s"),
        "",
        "the machine's clock",
    );
    let after = Facts::read(&Root::at(Path::new("/"))?);
    let changes = differences(bench.facts, &after);
    outcome.measured(
        "differences to the machine before",
        changes.len().to_string(),
        "0",
        "the facts",
    );
    outcome.expect(changes.is_empty(), || changes.join("; "));
    if crash.is_some() {
        collect(bench, waiting, &mut outcome)?;
    }
    Ok(outcome)
}

/// Takes down which dumps are new, with their digests, and keeps the small ones.
fn collect(
    bench: &mut Bench<'_>,
    waiting: &Waiting,
    outcome: &mut Outcome,
) -> Result<(), TestError> {
    let new: Vec<String> = dumps(bench.system)
        .into_iter()
        .filter(|path| !waiting.dumps.contains(path))
        .collect();
    let mut list = String::new();
    let mut last_words = None;
    for (number, path) in new.iter().enumerate() {
        // A file that is too large to be read is told as that.
        let content = bench.system.read_file(Path::new(path));
        let (bytes, digest) = match &content {
            Ok(content) => (content.len().to_string(), super::evidence::sha256(content)),
            Err(error) => (
                format!("more than {HASHED}"),
                format!("not hashed ({error})"),
            ),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(list, "{digest}  {bytes}  {path}");
        if let Ok(content) = content
            && content.len() as u64 <= KEPT
        {
            let name = path.rsplit('/').next().unwrap_or("dump");
            bench.keep(&format!("{}-{name}", number + 1), &content)?;
            let text = String::from_utf8_lossy(&content);
            let is_last = |line: &&str| LAST_WORDS.iter().any(|words| line.contains(words));
            let said = text.lines().rfind(is_last);
            last_words = last_words.or(said.map(|line| (line.to_owned(), path.clone())));
        }
    }
    bench.keep("dumps.txt", list.as_bytes())?;
    outcome.measured(
        "files of the dump",
        new.len().to_string(),
        "1 at least",
        DUMPS.join(", "),
    );
    if let Some((line, path)) = last_words {
        outcome.measured("last words in the dump", line, "", path);
    }
    outcome.expect(!new.is_empty(), || {
        format!("the crash left no dump in {}", DUMPS.join(", "))
    });
    Ok(())
}

/// What is not as it was. Names of disks and interfaces may change from boot to boot; what they are may not.
fn differences(before: &Facts, after: &Facts) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, before: BTreeSet<String>, after: BTreeSet<String>| {
        differences.extend(
            before
                .difference(&after)
                .map(|lost| format!("{what} {lost} is gone")),
        );
        differences.extend(
            after
                .difference(&before)
                .map(|new| format!("{what} {new} is new")),
        );
    };
    let pci = |facts: &Facts| {
        let functions = facts.pci.value().map(Vec::as_slice).unwrap_or_default();
        let named = functions.iter().map(|function| {
            let ids = function.ids.value();
            let ids = ids.map_or("unknown".to_owned(), |ids| {
                format!("{:04x}:{:04x}", ids.vendor, ids.device)
            });
            format!("{} [{ids}]", function.address)
        });
        named.collect()
    };
    compare("PCI function", pci(before), pci(after));
    let disks = |facts: &Facts| {
        let disks = facts.disks.value().map(Vec::as_slice).unwrap_or_default();
        disks.iter().map(disk).collect()
    };
    compare("disk", disks(before), disks(after));
    let nics = |facts: &Facts| {
        let nics = facts.nics.value().map(Vec::as_slice).unwrap_or_default();
        nics.iter().map(|nic| nic.mac.to_string()).collect()
    };
    compare("network interface", nics(before), nics(after));
    let threads = |facts: &Facts| BTreeSet::from([facts.topology.threads.to_string()]);
    compare("number of threads", threads(before), threads(after));
    if let (Known::Value(before), Known::Value(after)) =
        (&before.memory.total_bytes, &after.memory.total_bytes)
        && before.abs_diff(*after) > before / MEMORY_DIFFERS
    {
        differences.push(format!(
            "memory of {} MiB instead of {} MiB",
            after >> 20,
            before >> 20
        ));
    }
    differences
}

fn disk(disk: &Disk) -> String {
    let identity = disk
        .serial
        .value()
        .or(disk.wwn.value())
        .unwrap_or(&disk.name);
    format!("{} {identity} of {} bytes", disk.model, disk.size_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::bench::testing::Fixture;
    use crate::facts::{Nic, PciFunction};

    #[test]
    fn the_unit_quotes_what_systemd_would_expand() {
        let text = unit(
            Path::new("/opt/my tools/hcl-checker"),
            Path::new("/srv/50%\"$x"),
        );
        let line = text
            .lines()
            .find(|line| line.starts_with("ExecStart="))
            .expect("line");
        assert_eq!(
            line,
            r#"ExecStart="/opt/my tools/hcl-checker" certify --resume --out "/srv/50%%\"$$x""#
        );
        // Neither wrong use nor a run without a test is a success.
        let good = text
            .lines()
            .find_map(|line| line.strip_prefix("SuccessExitStatus="));
        assert_eq!(good, Some("1 4 6"));
    }

    #[test]
    fn new_dumps_are_kept_however_deep_they_lie() {
        let mut fixture = Fixture::new();
        let text =
            "<4>[ 90.1] CPU: 0\n<0>[ 90.2] Kernel panic - not syncing: sysrq triggered crash\n";
        fixture.system = fixture
            .system
            .file("/var/crash/old/vmcore", "an older one")
            .file("/var/lib/systemd/pstore/1764170000/001/dmesg.txt", text)
            .file("/var/lib/systemd/pstore/1764170000/dmesg-erst-1", text);
        let waiting = Waiting {
            test: "crash.kernel".to_owned(),
            boot_id: "one".to_owned(),
            since: 0,
            dumps: vec!["/var/crash/old/vmcore".to_owned()],
        };
        let mut outcome = Outcome::new();
        fixture
            .with(|bench| collect(bench, &waiting, &mut outcome))
            .expect("collected");
        assert_eq!(outcome.reason, "");
        assert_eq!(outcome.measurements[0].observed, "2");
        assert!(
            outcome.measurements[1]
                .observed
                .ends_with("sysrq triggered crash")
        );
        let names: Vec<&str> = fixture
            .state
            .evidence
            .iter()
            .map(|kept| kept.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["test-1-dmesg.txt", "test-2-dmesg-erst-1", "test-dumps.txt"]
        );

        let mut of_xen = Outcome::new();
        let mut fixture = Fixture::new();
        fixture.system = fixture.system.file(
            "/var/crash/20261127T124851Z-xen/xen.log",
            "(XEN) 'C' pressed -> triggering crashdump\n(XEN) Executing kexec image on cpu0\n",
        );
        fixture
            .with(|bench| collect(bench, &waiting, &mut of_xen))
            .expect("collected");
        assert!(
            of_xen.measurements[1]
                .observed
                .ends_with("triggering crashdump")
        );

        let mut nothing = Outcome::new();
        let mut fixture = Fixture::new();
        fixture
            .with(|bench| collect(bench, &waiting, &mut nothing))
            .expect("collected");
        assert!(nothing.reason.starts_with("the crash left no dump"));
    }

    #[test]
    fn what_is_lost_or_new_is_told_and_new_names_are_not() {
        let machine = |name: &str, address: &str, mac: &str| Facts {
            pci: Known::Value(vec![PciFunction {
                address: address.to_owned(),
                ..PciFunction::default()
            }]),
            disks: Known::Value(vec![Disk {
                name: name.to_owned(),
                serial: Known::Value("S1".to_owned()),
                ..Disk::default()
            }]),
            nics: Known::Value(vec![Nic {
                name: name.to_owned(),
                mac: Known::Value(mac.to_owned()),
                ..Nic::default()
            }]),
            ..Facts::default()
        };
        let before = machine("sda", "0000:01:00.0", "02:00:00:00:00:01");
        let renamed = machine("sdb", "0000:01:00.0", "02:00:00:00:00:01");
        assert_eq!(differences(&before, &renamed), Vec::<String>::new());
        let moved = machine("sda", "0000:02:00.0", "02:00:00:00:00:01");
        assert_eq!(
            differences(&before, &moved),
            [
                "PCI function 0000:01:00.0 [unknown] is gone",
                "PCI function 0000:02:00.0 [unknown] is new"
            ]
        );
        let mut less = before.clone();
        less.memory.total_bytes = Known::Value(48 << 30);
        let mut more = before.clone();
        more.memory.total_bytes = Known::Value(64 << 30);
        assert_eq!(
            differences(&more, &less),
            ["memory of 49152 MiB instead of 65536 MiB"]
        );
    }
}
