//! The screens, driven by keys, as they are drawn on terminals of two sizes.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::installed::installed;
use common::machine::{SIZE, disk, disk_number, facts, facts_of, used_disk};
use common::player::{PASSWORD, Player, SIZES, server, system};
use common::{HASH, zones};
use hcl_checker::Known;
use hcl_checker::facts::{BedplateHost, Content, Disk, Facts, FirmwareKind};
use installer::answers;
use installer::choices::{AddressChoice, BondMode, HclPolicy, UplinkChoice};
use installer::tui::app::{Leave, Outcome, Verification};
use installer::tui::draw::Seat;
use installer::tui::effects::{Link, Message};
use installer::tui::key::Key;
use installer::tui::screens::Screen;
use proptest::prelude::*;
use steps::event::{Event, EventKind, Outcome as RunOutcome, PlannedStep};
use steps::system::RecordingSystem;

/// Keeps the screen at both sizes.
trait Kept {
    fn snapshot(&self, name: &str);
}

impl Kept for Player<'_> {
    fn snapshot(&self, name: &str) {
        for size in SIZES {
            insta::assert_snapshot!(format!("{name}-{}x{}", size.0, size.1), self.frame(size));
        }
    }
}

#[test]
fn every_screen_at_both_sizes() {
    let system = system();
    let mut player = Player::new(&system);
    player.snapshot("01-welcome");
    player.key(Key::Enter);
    player.snapshot("02-medium");
    player.key(Key::Enter);
    player.snapshot("03-hardware");
    player.keys(&[Key::Home, Key::Up, Key::PageUp, Key::Enter]);
    player.snapshot("03-hardware-finding");
    player.keys(&[Key::Esc, Key::PageDown, Key::Up]);
    player.text("spare ordered");
    player.key(Key::F(10));
    assert_eq!(player.app.screen, Screen::Existing);
    player.keys(&[Key::Up, Key::Up, Key::Enter]);
    player.snapshot("04-disks");
    player.take_disk("/dev/sde");
    player.snapshot("04-disks-in-use");
    player.take_disk("/dev/sdb");
    player.snapshot("05-layout");
    player.key(Key::Enter);
    player.snapshot("06-network");
    player.keys(&[Key::Char(' '), Key::Down, Key::Char(' ')]);
    player.keys(&[
        Key::Down,
        Key::Down,
        Key::Down,
        Key::Right,
        Key::Down,
        Key::Right,
    ]);
    player.key(Key::Down);
    player.text("192.0.2.10/24");
    player.key(Key::Enter);
    player.text("192.0.2.1");
    player.snapshot("06-network-bond-fixed");
    player.key(Key::F(10));
    player.snapshot("07-system");
    player.fill_system();
    player.snapshot("07-system-filled");
    player.key(Key::F(10));
    player.snapshot("08-license");
    player.keys(&[Key::Right, Key::Down]);
    player.paste("v4.public.abc");
    player.key(Key::Enter);
    player.snapshot("08-license-refused");
    player.keys(&[Key::PageUp, Key::Left, Key::F(10)]);
    player.snapshot("09-plan");
    player.key(Key::Enter);
    player.text("WIP");
    player.snapshot("10-confirm");
    player.key(Key::F(1));
    player.snapshot("help");
    player.keys(&[Key::F(1), Key::Char('E')]);
    assert_eq!(player.app.marks.consent.text(), "WIPE");
    player.key(Key::Enter);
    assert_eq!(player.app.run.good, Some(true));
    player.snapshot("12-finish");
    player.key(Key::Enter);
    assert!(matches!(player.app.leave, Some(Leave::Over(_))));
}

/// The machine with this firmware.
fn server_with(kind: FirmwareKind, secure_boot: bool, setup_mode: bool) -> Facts {
    let mut facts = server();
    facts.firmware.kind = Known::Value(kind);
    facts.firmware.secure_boot = Known::Value(secure_boot);
    facts.firmware.setup_mode = Known::Value(setup_mode);
    facts
}

