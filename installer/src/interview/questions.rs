//! The questions, in their order. They fill the same draft as the screens do, so both give the same choices.

use super::prompt::{Prompt, PromptError};
use crate::answers::export;
use crate::plan::{Planned, join_paths};
use crate::tui::draft::{Draft, DraftProblem};
use crate::tui::effects::{Effects, Job, Message, Subject};
use crate::tui::field::Field;
use crate::tui::screens::Screen;
use crate::tui::screens::existing::{Way, is_asked};
use crate::tui::text::machine_lines;
use crate::values::KEYMAPS;
use crate::values::{LicenseToken, SshKey};
use hcl_checker::verdict::Severity;
use std::sync::{Mutex, PoisonError};

/// The word that consents to losing a disk's content. Typed whole, so that no habit types it.
pub const CONSENT: &str = "WIPE";
/// The word that starts an installation that loses nothing.
pub const CONSENT_NOTHING_LOST: &str = "yes";
/// Shortest password, in characters.
pub const SHORTEST_PASSWORD: usize = 8;
/// What empties a field that has a value.
pub(super) const NOTHING: &str = "-";

/// What came of the interview.
#[derive(Debug)]
pub enum Asked {
    /// A plan that the operator agreed to.
    Install(Box<Planned>),
    /// The operator does not want to install.
    Declined,
    /// The release cannot be opened, or it is not what was signed; outermost first.
    NoRelease(Vec<String>),
}

/// Asks until there is a plan that the operator agrees to.
pub fn ask(prompt: &mut dyn Prompt, effects: &dyn Effects) -> Result<Asked, PromptError> {
    prompt.say(
        "\nNo answers were found, so here are the questions. Nothing is written before you agree to the plan.\n\
         An empty line keeps what stands in brackets; a single - empties it.",
    )?;
    let subject = match told(effects, Job::Open).pop() {
        Some(Message::Opened(Ok(mut subject))) => {
            join_paths(&mut subject.facts);
            subject
        }
        Some(Message::Opened(Err(errors))) => return Ok(Asked::NoRelease(errors)),
        _ => {
            return Ok(Asked::NoRelease(vec![
                "the release did not open".to_owned(),
            ]));
        }
    };
    let mut interview = Interview {
        prompt,
        effects,
        subject: *subject,
        draft: Draft::default(),
    };
    interview.machine()?;
    interview.keyboard()?;
    match interview.existing()? {
        Way::Stop => return Ok(Asked::Declined),
        Way::Upgrade(_) => {}
        Way::Anew => interview.new_host()?,
    }
    interview.plan()
}

