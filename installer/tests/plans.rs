//! Answers and a machine give exactly the plan in `cases/plans/NAME.json`, or exactly the problems in
//! `cases/no-plan/NAME.txt`. Comments at the top of a case name its machine and what else matters.
//! `BEDPLATE_BLESS=1` writes the expected files anew; read the difference before you keep it.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{cases, verdict, zones};
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Facts};
use hcl_checker::verdict::Level;
use installer::answers::{self, MachineIdentity};
use installer::host_files::{Content, network_files, settings_files};
use installer::plan::{Input, Plan, Planned, decide};
use installer::session::expect;
use installer::values::Mac;
use release::Manifest;
use std::fs;
use std::path::{Path, PathBuf};

fn manifest() -> Manifest {
    Manifest {
        schema: 1,
        name: "bedplate".into(),
        version: "0.1.0".into(),
        kernel: "6.12.117+deb13-amd64".into(),
        xen: "4.20.2+7-g1badcf5035-0+deb13u1".into(),
        root: slots::RootIdentity {
            version: "0.1.0".into(),
            image_name: format!("{}.root.img", "ab".repeat(32)),
            image_size: 400 << 20,
            image_sha256: "ab".repeat(32),
            verity: slots::Verity {
                data_blocks: 100_000,
                salt: "5a".repeat(32),
                root_hash: "c3".repeat(32),
            },
        },
        artifacts: Default::default(),
        epoch: 1_795_305_600,
    }
}

/// The plan, or why there is none: answers that do not fit the machine, or what the plan refuses.
fn plan(case: &Path) -> Result<Planned, String> {
    let text = fs::read_to_string(case).unwrap();
    let header = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("# {key}: ")))
            .map(str::to_owned)
    };
    let machine =
        header("machine").unwrap_or_else(|| panic!("{} names no machine", case.display()));
    let json = fs::read(cases().join("machines").join(machine + ".json")).unwrap();
    let facts = Facts::from_json(&json).unwrap();
    let level: Level =
        serde_json::from_value(header("level").unwrap_or("compatible".into()).into()).unwrap();
    let medium = header("medium");
    let release = manifest();
    let machine = MachineIdentity::of(&facts);
    let choices = answers::read(&text, "answers.toml", &zones(), Some(&machine))
        .map_err(|problems| problems.to_string())?;
    decide(&Input {
        release: &release,
        facts: &facts,
        judge: &|_| verdict(level),
        choices: &choices,
        medium: medium.as_deref(),
        command_line: &header("command line").unwrap_or_default(),
    })
    .map_err(|problems| problems.to_string())
}

/// The files of systemd-networkd that come of a plan.
#[test]
fn networks_give_exactly_these_files() {
    run("plans", "networkd", 50, |path| {
        let plan = plan(path).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
        // An upgrade leaves the network as it is.
        let mut files = plan
            .install()
            .map(|plan| network_files(&plan.network))
            .unwrap_or_default();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        paths.dedup();
        assert_eq!(paths.len(), files.len(), "two files of one name");
        let mut out = String::new();
        for file in &files {
            let Content::File { bytes, .. } = &file.content else {
                panic!("{} is no file", file.path)
            };
            out += &format!("=== {}\n{}\n", file.path, String::from_utf8_lossy(bytes));
        }
        out
    });
}