#[test]
fn keys_of_secure_boot_are_enrolled_where_the_operator_says_so() {
    let system = system();
    let mut player = Player::at(&system, server_with(FirmwareKind::Uefi, false, true));
    player.reach_summary("/dev/sdb");
    assert!(!player.app.plan().unwrap().boot.enroll_keys);
    player.keys(&[Key::Esc, Key::Esc]);
    assert_eq!(player.app.screen, Screen::System);
    player.snapshot("07-system-setup-mode");
    player.keys(&[Key::PageDown, Key::Up, Key::Right]);
    player.snapshot("07-system-enroll");
    // Back and forth: three times changed is changed.
    player.keys(&[Key::Left, Key::Char(' ')]);
    player.keys(&[Key::F(10), Key::F(10)]);
    let plan = player.app.plan().unwrap();
    assert!(plan.boot.enroll_keys);
    let steps = installer::laydown::steps(plan).plan();
    assert!(steps.iter().any(|step| step.id == "enroll-keys"));
    player.keys(&[Key::F(2), Key::Ctrl('u')]);
    player.text("/run/answers.toml");
    player.key(Key::Enter);
    let saved = String::from_utf8(system.content("/run/answers.toml").unwrap()).unwrap();
    let read = answers::read(&saved, "saved", &zones(), None).unwrap();
    assert!(read.boot.enroll_keys, "{saved}");
    player.key(Key::Enter);
    player.text("WIPE");
    player.snapshot("10-confirm-enroll");
    player.key(Key::Enter);
    assert_eq!(player.app.run.good, Some(true));
    player.snapshot("12-finish-enrolled");
}

#[test]
fn keys_are_not_offered_to_a_firmware_that_does_not_take_them() {
    for (facts, says) in [
        (
            server_with(FirmwareKind::Uefi, true, false),
            Some("Secure Boot      on;"),
        ),
        (
            server_with(FirmwareKind::Uefi, false, false),
            Some("Secure Boot      off;"),
        ),
        (server_with(FirmwareKind::Bios, false, false), None),
    ] {
        let system = system();
        let mut player = Player::at(&system, facts);
        // A draft from elsewhere changes nothing.
        player.app.draft.enroll_keys = true;
        player.reach_summary("/dev/sdb");
        assert!(!player.app.plan().unwrap().boot.enroll_keys);
        player.keys(&[Key::Esc, Key::Esc]);
        let frame = player.frame((80, 24));
        match says {
            Some(words) => assert!(frame.contains(words), "{frame}"),
            None => assert!(!frame.contains("Secure Boot"), "{frame}"),
        }
        assert!(!frame.contains("enroll the keys"), "{frame}");
    }
}

#[test]
fn storage_on_more_disks_is_chosen_taken_back_and_its_loss_agreed_to() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_disks();
    let at = |player: &Player<'_>, path: &str| {
        let disks = player.app.disks();
        disks.iter().position(|disk| disk.path == path).unwrap()
    };
    // In use, and the disk of another Bedplate: neither becomes storage.
    for path in ["/dev/sde", "/dev/nvme1n1"] {
        player.app.set_focus(at(&player, path));
        player.key(Key::Char('s'));
        assert!(player.app.draft.storage.is_empty(), "{path}");
        assert!(player.app.message.is_some(), "{path}");
    }
    for (path, times) in [("/dev/sdb", 1), ("/dev/sdc", 2), ("/dev/nvme0n1", 1)] {
        player.app.set_focus(at(&player, path));
        player.keys(&vec![Key::Char('s'); times]);
    }
    assert_eq!(player.app.draft.storage, ["/dev/sdb", "/dev/nvme0n1"]);
    player.app.set_focus(at(&player, "/dev/sdb"));
    player.snapshot("04-disks-storage");
    // The disk that the host goes on is no storage of its own any more.
    player.take_disk("/dev/nvme0n1");
    assert_eq!(player.app.draft.storage, ["/dev/sdb"]);
    player.finish_plan();
    player.key(Key::Enter);
    // The host's own disk is empty, and yet the whole word is asked for.
    player.text("yes");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Confirm);
    player.key(Key::Ctrl('u'));
    player.snapshot("10-confirm-storage");
}

