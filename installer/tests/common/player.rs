//! An operator at a played machine, who presses keys and sees what is drawn.

use super::{HASH, KEY, zones};
use hcl_checker::facts::Facts;
use installer::tui::app::App;
use installer::tui::draw::{Seat, draw};
use installer::tui::effects::{Effects, Job};
use installer::tui::key::{Input, Key};
use installer::tui::screens::Screen;
use installer::tui::simulation::Simulation;
use installer::tui::theme::Theme;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use steps::system::RecordingSystem;

/// The smallest terminal, and a larger one.
pub const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];
pub const PASSWORD: &str = "correct horse";

pub fn server() -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tui/server.json");
    Facts::from_json(&std::fs::read(path).unwrap()).unwrap()
}

pub fn system() -> RecordingSystem {
    RecordingSystem::new().prints("openssl passwd -6 -stdin", &format!("{HASH}\n"))
}

/// An operator at a played machine.
pub struct Player<'s> {
    pub effects: Simulation<'s>,
    pub app: App,
    /// Jobs that were started, in words.
    pub started: Vec<&'static str>,
    /// Jobs that wait, where they are not done at once.
    pub held: Vec<Job>,
    pub hold: bool,
}

impl<'s> Player<'s> {
    pub fn new(system: &'s RecordingSystem) -> Self {
        Self::at(system, server())
    }

    /// At another machine.
    pub fn at(system: &'s RecordingSystem, facts: Facts) -> Self {
        let effects = Simulation::new(system, facts, zones(), Duration::ZERO).unwrap();
        let (app, jobs) = App::new(&effects);
        let mut player = Player {
            effects,
            app,
            started: Vec::new(),
            held: Vec::new(),
            hold: false,
        };
        player.work(jobs);
        player
    }

    pub fn work(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            self.started.push(match &job {
                Job::Open => "open",
                Job::Verify => "verify",
                Job::TestNetwork(_) => "test-network",
                Job::ReadLicense(_) => "read-license",
                Job::Save { .. } => "save",
                Job::Install(_) => "install",
            });
            if self.hold {
                self.held.push(job);
                continue;
            }
            let said = Mutex::new(Vec::new());
            self.effects
                .run(job, &|message| said.lock().unwrap().push(message));
            for message in said.into_inner().unwrap() {
                let more = self.app.message(message, &self.effects);
                self.work(more);
            }
        }
    }

    pub fn key(&mut self, key: Key) {
        let jobs = self.app.input(&Input::Key(key), &self.effects);
        self.work(jobs);
    }

    pub fn keys(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| self.key(*key));
    }

    pub fn text(&mut self, text: &str) {
        text.chars().for_each(|c| self.key(Key::Char(c)));
    }

    pub fn paste(&mut self, text: &str) {
        let jobs = self
            .app
            .input(&Input::Paste(text.to_owned()), &self.effects);
        self.work(jobs);
    }

    pub fn frame(&self, size: (u16, u16)) -> String {
        self.seen(size, &Seat::Leader, true)
    }

    pub fn seen(&self, (width, height): (u16, u16), seat: &Seat, utf8: bool) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let theme = Theme::new(false, utf8);
        terminal
            .draw(|frame| draw(&self.app, &theme, seat, frame))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| {
            let line: String = row.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned() + "\n"
        })
        .collect()
    }

    /// To the screen behind the hardware, with a reason.
    pub fn reach_disks(&mut self) {
        self.keys(&[Key::Enter, Key::Enter]);
        assert_eq!(self.app.screen, Screen::Hardware);
        self.text("spare ordered");
        self.keys(&[Key::Enter]);
        if self.app.screen == Screen::Existing {
            // The last but one: install anew.
            self.keys(&[Key::Up, Key::Up, Key::Enter]);
        }
        assert_eq!(self.app.screen, Screen::Disks, "{:?}", self.app.message);
    }

    pub fn take_disk(&mut self, path: &str) {
        let at = self
            .app
            .disks()
            .iter()
            .position(|disk| disk.path == path)
            .unwrap();
        self.app.set_focus(at);
        self.key(Key::Enter);
    }

    pub fn fill_system(&mut self) {
        self.text("xen1.example.org");
        self.keys(&[Key::Enter, Key::Ctrl('u')]);
        self.text("Europe/Ber");
        self.keys(&[Key::Right, Key::Enter]);
        for _ in 0..2 {
            self.text(PASSWORD);
            self.key(Key::Enter);
        }
        self.paste(KEY);
        self.keys(&[Key::Enter]);
    }

    /// To the plan, with the disk at `path` and everything else as it comes.
    pub fn reach_summary(&mut self, path: &str) {
        self.reach_disks();
        self.take_disk(path);
        self.finish_plan();
    }

    /// From the picture of the disk to the plan, with everything as it comes.
    pub fn finish_plan(&mut self) {
        self.keys(&[Key::Enter, Key::F(10)]);
        assert_eq!(self.app.screen, Screen::System, "{:?}", self.app.message);
        self.fill_system();
        self.keys(&[Key::F(10), Key::F(10)]);
        assert_eq!(self.app.screen, Screen::Summary, "{:?}", self.app.message);
    }
}
