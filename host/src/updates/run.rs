//! One run: what the timer starts, and what the commands do at once.

use super::decide::{self as decisions, Automation, Decision, Situation, decide};
use super::policy::UpdatePolicy;
use super::state::{Cleared, Told, UpdateState};
use super::{Updater, fetch, repository, restart, tell};
use crate::XeError;
use crate::hotfix::{
    self, Applied, PatchRecord, PatchState, Places, boot_state, is_older, remove_folder,
};
use crate::local::{boot_record_at, host_uuid};
use jiff::tz::TimeZone;
use release::OpenRelease;
use slots::BootRecord;
use slots::boot_state::Choice;
use steps::fetch::shown_url;
use steps::system::Held;

/// Things that one run does at most: look, fetch, write, restart, and one to spare.
const MOST: u32 = 5;

/// Status where no repository is set.
const NO_REPOSITORY: &str = "no-repository";

/// A run that goes on.
struct Run<'u, 'a> {
    updater: &'u Updater<'a>,
    policy: UpdatePolicy,
    url: String,
    boot: BootRecord,
    state: UpdateState,
    /// What the repository gave in this run.
    release: Option<OpenRelease>,
    /// Held until the end.
    _lock: Held,
}

impl<'a> Updater<'a> {
    /// The time zone of the host; that of Greenwich where it cannot be read.
    pub fn zone(&self) -> TimeZone {
        self.system
            .read_file(&self.places.zone)
            .ok()
            .and_then(|bytes| TimeZone::tzif("local", &bytes).ok())
            .unwrap_or(TimeZone::UTC)
    }

    fn say(&self, status: &str, text: String, shown: bool) -> Told {
        Told {
            status: status.to_owned(),
            text,
            shown,
            at: (self.clock)(),
        }
    }

    /// What the administrator decided, with the repository; what is told where there is none, or it cannot be understood.
    fn policy(&self) -> Result<(UpdatePolicy, String), Told> {
        let policy = UpdatePolicy::read(self.system, &self.places.update_policy)
            .map_err(|error| self.say("failing", error.message, true))?;
        match policy.repository.clone() {
            Some(url) => Ok((policy, url)),
            None => {
                let text = "no update repository is set; `xe host-update-policy-set repository=URL` sets one";
                Err(self.say(NO_REPOSITORY, text.to_owned(), false))
            }
        }
    }

    /// The next run looks at the repository at once: how it is reached has changed. A run that goes on now and fails as before does not
    /// make it wait: only who has the lock writes what is remembered.
    ///
    /// # Errors
    /// When this cannot be noted.
    pub fn forget_pauses(&self) -> Result<(), XeError> {
        let note = self.places.update_at_once();
        self.system
            .create_dir_all(&self.places.updates)
            .and_then(|()| self.system.write_file(&note, b"", 0o644))
            .map_err(|e| XeError::system(&e))
    }

    /// What is remembered, for who has the lock. The policy is to be read afterwards: who notes that the pauses are forgotten has
    /// changed it by then.
    fn remembered(&self) -> Result<UpdateState, XeError> {
        let (path, note) = (self.places.update_state(), self.places.update_at_once());
        let mut state = UpdateState::read(self.system, &path);
        if self.system.exists(&note) {
            (state.looks, state.work) = Default::default();
            state.write(self.system, &path)?;
            self.system
                .remove_file(&note)
                .map_err(|e| XeError::system(&e))?;
        }
        Ok(state)
    }