#[test]
fn a_mirror_is_marked_taken_back_and_planned() {
    let system = system();
    let larger = Disk {
        size_bytes: Known::Value(SIZE + (8 << 30)),
        content: used_disk().content,
        ..disk_number(2)
    };
    let other_sectors = Disk {
        logical_sector: Known::Value(4096),
        ..disk_number(3)
    };
    let disks = vec![disk(), larger, other_sectors];
    let mut player = Player::at(&system, facts_of(disks, FirmwareKind::Uefi));
    player.reach_disks();
    let focus = |player: &mut Player<'_>, at: usize| {
        player.app.set_focus(at);
        player.app.message = None;
    };
    // Nothing is taken yet, then the first itself, then one that does not fit: each says why.
    focus(&mut player, 1);
    player.key(Key::Char('m'));
    assert!(player.app.draft.disks.is_empty() && player.app.message.is_some());
    focus(&mut player, 0);
    player.key(Key::Char(' '));
    for at in [0, 2] {
        focus(&mut player, at);
        player.key(Key::Char('m'));
        assert_eq!(player.app.draft.disks, ["/dev/sda"]);
        assert!(player.app.message.is_some(), "{at}");
    }
    focus(&mut player, 1);
    player.keys(&[Key::Char('s'), Key::Char('m')]);
    assert_eq!(player.app.draft.disks, ["/dev/sda", "/dev/sdb"]);
    assert!(player.app.draft.storage.is_empty());
    player.key(Key::Char('s'));
    assert!(player.app.draft.storage.is_empty() && player.app.message.is_some());
    player.keys(&[Key::Char('m')]);
    assert_eq!(player.app.draft.disks, ["/dev/sda"]);
    player.keys(&[Key::Char('M')]);
    player.app.message = None;
    player.snapshot("04-disks-mirror");
    // From where the second is marked, both go on; another first one leaves the second.
    player.key(Key::Enter);
    assert_eq!(player.app.draft.disks, ["/dev/sda", "/dev/sdb"]);
    player.snapshot("05-layout-mirror");
    player.key(Key::Esc);
    // One that does not fit the second is told, and there is no way on with it.
    player.take_disk("/dev/sdc");
    assert_eq!(player.app.screen, Screen::Disks);
    assert!(player.app.message.is_some());
    player.take_disk("/dev/sda");
    player.finish_plan();
    player.snapshot("09-summary-mirror");
    let plan = player.app.plan().unwrap();
    assert_eq!(plan.disk.mirror.as_ref().unwrap().identity.path, "/dev/sdb");
    player.keys(&[Key::F(2), Key::Ctrl('u')]);
    player.text("/run/answers.toml");
    player.key(Key::Enter);
    let saved = String::from_utf8(system.content("/run/answers.toml").unwrap()).unwrap();
    let read = answers::read(&saved, "saved", &zones(), None).unwrap();
    assert!(read.disk.mirror && read.disk.second.is_some(), "{saved}");
    player.key(Key::Enter);
    player.snapshot("10-confirm-mirror");
}

#[test]
fn half_of_a_mirror_that_went_away_is_not_left_alone() {
    let system = system();
    let disks = vec![disk(), disk_number(2)];
    let mut player = Player::at(&system, facts_of(disks, FirmwareKind::Uefi));
    player.reach_disks();
    player.key(Key::Char(' '));
    player.app.set_focus(1);
    player.key(Key::Char('m'));
    let facts = facts_of(vec![disk_number(2)], FirmwareKind::Uefi);
    let problems = player.app.draft.choices(&facts, &zones()).unwrap_err();
    assert!(
        problems
            .iter()
            .any(|problem| problem.message.contains("/dev/sda is not there")),
        "{problems:?}"
    );
}

#[test]
fn the_storage_repository_of_a_host_stays_unless_the_operator_wants_it_lost() {
    let system = system();
    let machine = || facts(installed(), FirmwareKind::Uefi);
    let mut player = Player::at(&system, machine());
    player.reach_disks();
    player.snapshot("04-disks-keep");
    player.key(Key::Char('k'));
    let all = player.frame((80, 24)).replace(char::is_whitespace, "");
    assert!(
        all.contains("everythinginitsstoragerepositorywouldbelost"),
        "{all}"
    );
    player.key(Key::Char('k'));
    player.take_disk("/dev/sda");
    player.snapshot("05-layout-keep");
    player.finish_plan();
    player.snapshot("09-summary-keep");
    let plan = player.app.plan().unwrap();
    assert_eq!(plan.kept().len(), 1);
    player.key(Key::Enter);
    player.snapshot("10-confirm-keep");

    let mut player = Player::at(&system, machine());
    player.reach_disks();
    player.key(Key::Char('k'));
    player.take_disk("/dev/sda");
    player.keys(&[Key::Enter, Key::F(10)]);
    player.fill_system();
    player.keys(&[Key::F(10), Key::F(10)]);
    let plan = player.app.plan().unwrap();
    assert!(plan.kept().is_empty() && plan.losses().len() > 5);
}

