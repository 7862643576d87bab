//! QEMU's machine protocol (QMP): JSON lines over a socket.
//!
//! Source: QEMU `docs/interop/qmp-spec.rst`; commands: `docs/interop/qemu-qmp-ref`.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a command may take to answer. Screenshots and snapshots of a busy machine take seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A message from QEMU.
#[derive(Debug, PartialEq)]
enum Message {
    Greeting,
    Return(Value),
    Error(String),
    Event(String),
}

/// What QEMU says about a job.
#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    status: String,
    error: Option<String>,
}

/// The test's end of the protocol.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// Names of events that came while an answer was waited for.
    events: Vec<String>,
    jobs: u32,
}

impl Qmp {
    /// Greets QEMU.
    ///
    /// # Errors
    /// When what is at the other end is not QEMU.
    pub fn start(stream: UnixStream) -> Result<Qmp> {
        stream
            .set_read_timeout(Some(ANSWER_LIMIT))
            .context("the QMP socket")?;
        let reader = BufReader::new(stream.try_clone().context("the QMP socket")?);
        let mut qmp = Qmp {
            reader,
            writer: stream,
            events: Vec::new(),
            jobs: 0,
        };
        match qmp.receive()? {
            Message::Greeting => {}
            other => bail!("QMP began with {other:?} where a greeting was due"),
        }
        qmp.call("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its value.
    ///
    /// # Errors
    /// When QEMU refuses it, says nothing in time, or has ended.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments });
        self.writer
            .write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("QMP `{command}`: QEMU has ended"))?;
        loop {
            match self.receive().with_context(|| format!("QMP `{command}`"))? {
                Message::Return(value) => return Ok(value),
                Message::Error(error) => bail!("QEMU refused `{command}`: {error}"),
                Message::Event(name) => self.events.push(name),
                Message::Greeting => bail!("QMP `{command}`: a second greeting"),
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let mut line = String::new();
        if self
            .reader
            .read_line(&mut line)
            .context("QEMU does not answer")?
            == 0
        {
            bail!("QEMU has ended");
        }
        parse(&line)
    }

    /// The state of the machine: `running`, `paused`, `shutdown`, `internal-error` and so on.
    ///
    /// # Errors
    /// As [`Qmp::call`].
    pub fn status(&mut self) -> Result<String> {
        let value = self.call("query-status", json!({}))?;
        let status = value.get("status").and_then(Value::as_str);
        Ok(status
            .ok_or_else(|| anyhow!("query-status without a status: {value}"))?
            .to_string())
    }

    /// Writes a picture of the screen as PNG.
    ///
    /// # Errors
    /// As [`Qmp::call`]; a machine without a display.
    pub fn screenshot(&mut self, path: &Path) -> Result<()> {
        self.call("screendump", json!({ "filename": path, "format": "png" }))
            .map(drop)
    }

    /// Ends QEMU at once, as if the power cable was pulled.
    ///
    /// # Errors
    /// As [`Qmp::call`].
    pub fn quit(&mut self) -> Result<()> {
        self.call("quit", json!({})).map(drop)
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// As [`Qmp::call`].
    pub fn reset(&mut self) -> Result<()> {
        self.call("system_reset", json!({})).map(drop)
    }

    /// Pulls the medium from the drive with the device id `id`, locked or not.
    ///
    /// # Errors
    /// As [`Qmp::call`].
    pub fn eject(&mut self, id: &str) -> Result<()> {
        self.call("eject", json!({ "id": id, "force": true }))
            .map(drop)
    }

    /// Saves memory and devices of the machine under `tag` in the qcow2 node `node`. Disks are left out: what is on
    /// them is the caller's to keep.
    ///
    /// # Errors
    /// As [`Qmp::call`]; a device that cannot be saved.
    pub fn save(&mut self, tag: &str, node: &str) -> Result<()> {
        self.snapshot_job("snapshot-save", tag, node)
    }

    /// Returns to what [`Qmp::save`] kept, and lets the machine run on.
    ///
    /// # Errors
    /// As [`Qmp::call`]; an unknown tag.
    pub fn load(&mut self, tag: &str, node: &str) -> Result<()> {
        self.call("stop", json!({}))?;
        self.snapshot_job("snapshot-load", tag, node)?;
        self.call("cont", json!({})).map(drop)
    }

    fn snapshot_job(&mut self, command: &str, tag: &str, node: &str) -> Result<()> {
        self.jobs += 1;
        let id = format!("job{}", self.jobs);
        self.call(
            command,
            json!({ "job-id": id, "tag": tag, "vmstate": node, "devices": [node] }),
        )?;
        let started = Instant::now();
        loop {
            let jobs: Vec<Job> = serde_json::from_value(self.call("query-jobs", json!({}))?)?;
            let Some(job) = jobs.into_iter().find(|job| job.id == id) else {
                bail!("QEMU lost the job of `{command}`");
            };
            if job.status == "concluded" {
                self.call("job-dismiss", json!({ "id": id }))?;
                return match job.error {
                    Some(error) => bail!("`{command}` failed: {error}"),
                    None => Ok(()),
                };
            }
            if started.elapsed() > ANSWER_LIMIT {
                bail!(
                    "`{command}` is still `{}` after {} s",
                    job.status,
                    ANSWER_LIMIT.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn parse(line: &str) -> Result<Message> {
    let value: Value = serde_json::from_str(line)
        .with_context(|| format!("QMP sent what is not JSON: {line:?}"))?;
    if let Some(error) = value.get("error") {
        let text = error
            .get("desc")
            .and_then(Value::as_str)
            .map_or_else(|| error.to_string(), ToString::to_string);
        return Ok(Message::Error(text));
    }
    if let Some(value) = value.get("return") {
        return Ok(Message::Return(value.clone()));
    }
    if let Some(event) = value.get("event").and_then(Value::as_str) {
        return Ok(Message::Event(event.to_string()));
    }
    if value.get("QMP").is_some() {
        return Ok(Message::Greeting);
    }
    bail!("QMP sent a message of no known kind: {line:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        // Lines as QEMU 10.0 sends them.
        let greeting = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}"#;
        assert_eq!(parse(greeting).unwrap(), Message::Greeting);
        assert_eq!(
            parse(r#"{"return": {}}"#).unwrap(),
            Message::Return(json!({}))
        );
        let error = r#"{"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}"#;
        assert_eq!(
            parse(error).unwrap(),
            Message::Error("The command x has not been found".into())
        );
        let event = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#;
        assert_eq!(parse(event).unwrap(), Message::Event("SHUTDOWN".into()));
        assert!(parse("{}").is_err());
        assert!(parse("hello").is_err());
    }

    /// Plays QEMU: answers each line that comes with the next of `answers`, and returns what came.
    fn qemu(stream: UnixStream, answers: Vec<&'static str>) -> std::thread::JoinHandle<Vec<Value>> {
        std::thread::spawn(move || {
            let mut writer = stream.try_clone().unwrap();
            let mut lines = BufReader::new(stream).lines();
            writer.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut heard = Vec::new();
            for answer in answers {
                heard.push(serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap());
                writer.write_all(answer.as_bytes()).unwrap();
            }
            heard
        })
    }

    #[test]
    fn events_between_do_not_confuse_answers() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let player = qemu(
            theirs,
            vec![
                "{\"return\": {}}\n",
                "{\"event\": \"RESUME\"}\n{\"return\": {\"status\": \"running\", \"running\": true}}\n",
            ],
        );
        let mut qmp = Qmp::start(ours).unwrap();
        assert_eq!(qmp.status().unwrap(), "running");
        assert_eq!(qmp.events, ["RESUME"]);
        let heard = player.join().unwrap();
        assert_eq!(heard[0]["execute"], "qmp_capabilities");
        assert_eq!(heard[1]["execute"], "query-status");
        assert!(qmp.status().is_err(), "QEMU has ended");
    }

    #[test]
    fn a_job_that_fails_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let player = qemu(
            theirs,
            vec![
                "{\"return\": {}}\n",
                "{\"return\": {}}\n",
                r#"{"return": [{"id": "job1", "type": "snapshot-save", "status": "running", "current-progress": 0, "total-progress": 1}]}
"#,
                r#"{"return": [{"id": "job1", "type": "snapshot-save", "status": "concluded", "current-progress": 1, "total-progress": 1, "error": "no space"}]}
"#,
                "{\"return\": {}}\n",
            ],
        );
        let error = Qmp::start(ours)
            .unwrap()
            .save("live", "state")
            .unwrap_err()
            .to_string();
        assert!(error.contains("no space"), "{error}");
        let heard = player.join().unwrap();
        assert_eq!(heard[1]["arguments"]["devices"], json!(["state"]));
        assert_eq!(heard[4]["execute"], "job-dismiss");
    }
}