/// Does a job and returns all that it says.
pub(super) fn told(effects: &dyn Effects, job: Job) -> Vec<Message> {
    let all = Mutex::new(Vec::new());
    effects.run(job, &|message| {
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message);
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The questions and what they fill.
pub(super) struct Interview<'a> {
    pub(super) prompt: &'a mut dyn Prompt,
    pub(super) effects: &'a dyn Effects,
    pub(super) subject: Subject,
    pub(super) draft: Draft,
}

impl Interview<'_> {
    pub(super) fn say(&mut self, text: &str) -> Result<(), PromptError> {
        self.prompt.say(text)
    }

    /// One of `count` numbered things; nothing typed means `default` where there is one.
    pub(super) fn number(
        &mut self,
        question: &str,
        count: usize,
        default: Option<usize>,
    ) -> Result<usize, PromptError> {
        let shown = default.map_or(String::new(), |default| format!(" [{}]", default + 1));
        loop {
            let line = self
                .prompt
                .line(&format!("{question} (1-{count}){shown}:"))?;
            match (line.parse::<usize>(), default) {
                (Ok(number), _) if (1..=count).contains(&number) => return Ok(number - 1),
                (_, Some(default)) if line.is_empty() => return Ok(default),
                _ => self.say(&format!("Type a number from 1 to {count}."))?,
            }
        }
    }

    /// Any of so many, by numbers with blanks or commas between them; `now` where nothing is typed, none where `-` is.
    pub(super) fn numbers(
        &mut self,
        question: &str,
        count: usize,
        now: Vec<usize>,
    ) -> Result<Vec<usize>, PromptError> {
        let shown: Vec<String> = now.iter().map(|at| (at + 1).to_string()).collect();
        let shown = match shown.is_empty() {
            true => "none".to_owned(),
            false => format!("{}; - for none", shown.join(" ")),
        };
        loop {
            let line = self.prompt.line(&format!(
                "{question} (1-{count}, several with blanks) [{shown}]:"
            ))?;
            let words: Vec<&str> = line
                .split([' ', ','])
                .filter(|word| !word.is_empty())
                .collect();
            match words[..] {
                [] => return Ok(now),
                ["-"] => return Ok(Vec::new()),
                _ => {}
            }
            let numbers = words.iter().map(|word| match word.parse::<usize>() {
                Ok(number) if (1..=count).contains(&number) => Some(number - 1),
                _ => None,
            });
            match numbers.collect::<Option<std::collections::BTreeSet<_>>>() {
                Some(chosen) => return Ok(chosen.into_iter().collect()),
                None => self.say(&format!("Type numbers from 1 to {count}, or - for none."))?,
            }
        }
    }

    /// Numbered options and the place of the chosen one.
    pub(super) fn option(
        &mut self,
        question: &str,
        options: &[&str],
        now: usize,
    ) -> Result<usize, PromptError> {
        let list: Vec<String> = options
            .iter()
            .enumerate()
            .map(|(index, option)| format!("{} {option}", index + 1))
            .collect();
        self.number(
            &format!("{question}: {}", list.join(", ")),
            options.len(),
            Some(now),
        )
    }

    /// A line of text; nothing typed keeps what is there.
    pub(super) fn field(
        &mut self,
        question: &str,
        of: fn(&mut Draft) -> &mut Field,
    ) -> Result<(), PromptError> {
        let now = of(&mut self.draft).value().to_owned();
        let shown = if now.is_empty() {
            String::new()
        } else {
            format!(" [{now}]")
        };
        let line = self.prompt.line(&format!("{question}{shown}:"))?;
        match line.as_str() {
            "" => {}
            NOTHING => of(&mut self.draft).clear(),
            text => *of(&mut self.draft) = Field::with(text),
        }
        Ok(())
    }

    /// What is wrong in a part of the draft. True when something is, after saying what.
    pub(super) fn is_wrong(&mut self, screen: Screen) -> Result<bool, PromptError> {
        let problems: Vec<DraftProblem> = self
            .draft
            .choices(&self.subject.facts, self.effects.zones())
            .err()
            .unwrap_or_default()
            .into_iter()
            .filter(|problem| problem.screen == screen)
            .collect();
        for problem in &problems {
            self.prompt.say(&problem.message)?;
        }
        Ok(!problems.is_empty())
    }

    fn machine(&mut self) -> Result<(), PromptError> {
        self.say(&format!(
            "\nBedplate {}, Xen {}, Linux {}",
            self.subject.version, self.subject.xen, self.subject.kernel
        ))?;
        for (name, value) in machine_lines(&self.subject.facts) {
            self.say(&format!("{name:<12} {value}"))?;
        }
        let Some(verdict) = self.effects.verdict(&[]) else {
            return Ok(());
        };
        self.say(&format!("\nThis hardware is {}.", verdict.level))?;
        for finding in &verdict.findings {
            let means = match finding.severity {
                Severity::Fine => continue,
                Severity::Warns => "to know",
                Severity::Blocks => "IN THE WAY",
            };
            self.say(&format!("{means}: {}, {}", finding.subject, finding.name))?;
            for (name, text) in [
                ("seen", &finding.observed),
                ("expected", &finding.expected),
                ("what to do", &finding.advice),
            ] {
                if !text.is_empty() {
                    self.say(&format!("    {name}: {text}"))?;
                }
            }
        }
        Ok(())
    }

    fn keyboard(&mut self) -> Result<(), PromptError> {
        loop {
            let now = self.draft.keymap.clone();
            let line = self.prompt.line(&format!(
                "\nKeyboard of this machine's own console, ? for a list [{now}]:"
            ))?;
            if line.is_empty() {
                return Ok(());
            }
            if !KEYMAPS.iter().any(|(name, _)| *name == line) {
                let names: Vec<&str> = KEYMAPS.iter().map(|(name, _)| *name).collect();
                self.say(&format!("Possible are: {}", names.join(" ")))?;
                continue;
            }
            match self.effects.set_keymap(&line) {
                Ok(()) => {
                    self.draft.keymap = line;
                    return Ok(());
                }
                Err(error) => self.say(&error)?,
            }
        }
    }

    /// Everything about a new host.
    pub(super) fn new_host(&mut self) -> Result<(), PromptError> {
        self.disk()?;
        self.system()?;
        self.secure_boot()?;
        self.network()?;
        self.license()
    }

    fn system(&mut self) -> Result<(), PromptError> {
        self.say("")?;
        loop {
            self.field("Name of the host", |draft| &mut draft.hostname)?;
            self.field("Time zone", |draft| &mut draft.timezone)?;
            self.password()?;
            self.keys()?;
            if !self.is_wrong(Screen::System)? {
                return Ok(());
            }
        }
    }

    fn password(&mut self) -> Result<(), PromptError> {
        let kept = if self.draft.root_password.is_some() {
            " [kept as a hash]"
        } else {
            ", or nothing for none"
        };
        loop {
            let first = self
                .prompt
                .secret(&format!("Password for root (not shown){kept}:"))?;
            if first.is_empty() {
                return Ok(());
            }
            if first.chars().count() < SHORTEST_PASSWORD {
                self.say(&format!(
                    "A password needs {SHORTEST_PASSWORD} characters or more."
                ))?;
                continue;
            }
            if self.prompt.secret("The same again:")? != first {
                self.say("The two are not the same.")?;
                continue;
            }
            match self.effects.hash_password(&first) {
                Ok(hash) => {
                    self.draft.root_password = Some(hash);
                    return Ok(());
                }
                Err(error) => self.say(&error)?,
            }
        }
    }

    fn keys(&mut self) -> Result<(), PromptError> {
        loop {
            let count = self.draft.ssh_keys.len();
            let kept = if count > 0 {
                format!(" [{count} kept]")
            } else {
                String::new()
            };
            let line = self.prompt.line(&format!(
                "Public ssh key for root, one line, or nothing{kept}:"
            ))?;
            match line.as_str() {
                "" => return Ok(()),
                NOTHING => self.draft.ssh_keys.clear(),
                text => match SshKey::parse(text) {
                    Ok(key) => {
                        self.say(&format!("Added {}", key.fingerprint()))?;
                        let text = key.as_str().to_owned();
                        if !self.draft.ssh_keys.contains(&text) {
                            self.draft.ssh_keys.push(text);
                        }
                    }
                    Err(error) => self.say(&format!("The ssh key {error}."))?,
                },
            }
        }
    }

    fn license(&mut self) -> Result<(), PromptError> {
        let sockets = self
            .subject
            .facts
            .topology
            .sockets
            .value()
            .map_or("not counted".to_owned(), u32::to_string);
        self.say(&format!(
            "\nA license adds automatic updates; everything else works without one. Sockets in use: {sockets}."
        ))?;
        loop {
            let kept = if self.draft.license.is_some() {
                " [kept]"
            } else {
                ""
            };
            // A token is a secret: it is not shown while it is typed.
            let line = self.prompt.secret(&format!(
                "License token (not shown), or where it is (/dev/sdb1:/license.token, a path, a URL), or nothing{kept}:"
            ))?;
            let line = line.trim();
            let text = match line {
                "" => return Ok(()),
                NOTHING => {
                    self.draft.license = None;
                    continue;
                }
                token if token.starts_with("v4.") => token.to_owned(),
                place => match told(self.effects, Job::ReadLicense(place.to_owned())).pop() {
                    Some(Message::License(Ok(text))) => text,
                    Some(Message::License(Err(error))) => {
                        self.say(&error)?;
                        continue;
                    }
                    _ => continue,
                },
            };
            let check = self.effects.check_license(&text, &self.subject.facts);
            if let Some(about) = &check.about {
                self.say(about)?;
            }
            self.say(&format!("{}: {}.", check.state, check.reason))?;
            if check.usable {
                self.draft.license = LicenseToken::parse(&text).ok();
                return Ok(());
            }
        }
    }

    /// Shows the plan, or what is in the way of one, until the operator agrees or leaves.
    fn plan(mut self) -> Result<Asked, PromptError> {
        loop {
            let choices = self
                .draft
                .choices(&self.subject.facts, self.effects.zones());
            let built = match &choices {
                Ok(choices) => match self.effects.plan(choices) {
                    Ok(plan) => Some(plan),
                    Err(problems) => {
                        self.say(&format!("\n{problems}"))?;
                        None
                    }
                },
                Err(problems) => {
                    for problem in problems {
                        self.prompt.say(&problem.message)?;
                    }
                    None
                }
            };
            let upgrade = self.draft.upgrades().is_some();
            let mut words = String::new();
            if !upgrade {
                words.push_str("d disk, h name and logins, n network, l license, ");
            }
            words.push_str("r reason to install on hardware that is not approved, ");
            if self.firmware_takes_keys() && !upgrade {
                words.push_str("b Secure Boot, ");
            }
            if is_asked(Some(&self.subject)) {
                words.push_str("u upgrade or install anew, ");
            }
            let word = built.as_ref().map(|plan| {
                if plan.wipes() {
                    CONSENT
                } else {
                    CONSENT_NOTHING_LOST
                }
            });
            if let Some(plan) = &built {
                self.say(&format!("\nThe plan:\n\n{}", plan.describe()))?;
                if let Ok(hash) = plan.hash() {
                    self.say(&format!("Plan       {hash}"))?;
                }
                if let Some(loss) = plan.loss() {
                    self.say(&format!("\n{loss}."))?;
                }
                words.push_str("s save the answers, ");
            }
            self.say(&format!(
                "\nTo change something, type a letter: {words}q leave."
            ))?;
            let question = match word {
                Some(word) => format!("Type {word} to install, or a letter:"),
                None => "Type a letter:".to_owned(),
            };
            let line = self.prompt.line(&question)?;
            match (line.as_str(), built, choices) {
                (line, Some(plan), _) if Some(line) == word => {
                    self.say("The medium is being verified ...")?;
                    for message in told(self.effects, Job::Verify) {
                        if let Message::Verified(Err(errors)) = message {
                            return Ok(Asked::NoRelease(errors));
                        }
                    }
                    return Ok(Asked::Install(Box::new(plan)));
                }
                ("s", Some(_), Ok(choices)) => {
                    let place = self.prompt.line(
                        "Save them to which file? A path, or one on a device such as /dev/sdb1:/answers.toml:",
                    )?;
                    match export::to_toml(&choices) {
                        Ok(text) => self.save(place, text)?,
                        Err(error) => {
                            self.say(&format!("The answers cannot be written down: {error}."))?;
                        }
                    }
                }
                ("u", ..) => match self.existing()? {
                    Way::Stop => return Ok(Asked::Declined),
                    Way::Anew if upgrade => self.new_host()?,
                    Way::Anew | Way::Upgrade(_) => {}
                },
                ("d", ..) if !upgrade => self.disk()?,
                ("h", ..) if !upgrade => self.system()?,
                ("n", ..) if !upgrade => self.network()?,
                ("l", ..) if !upgrade => self.license()?,
                ("b", ..) if !upgrade => self.secure_boot()?,
                ("r", ..) => self.field("Why (kept in the report)", |draft| &mut draft.reason)?,
                ("q" | "quit", ..) => return Ok(Asked::Declined),
                _ => {}
            }
        }
    }

    fn save(&mut self, place: String, text: String) -> Result<(), PromptError> {
        for message in told(self.effects, Job::Save { place, text }) {
            match message {
                Message::Saved(Ok(place)) => self.say(&format!("The answers are in {place}."))?,
                Message::Saved(Err(error)) => self.say(&error)?,
                _ => {}
            }
        }
        Ok(())
    }
}