/// The disk of a host that runs an older release than the simulation's.
fn older_host() -> Facts {
    let mut disk = installed();
    disk.host = Known::Value(BedplateHost {
        hostname: Some("xen1.example.org".into()),
        version: "0.0.9".into(),
        root_hash: "0a".repeat(32),
        slot: "bedplate-a".into(),
        trial: None,
    });
    facts(disk, FirmwareKind::Uefi)
}

#[test]
fn a_host_is_upgraded_without_a_question_about_a_new_one() {
    let system = system();
    let mut player = Player::at(&system, older_host());
    player.keys(&[Key::Enter, Key::Enter]);
    player.text("spare ordered");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Existing);
    player.snapshot("04-host");
    // Without a choice there is no way on.
    player.key(Key::F(10));
    assert_eq!(player.app.screen, Screen::Existing);
    assert!(player.app.message.is_some());
    player.key(Key::Enter);
    assert_eq!(
        player.app.screen,
        Screen::Summary,
        "{:?}",
        player.app.message
    );
    player.snapshot("09-summary-upgrade");
    let planned = player.app.planned().unwrap();
    assert!(!planned.wipes() && planned.install().is_none());
    player.key(Key::Enter);
    player.snapshot("10-confirm-upgrade");
    // Back is past everything that was not asked.
    player.keys(&[Key::Esc, Key::Esc]);
    assert_eq!(player.app.screen, Screen::Existing);
    player.keys(&[Key::Enter, Key::Enter]);
    player.text("WIPE");
    player.key(Key::Enter);
    assert!(!player.started.contains(&"install"));
    player.key(Key::Ctrl('u'));
    player.text("yes");
    player.key(Key::Enter);
    assert_eq!(player.started.last(), Some(&"install"));
    assert_eq!(player.app.screen, Screen::Finish);
    player.snapshot("12-finish-upgraded");
}

#[test]
fn a_host_that_is_there_may_be_left_or_lost_too() {
    let system = system();
    let mut player = Player::at(&system, older_host());
    player.keys(&[Key::Enter, Key::Enter]);
    player.text("spare ordered");
    player.keys(&[Key::Enter, Key::Up, Key::Enter]);
    assert!(player.app.leaving);
    player.key(Key::Esc);
    player.keys(&[Key::Up, Key::Enter]);
    assert_eq!(player.app.screen, Screen::Disks);
    assert!(player.app.draft.upgrades().is_none());
    // And back to the upgrade, which forgets nothing of what was typed for a new host.
    player.keys(&[Key::Esc, Key::Up, Key::Enter]);
    assert_eq!(player.app.screen, Screen::Summary);
    assert!(player.app.planned().unwrap().install().is_none());
}

#[test]
fn what_cannot_be_upgraded_says_why() {
    let system = system();
    let mut newer = older_host();
    if let Known::Value(disks) = &mut newer.disks {
        disks[0].host = Known::Value(BedplateHost {
            version: "0.2.0".into(),
            root_hash: "0b".repeat(32),
            slot: "bedplate-b".into(),
            ..BedplateHost::default()
        });
    }
    let mut player = Player::at(&system, newer);
    player.keys(&[Key::Enter, Key::Enter]);
    player.text("spare ordered");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Existing);
    player.snapshot("04-host-is-newer");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Disks);
}

#[test]
fn what_cannot_stay_says_why() {
    let system = system();
    let mut half = installed();
    half.partitions[5].content = Known::Value(Content {
        kind: Some("linux_raid_member".into()),
        ..Content::default()
    });
    let mut player = Player::at(&system, facts(half, FirmwareKind::Uefi));
    player.reach_disks();
    player.key(Key::Char('k'));
    let message = player.app.message.clone().unwrap();
    assert!(message.contains("one half of a mirror"), "{message}");
    let mut player = Player::at(&system, facts(disk(), FirmwareKind::Uefi));
    player.reach_disks();
    player.key(Key::Char('k'));
    assert!(player.app.message.is_some());
}

