//! What the screens cause on the machine that is installed.

use super::effects::{Effects, Ended, Job, Link, Load, Message, Subject};
use super::gate::Tap;
use super::network_test::NetworkTest;
use crate::answer_source::{Finder, Network, Request, Trust};
use crate::choices::Choices;
use crate::installed;
use crate::laydown::HOST_KEY_NOTE;
use crate::license_check::{self, LicenseCheck};
use crate::plan::{PlanProblems, Planned};
use crate::run_dir::RunDir;
use crate::session::{AnswersFrom, Prepared, Session, failed_early};
use crate::values::layout_and_variant;
use crate::values::{PasswordHash, Zones};
use hcl_checker::facts::Facts;
use hcl_checker::verdict::Verdict;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use steps::event::EventKind;
use steps::step::error_chain;
use steps::system::{Command, Mount, System};
use steps::{Emitter, Report, StepError};

/// Where a volume is mounted while answers are written to it.
const SAVE_MOUNT: &str = "/run/bedplate/save-volume";

/// The machine that is installed.
pub struct Real<'a> {
    session: &'a Session<'a>,
    dir: Option<&'a RunDir>,
    emitter: Mutex<&'a mut Emitter>,
    tap: Tap,
    zones: Zones,
    prepared: Mutex<Option<Arc<Prepared<'a>>>>,
    report: Mutex<Option<Report>>,
    network: NetworkTest<'a>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Real<'a> {
    /// With the session that installs, and the event stream, of which `tap` is a reader.
    pub fn new(
        session: &'a Session<'a>,
        dir: Option<&'a RunDir>,
        emitter: &'a mut Emitter,
        tap: Tap,
        zones: Zones,
    ) -> Self {
        Real {
            network: NetworkTest::new(session.system),
            session,
            dir,
            emitter: Mutex::new(emitter),
            tap,
            zones,
            prepared: Mutex::new(None),
            report: Mutex::new(None),
        }
    }

    /// The report of the installation, where there was one.
    pub fn report(&self) -> Option<Report> {
        lock(&self.report).take()
    }

    /// The report of a run that ended before its first step.
    pub fn failed(&self, step: &str, errors: Vec<String>) -> Report {
        failed_early(
            step,
            env!("CARGO_PKG_VERSION"),
            errors,
            &mut lock(&self.emitter),
        )
    }

    fn prepared(&self) -> Option<Arc<Prepared<'a>>> {
        lock(&self.prepared).clone()
    }

    fn open(&self) -> Result<Box<Subject>, StepError> {
        let prepared = {
            let facts = installed::facts(self.session.system, self.session.machine);
            self.session.prepare(facts)?
        };
        let manifest = &prepared.release.manifest;
        let subject = Subject {
            facts: prepared.facts.clone(),
            version: manifest.version.clone(),
            xen: manifest.xen.clone(),
            kernel: manifest.kernel.clone(),
            root_hash: manifest.root.verity.root_hash.clone(),
            bytes: prepared.release.total_size(),
            expired: prepared.release.expired.clone(),
            medium: self
                .session
                .boot
                .as_ref()
                .and_then(|boot| boot.medium.as_ref())
                .map(|medium| medium.device.clone()),
        };
        *lock(&self.prepared) = Some(Arc::new(prepared));
        Ok(Box::new(subject))
    }

    fn verify(&self, tell: &(dyn Fn(Message) + Sync)) -> Result<(), Vec<String>> {
        let Some(prepared) = self.prepared() else {
            return Err(vec!["the release is not open".to_owned()]);
        };
        let started = Instant::now();
        let mut told: Option<Instant> = None;
        prepared
            .release
            .verify_all(|done, total, _| {
                // A few times a second is enough for people.
                if told.is_some_and(|told| told.elapsed().as_millis() < 200) {
                    return;
                }
                told = Some(Instant::now());
                let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tell(Message::Verifying { done, total, ms });
            })
            .map_err(|error| error_chain(&error))
    }

    fn install(&self, plan: &Planned, tell: &(dyn Fn(Message) + Sync)) -> Ended {
        let mut emitter = lock(&self.emitter);
        let events = self.tap.open();
        let (report, fingerprint) = std::thread::scope(|scope| {
            let listener = scope.spawn(move || {
                let mut fingerprint = None;
                for event in events {
                    if let EventKind::Note { message, .. } = &event.kind
                        && let Some(text) = message.strip_prefix(HOST_KEY_NOTE)
                    {
                        fingerprint = Some(text.to_owned());
                    }
                    tell(Message::Event(event));
                }
                fingerprint
            });
            let answers = AnswersFrom {
                place: "the console".to_owned(),
                sha256: None,
            };
            let result = match self.prepared() {
                Some(prepared) => {
                    self.session
                        .install(&prepared, plan, &answers, self.dir, &mut emitter)
                }
                None => Err("the release is not open".into()),
            };
            let report = result.unwrap_or_else(|error| {
                let errors = error_chain(error.as_ref());
                failed_early("install", env!("CARGO_PKG_VERSION"), errors, &mut emitter)
            });
            self.tap.close();
            (report, listener.join().unwrap_or_default())
        });
        *lock(&self.report) = Some(report.clone());
        Ended {
            report,
            fingerprint,
        }
    }

    fn read_license(&self, place: &str) -> Result<String, String> {
        // The same forms as for answers: a URL, `DEVICE:/FILE`, a file.
        let request = match Request::parse(place) {
            Ok(Request::Embedded | Request::Discover(_)) | Err(_) => Request::argument(place),
            Ok(request) => request,
        };
        let finder = Finder {
            system: self.session.system,
            machine: self.session.machine,
            pause: &std::thread::sleep,
            trust: &Trust::default(),
            live: true,
        };
        let found = finder.read(&request, &self.session.medium, &mut |_| {});
        match found {
            Ok(found) => String::from_utf8(found.content)
                .map_err(|_| format!("{} is not text, so it is no license", found.place)),
            Err(error) => Err(error_chain(&error).join(": ")),
        }
    }

    fn save(&self, place: &str, text: &str) -> Result<String, String> {
        self.try_save(place, text)
            .map(|()| place.to_owned())
            .map_err(|error| {
                format!(
                    "The answers were not saved: {}.",
                    error_chain(error.as_ref()).join(": ")
                )
            })
    }

    fn try_save(&self, place: &str, text: &str) -> Result<(), StepError> {
        let system = self.session.system;
        let (device, file) = match Request::parse(place) {
            Ok(Request::OnDevice { device, file }) => (device, file),
            _ if !place.starts_with('/') || place.starts_with("/dev/") => {
                return Err(format!(
                    "`{place}` is no place for a file; write a path, or one on a device such as /dev/sdb1:/answers.toml"
                )
                .into());
            }
            _ => {
                let path = PathBuf::from(place);
                if let Some(parent) = path.parent() {
                    system.create_dir_all(parent)?;
                }
                return Ok(system.write_file(&path, text.as_bytes(), 0o600)?);
            }
        };
        // A stick was not chosen to be installed to, so writing a file on it is all that may happen.
        let probe = Command::new("blkid")
            .args(["--probe", "--output", "value", "--match-tag", "TYPE"])
            .arg(&device);
        let kind = system.run(&probe.also_good(&[2]))?.text();
        if kind.is_empty() {
            return Err(format!(
                "{} holds no file system that is known here",
                device.display()
            )
            .into());
        }
        let mut mount = Mount::device(&device, SAVE_MOUNT, &kind).inert();
        if kind == "vfat" {
            mount = mount.options("umask=0077");
        }
        system.mount(&mount)?;
        let written = system.write_file(&Path::new(SAVE_MOUNT).join(file), text.as_bytes(), 0o600);
        let synced = system.sync(Path::new(SAVE_MOUNT));
        system.unmount(Path::new(SAVE_MOUNT))?;
        written?;
        Ok(synced?)
    }
}