    fn begin<'u>(&'u self, what: &str) -> Result<Result<Run<'u, 'a>, Told>, XeError> {
        let own = Places {
            lock: self.places.lock.with_file_name("updates.lock"),
            ..self.places.clone()
        };
        let lock = hotfix::lock(self.system, &own, what)?;
        let mut state = self.remembered()?;
        let (policy, url) = match self.policy() {
            Ok(known) => known,
            Err(told) => return Ok(Err(told)),
        };
        state.from_repository(&shown_url(&url));
        let boot = match boot_record_at(self.system, &self.places.boot_record) {
            Ok(boot) => boot,
            Err(error) => {
                let text = format!("the running release is not known: {error}");
                return Ok(Err(self.say("failing", text, true)));
            }
        };
        let waits = |uuid: &String| {
            let all = PatchRecord::all(self.system, self.places).unwrap_or_default();
            let state = all.iter().find(|record| record.uuid == *uuid);
            state.is_some_and(|record| {
                matches!(
                    record.state,
                    PatchState::Applying | PatchState::RestartNeeded
                )
            })
        };
        // Taken back, tried, given up for another one, or never begun: whoever writes it once more says who restarts for it.
        state.written.take_if(|uuid| !waits(uuid));
        // It runs by now, or somebody applied a newer one.
        state
            .offered
            .take_if(|offered| !is_older(&boot.root.version, &offered.version));
        Ok(Ok(Run {
            updater: self,
            policy,
            url,
            boot,
            state,
            release: None,
            _lock: lock,
        }))
    }

    /// What the timer starts: does whatever is due, and says what it came to.
    ///
    /// # Errors
    /// When another run goes on, or what is known cannot be kept.
    pub fn run(&self, automation: &Automation) -> Result<Told, XeError> {
        let told = match self.begin("host-update")? {
            Ok(mut run) => run.all(automation)?,
            Err(told) => {
                let mut state = UpdateState::read(self.system, &self.places.update_state());
                if told.status == NO_REPOSITORY {
                    // Nobody offers anything any more.
                    state.from_repository("");
                }
                state.told = told.clone();
                state.write(self.system, &self.places.update_state())?;
                told
            }
        };
        tell::write(self.system, self.places, &told).map_err(|e| XeError::system(&e))?;
        Ok(told)
    }

    /// Looks at the repository at once, and says what a run would do.
    ///
    /// # Errors
    /// When the repository cannot be read, or is not to be trusted.
    pub fn check(&self, automation: &Automation) -> Result<Told, XeError> {
        let mut run = self.begun("host-update-check")?;
        let looked = run.look();
        let told = run.conclude(automation)?;
        tell::write(self.system, self.places, &told).map_err(|e| XeError::system(&e))?;
        looked.map(|()| told)
    }

    fn begun<'u>(&'u self, what: &str) -> Result<Run<'u, 'a>, XeError> {
        self.begin(what)?
            .map_err(|told| XeError::failure("UPDATES_NOT_SET_UP", told.text))
    }

    /// Fetches and writes the newest release at once, whatever license, wave, window and hold say. None where nothing newer is
    /// offered.
    ///
    /// # Errors
    /// When it failed here before, or any of it fails now.
    pub fn install(&self, automation: &Automation) -> Result<Option<Applied>, XeError> {
        let mut run = self.begun("host-update-now")?;
        let mut installed = run.install();
        // What was told before asks for what is done now.
        let told = run.conclude(automation).and_then(|told| {
            tell::write(self.system, self.places, &told).map_err(|e| XeError::system(&e))
        });
        if let (Ok(Some(applied)), Err(error)) = (&mut installed, told) {
            let what = format!("the console and `xe patch-list` do not say so: {error}");
            applied.warnings.push(what);
        }
        installed
    }

    /// Forgets that the release that is offered failed here. Returns its version; none where nothing is held against it.
    ///
    /// # Errors
    /// When what is known cannot be read or kept.
    pub fn clear(&self) -> Result<Option<String>, XeError> {
        let mut run = self.begun("host-update-clear")?;
        let Some(offered) = run.state.offered.clone() else {
            return Ok(None);
        };
        run.state.work = Default::default();
        let records = PatchRecord::all(self.system, self.places)?;
        let cleared = run.state.cleared.as_ref();
        let failed = decisions::failure(&records, cleared, &offered.uuid).map(|record| Cleared {
            uuid: record.uuid.clone(),
            failed: record.changed,
        });
        let any = failed.is_some();
        run.state.cleared = failed.or(run.state.cleared.take());
        run.save()?;
        Ok(any.then_some(offered.version))
    }
}