fn event(ms: u64, kind: EventKind) -> Message {
    Message::Event(Event {
        v: 1,
        seq: 0,
        ms,
        unix: 0,
        kind,
    })
}

/// A run as far as the middle of the second step.
fn half_way(player: &mut Player<'_>) {
    let step = |id: &str, title: &str| PlannedStep {
        id: id.into(),
        title: title.into(),
    };
    let steps = vec![
        step("verify-release", "Verify the release on the medium"),
        step("slot-a", "Write the root image to slot A and read it back"),
        step("boot-loaders", "Write the boot loaders"),
    ];
    for message in [
        event(1000, EventKind::Plan { steps }),
        event(
            1000,
            EventKind::Started {
                step: "verify-release".into(),
            },
        ),
        event(
            3000,
            EventKind::Done {
                step: "verify-release".into(),
                took_ms: 2000,
            },
        ),
        event(
            3000,
            EventKind::Started {
                step: "slot-a".into(),
            },
        ),
        event(
            3500,
            EventKind::Warning {
                step: None,
                message: "the disk is slow".into(),
            },
        ),
        event(
            6000,
            EventKind::Progress {
                step: "slot-a".into(),
                bytes: 200_000_000,
                total: 400_000_000,
                rate: 66_000_000,
            },
        ),
    ] {
        player.app.message(message, &player.effects);
    }
}

fn installing<'s>(system: &'s RecordingSystem) -> Player<'s> {
    let mut player = Player::new(system);
    player.reach_summary("/dev/sdb");
    player.key(Key::Enter);
    player.hold = true;
    player.text("WIPE");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Progress);
    player.app.tick(&player.effects);
    half_way(&mut player);
    player
}

#[test]
fn progress_and_failure() {
    let system = system();
    let mut player = installing(&system);
    player.snapshot("11-install");
    // 6 of 19 parts are done, and half of the 12 of the second step; that took 5 s.
    assert!((player.app.run.fraction() - 12.0 / 19.0).abs() < 1e-9);
    assert_eq!(player.app.run.seconds_left(), Some(3));
    player.key(Key::Esc);
    assert_eq!(player.app.screen, Screen::Progress);
    player.key(Key::Char('l'));
    player.snapshot("11-install-log");
    player.key(Key::Esc);

    let errors = vec![
        "cannot write /dev/sdb3".to_owned(),
        "no space left on device".to_owned(),
    ];
    let failed = EventKind::Failed {
        step: "slot-a".into(),
        errors: errors.clone(),
    };
    player.app.message(event(7000, failed), &player.effects);
    let report = steps::Report::failed_early(Default::default(), 0, errors);
    assert_eq!(report.result, RunOutcome::Failed);
    let ended = installer::tui::effects::Ended {
        report,
        fingerprint: None,
    };
    player
        .app
        .message(Message::Ended(Box::new(ended)), &player.effects);
    player.snapshot("12-finish-failed");
    player.key(Key::Enter);
    assert_eq!(
        player.app.leave,
        Some(Leave::Over(installer::choices::After::Shell))
    );
}

#[test]
fn who_does_not_lead_sees_who_does_and_small_terminals_say_so() {
    let system = system();
    let player = Player::new(&system);
    let free = player.seen((80, 24), &Seat::Free, true);
    assert!(
        free.contains("Press any key on the console that you want to use."),
        "{free}"
    );
    let mirror = player.seen((80, 24), &Seat::Mirror("ttyS0".into()), true);
    assert!(
        mirror.contains("ttyS0 leads") && mirror.contains("Ctrl-T"),
        "{mirror}"
    );
    for size in [(79, 24), (80, 23), (20, 5), (1, 1)] {
        let frame = player.seen(size, &Seat::Leader, true);
        assert!(!frame.contains("Continue"), "{frame}");
    }
    let small = player.seen((60, 10), &Seat::Leader, true);
    assert!(small.contains("has 60 columns and 10 rows"), "{small}");
}

#[test]
fn without_utf8_everything_is_ascii() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_summary("/dev/sdb");
    for screen in Screen::ALL {
        player.app.go(screen);
        for size in SIZES {
            let frame = player.seen(size, &Seat::Leader, false);
            assert!(frame.is_ascii(), "{screen:?}\n{frame}");
        }
        player.app.help = true;
        assert!(player.seen((80, 24), &Seat::Leader, false).is_ascii());
        player.app.help = false;
    }
}

