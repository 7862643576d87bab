//! Telling a server how the installation goes: each step as it starts and ends, and the report, on success and on failure.
//!
//! Nothing here can fail an installation, and a server that does not answer holds it up for half a minute at most before
//! the report.

use crate::answers::MachineIdentity;
use crate::choices::WebhookChoice;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use steps::event::{Event, EventKind};
use steps::fetch::curl_reason;
use steps::sink::Sink;
use steps::step::error_chain;
use steps::system::{Command, RunError, System};
use steps::{Emitter, Report};

/// Version of what is posted.
const SCHEMA: u32 = 1;
/// Attempts to send the report, and the pause before the second; each further pause is twice as long: 2, 4, 8, 16 s.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// A step is told once, and steps are told no more after this many that could not be.
const MISSES: u32 = 2;
/// How long an attempt to tell a step may take: an installation of a minute does not wait long for a listener.
const STEP_SECONDS: u32 = 10;
/// How long an attempt to send the report may take.
const REPORT_SECONDS: u32 = 30;

/// A server that hears how the installation goes.
#[derive(Clone)]
pub struct Webhook {
    choice: WebhookChoice,
    machine: MachineIdentity,
    system: Arc<dyn System>,
}

/// What is posted.
#[derive(Serialize)]
struct Message<'a> {
    schema: u32,
    machine: Sender<'a>,
    #[serde(flatten)]
    body: Body<'a>,
}

/// Which machine it is about.
#[derive(Serialize)]
struct Sender<'a> {
    serial: Option<&'a str>,
    uuid: Option<&'a str>,
    asset_tag: Option<&'a str>,
    macs: Vec<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Body<'a> {
    Event { event: &'a Event },
    Report { report: &'a Report },
}

impl Webhook {
    /// `system` runs `curl`. It should not log: what is sent may be long.
    pub fn new(choice: &WebhookChoice, machine: &MachineIdentity, system: Arc<dyn System>) -> Self {
        Webhook {
            choice: choice.clone(),
            machine: machine.clone(),
            system,
        }
    }

    /// Lets the server hear of each step from now on, where that is wanted.
    pub fn listen(&self, emitter: &mut Emitter) {
        if self.choice.progress {
            emitter.listen(
                "webhook",
                StepTeller {
                    webhook: self.clone(),
                    misses: 0,
                },
            );
        }
    }

    /// Sends the report, with retries. A server that does not take it is a warning, in the stream and in the report; `false`
    /// then, as whoever kept the report has to keep it anew.
    pub fn report(
        &self,
        report: &mut Report,
        emitter: &mut Emitter,
        pause: &dyn Fn(Duration),
    ) -> bool {
        let Err(reason) = self.send_report(report, pause) else {
            return true;
        };
        let message = format!(
            "the report could not be sent to {}: {reason}",
            self.choice.url.shown()
        );
        emitter.emit(EventKind::Warning {
            step: None,
            message: message.clone(),
        });
        report.warnings.push(message);
        false
    }

    fn send_report(&self, report: &Report, pause: &dyn Fn(Duration)) -> Result<(), String> {
        let mut wait = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            match self.post(Body::Report { report }, REPORT_SECONDS) {
                Ok(()) => return Ok(()),
                Err(Refusal { last: true, reason }) => return Err(reason),
                Err(Refusal { reason, .. }) if attempt == ATTEMPTS => {
                    return Err(format!("{reason} ({ATTEMPTS} attempts)"));
                }
                Err(_) => {}
            }
            attempt += 1;
            pause(wait);
            wait *= 2;
        }
    }

    fn post(&self, body: Body<'_>, seconds: u32) -> Result<(), Refusal> {
        let message = Message {
            schema: SCHEMA,
            machine: Sender {
                serial: self.machine.serial.as_deref(),
                uuid: self.machine.uuid.as_deref(),
                asset_tag: self.machine.asset_tag.as_deref(),
                macs: self.machine.macs.iter().map(ToString::to_string).collect(),
            },
            body,
        };
        let json = serde_json::to_string(&message).map_err(|error| Refusal {
            last: true,
            reason: error.to_string(),
        })?;
        let curl = Command::new("curl")
            .args(["--config", "-"])
            .secret_stdin(self.config(&json, seconds))
            .secret_stdout()
            .timeout(Duration::from_secs(u64::from(seconds) + 5));
        match self.system.run(&curl) {
            Ok(_) => Ok(()),
            Err(RunError::Failed { code, stderr, .. }) => {
                let reason = self.redacted(&curl_reason(&stderr));
                Err(Refusal {
                    last: is_final(code, &reason),
                    reason,
                })
            }
            Err(RunError::Timeout { .. }) => Err(Refusal {
                last: false,
                reason: "no answer in time".into(),
            }),
            Err(error) => Err(Refusal {
                last: true,
                reason: self.redacted(&error_chain(&error).join(": ")),
            }),
        }
    }

    /// Through standard input: arguments are logged and seen by every process. No redirect is followed, as the token is for
    /// this server alone.
    fn config(&self, json: &str, seconds: u32) -> String {
        let WebhookChoice {
            url, token, pin, ..
        } = &self.choice;
        let mut config = format!(
            "url = \"{}\"\nfail\nsilent\nshow-error\nproto = \"=http,https\"\noutput = \"/dev/null\"\n\
             connect-timeout = {}\nmax-time = {seconds}\nheader = \"Content-Type: application/json\"\n",
            url.expose(),
            seconds / 2,
        );
        if let Some(token) = token {
            config += &format!("header = \"Authorization: Bearer {}\"\n", token.expose());
        }
        if let Some(pin) = pin {
            // The key says who it is; no authority has to.
            config += &format!("insecure\npinnedpubkey = \"{pin}\"\n");
        }
        // In a quoted value, `\\` and `\"` stand for themselves (curl(1), --config). Compact JSON has no line ends.
        let escaped = json.replace('\\', "\\\\").replace('"', "\\\"");
        config + &format!("data-raw = \"{escaped}\"\n")
    }

    /// Whatever a tool says, without what must not travel.
    fn redacted(&self, text: &str) -> String {
        let url = &self.choice.url;
        let text = text.replace(url.expose(), &url.shown());
        match &self.choice.token {
            Some(token) => text.replace(token.expose(), "(token)"),
            None => text,
        }
    }
}

