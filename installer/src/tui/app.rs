//! The state of the terminal UI, and what keys and messages do to it. Draws nothing and touches nothing.

use super::draft::{Draft, DraftProblem};
use super::effects::{Check, Effects, Job, Link, Load, Message, Subject};
use super::field::Field;
use super::key::{Input, Key};
use super::run_view::RunView;
use super::screens::{self, Screen};
use crate::choices::{After, Choices};
use crate::license_check::LicenseCheck;
use crate::plan::{About, Plan, PlanProblems, Planned, join_paths};
use hcl_checker::facts::{Disk, Facts};
use hcl_checker::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// Lines of a page in what is longer than the screen.
const PAGE: usize = 10;

/// How far the verification of the medium is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verification {
    /// The release is not open yet.
    #[default]
    Opening,
    /// The release could not be opened, or something on the medium is not as it was signed; outermost first.
    Failed(Vec<String>),
    /// It is read.
    Reading {
        /// Bytes read.
        done: u64,
        /// Bytes in all.
        total: u64,
        /// Milliseconds since the start.
        ms: u64,
    },
    /// Everything is as it was signed.
    Good,
}

/// What follows from what was typed.
#[derive(Default)]
pub enum Outcome {
    /// Something is missing.
    #[default]
    Nothing,
    /// What was typed is not complete or not valid.
    Incomplete(Vec<DraftProblem>),
    /// There is no plan for it.
    Refused(PlanProblems),
    /// The plan, and the choices that it comes from.
    Ready(Box<(Choices, Planned)>),
}

/// How the operator leaves the UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leave {
    /// Without an installation.
    Declined,
    /// After an installation that went well or not; this follows.
    Over(After),
}

/// What the screens keep besides the draft: where the operator is on each, and what was learned.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Marks {
    /// The focus of each screen.
    pub focus: [usize; Screen::ALL.len()],
    /// How far each screen is scrolled.
    pub scroll: [usize; Screen::ALL.len()],
    /// The finding that is shown in full.
    pub finding: Option<usize>,
    /// Screens that were seen, so that their first focus is set once.
    pub seen: [bool; Screen::ALL.len()],
    /// The layout that the machine's console has, where it was set.
    pub keymap_set: Option<String>,
    /// Where the keyboard is tried.
    pub try_keys: Field,
    /// The ssh key that is typed.
    pub ssh_key: Field,
    /// The password as it is typed.
    #[serde(skip)]
    pub password: Field,
    /// The same again.
    #[serde(skip)]
    pub password_again: Field,
    /// Place in [`screens::license::WAYS`].
    pub license_way: usize,
    /// The token as it is typed.
    #[serde(skip)]
    pub token: Field,
    /// Where a license is read from.
    pub license_place: Field,
    /// What is to say about the token.
    pub license: Option<LicenseCheck>,
    /// What the last test of the network found; none while it runs or was not run.
    pub tested: Option<Vec<Check>>,
    /// A test of the network runs.
    pub testing: bool,
    /// Where the answers are saved; none where that is not asked.
    pub save: Option<Field>,
    /// The word of consent as it is typed.
    pub consent: Field,
    /// The log takes the whole screen.
    pub log_open: bool,
}

/// The state of the terminal UI.
#[derive(Serialize, Deserialize)]
pub struct App {
    /// Version of the installer.
    pub version: String,
    /// Nothing is real.
    pub simulation: bool,
    /// The screen.
    pub screen: Screen,
    /// Help is shown over the screen.
    pub help: bool,
    /// The operator is asked whether to leave.
    pub leaving: bool,
    /// What the operator typed.
    pub draft: Draft,
    /// Where the operator is.
    pub marks: Marks,
    /// The machine and the release.
    pub subject: Option<Subject>,
    /// What the list says about the machine.
    pub verdict: Option<Verdict>,
    /// The medium.
    pub verification: Verification,
    /// Links now.
    pub links: Vec<Link>,
    /// Memory and load now.
    pub load: Option<Load>,
    /// What is in the way, or good to know; gone with the next key.
    pub message: Option<String>,
    /// Time zones that fit what is typed.
    pub zone_hints: Vec<String>,
    /// The installation.
    pub run: RunView,
    /// Set when the UI is over.
    pub leave: Option<Leave>,
    /// What follows from the draft.
    #[serde(skip)]
    pub outcome: Outcome,
}