#[test]
fn every_help_fits_the_smallest_terminal() {
    let system = system();
    let mut player = Player::new(&system);
    for screen in Screen::ALL {
        player.app.go(screen);
        player.app.help = false;
        player.key(Key::F(1));
        let frame = player.frame((80, 24));
        assert!(
            frame.contains("Any key closes this."),
            "{screen:?}\n{frame}"
        );
    }
}

#[test]
fn going_back_and_forth_loses_nothing() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_summary("/dev/sdb");
    let Outcome::Ready(before) = std::mem::take(&mut player.app.outcome) else {
        panic!("no plan")
    };
    for _ in 0..9 {
        player.key(Key::Esc);
    }
    assert_eq!(player.app.screen, Screen::Welcome);
    for _ in 0..9 {
        player.key(Key::F(10));
    }
    assert_eq!(
        player.app.screen,
        Screen::Summary,
        "{:?}",
        player.app.message
    );
    player.app.replan(&player.effects);
    let Outcome::Ready(after) = &player.app.outcome else {
        panic!("no plan any more")
    };
    assert_eq!(before.0, after.0);
    assert_eq!(before.1.hash().unwrap(), after.1.hash().unwrap());
}

#[test]
fn the_choices_are_what_was_typed_and_can_be_saved() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_disks();
    player.take_disk("/dev/sdb");
    player.key(Key::Enter);
    // A bond of the first two with LACP.
    player.keys(&[
        Key::Char(' '),
        Key::Down,
        Key::Char(' '),
        Key::Down,
        Key::Down,
        Key::Down,
        Key::Right,
    ]);
    player.key(Key::F(10));
    player.fill_system();
    player.keys(&[Key::F(10), Key::F(10), Key::F(2), Key::Ctrl('u')]);
    player.text("/run/answers.toml");
    player.key(Key::Enter);
    assert_eq!(player.started.last(), Some(&"save"));
    let Outcome::Ready(ready) = &player.app.outcome else {
        panic!("no plan")
    };
    let choices = &ready.0;
    assert_eq!(choices.disk.select.serial.as_deref(), Some("W1"));
    assert!(choices.disk.wipe && !choices.disk.reinstall);
    assert_eq!(
        choices
            .system
            .as_ref()
            .unwrap()
            .root_password
            .as_ref()
            .unwrap()
            .expose(),
        HASH
    );
    assert_eq!(
        choices.system.as_ref().unwrap().timezone.as_str(),
        "Europe/Berlin"
    );
    assert_eq!(
        choices.hcl,
        HclPolicy::Warn {
            reason: "spare ordered".into()
        }
    );
    assert_eq!(choices.network.management.address, AddressChoice::Dhcp);
    let UplinkChoice::Bond { mode, interfaces } = &choices.network.management.uplink else {
        panic!("no bond")
    };
    assert_eq!((*mode, interfaces.len()), (BondMode::Lacp, 2));
    let saved = String::from_utf8(system.content("/run/answers.toml").unwrap()).unwrap();
    assert_eq!(
        &answers::read(&saved, "saved", &zones(), None).unwrap(),
        choices
    );
}

#[test]
fn secrets_are_in_no_frame_and_no_state() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_disks();
    player.take_disk("/dev/sdb");
    player.keys(&[Key::Enter, Key::F(10)]);
    player.keys(&[Key::Down, Key::Down]);
    player.text(PASSWORD);
    let look = |player: &Player<'_>| {
        let state = serde_json::to_string(&player.app).unwrap();
        for secret in [PASSWORD, "v4.public.secret", "TVLlQcb"] {
            assert!(!state.contains(secret), "{secret} is in the state");
            for size in SIZES {
                assert!(
                    !player.frame(size).contains(secret),
                    "{secret} is on the screen"
                );
            }
        }
    };
    look(&player);
    player.key(Key::Enter);
    player.text(PASSWORD);
    player.key(Key::Enter);
    look(&player);
    assert!(player.app.marks.password.text().is_empty());
    player.keys(&[Key::PageUp]);
    player.text("xen1");
    player.keys(&[Key::F(10), Key::Right, Key::Down]);
    player.paste("v4.public.secret");
    look(&player);
    player.key(Key::Enter);
    look(&player);
    assert!(!system.command_lines().concat().contains(PASSWORD));
}

