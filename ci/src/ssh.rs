//! Commands and files over ssh to an installed host, by a key that is made for the run.

use crate::process;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A key pair for one run.
#[derive(Debug, Clone)]
pub struct Key {
    private: PathBuf,
    /// The line for the answer file.
    pub public: String,
}

impl Key {
    /// Makes a pair in `dir`, whatever was there.
    ///
    /// # Errors
    /// When `ssh-keygen` fails.
    pub fn make(dir: &Path) -> Result<Key> {
        let private = dir.join("id_ed25519");
        for old in [private.clone(), private.with_extension("pub")] {
            if old.exists() {
                std::fs::remove_file(&old)
                    .with_context(|| format!("{} cannot be removed", old.display()))?;
            }
        }
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bedplate-e2e", "-f"])
            .arg(&private);
        process::run(&mut command, b"", Duration::from_secs(60))?;
        Key::open(dir)
    }

    /// The pair that an earlier run made in `dir`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(dir: &Path) -> Result<Key> {
        let private = dir.join("id_ed25519");
        let public = private.with_extension("pub");
        let line = std::fs::read_to_string(&public)
            .with_context(|| format!("{} cannot be read", public.display()))?;
        Ok(Key {
            private,
            public: line.trim().to_string(),
        })
    }
}

/// The way into a guest.
#[derive(Debug, Clone)]
pub struct Ssh {
    key: Key,
    port: u16,
}

impl Ssh {
    /// Root's login by `key` behind `port` of 127.0.0.1.
    pub fn new(key: &Key, port: u16) -> Ssh {
        Ssh {
            key: key.clone(),
            port,
        }
    }

    /// Waits until a login works.
    ///
    /// # Errors
    /// When none does within `limit`; with what ssh said last.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        let mut said = String::new();
        while started.elapsed() < limit {
            match self.output("true", b"", Duration::from_secs(60)) {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => said = String::from_utf8_lossy(&output.stderr).into_owned(),
                Err(error) => said = format!("{error:#}"),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        bail!(
            "no login by ssh within {} s; ssh said last:\n{}",
            limit.as_secs(),
            process::last_lines(&said, 5)
        )
    }

    /// Runs a command line and returns its exit status and output, whatever they are.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn output(&self, line: &str, input: &[u8], limit: Duration) -> Result<Output> {
        let mut command = Command::new("ssh");
        command
            .args(self.options())
            .args(["-p", &self.port.to_string(), "root@127.0.0.1", line]);
        process::output(&mut command, input, limit)
    }

    /// Runs a command line that must succeed; returns its standard output.
    ///
    /// # Errors
    /// When it fails, with its output, or does not end within `limit`.
    pub fn run(&self, line: &str, limit: Duration) -> Result<String> {
        self.feed(line, b"", limit)
    }

    /// As [`Ssh::run`], with `input` on standard input.
    ///
    /// # Errors
    /// As [`Ssh::run`].
    pub fn feed(&self, line: &str, input: &[u8], limit: Duration) -> Result<String> {
        let output = self.output(line, input, limit)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let all = format!("{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
        bail!(
            "`{line}` failed on the host ({}):\n{}",
            output.status,
            process::last_lines(&all, 20)
        )
    }

    /// Copies a file to `there` on the guest.
    ///
    /// # Errors
    /// When it cannot be read, or written there.
    pub fn put(&self, here: &Path, there: &str, limit: Duration) -> Result<()> {
        let mut command = Command::new("scp");
        command
            .args(self.options())
            .args(["-q", "-P", &self.port.to_string()]);
        command.arg(here).arg(format!("root@127.0.0.1:{there}"));
        process::run(&mut command, b"", limit).map(drop)
    }

    /// Copies the file `there` of the guest.
    ///
    /// # Errors
    /// When it cannot be read there, or written here.
    pub fn get(&self, there: &str, here: &Path, limit: Duration) -> Result<()> {
        let mut command = Command::new("scp");
        command
            .args(self.options())
            .args(["-q", "-P", &self.port.to_string()]);
        command.arg(format!("root@127.0.0.1:{there}")).arg(here);
        process::run(&mut command, b"", limit).map(drop)
    }

    /// Every guest is new and has a new host key: nothing is known about it, and nothing is remembered. The user's
    /// own ssh configuration is left out.
    fn options(&self) -> Vec<String> {
        let set = [
            "BatchMode=yes",
            "ConnectTimeout=30",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
            "ServerAliveCountMax=8",
            "ServerAliveInterval=15",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ];
        let mut options = vec!["-F".to_string(), "none".to_string()];
        options.extend(
            set.iter()
                .flat_map(|option| ["-o".to_string(), (*option).to_string()]),
        );
        options.extend(["-i".to_string(), self.key.private.display().to_string()]);
        options
    }
}
