//! A machine that is only played: for documentation, for tests, and to make answer files at a desk. Nothing is written but
//! the answer file that the operator asks for.

use super::effects::{Check, Effects, Ended, Job, Link, Load, Message, Subject};
use super::real::sha512_hash;
use crate::choices::Choices;
use crate::laydown;
use crate::license_check::{self, LicenseCheck};
use crate::plan::{self, Judge, PlanProblems, Planned};
use crate::release_source::ImageRoot;
use crate::upgrade;
use crate::values::{PasswordHash, Zones};
use hcl_checker::Known;
use hcl_checker::facts::{Facts, NicKind};
use hcl_checker::verdict::Verdict;
use release::Manifest;
use std::path::Path;
use std::time::Duration;
use steps::event::{EventKind, Outcome};
use steps::report::{Heading, StepReport, StepResult};
use steps::sink::{FanOut, Sink};
use steps::system::System;
use steps::{Emitter, Report, StepError};

/// What the played release says of itself.
const RELEASE: &str = r#"{
    "schema": 1, "name": "bedplate", "version": "0.1.0", "kernel": "6.12.57", "xen": "4.20.4+63-g7abfd2bce2-0+deb13u1", "artifacts": {}, "epoch": 0,
    "root": {
        "version": "0.1.0", "image_name": "simulation", "image_size": 1, "image_sha256": "00",
        "verity": {
            "data_blocks": 1, "salt": "00",
            "root_hash": "5100000000000000000000000000000000000000000000000000000000000000"
        }
    }
}"#;
/// Bytes that the played medium holds.
const BYTES: u64 = 420_000_000;
/// Pieces in which something long is played.
const PIECES: u64 = 20;

/// A machine that is only played.
pub struct Simulation<'a> {
    /// Commands that hash passwords and write answer files; everything else is played.
    system: &'a dyn System,
    facts: Facts,
    release: Manifest,
    judge: Judge,
    zones: Zones,
    /// How long a piece takes.
    pace: Duration,
}

impl<'a> Simulation<'a> {
    /// Plays the machine that the facts describe. `pace` is how long a twentieth of something long takes.
    pub fn new(
        system: &'a dyn System,
        facts: Facts,
        zones: Zones,
        pace: Duration,
    ) -> Result<Self, StepError> {
        Ok(Simulation {
            system,
            facts,
            release: serde_json::from_str(RELEASE)?,
            // The drivers of the played release are not on this machine.
            judge: Judge::load(&ImageRoot::running(), "simulation")?,
            zones,
            pace,
        })
    }

    fn subject(&self) -> Subject {
        Subject {
            facts: self.facts.clone(),
            version: self.release.version.clone(),
            xen: self.release.xen.clone(),
            kernel: self.release.kernel.clone(),
            root_hash: self.release.root.verity.root_hash.clone(),
            bytes: BYTES,
            expired: None,
            medium: None,
        }
    }

    fn install(&self, plan: &Planned, tell: &(dyn Fn(Message) + Sync)) {
        let (sender, events) = std::sync::mpsc::channel();
        let mut emitter = Emitter::new(FanOut::new().with("ui", Forward(sender)));
        let steps = match plan {
            Planned::Install(plan) => laydown::steps(plan).plan(),
            Planned::Upgrade(_) => upgrade::steps().plan(),
        };
        let told = |emitter: &mut Emitter, kind| {
            emitter.emit(kind);
            events
                .try_iter()
                .for_each(|event| tell(Message::Event(event)));
        };
        told(
            &mut emitter,
            EventKind::Plan {
                steps: steps.clone(),
            },
        );
        let mut done = Vec::new();
        for step in steps {
            let id = step.id;
            told(&mut emitter, EventKind::Started { step: id.clone() });
            let long = id == "verify-release" || id.starts_with("slot");
            for piece in 1..=if long { PIECES } else { 1 } {
                std::thread::sleep(self.pace);
                if long {
                    let kind = EventKind::Progress {
                        step: id.clone(),
                        bytes: BYTES * piece / PIECES,
                        total: BYTES,
                        rate: 210_000_000,
                    };
                    told(&mut emitter, kind);
                }
            }
            told(
                &mut emitter,
                EventKind::Done {
                    step: id.clone(),
                    took_ms: 0,
                },
            );
            done.push(StepReport {
                id,
                title: step.title,
                result: StepResult::Done,
                took_ms: 0,
                bytes: 0,
                output: Vec::new(),
                errors: Vec::new(),
            });
        }
        told(
            &mut emitter,
            EventKind::Finished {
                result: Outcome::Ok,
            },
        );
        let heading = Heading {
            version: plan.version().to_owned(),
            plan_sha256: plan.hash().unwrap_or_default(),
            ..Heading::default()
        };
        let report = Report {
            result: Outcome::Ok,
            steps: done,
            warnings: plan.warnings().to_vec(),
            ..Report::failed_early(heading, 0, Vec::new())
        };
        tell(Message::Ended(Box::new(Ended {
            report,
            fingerprint: plan
                .install()
                .map(|_| "ED25519 SHA256:simulation, no host was installed".to_owned()),
        })));
    }
}