#[test]
fn the_state_can_be_kept_and_taken_up_again() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_disks();
    player.take_disk("/dev/sdb");
    for screen in [
        Screen::Layout,
        Screen::Network,
        Screen::Hardware,
        Screen::Disks,
    ] {
        player.app.go(screen);
        let before = player.frame((120, 40));
        let json = serde_json::to_string(&player.app).unwrap();
        player.app = serde_json::from_str(&json).unwrap();
        assert_eq!(player.frame((120, 40)), before);
    }
}

#[test]
fn only_the_whole_word_and_a_verified_medium_start_it() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_summary("/dev/sdb");
    player.key(Key::Enter);
    player.hold = true;
    for wrong in ["", "wipe", "yes", "WIP", "WIPE "] {
        player.key(Key::Ctrl('u'));
        player.text(wrong);
        player.key(Key::Enter);
        assert_eq!(
            player.app.screen,
            Screen::Confirm,
            "{wrong:?} was taken for consent"
        );
    }
    player.key(Key::Ctrl('u'));
    player.paste("WIPE");
    player.key(Key::Enter);
    assert_eq!(player.app.screen, Screen::Confirm, "consent was pasted");
    player.text("WIPE");
    let reading = Verification::Reading {
        done: 1,
        total: 2,
        ms: 3,
    };
    for state in [reading, Verification::Failed(vec!["damaged".into()])] {
        player.app.verification = state;
        player.key(Key::Enter);
        assert_eq!(player.app.screen, Screen::Confirm);
        assert!(player.app.message.is_some());
    }
    assert!(!player.started.contains(&"install"));
    player.app.verification = Verification::Good;
    player.key(Key::Enter);
    assert_eq!(player.started.last(), Some(&"install"));
}

#[test]
fn an_empty_disk_is_not_wiped() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_summary("/dev/nvme0n1");
    let plan = player.app.plan().unwrap();
    assert!(!plan.disk.wipe && plan.disk.loses.is_empty());
    player.key(Key::Enter);
    assert!(player.frame((80, 24)).contains("Type yes to agree"));
    player.text("yes");
    player.key(Key::Enter);
    assert!(player.started.contains(&"install"));
}

#[test]
fn a_damaged_medium_ends_at_its_screen() {
    let system = system();
    let mut player = Player::new(&system);
    let errors = vec!["the artifact xen.efi is damaged".to_owned()];
    player
        .app
        .message(Message::Verified(Err(errors)), &player.effects);
    player.keys(&[Key::Enter, Key::Enter]);
    assert_eq!(player.app.screen, Screen::Verify);
    player.snapshot("02-medium-damaged");
    player.key(Key::F(5));
    assert_eq!(player.app.verification, Verification::Good);
}

#[test]
fn leaving_is_asked_for() {
    let system = system();
    let mut player = Player::new(&system);
    player.keys(&[Key::Esc, Key::Char('n')]);
    assert_eq!(player.app.leave, None);
    player.key(Key::Esc);
    player.snapshot("leave");
    player.key(Key::Char('y'));
    assert_eq!(player.app.leave, Some(Leave::Declined));
}

#[test]
fn links_are_live() {
    let system = system();
    let mut player = Player::new(&system);
    player.app.go(Screen::Network);
    assert!(player.frame((80, 24)).contains("no link"));
    player.app.links = vec![Link {
        name: "eno1".into(),
        up: true,
        speed_mbit: Some(2500),
        addresses: vec![],
    }];
    let frame = player.frame((80, 24));
    assert!(
        frame.contains("link 2500 Mbit/s") && !frame.contains("no link"),
        "{frame}"
    );
    player.app.tick(&player.effects);
    assert!(player.frame((80, 24)).contains("no link"));
}

