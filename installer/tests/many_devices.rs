//! Machines with hundreds of disks and dozens of network cards: what is shown fits, what is asked is short, and every wait
//! has one end.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::disk;
use common::player::{Player, SIZES, server, system};
use common::{HASH, choices, manifest, verdict};
use hcl_checker::Known;
use hcl_checker::facts::{Content, Disk, Facts, Nic, NicKind};
use hcl_checker::verdict::Level;
use installer::answer_source::Network;
use installer::choices::Choices;
use installer::live_network::LiveNetwork;
use installer::plan::{Input, Plan, PlanProblems, build};
use installer::tui::effects::Link;
use installer::tui::key::Key;
use installer::tui::screens::Screen;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use steps::system::RecordingSystem;

const DISKS: usize = 200;
const NICS: usize = 64;

/// The name that the kernel gives to disk number `n`.
fn sd(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
    match n.checked_sub(26) {
        None => format!("/dev/sd{}", letter(n)),
        Some(n) => format!("/dev/sd{}{}", letter(n / 26), letter(n)),
    }
}

/// A shelf of equal disks with something on each of them, in the order in which the facts have them.
fn shelf() -> Facts {
    let one = |n| Disk {
        name: sd(n).trim_start_matches("/dev/").to_owned(),
        path: sd(n),
        model: Known::Value(if n == 0 { "TESTDISK" } else { "SHELF" }.into()),
        serial: Known::Value(format!("SERIAL{n}")),
        wwn: Known::Value(format!("naa.5000c500a1b2{n:04x}")),
        content: Known::Value(Content {
            kind: Some("zfs_member".into()),
            ..Content::default()
        }),
        ..disk()
    };
    Facts {
        disks: Known::Value((0..DISKS).map(one).collect()),
        ..server()
    }
}

/// The name of interface number `n`.
fn port(n: usize) -> String {
    format!("ens{}f{}", n / 4, n % 4)
}

/// Cards with four ports each, and no cable in any.
fn dark() -> Facts {
    let one = |n| Nic {
        name: port(n),
        kind: Known::Value(NicKind::Ethernet),
        mac: Known::Value(format!("52:54:00:00:00:{n:02x}")),
        permanent_mac: Known::Value(format!("52:54:00:00:00:{n:02x}")),
        carrier: Known::Value(false),
        ..Nic::default()
    };
    Facts {
        nics: Known::Value((0..NICS).map(one).collect()),
        ..server()
    }
}

fn plan(facts: &Facts, choices: &Choices) -> Result<Plan, PlanProblems> {
    build(&Input {
        release: &manifest(),
        facts,
        judge: &|_| verdict(Level::Compatible),
        choices,
        medium: None,
        command_line: "",
    })
}

/// The host on the first disk, and a storage repository over all others.
fn over_all(wipe: bool) -> Choices {
    choices(&format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\nwipe = {wipe}\n\
         [system]\nhostname = \"xen1\"\nroot_password_hash = \"{HASH}\"\n\
         [[storage]]\nname = \"shelf\"\nwipe = {wipe}\nmatch = {{ model = \"SHELF\", count = 199 }}\n"
    ))
}

#[test]
fn two_hundred_disks_make_a_plan_that_names_each_and_a_sentence_that_names_few() {
    let plan = plan(&shelf(), &over_all(true)).unwrap();
    assert_eq!(plan.wiped().len(), DISKS);
    let told = plan.describe().to_string();
    for n in 0..DISKS {
        assert!(told.contains(&format!("{}, ", sd(n))), "{}", sd(n));
    }
    assert_eq!(
        plan.loss().unwrap(),
        "Everything on /dev/sda, /dev/sdb, /dev/sdc, /dev/sdd and 196 more will be lost, and cannot be brought back"
    );
}

#[test]
fn answers_that_fit_none_of_them_tell_of_a_screen_full() {
    let other = over_all(true);
    let mut missing = other.clone();
    missing.storage[0].select.model = Some("NONE".parse().unwrap());
    for (choices, told) in [(missing, "and 188 more"), (over_all(false), "holds data")] {
        let problems = plan(&shelf(), &choices).unwrap_err();
        let (shown, lines) = (problems.to_string(), problems.lines());
        assert!(shown.contains(told), "{shown}");
        assert!(shown.ends_with("nothing was written"), "{shown}");
        for problem in &problems.0 {
            assert!(problem.to_string().lines().count() <= 40, "{problem}");
        }
        assert!(lines.iter().all(|line| line.len() < 3000), "{lines:?}");
    }
}

/// The lines of a frame, which fill the terminal exactly.
fn rows(player: &Player<'_>, size: (u16, u16)) -> Vec<String> {
    let rows: Vec<String> = player.frame(size).lines().map(str::to_owned).collect();
    assert_eq!(rows.len(), usize::from(size.1));
    rows
}

fn has(rows: &[String], text: &str) -> bool {
    rows.iter().any(|row| row.contains(text))
}

#[test]
fn the_list_of_two_hundred_disks_follows_the_focus() {
    let system = system();
    let mut player = Player::at(&system, shelf());
    player.reach_disks();
    for n in [0, 3, 25, 26, 150, DISKS - 1] {
        player.app.set_focus(n);
        for size in SIZES {
            let rows = rows(&player, size);
            let row = rows.iter().find(|row| row.contains(&format!("{} ", sd(n))));
            assert!(row.is_some(), "{}: {rows:#?}", sd(n));
            // What is on it now is below the list.
            assert!(has(&rows, &format!("serial SERIAL{n}, ")), "{rows:#?}");
            assert!(has(&rows, "zfs_member"), "{rows:#?}");
        }
    }
    // A page at a time, and not past the end.
    player.app.set_focus(0);
    for expected in [10, 20, 30] {
        player.key(Key::PageDown);
        assert_eq!(player.app.focus(), expected);
    }
    player.keys(&[Key::PageDown; 20]);
    assert_eq!(player.app.focus(), DISKS - 1);
    player.key(Key::PageUp);
    assert_eq!(player.app.focus(), DISKS - 11);
}