/// Hands events on.
struct Forward(std::sync::mpsc::Sender<steps::event::Event>);

impl Sink for Forward {
    fn emit(&mut self, event: &steps::event::Event) -> std::io::Result<()> {
        self.0.send(event.clone()).map_err(std::io::Error::other)
    }
}

impl Effects for Simulation<'_> {
    fn is_simulation(&self) -> bool {
        true
    }

    fn plan(&self, choices: &Choices) -> Result<Planned, PlanProblems> {
        plan::decide(&plan::Input {
            release: &self.release,
            facts: &self.facts,
            judge: &|disks| self.judge.verdict(&self.facts, disks),
            choices,
            medium: None,
            command_line: "",
        })
    }

    fn verdict(&self, disks: &[&str]) -> Option<Verdict> {
        Some(self.judge.verdict(&self.facts, disks))
    }

    fn zones(&self) -> &Zones {
        &self.zones
    }

    fn hash_password(&self, password: &str) -> Result<PasswordHash, String> {
        sha512_hash(self.system, password)
    }

    fn check_license(&self, token: &str, facts: &Facts) -> LicenseCheck {
        license_check::check(
            token,
            &license_check::keys(self.system),
            facts,
            steps::now_unix(),
        )
    }

    fn links(&self) -> Vec<Link> {
        let nics = self.facts.nics.value().map_or(&[][..], Vec::as_slice);
        nics.iter()
            .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
            .map(|nic| Link {
                name: nic.name.clone(),
                up: nic.carrier == Known::Value(true),
                speed_mbit: nic.speed_mbit.value().copied(),
                addresses: Vec::new(),
            })
            .collect()
    }

    fn load(&self) -> Option<Load> {
        Some(Load {
            used: 1_200_000_000,
            total: 8_000_000_000,
            one: 0.42,
        })
    }

    fn set_keymap(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn run(&self, job: Job, tell: &(dyn Fn(Message) + Sync)) {
        match job {
            Job::Open => tell(Message::Opened(Ok(Box::new(self.subject())))),
            Job::Verify => {
                for piece in 1..=PIECES {
                    std::thread::sleep(self.pace);
                    tell(Message::Verifying {
                        done: BYTES * piece / PIECES,
                        total: BYTES,
                        ms: piece * 100,
                    });
                }
                tell(Message::Verified(Ok(())));
            }
            Job::TestNetwork(_) => {
                std::thread::sleep(self.pace * 10);
                tell(Message::Tested(vec![Check {
                    what: "Simulation".to_owned(),
                    found: "no network was tried".to_owned(),
                    good: true,
                }]));
            }
            Job::ReadLicense(place) => tell(Message::License(
                self.system
                    .read_file(Path::new(&place))
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                    .map_err(|error| format!("{error}: {}", error.source)),
            )),
            Job::Save { place, text } => tell(Message::Saved(
                self.system
                    .write_file(Path::new(&place), text.as_bytes(), 0o600)
                    .map(|()| place)
                    .map_err(|error| format!("{error}: {}", error.source)),
            )),
            Job::Install(plan) => self.install(&plan, tell),
        }
    }
}