#[test]
fn what_is_wrong_is_told_where_it_is_typed() {
    let system = system();
    let mut player = Player::new(&system);
    player.reach_disks();
    player.take_disk("/dev/sdb");
    player.key(Key::Enter);
    let vlan = player.app.marks.focus[Screen::Network.index()] + 6;
    player.app.set_focus(vlan);
    player.text("5000");
    player.key(Key::F(10));
    assert_eq!(player.app.screen, Screen::Network);
    assert!(
        player.app.message.as_ref().unwrap().contains("1 to 4094"),
        "{:?}",
        player.app.message
    );
    player.key(Key::Ctrl('u'));
    player.key(Key::F(10));
    player.key(Key::F(10));
    assert!(
        player
            .app
            .message
            .as_ref()
            .unwrap()
            .contains("name of the host")
    );
    player.text("xen1");
    player.key(Key::F(10));
    assert!(
        player
            .app
            .message
            .as_ref()
            .unwrap()
            .contains("Nobody could log in")
    );
    player.keys(&[Key::Down, Key::Down]);
    player.text("short");
    player.key(Key::F(10));
    assert!(
        player
            .app
            .message
            .as_ref()
            .unwrap()
            .contains("8 characters")
    );
}

#[test]
fn a_license_is_checked_against_the_keys_and_kept_as_a_secret() {
    let key = license::KeyPair::generate().unwrap();
    let keys = license::PublicKeys::from_texts([key.public_text().unwrap().as_str()]).unwrap();
    let claims = license::Claims {
        schema: 1,
        id: "L-1".into(),
        customer: "Example Inc.".into(),
        issued: 1,
        sockets: 4,
        not_before: 1,
        updates_until: 4_000_000_000,
        binding: license::Binding::Site("lab".into()),
    };
    let token = license::issue(&key, &claims).unwrap();
    // As a mail program breaks it.
    let broken = format!("{}\n{}", &token[..40], &token[40..]);
    let system = system()
        .file(
            "/usr/share/bedplate/license-keys.json",
            keys.to_json().unwrap(),
        )
        .file("/run/license", broken);
    let mut player = Player::new(&system);
    player.reach_summary("/dev/sdb");
    player.key(Key::Esc);
    player.keys(&[Key::PageUp, Key::Left, Key::Down]);
    player.text("/run/missing");
    player.keys(&[Key::Enter, Key::F(10)]);
    assert_eq!(player.app.screen, Screen::License);
    player.key(Key::Up);
    player.key(Key::Ctrl('u'));
    player.text("/run/license");
    player.key(Key::Enter);
    let check = player.app.marks.license.clone().unwrap();
    assert!(check.usable, "{check:?}");
    assert!(check.reason.contains("not activated yet"), "{check:?}");
    assert!(check.about.unwrap().contains("4 sockets"));
    player.key(Key::F(10));
    assert_eq!(player.app.screen, Screen::Summary);
    let plan = player.app.plan().unwrap();
    assert_eq!(plan.license.as_ref().unwrap().expose(), token);
    let state = serde_json::to_string(&player.app).unwrap();
    let shown =
        player.frame((120, 40)) + &plan.to_json().unwrap() + &state + &plan.describe().to_string();
    assert!(!shown.contains(&token[20..60]), "{shown}");
    assert!(shown.contains(plan.license_sha256.as_ref().unwrap()));
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        8 => prop::sample::select(vec![
            Key::Enter, Key::Tab, Key::Down, Key::Up, Key::Left, Key::Right, Key::F(10), Key::Char(' '),
        ]),
        3 => prop::sample::select(vec![
            Key::Esc, Key::BackTab, Key::Backspace, Key::Delete, Key::Home, Key::End, Key::PageUp, Key::PageDown,
            Key::F(1), Key::F(2), Key::F(5), Key::F(9), Key::Ctrl('u'), Key::Ctrl('w'),
        ]),
        2 => prop::sample::select("WIPEyesSl10./:a".chars().collect::<Vec<_>>()).prop_map(Key::Char),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_keys_break_it_and_nothing_starts_without_consent(keys in prop::collection::vec(any_key(), 0..120)) {
        let system = system();
        let mut player = Player::new(&system);
        for key in keys {
            let ready = player.app.screen == Screen::Confirm && player.app.planned().is_some_and(|plan| {
                let word = if plan.wipes() { "WIPE" } else { "yes" };
                player.app.marks.consent.text() == word
            });
            let before = player.started.iter().filter(|job| **job == "install").count();
            player.key(key);
            let after = player.started.iter().filter(|job| **job == "install").count();
            prop_assert!(after == before || (ready && key == Key::Enter));
            player.frame((80, 24));
            if player.app.leave.is_some() {
                break;
            }
        }
        player.frame((120, 40));
    }
}
