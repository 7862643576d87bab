//! The screens on real terminal devices: what is typed on one is seen on all, and each is left as it was.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::machine::{disk, facts};
use common::zones;
use hcl_checker::facts::FirmwareKind;
use installer::tui::app::Leave;
use installer::tui::console::{Console, restore_all, restore_on_panic};
use installer::tui::drive::drive;
use installer::tui::simulation::Simulation;
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use steps::system::RecordingSystem;

/// The terminals of a process are one state, so these tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// A terminal device and the person at it.
struct Pty {
    master: File,
    slave: File,
    path: PathBuf,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    fn new() -> Self {
        let pty = openpty(None, None).unwrap();
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        let path = ttyname(&slave).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, all) = (master.try_clone().unwrap(), heard.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                all.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Pty {
            master,
            slave,
            path,
            heard,
        }
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }

    /// What a terminal shows.
    fn text(&self) -> String {
        let mut parser = vt100::Parser::new(24, 80, 0);
        parser.process(&self.heard.lock().unwrap());
        parser.screen().contents()
    }

    fn wait_raw(&self, bytes: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.raw().contains(bytes) {
            assert!(
                Instant::now() < end,
                "{bytes:?} did not come: {:?}",
                self.raw()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait(&self, words: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.text().contains(words) {
            assert!(
                Instant::now() < end,
                "{words:?} did not come: {:?}",
                self.text()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
        // A lone escape is one only after a while.
        thread::sleep(Duration::from_millis(250));
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave)
            .unwrap()
            .local_flags
            .contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }
}

#[test]
fn the_first_one_touched_leads_and_another_can_take_over() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (mut one, mut two) = (Pty::new(), Pty::new());
    let (first, second) = (one.path.clone(), two.path.clone());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = [first.clone(), "/nonexistent/tty".into(), second.clone()];
    let ui = thread::spawn(move || {
        let system = RecordingSystem::new();
        let facts = facts(disk(), FirmwareKind::Bios);
        let effects = Simulation::new(&system, facts, zones(), Duration::ZERO).unwrap();
        // A console that cannot be opened is left out.
        drive(&effects, &paths, false).unwrap()
    });
    one.wait("Press any key");
    two.wait("Press any key");
    assert!(!one.echoes(), "the terminal is not raw");
    two.send(" ");
    one.wait(&format!("{} leads", name(&second)));
    // Who does not lead types in vain.
    one.send("\r\r\r");
    assert!(!two.text().contains("Is the medium"), "{}", two.text());
    two.send("\r");
    one.wait("Is the medium");
    one.send("\x14");
    two.wait(&format!("{} leads", name(&first)));
    one.send("\x1b");
    one.send("\x1b");
    two.wait("Leave without installing?");
    one.send("y");
    let over = ui.join().unwrap();
    assert_eq!(over.leave, Leave::Declined);
    for pty in [&one, &two] {
        assert!(pty.echoes(), "the terminal is still raw");
        pty.wait_raw("\x1b[?1049l");
    }
}

#[test]
fn a_terminal_is_asked_what_it_can_and_how_large_it_is() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pty = Pty::new();
    let mut console = Console::open(&pty.path, false).unwrap();
    let frame = |console: &mut Console| {
        let mut seen = (0, 0, true);
        // A frame is left out while the line is busy.
        for _ in 0..100 {
            let mut drawn = false;
            console
                .draw(|theme, frame| {
                    drawn = true;
                    seen = (
                        frame.area().width,
                        frame.area().height,
                        theme.glyphs.rule.is_ascii(),
                    );
                })
                .unwrap();
            if drawn {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        seen
    };
    assert_eq!(frame(&mut console), (80, 24, true));
    pty.wait_raw("\x1b[6n");
    // A character of two bytes took one column, so it was taken for one.
    console.position(1, 2);
    assert!(!frame(&mut console).2);
    console.refresh();
    console.position(1, 3);
    assert_eq!(frame(&mut console), (80, 24, true));
    console.position(50, 132);
    assert_eq!(frame(&mut console), (132, 50, true));
    // An answer that nobody asked for, and nonsense.
    console.position(9, 9);
    assert_eq!(frame(&mut console), (132, 50, true));
    console.refresh();
    console.position(1, 2);
    console.position(u16::MAX, 0);
    assert_eq!(frame(&mut console), (1, 500, false));
    restore_all();
    assert!(pty.echoes());
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pty = Pty::new();
    let path = pty.path.clone();
    let fallen = thread::spawn(move || {
        restore_on_panic();
        let _console = Console::open(&path, false).unwrap();
        panic!("a fault of the screens, on purpose");
    });
    assert!(fallen.join().is_err());
    assert!(pty.echoes(), "the terminal is still raw");
    pty.wait_raw("\x1b[?1049l");
}