impl Effects for Real<'_> {
    fn is_simulation(&self) -> bool {
        false
    }

    fn plan(&self, choices: &Choices) -> Result<Planned, PlanProblems> {
        match self.prepared() {
            Some(prepared) => self.session.plan(&prepared, choices),
            None => Err(PlanProblems(Vec::new())),
        }
    }

    fn verdict(&self, disks: &[&str]) -> Option<Verdict> {
        let prepared = self.prepared()?;
        Some(prepared.judge.verdict(&prepared.facts, disks))
    }

    fn zones(&self) -> &Zones {
        &self.zones
    }

    fn hash_password(&self, password: &str) -> Result<PasswordHash, String> {
        sha512_hash(self.session.system, password)
    }

    fn check_license(&self, token: &str, facts: &Facts) -> LicenseCheck {
        license_check::check(
            token,
            &license_check::keys(self.session.system),
            facts,
            steps::now_unix(),
        )
    }

    fn links(&self) -> Vec<Link> {
        let system = self.session.system;
        let read = |name: &str, file: &str| {
            let path = Path::new("/sys/class/net").join(name).join(file);
            let bytes = system.read_file(&path).ok()?;
            Some(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        Network::new(system)
            .devices()
            .into_iter()
            .map(|name| Link {
                up: read(&name, "carrier").as_deref() == Some("1"),
                // -1 where the driver does not know.
                speed_mbit: read(&name, "speed").and_then(|text| text.parse().ok()),
                addresses: Vec::new(),
                name,
            })
            .collect()
    }

    fn load(&self) -> Option<Load> {
        let mut machine = sysinfo::System::new().ok()?;
        machine.refresh_memory();
        Some(Load {
            used: machine.used_memory(),
            total: machine.total_memory(),
            one: sysinfo::System::load_average().ok()?.one,
        })
    }

    fn set_keymap(&self, layout: &str) -> Result<(), String> {
        let system = self.session.system;
        let (name, variant) = layout_and_variant(layout);
        let mut map = Command::new("ckbcomp").args(["-layout", name]);
        if !variant.is_empty() {
            map = map.args(["-variant", variant]);
        }
        let set = || -> Result<(), StepError> {
            let map = system.run(&map)?;
            let load = Command::new("loadkeys").args([
                "--quiet",
                "--unicode",
                "--console",
                "/dev/tty1",
                "-",
            ]);
            system.run(&load.stdin(map.stdout))?;
            Ok(())
        };
        set().map_err(|error| {
            format!(
                "The keyboard stays as it is: {}.",
                error_chain(error.as_ref()).join(": ")
            )
        })
    }

    fn run(&self, job: Job, tell: &(dyn Fn(Message) + Sync)) {
        match job {
            Job::Open => tell(Message::Opened(
                self.open().map_err(|error| error_chain(error.as_ref())),
            )),
            Job::Verify => tell(Message::Verified(self.verify(tell))),
            Job::TestNetwork(choice) => {
                let checks = match self.prepared() {
                    Some(prepared) => self.network.run(&choice, &prepared.facts),
                    None => Vec::new(),
                };
                tell(Message::Tested(checks));
            }
            Job::ReadLicense(place) => tell(Message::License(self.read_license(&place))),
            Job::Save { place, text } => tell(Message::Saved(self.save(&place, &text))),
            Job::Install(plan) => tell(Message::Ended(Box::new(self.install(&plan, tell)))),
        }
    }
}

/// A SHA-512 crypt hash of a password. The password travels through standard input alone.
pub fn sha512_hash(system: &dyn System, password: &str) -> Result<PasswordHash, String> {
    let openssl = Command::new("openssl")
        .args(["passwd", "-6", "-stdin"])
        .secret_stdin(format!("{password}\n"))
        .secret_stdout();
    let output = system
        .run(&openssl)
        .map_err(|error| format!("The password cannot be hashed: {error}."))?;
    PasswordHash::parse(&output.text())
        .map_err(|error| format!("What `openssl passwd` printed {}.", error.message))
}
