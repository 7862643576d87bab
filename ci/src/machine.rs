//! A running machine. It ends with the value that stands for it, whatever happens to the test.

use crate::accelerator::Accelerator;
use crate::process;
use crate::qemu::{self, Ends, Spec};
use crate::qmp::Qmp;
use crate::serial::Serial;
use crate::tools_root::ToolsRoot;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long QEMU has to connect to its sockets.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    /// Its serial console.
    pub serial: Serial,
    /// Its QMP.
    pub qmp: Qmp,
    ssh_port: u16,
    child: Child,
    /// Gets a picture of the screen when the machine is ended: what a failed case saw last.
    last_screen: PathBuf,
    _sockets: tempfile::TempDir,
}

impl Machine {
    /// Starts a machine. Its logs go to `dir` as `NAME.serial.log`, `NAME.serial.raw`, `NAME.qemu.log` and
    /// `NAME.last.png`.
    ///
    /// # Errors
    /// When QEMU does not start; with what it said.
    pub fn start(
        tools: &ToolsRoot,
        accelerator: Accelerator,
        spec: &Spec,
        dir: &Path,
        name: &str,
    ) -> Result<Machine> {
        // Socket paths are limited to 107 bytes; /tmp is the same place in the tools root.
        let sockets = tempfile::Builder::new()
            .prefix("bedplate-vm-")
            .tempdir_in("/tmp")
            .context("/tmp cannot be written")?;
        let (serial, qmp) = (sockets.path().join("serial"), sockets.path().join("qmp"));
        let (serial_end, qmp_end) = (UnixListener::bind(&serial)?, UnixListener::bind(&qmp)?);
        let ssh_port = free_port()?;
        let log_path = dir.join(format!("{name}.qemu.log"));
        let log = File::create(&log_path)
            .with_context(|| format!("{} cannot be written", log_path.display()))?;
        let ends = Ends {
            serial: &serial,
            qmp: &qmp,
            ssh_port,
        };
        let mut command = tools.command("qemu-system-x86_64");
        command.args(qemu::arguments(spec, accelerator, &ends));
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Dropping the guard ends QEMU, until the machine takes it over.
        let mut guard = Guard(Some(command.spawn().context("QEMU did not start")?));
        let mut connect = || -> Result<(Serial, Qmp)> {
            let serial = Serial::start(
                accept(&serial_end, &mut guard)?,
                &dir.join(format!("{name}.serial.log")),
            )?;
            Ok((serial, Qmp::start(accept(&qmp_end, &mut guard)?)?))
        };
        let (serial, qmp) = connect().map_err(|error| {
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            error.context(format!(
                "QEMU did not come up; it said:\n{}",
                process::last_lines(&said, 10)
            ))
        })?;
        let Some(child) = guard.0.take() else {
            bail!("QEMU was lost while it started")
        };
        Ok(Machine {
            serial,
            qmp,
            ssh_port,
            child,
            last_screen: dir.join(format!("{name}.last.png")),
            _sockets: sockets,
        })
    }

    /// Port on 127.0.0.1 that leads to the guest's port 22.
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// Waits until the machine has switched itself off.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > limit {
                bail!(
                    "the machine is still on after {} s; its last lines:\n{}",
                    limit.as_secs(),
                    self.serial.tail(20)
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Gone already where the machine switched itself off.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.qmp.screenshot(&self.last_screen);
        }
        // QMP lets QEMU finish what it writes; without an answer it is killed.
        let quit = self.qmp.quit().is_ok();
        let deadline = Instant::now() + Duration::from_secs(if quit { 10 } else { 0 });
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return,
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                _ => break,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a process that was not handed on.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until QEMU connects to `listener`.
fn accept(listener: &UnixListener, guard: &mut Guard) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let started = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("the machine's socket"),
        }
        if let Some(status) = guard.0.as_mut().map(Child::try_wait).transpose()?.flatten() {
            bail!("QEMU ended at its start ({status})");
        }
        if started.elapsed() > START_LIMIT {
            bail!(
                "QEMU did not connect to its sockets within {} s",
                START_LIMIT.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A TCP port on 127.0.0.1 that nobody uses now.
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).context("there is no free TCP port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Makes an empty store of UEFI variables at `path`.
///
/// # Errors
/// When OVMF is not in the tools root, or the file cannot be written.
pub fn empty_variables(tools: &ToolsRoot, path: &Path) -> Result<()> {
    let empty = tools.file("/usr/share/OVMF/OVMF_VARS_4M.fd");
    std::fs::copy(&empty, path)
        .with_context(|| format!("{} cannot be copied to {}", empty.display(), path.display()))?;
    Ok(())
}