impl App {
    /// At the start, and what has to be done first.
    pub fn new(effects: &dyn Effects) -> (App, Vec<Job>) {
        let mut app = App {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            simulation: effects.is_simulation(),
            screen: Screen::Welcome,
            help: false,
            leaving: false,
            draft: Draft::default(),
            marks: Marks::default(),
            subject: None,
            verdict: None,
            verification: Verification::Opening,
            links: Vec::new(),
            load: None,
            message: None,
            zone_hints: Vec::new(),
            run: RunView::default(),
            leave: None,
            outcome: Outcome::Nothing,
        };
        app.go(Screen::Welcome);
        app.tick(effects);
        (app, vec![Job::Open])
    }

    /// The facts; none before the machine was looked at.
    pub fn facts(&self) -> Option<&Facts> {
        self.subject.as_ref().map(|subject| &subject.facts)
    }

    /// The disks of the machine.
    pub fn disks(&self) -> &[Disk] {
        self.facts()
            .and_then(|facts| facts.disks.value())
            .map_or(&[], Vec::as_slice)
    }

    /// The plan, where there is one.
    pub fn planned(&self) -> Option<&Planned> {
        match &self.outcome {
            Outcome::Ready(ready) => Some(&ready.1),
            _ => None,
        }
    }

    /// The same, where it is that of an installation.
    pub fn plan(&self) -> Option<&Plan> {
        self.planned().and_then(Planned::install)
    }

    /// The focus of this screen.
    pub fn focus(&self) -> usize {
        self.marks.focus[self.screen.index()]
    }

    /// Sets the focus of this screen.
    pub fn set_focus(&mut self, focus: usize) {
        self.marks.focus[self.screen.index()] = focus;
    }

    /// Moves the focus among `count` items. False when the key moves nothing.
    pub fn move_focus(&mut self, key: Key, count: usize) -> bool {
        let last = count.saturating_sub(1);
        let focus = self.focus().min(last);
        let next = match key {
            Key::Down | Key::Tab => {
                if focus == last {
                    0
                } else {
                    focus + 1
                }
            }
            Key::Up | Key::BackTab => focus.checked_sub(1).unwrap_or(last),
            Key::PageUp => 0,
            Key::PageDown => last,
            _ => return false,
        };
        self.set_focus(next);
        true
    }

    /// Moves the focus among `count` items of a list that may be long: pages are pages there, and not the way to its ends.
    pub fn move_in_list(&mut self, key: Key, count: usize) -> bool {
        let last = count.saturating_sub(1);
        let focus = self.focus().min(last);
        let next = match key {
            Key::PageUp => focus.saturating_sub(PAGE),
            Key::PageDown => (focus + PAGE).min(last),
            _ => return self.move_focus(key, count),
        };
        self.set_focus(next);
        true
    }

    /// Scrolls this screen. False when the key scrolls nothing.
    pub fn scroll(&mut self, key: Key, lines: usize) -> bool {
        let scroll = &mut self.marks.scroll[self.screen.index()];
        let most = lines.saturating_sub(1);
        *scroll = match key {
            Key::Up => scroll.saturating_sub(1),
            Key::Down => (*scroll + 1).min(most),
            Key::PageUp => scroll.saturating_sub(PAGE),
            Key::PageDown => (*scroll + PAGE).min(most),
            Key::Home => 0,
            Key::End => most,
            _ => return false,
        };
        true
    }

    /// To the next screen, unless something on this one is missing or wrong.
    pub fn next(&mut self) {
        if let Some(problem) = self.problem_here() {
            self.message = Some(problem);
            return;
        }
        let mut next = self.screen.next();
        while let Some(skipped) = next.filter(|next| screens::is_skipped(self, *next)) {
            next = skipped.next();
        }
        if let Some(next) = next {
            self.go(next);
        }
    }

    /// To the screen before, or the question whether to leave.
    pub fn back(&mut self) {
        let mut back = self.screen.back();
        while let Some(skipped) = back.filter(|back| screens::is_skipped(self, *back)) {
            back = skipped.back();
        }
        match back {
            Some(back) => self.go(back),
            None => self.leaving = true,
        }
    }

    /// To a screen.
    pub fn go(&mut self, screen: Screen) {
        self.screen = screen;
        self.marks.scroll[screen.index()] = 0;
        self.message = None;
        if !std::mem::replace(&mut self.marks.seen[screen.index()], true) {
            self.set_focus(screens::first_focus(self));
        }
        if screen == Screen::Confirm {
            self.marks.consent.clear();
        }
    }

    /// What is missing or wrong on this screen.
    fn problem_here(&self) -> Option<String> {
        if let Some(problem) = screens::problem(self) {
            return Some(problem);
        }
        let Outcome::Incomplete(problems) = &self.outcome else {
            return None;
        };
        problems
            .iter()
            .find(|problem| problem.screen == self.screen)
            .map(|problem| problem.message.clone())
    }