fn run(folder: &str, extension: &str, least: usize, outcome: impl Fn(&Path) -> String) {
    let bless = std::env::var_os("BEDPLATE_BLESS").is_some();
    let mut paths: Vec<PathBuf> = fs::read_dir(cases().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    assert!(
        paths.len() >= least,
        "only {} cases in {folder}",
        paths.len()
    );
    let mut wrong = Vec::new();
    for path in paths {
        let found = outcome(&path);
        let expected = path.with_extension(extension);
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("--- {}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_answers_give_exactly_this_plan() {
    run("plans", "json", 50, |path| {
        let plan = plan(path).unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
        assert_eq!(plan.hash().unwrap().len(), 64);
        let shown = plan.describe();
        let disk = match &plan {
            Planned::Install(plan) => &plan.disk.identity,
            Planned::Upgrade(plan) => &plan.disk,
        };
        assert!(shown.contains(&disk.path), "{shown}");
        let json = plan.to_json().unwrap();
        expectations(path, &serde_json::from_str(&json).unwrap());
        format!("{json}\n")
    });
}

/// What the author of a case wrote down beforehand: `# expect: /json/pointer = VALUE`, or `absent`.
fn expectations(path: &Path, plan: &serde_json::Value) {
    let text = fs::read_to_string(path).unwrap();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("# expect: "))
    {
        let (pointer, value) = line.split_once(" = ").unwrap();
        let wanted: Option<serde_json::Value> =
            (value != "absent").then(|| serde_json::from_str(value).unwrap());
        let found = plan.pointer(pointer);
        assert_eq!(found, wanted.as_ref(), "{}: {pointer}", path.display());
    }
}

#[test]
fn what_cannot_be_is_refused_with_exact_reasons() {
    run("no-plan", "txt", 38, |path| match plan(path) {
        Ok(_) => panic!("{} gives a plan", path.display()),
        Err(problems) => problems + "\n",
    });
}

#[test]
fn the_same_input_gives_the_same_hash_and_another_disk_another_one() {
    let case = |name: &str| {
        plan(&cases().join("plans").join(name))
            .unwrap()
            .hash()
            .unwrap()
    };
    assert_eq!(case("smallest.toml"), case("smallest.toml"));
    assert_eq!(case("smallest.toml"), case("by-link.toml"));
    assert_ne!(case("smallest.toml"), case("wipe-windows.toml"));
}

/// The same machine at another start: disks and interfaces have other names and come in another order, the disks hold what an
/// installation that failed left, and somebody looks through another port.
#[test]
fn the_hash_is_the_same_at_every_start_of_a_machine() {
    let mut compared = 0;
    for case in [
        "smallest.toml",
        "mirror-of-two-named.toml",
        "mirror-by-kind.toml",
        "storage-ext-of-two-disks.toml",
        "everything.toml",
        "net-two-bonds.toml",
        "wipe-windows.toml",
    ] {
        let path = cases().join("plans").join(case);
        let text = fs::read_to_string(&path).unwrap();
        let Planned::Install(plan) = plan(&path).unwrap() else {
            panic!("{case} is no installation")
        };
        // By names the answers mean another machine's disks and interfaces after the change; here they are the same.
        let mut other = (*plan).clone();
        let rename = |name: &mut String| *name = format!("{name}-other");
        rename(&mut other.disk.identity.path);
        other.disk.loses.push("/dev/sda1, 1.0 GB, ext4".into());
        let second = other.disk.mirror.as_mut();
        if let (Some(second), false) = (second, text.contains("second")) {
            std::mem::swap(&mut second.identity, &mut other.disk.identity);
            std::mem::swap(&mut second.layout, &mut other.disk.layout);
        }
        for storage in &mut other.storage {
            storage.disks.reverse();
            storage
                .disks
                .iter_mut()
                .for_each(|disk| rename(&mut disk.identity.path));
        }
        for interface in &mut other.network.interfaces {
            rename(&mut interface.interface);
        }
        let known: Vec<String> = plan
            .network
            .interfaces
            .iter()
            .map(|one| one.interface.clone())
            .collect();
        for bridge in &mut other.network.bridges {
            bridge.chosen = "another reason".into();
            if known.contains(&bridge.uplink) {
                rename(&mut bridge.uplink);
            }
        }
        for bond in &mut other.network.bonds {
            bond.interfaces.iter_mut().for_each(rename);
        }
        if plan.boot.console_follows {
            other.boot.console = slots::Console::Com2;
        }
        assert_ne!(other, *plan, "{case}");
        assert_eq!(other.hash().unwrap(), plan.hash().unwrap(), "{case}");
        compared += 1;

        // What matters makes another one.
        let changes: [&dyn Fn(&mut Plan); 7] = [
            &|plan| plan.disk.identity.serial = Some("another".into()),
            &|plan| plan.disk.wipe = !plan.disk.wipe,
            &|plan| plan.disk.reinstall = !plan.disk.reinstall,
            &|plan| plan.boot.console_follows = !plan.boot.console_follows,
            &|plan| plan.network.bridges[0].mac = Mac::parse("52:54:00:99:99:99").unwrap(),
            &|plan| plan.network.interfaces[0].mac = Mac::parse("52:54:00:99:99:99").unwrap(),
            &|plan| plan.disk.layout.partitions[0].size += 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = (*plan).clone();
            change(&mut changed);
            assert_ne!(
                changed.hash().unwrap(),
                plan.hash().unwrap(),
                "{case}: change {index}"
            );
        }
    }
    assert_eq!(compared, 7);
}

/// Nobody can guess a password where none is taken.
#[test]
fn where_keys_are_all_there_is_sshd_takes_no_passwords() {
    let login = |case: &str| {
        let Planned::Install(plan) = plan(&cases().join("plans").join(case)).unwrap() else {
            panic!("{case} is no installation")
        };
        let files = settings_files(&plan.system);
        let file = files
            .into_iter()
            .find(|file| file.path.contains("sshd_config.d"));
        file.map(|file| match file.content {
            Content::File { bytes, .. } => (file.path, String::from_utf8(bytes).unwrap()),
            Content::Link { .. } => panic!("{} is a link", file.path),
        })
    };
    let (path, text) = login("smallest.toml").unwrap();
    // Before the image's own 10-bedplate.conf: sshd takes the first value.
    assert!(
        path.as_str() < "ssh/sshd_config.d/10-bedplate.conf",
        "{path}"
    );
    assert!(text.contains("\nPasswordAuthentication no\n"), "{text}");
    assert!(
        text.contains("\nPermitRootLogin prohibit-password\n"),
        "{text}"
    );
    assert!(login("password-without-keys.toml").is_none());
    assert!(login("everything.toml").is_none(), "it has both");
}

/// Where a disk tells nothing that stays, its path is all there is.
#[test]
fn the_hash_knows_a_disk_without_a_number_by_its_path() {
    let Planned::Install(plan) = plan(&cases().join("plans/virtio-without-serial.toml")).unwrap()
    else {
        panic!("no installation")
    };
    let mut other = (*plan).clone();
    other.disk.identity.path = "/dev/vdb".into();
    assert_ne!(other.hash().unwrap(), plan.hash().unwrap());
}

/// Docks of USB give each of their disks the same serial number. At the next start the paths may be the other way round.
#[test]
fn the_hash_tells_two_disks_apart_that_say_the_same_and_no_plan_of_them_can_be_expected() {
    let text = fs::read_to_string(cases().join("plans/webhook.toml")).unwrap();
    let json = fs::read(cases().join("machines/one-disk-bios.json")).unwrap();
    let mut facts = Facts::from_json(&json).unwrap();
    let release = manifest();
    let planned = |facts: &Facts, path: &str| {
        let text = text.replace("/dev/sda", path);
        let machine = MachineIdentity::of(facts);
        let choices = answers::read(&text, "answers.toml", &zones(), Some(&machine)).unwrap();
        decide(&Input {
            release: &release,
            facts,
            judge: &|_| verdict(Level::Compatible),
            choices: &choices,
            medium: None,
            command_line: "",
        })
        .unwrap()
    };
    let alone = planned(&facts, "/dev/sda");
    assert_eq!(expect(&alone, &alone.hash().unwrap()), Ok(()));
    let second = |change: &dyn Fn(&mut Disk)| {
        let mut facts = facts.clone();
        let Known::Value(disks) = &mut facts.disks else {
            panic!("no disks")
        };
        let mut other = disks[0].clone();
        other.path = "/dev/sdb".into();
        other.name = "sdb".into();
        other.by_id.clear();
        change(&mut other);
        disks.push(other);
        facts
    };
    // Another size or number is another disk.
    let changes: [&dyn Fn(&mut Disk); 2] = [
        &|disk| disk.size_bytes = Known::Value(480_103_981_056 + 512),
        &|disk| disk.serial = Known::Value("S2".into()),
    ];
    for change in changes {
        let plan = planned(&second(change), "/dev/sda");
        assert_eq!(expect(&plan, &alone.hash().unwrap()), Ok(()));
    }
    facts = second(&|_| ());
    let (first, other) = (planned(&facts, "/dev/sda"), planned(&facts, "/dev/sdb"));
    let hashes = [&first, &other, &alone].map(|plan| plan.hash().unwrap());
    assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
    for (plan, hash) in [&first, &other].into_iter().zip(&hashes) {
        let warned = |text: &&String| text.contains("/dev/sda") && text.contains("/dev/sdb");
        assert_eq!(plan.warnings().iter().filter(warned).count(), 1);
        let refused = expect(plan, hash).unwrap_err().to_string();
        assert!(refused.contains("tell those two disks apart"), "{refused}");
    }
}

/// What the plan does not show counts all the same: who changes the password of root or where reports go, with the answers on
/// their way, makes another plan.
#[test]
fn the_hash_covers_what_the_plan_does_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |text: &str| {
        let changed = folder.path().join("changed.toml");
        fs::write(&changed, text).unwrap();
        plan(&changed).unwrap().hash().unwrap()
    };
    let read = |case: &str| fs::read_to_string(cases().join("plans").join(case)).unwrap();
    let upgrade = read("upgrade.toml")
        + "\n[webhook]\nurl = \"https://hook.example.org/r?k=nonsense\"\ntoken = \"nonsense\"\n\n[source]\n\
           url = \"https://user:nonsense@releases.example.org/bedplate\"\n";
    for (text, line, before) in [
        (&read("everything.toml"), "root_password_hash = ", "$6$"),
        (&read("webhook.toml"), "token = ", "\""),
        (&upgrade, "token = ", "\""),
        (&upgrade, "url = \"https://hook", "k="),
        (&upgrade, "url = \"https://user", "user:"),
    ] {
        let old = text
            .lines()
            .find(|found| found.starts_with(line))
            .unwrap_or_else(|| panic!("no line {line}"));
        let at = old.find(before).unwrap() + before.len();
        let other = if old[at..].starts_with('x') { "y" } else { "x" };
        let mut new = old.to_owned();
        new.replace_range(at..at + 1, other);
        assert_eq!(hash(text), hash(text));
        assert_ne!(hash(text), hash(&text.replace(old, &new)), "{line}");
    }
}