impl Run<'_, '_> {
    /// What [`Updater::install`] does.
    fn install(&mut self) -> Result<Option<Applied>, XeError> {
        self.look()?;
        let Some(offered) = self.state.offered.clone() else {
            return Ok(None);
        };
        let records = PatchRecord::all(self.updater.system, self.updater.places)?;
        let cleared = self.state.cleared.as_ref();
        if let Some(failed) = decisions::failure(&records, cleared, &offered.uuid) {
            return Err(XeError::failure(
                "UPDATE_FAILED_BEFORE",
                format!(
                    "{} failed on this host: {}. `xe host-update-clear` has it tried again.",
                    offered.version, failed.reason
                ),
            )
            .with("uuid", offered.uuid));
        }
        // Whoever writes it by hand restarts by hand.
        self.state.written = None;
        self.save()?;
        self.fetch()?;
        self.write(&offered.uuid)
    }

    fn save(&self) -> Result<(), XeError> {
        let path = self.updater.places.update_state();
        self.state.write(self.updater.system, &path)
    }

    fn now(&self) -> u64 {
        (self.updater.clock)()
    }

    /// Looks at the repository, and remembers what came of it.
    fn look(&mut self) -> Result<(), XeError> {
        let site = self.updater.site();
        let opened = self.updater.open(&site, &self.policy, &self.url);
        let now = self.now();
        match opened {
            Ok(release) => {
                let bytes = fetch::size(&site, &self.boot, &release);
                let offered = repository::offered(&release, &self.boot, bytes);
                self.state.see(offered, now);
                self.state.looks.tried(now, None);
                self.state.looked = Some(now);
                self.release = Some(release);
                self.save()?;
                self.tidy()
            }
            Err(error) => {
                self.state.looks.tried(now, Some(&error.message));
                self.save()?;
                Err(error)
            }
        }
    }

    /// Removes what was fetched and is not needed any more: of other releases than the one that is offered, and of those whose
    /// fate is decided. Nobody else would, and a full disk would be the end of updates.
    fn tidy(&self) -> Result<(), XeError> {
        let (system, places) = (self.updater.system, self.updater.places);
        let site = self.updater.site();
        let offered = self
            .state
            .offered
            .as_ref()
            .map(|offered| offered.uuid.as_str());
        let records = PatchRecord::all(system, places)?;
        if !system.exists(&places.store) {
            return Ok(());
        }
        let names = system
            .list_dir(&places.store)
            .map_err(|e| XeError::system(&e))?;
        for name in names {
            let Some(uuid) = name.strip_prefix(fetch::PREFIX) else {
                continue;
            };
            let record = records
                .iter()
                .find(|record| record.folder.as_deref() == Some(name.as_str()));
            match record {
                Some(record) => {
                    let in_use = match record.state {
                        PatchState::Applying | PatchState::RestartNeeded => true,
                        PatchState::Uploaded => offered == Some(uuid),
                        _ => false,
                    };
                    if !in_use {
                        hotfix::clean(&site, &record.uuid)?;
                    }
                }
                None if offered == Some(uuid) => {}
                None => remove_folder(&site, &places.store.join(&name))?,
            }
        }
        Ok(())
    }

    /// Fetches the release that is offered.
    fn fetch(&mut self) -> Result<PatchRecord, XeError> {
        let release = self.release.as_ref().ok_or_else(|| {
            XeError::failure("INTERNAL_ERROR", "the repository was not looked at")
        })?;
        self.updater
            .fetch(&self.policy, &self.url, &self.boot, release)
    }

    /// Writes a release whose files are here. Those that came when the host ran another release may be of no use to it any more: they
    /// are fetched anew then. None where the repository, which is looked at for that, offers another release by now.
    fn write(&mut self, uuid: &str) -> Result<Option<Applied>, XeError> {
        let apply = |run: &Self| hotfix::apply(&run.updater.site(), uuid, (run.updater.sinks)());
        match apply(self) {
            Err(error) if error.code == hotfix::NO_DELTA => {}
            done => return done.map(Some),
        }
        hotfix::clean(&self.updater.site(), uuid)?;
        if self.release.is_none() {
            self.look()?;
        }
        let offered = self.state.offered.as_ref();
        if offered.is_none_or(|offered| offered.uuid != uuid) {
            return Ok(None);
        }
        self.fetch()?;
        apply(self).map(Some)
    }

