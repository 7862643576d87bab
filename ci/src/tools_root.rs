//! Programs of the Debian 13 tools root: QEMU, its firmware, and the tools that look into its disks.
//!
//! The machine that tests may be Debian 12 or 13 with any QEMU or none; the tests always run the same one. The network is
//! the machine's own: forwarded ports are on 127.0.0.1.

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The tools root of a checkout.
#[derive(Debug, Clone)]
pub struct ToolsRoot {
    tools: PathBuf,
    work: PathBuf,
}

impl ToolsRoot {
    /// Opens the tools root.
    ///
    /// # Errors
    /// When it has not been made yet, or this is not root (mount namespaces need it).
    pub fn open(workspace: &Workspace) -> Result<ToolsRoot> {
        let tools = workspace.tools();
        if !tools.join("usr/bin/qemu-system-x86_64").exists() {
            bail!(
                "there is no QEMU in {}: `cargo run --release -p image-build -- tools` makes the tools root",
                tools.display()
            );
        }
        if !nix::unistd::geteuid().is_root() {
            bail!(
                "the tests run QEMU from {} by chroot: run them as root",
                tools.display()
            );
        }
        Ok(ToolsRoot {
            tools: tools.to_path_buf(),
            work: workspace.root().to_path_buf(),
        })
    }

    /// A command that runs `program` in the tools root; arguments are added as to any command. It is killed when the
    /// thread that starts it ends, however that happens.
    pub fn command(&self, program: &str) -> Command {
        let inner = image_build::tools_root::command(&self.tools, &self.work, program);
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(inner.get_program())
            .args(inner.get_args());
        command
    }

    /// A file of the tools root, as a path of the machine.
    pub fn file(&self, path: &str) -> PathBuf {
        self.tools.join(path.trim_start_matches('/'))
    }
}