/// Why something was not taken.
struct Refusal {
    /// True when another attempt cannot help.
    last: bool,
    reason: String,
}

/// As in fetching answers: a malformed URL (3), a refused certificate (60) or pin (90), and what the server does not want
/// (22 with a status from 400 to 499, without those that ask to come again).
fn is_final(code: Option<i32>, reason: &str) -> bool {
    match code {
        Some(1 | 3 | 60 | 90) => true,
        Some(22) => {
            let status = reason
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse::<u32>().ok());
            status.is_some_and(|status| {
                (400..500).contains(&status) && ![408, 425, 429].contains(&status)
            })
        }
        _ => false,
    }
}

/// Tells each step once.
struct StepTeller {
    webhook: Webhook,
    misses: u32,
}

impl Sink for StepTeller {
    fn emit(&mut self, event: &Event) -> io::Result<()> {
        // How many bytes are done is for people who look on; the end comes with the report.
        if matches!(
            event.kind,
            EventKind::Progress { .. } | EventKind::Note { .. } | EventKind::Finished { .. }
        ) {
            return Ok(());
        }
        if self.misses < MISSES {
            match self.webhook.post(Body::Event { event }, STEP_SECONDS) {
                Ok(()) => {
                    self.misses = 0;
                    return Ok(());
                }
                Err(refusal) if refusal.last => self.misses = MISSES,
                Err(_) => self.misses += 1,
            }
        }
        Err(io::Error::other("the webhook does not take events"))
    }
}