    /// What is to be done now.
    fn decide<T>(
        &self,
        automation: &Automation,
        with: impl FnOnce(Decision, &Situation<'_>) -> T,
    ) -> Result<T, XeError> {
        let (system, places) = (self.updater.system, self.updater.places);
        let records = PatchRecord::all(system, places)?;
        let waits = records
            .iter()
            .any(|record| record.state == PatchState::RestartNeeded);
        let loader = boot_state(&places.esp).ok();
        let next_try = loader.as_ref().and_then(|state| match state.choice() {
            Choice::Try(id) => Some(id),
            _ => None,
        });
        let busy = match waits {
            true => restart::busy(system, &self.policy),
            false => None,
        };
        let seed = host_uuid(system).unwrap_or_default().to_string();
        let situation = Situation {
            now: self.now(),
            zone: &self.updater.zone(),
            policy: &self.policy,
            automation,
            state: &self.state,
            running: &self.boot.root.version,
            next_try,
            records: &records,
            seed: &seed,
            busy: busy.as_deref(),
        };
        Ok(with(decide(&situation), &situation))
    }

    fn all(&mut self, automation: &Automation) -> Result<Told, XeError> {
        if self.state.looks.next_look(self.now()).is_none() {
            // What the server did before is as good as it was; the failure is remembered and told.
            let _ = self.look();
        }
        for _ in 0..MOST {
            // What was decided while something was fetched or written counts: that can take hours.
            match self.updater.policy() {
                Ok((policy, url)) if url == self.url => self.policy = policy,
                // The next run begins with the other one.
                Ok(_) => break,
                Err(told) => {
                    self.state.told = told.clone();
                    self.save()?;
                    return Ok(told);
                }
            }
            match self.decide(automation, |decision, _| decision)? {
                Decision::Fetch => {
                    self.announce(automation)?;
                    // Fresh metadata, so that nobody has us fetch what is not the newest any more.
                    if self.release.is_none() {
                        let pause = self.state.looks.again(self.now());
                        if pause.is_some() || self.look().is_err() {
                            break;
                        }
                    }
                    if self.release.is_some() && self.state.offered.is_some() {
                        let fetched = self.fetch();
                        self.worked(fetched.map(drop))?;
                    }
                }
                Decision::Write => {
                    self.announce(automation)?;
                    let Some(uuid) = self.state.offered.as_ref().map(|o| o.uuid.clone()) else {
                        break;
                    };
                    // Before: where the power goes behind the last step, it is known whose it is.
                    self.state.written = Some(uuid.clone());
                    self.save()?;
                    let written = self.write(&uuid);
                    if !matches!(written, Ok(Some(_))) {
                        // Whoever applies it by hand by now restarts by hand.
                        self.state.written = None;
                    }
                    self.worked(written.map(drop))?;
                }
                Decision::Restart { version } => {
                    let told = self.announce(automation)?;
                    let (system, places) = (self.updater.system, self.updater.places);
                    match restart::restart(system, places, &self.policy) {
                        Ok(()) => return Ok(told),
                        Err(error) => {
                            self.state.told = Told {
                                status: "restart-needed".to_owned(),
                                text: format!(
                                    "{version} is written and waits for a restart: {}",
                                    error.message
                                ),
                                ..told
                            };
                            self.save()?;
                            return Ok(self.state.told.clone());
                        }
                    }
                }
                _ => break,
            }
        }
        self.conclude(automation)
    }

    /// Remembers what came of fetching or writing.
    fn worked(&mut self, result: Result<(), XeError>) -> Result<(), XeError> {
        let now = self.now();
        let error = result
            .err()
            .map(|error| error.to_string().replace('\n', "; "));
        self.state.work.tried(now, error.as_deref());
        self.save()
    }

    /// Says what is begun, for who looks meanwhile, and remembers it.
    fn announce(&mut self, automation: &Automation) -> Result<Told, XeError> {
        self.tell(automation, true)
    }

    /// Says what is to be done now that this run ends, and remembers it.
    fn conclude(&mut self, automation: &Automation) -> Result<Told, XeError> {
        self.tell(automation, false)
    }

    fn tell(&mut self, automation: &Automation, goes_on: bool) -> Result<Told, XeError> {
        let told = self.decide(automation, |decision, s| tell::told(&decision, s, goes_on))?;
        self.state.told = told.clone();
        self.save()?;
        Ok(told)
    }
}
