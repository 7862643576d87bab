//! A TPM 2.0 in software, beside an emulated machine.

use crate::case::Run;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// A software TPM that ends with the value that stands for it.
pub struct Tpm {
    child: Child,
    /// Its state and its socket; /tmp is the same place in the tools root.
    folder: tempfile::TempDir,
}

impl Tpm {
    /// Starts one that was never used.
    ///
    /// # Errors
    /// When swtpm does not start.
    pub fn start(run: &Run) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("bedplate-tpm-")
            .tempdir_in("/tmp")
            .context("/tmp cannot be written")?;
        let mut command = run.bench.tools.command("swtpm");
        command
            .args(["socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", folder.path().display()));
        let socket = folder.path().join("socket");
        command
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()));
        let child = command.spawn().context("swtpm did not start")?;
        let tpm = Tpm { child, folder };
        wait_for(&socket)?;
        Ok(tpm)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What QEMU's command line says of it.
    pub fn arguments(&self) -> Vec<String> {
        [
            "-chardev",
            &format!("socket,id=tpm,path={}", self.socket().display()),
            "-tpmdev",
            "emulator,id=t0,chardev=tpm",
            "-device",
            "tpm-crb,tpmdev=t0",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It ends by itself when QEMU lets go of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(path: &Path) -> Result<()> {
    for _ in 0..100 {
        if path.exists() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{} did not appear: swtpm did not start", path.display())
}