    /// Takes a key or pasted text, and says what has to be done beside.
    pub fn input(&mut self, input: &Input, effects: &dyn Effects) -> Vec<Job> {
        let mut jobs = Vec::new();
        self.message = None;
        let before = self.draft.clone();
        match input {
            Input::Position { .. } => return jobs,
            Input::Paste(text) => {
                if !self.help && !self.leaving {
                    screens::paste(self, text);
                }
            }
            Input::Key(key) => self.key(*key, effects, &mut jobs),
        }
        if self.draft != before || matches!(self.outcome, Outcome::Nothing) {
            self.replan(effects);
        }
        self.zone_hints = match self.screen {
            Screen::System => screens::system::zone_hints(self, effects),
            _ => Vec::new(),
        };
        jobs
    }

    fn key(&mut self, key: Key, effects: &dyn Effects, jobs: &mut Vec<Job>) {
        if self.leaving {
            match key {
                Key::Char('y' | 'Y') => self.leave = Some(Leave::Declined),
                _ => self.leaving = false,
            }
            return;
        }
        if self.help {
            self.help = false;
            return;
        }
        match key {
            Key::F(1) | Key::Ctrl('g') => self.help = true,
            Key::F(10) | Key::Ctrl('n') if self.screen.is_form() => self.next(),
            Key::F(9) | Key::Ctrl('b') if self.screen.is_form() => self.back(),
            _ => screens::key(self, key, effects, jobs),
        }
    }

    /// Takes what a job has to say.
    pub fn message(&mut self, message: Message, effects: &dyn Effects) -> Vec<Job> {
        let mut jobs = Vec::new();
        match message {
            Message::Opened(Ok(subject)) => {
                self.verification = Verification::Reading {
                    done: 0,
                    total: subject.bytes,
                    ms: 0,
                };
                let mut subject = *subject;
                join_paths(&mut subject.facts);
                self.subject = Some(subject);
                self.replan(effects);
                jobs.push(Job::Verify);
            }
            Message::Opened(Err(errors)) | Message::Verified(Err(errors)) => {
                self.verification = Verification::Failed(errors);
            }
            Message::Verifying { done, total, ms } => {
                self.verification = Verification::Reading { done, total, ms };
            }
            Message::Verified(Ok(())) => self.verification = Verification::Good,
            Message::Tested(checks) => {
                self.marks.tested = Some(checks);
                self.marks.testing = false;
            }
            Message::License(Ok(text)) => {
                screens::license::take(self, &text, effects);
                self.replan(effects);
            }
            Message::License(Err(error)) => self.message = Some(error),
            Message::Saved(Ok(place)) => {
                self.message = Some(format!("The answers are in {place}."));
            }
            Message::Saved(Err(error)) => self.message = Some(error),
            Message::Event(event) => self.run.event(event),
            Message::Ended(ended) => {
                self.run.ended(*ended);
                self.go(Screen::Finish);
            }
        }
        jobs
    }

    /// A job ended without a word. An installation that did so has failed.
    pub fn broken(&mut self, text: String) {
        if self.screen == Screen::Progress {
            self.run.good = Some(false);
            self.run.errors = vec![text];
            self.go(Screen::Finish);
        } else {
            self.marks.testing = false;
            self.message = Some(text);
        }
    }

    /// Looks at what changes by itself. Called about once a second.
    pub fn tick(&mut self, effects: &dyn Effects) {
        match self.screen {
            Screen::Welcome | Screen::Network | Screen::Summary => self.links = effects.links(),
            Screen::Progress => self.load = effects.load(),
            _ => {}
        }
    }

    /// Works out again what follows from the draft.
    pub fn replan(&mut self, effects: &dyn Effects) {
        let Some(subject) = &self.subject else {
            return;
        };
        let disks = match self.draft.upgrades() {
            Some(path) => std::slice::from_ref(path),
            None => &self.draft.disks,
        };
        let names: Vec<&str> = disks
            .iter()
            .filter_map(|path| path.strip_prefix("/dev/"))
            .collect();
        self.verdict = effects.verdict(&names);
        self.outcome = match self.draft.choices(&subject.facts, effects.zones()) {
            Err(problems) => Outcome::Incomplete(problems),
            Ok(choices) => match effects.plan(&choices) {
                Ok(plan) => Outcome::Ready(Box::new((choices, plan))),
                Err(problems) => Outcome::Refused(problems),
            },
        };
    }
}

/// The screen on which a problem of the plan is put right.
pub fn screen_of(about: About, upgrade: bool) -> Screen {
    match about {
        About::Disk | About::Network | About::Machine if upgrade => Screen::Existing,
        About::Disk => Screen::Disks,
        About::Network => Screen::Network,
        About::Verdict => Screen::Hardware,
        About::Machine => Screen::System,
    }
}