#[test]
fn the_consent_to_lose_two_hundred_disks_fits_the_smallest_terminal() {
    let system = system();
    let mut player = Player::at(&system, shelf());
    player.reach_disks();
    for n in 1..DISKS {
        player.app.set_focus(n);
        player.key(Key::Char('s'));
    }
    assert_eq!(player.app.draft.storage.len(), DISKS - 1);
    player.take_disk("/dev/sda");
    player.finish_plan();
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Confirm);
    for size in SIZES {
        // Sentences are broken into lines.
        let words: Vec<String> = rows(&player, size)
            .iter()
            .flat_map(|row| row.split_ascii_whitespace())
            .map(str::to_owned)
            .collect();
        let frame = words.join(" ");
        for text in [
            "storage-1 on /dev/sdb",
            "and 196 more: the plan",
            "/dev/sdd and 196 more will be",
            "lost, and cannot be brought back",
            "Type WIPE to agree.",
            "Consent",
        ] {
            assert!(frame.contains(text), "{text}: {frame}");
        }
    }
}

#[test]
fn the_list_of_sixty_four_dark_interfaces_leaves_room_for_the_rest() {
    let system = system();
    let mut player = Player::at(&system, dark());
    player.reach_disks();
    player.take_disk("/dev/nvme0n1");
    player.key(Key::Enter);
    assert_eq!(
        player.app.screen,
        Screen::Network,
        "{:?}",
        player.app.message
    );
    player.app.links = (0..NICS)
        .map(|n| Link {
            name: port(n),
            up: false,
            speed_mbit: None,
            addresses: Vec::new(),
        })
        .collect();
    for n in [0, 9, 10, 33, NICS - 1] {
        player.app.set_focus(n);
        for size in SIZES {
            let rows = rows(&player, size);
            assert!(
                has(&rows, &format!("{} ", port(n))),
                "{}: {rows:#?}",
                port(n)
            );
            for text in ["no link", "Time servers", "Test", "Continue"] {
                assert!(has(&rows, text), "{text}: {rows:#?}");
            }
        }
    }
}

/// What the kernel says of the cards.
fn sys(system: RecordingSystem) -> RecordingSystem {
    (0..NICS).fold(system, |system, n| {
        let folder = Path::new("/sys/class/net").join(port(n));
        system
            .file(folder.join("device/vendor"), "")
            .file(folder.join("carrier"), "0\n")
    })
}

/// From the start of the live system to the end of an installation that needs the network: one wait for links, one for the
/// network of the answers, one for any address; not one for each card.
#[test]
fn sixty_four_interfaces_without_a_link_are_waited_for_once() {
    let waited = Mutex::new(Duration::ZERO);
    let pause = |time| *waited.lock().unwrap() += time;
    let online = "/usr/lib/systemd/systemd-networkd-wait-online";
    let system = sys(RecordingSystem::new())
        .prints("ip -json address", "[{}]")
        .fails(online, 1, "Timeout occurred");
    let network = Network::new(&system);
    network.wait_for_links(&pause);
    assert_eq!(*waited.lock().unwrap(), Duration::from_secs(10));

    let all: Vec<String> = (0..NICS).map(|n| format!("\"{}\"", port(n))).collect();
    let choices = choices(&format!(
        "schema = 1\n[disk]\npath = \"/dev/sda\"\nwipe = true\n\
         [system]\nhostname = \"xen1\"\nroot_password_hash = \"{HASH}\"\n\
         [network]\ndhcp = true\n[network.bond]\nmode = \"active-backup\"\ninterfaces = [{}]\n\
         [source]\nurl = \"https://releases.example.org/bedplate\"\n",
        all.join(", ")
    ));
    let said = LiveNetwork::new(&system, &pause)
        .of_answers(&choices, &dark())
        .unwrap()
        .unwrap_err();
    assert!(said.contains("no address after 30 s"), "{said}");
    assert_eq!(*waited.lock().unwrap(), Duration::from_secs(40));

    let error = network
        .require("https://releases.example.org/bedplate")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no network device got an address within 90 s (no link: ens0f0, ens0f1, ens0f2, ens0f3 and 60 more), so nothing can \
         be fetched from https://releases.example.org/bedplate; check cable, VLAN of the port and DHCP server"
    );
    let waits: Vec<String> = system
        .command_lines()
        .into_iter()
        .filter(|line| line.starts_with(online))
        .collect();
    assert_eq!(waits, [format!("{online} --any --timeout=90")]);
    // And nothing else waits.
    assert_eq!(*waited.lock().unwrap(), Duration::from_secs(40));
}

#[test]
fn without_a_word_about_the_network_none_of_them_is_taken_and_a_screen_full_is_told_of() {
    let choices = choices(&format!(
        "schema = 1\n[disk]\npath = \"/dev/nvme0n1\"\nwipe = true\n\
         [system]\nhostname = \"xen1\"\nroot_password_hash = \"{HASH}\"\n"
    ));
    let problems = plan(&dark(), &choices).unwrap_err();
    let shown = problems.to_string();
    assert!(
        shown.starts_with("none of the 64 network interfaces is known to have a link"),
        "{shown}"
    );
    assert!(
        shown.contains("\n    and 52 more: `installer match` tells of all\n1 problem"),
        "{shown}"
    );
}
