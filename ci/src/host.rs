//! An installed host that runs: waiting for it, logging in, switching it off.

use crate::boot_menu;
use crate::case::Run;
use crate::installation::ROOT_OPEN;
use crate::machine::Machine;
use crate::shell::Shell;
use crate::ssh::{Key, Ssh};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// A running host with a way in.
#[derive(Debug)]
pub struct Host {
    /// The machine.
    pub machine: Machine,
    /// Root's login.
    pub ssh: Ssh,
}

impl Host {
    /// Waits from power-on until root can log in, with a picture of the menu. `entry` is a word of the menu entry to
    /// take; none takes what the menu takes by itself. `name` names the phases and pictures.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn come_up(
        run: &mut Run,
        machine: Machine,
        key: &Key,
        entry: Option<&str>,
        name: &str,
    ) -> Result<Host> {
        let ssh = Ssh::new(key, machine.ssh_port());
        let mut host = Host { machine, ssh };
        host.wait_up(run, entry, name)?;
        Ok(host)
    }

    /// Waits from power-on or restart until root can log in; see [`Host::come_up`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn wait_up(&mut self, run: &mut Run, entry: Option<&str>, name: &str) -> Result<()> {
        run.phase(&format!("{name}: to the boot menu"), |run| {
            let limit = run.bench.limit(30);
            match entry {
                Some(word) => {
                    let title = boot_menu::choose(&mut self.machine, word, limit)?;
                    run.note(&format!("took `{title}`"));
                }
                None => {
                    boot_menu::wait_painted(&mut self.machine, limit)?;
                    run.screenshot(&mut self.machine, &format!("{name}-menu"))?;
                }
            }
            Ok(())
        })?;
        run.phase(&format!("{name}: loader, hypervisor, initrd"), |run| {
            self.machine
                .serial
                .expect(&[ROOT_OPEN], run.bench.limit(60))?;
            Ok(())
        })?;
        run.phase(&format!("{name}: to the login on the console"), |run| {
            self.machine
                .serial
                .expect(&["login: "], run.bench.limit(60))?;
            Ok(())
        })?;
        run.phase(&format!("{name}: to the login by ssh"), |run| {
            self.ssh.wait(run.bench.limit(30))?;
            run.screenshot(&mut self.machine, &format!("{name}-console"))
        })
    }

    /// Restarts the host from within and waits until root can log in again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self, run: &mut Run, entry: Option<&str>, name: &str) -> Result<()> {
        self.go_down(run, name)?;
        self.wait_up(run, entry, name)
    }

    /// Restarts the host from within and waits until it is down.
    ///
    /// # Errors
    /// When it stays up.
    pub fn go_down(&mut self, run: &mut Run, name: &str) -> Result<()> {
        run.phase(&format!("{name}: going down"), |run| {
            self.machine.serial.skip();
            // The connection may be cut before the command says that it worked.
            let _ = self
                .ssh
                .output("systemctl reboot", b"", run.bench.limit(10));
            self.goes_down(run.bench.limit(40))
        })
    }

    /// Waits until the host restarts by itself and root can log in again. What it says meanwhile on the serial line is not to be
    /// skipped.
    ///
    /// # Errors
    /// When it does not go down, or does not come up.
    pub fn comes_back(&mut self, run: &mut Run, entry: Option<&str>, name: &str) -> Result<()> {
        run.phase(&format!("{name}: until the host restarts"), |run| {
            self.goes_down(run.bench.limit(180))
        })?;
        self.wait_up(run, entry, name)
    }

    fn goes_down(&mut self, limit: Duration) -> Result<()> {
        self.machine
            .serial
            .expect(&["reboot: Restarting system"], limit)?;
        Ok(())
    }

    /// Crashes the hypervisor, waits until root can log in again, and looks whether the dump holds what the hypervisor said last.
    ///
    /// # Errors
    /// When there is no dump or one without those words, or the host does not come up.
    pub fn crash_hypervisor(&mut self, run: &mut Run, name: &str) -> Result<()> {
        run.phase(&format!("{name}: until the dump is written"), |run| {
            self.machine.serial.skip();
            let crash = "systemd-run --quiet --on-active=2 xl debug-keys C";
            self.ssh.run(crash, run.bench.limit(20))?;
            self.dumped(run.bench.limit(60))
        })?;
        self.wait_up(run, None, name)?;
        run.look(&format!("{name}: the dump"), |run| {
            let newest = "ls -d /var/crash/*-xen | tail -n 1";
            let words =
                format!("grep -c \"'C' pressed -> triggering crashdump\" \"$({newest})/xen.log\"");
            let told = self.ssh.run(&words, run.bench.limit(20))?;
            ensure!(
                told.trim() == "1",
                "the dump does not tell of the crash: {told}"
            );
            Ok(())
        })
    }

    /// Waits until the crash kernel has written a dump.
    ///
    /// # Errors
    /// When it does not.
    pub fn dumped(&mut self, limit: Duration) -> Result<()> {
        let told = "What was said last is in /var/crash/";
        self.machine.serial.expect(&[told], limit)?;
        Ok(())
    }

    /// Presses the reset button and waits until root can log in again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn reset(&mut self, run: &mut Run, entry: Option<&str>, name: &str) -> Result<()> {
        self.machine.serial.skip();
        self.machine.qmp.reset()?;
        self.wait_up(run, entry, name)
    }

    /// Logs in with the password on the serial console, up to the prompt of a shell.
    ///
    /// # Errors
    /// When the login is refused.
    pub fn console_shell(&mut self, run: &Run, hostname: &str, password: &str) -> Result<()> {
        let serial = &mut self.machine.serial;
        let limit = run.bench.limit(15);
        serial.skip();
        serial.send("\r")?;
        serial
            .expect(&[&format!("{hostname} login: ")], limit)
            .context("no login prompt on the serial console")?;
        serial.send_line("root")?;
        serial.expect(&["assword: "], limit)?;
        // login discards what was typed before it switched the echo off.
        std::thread::sleep(Duration::from_secs(1));
        serial.send_line(password)?;
        // What is typed before the shell's prompt is lost in part.
        serial
            .expect(&["root@"], limit * 2)
            .context("no prompt of a shell after the password")?;
        Ok(())
    }

    /// Logs in with the password on the serial console, runs a command there and logs out.
    ///
    /// # Errors
    /// When the login is refused, or the shell does not work.
    pub fn console_login(&mut self, run: &Run, hostname: &str, password: &str) -> Result<()> {
        self.console_shell(run, hostname, password)?;
        let limit = run.bench.limit(15);
        let mut shell = Shell::attach(&mut self.machine, limit * 2)?;
        let who = shell.must("id -un; ps -o tty= $$", limit)?;
        let lines: Vec<&str> = who.lines().map(str::trim).collect();
        ensure!(
            lines.contains(&"root"),
            "the login on the serial console is not root's:\n{who}"
        );
        ensure!(
            lines
                .iter()
                .any(|line| line.starts_with("hvc") || line.starts_with("ttyS")),
            "the shell is on no serial console:\n{who}"
        );
        self.machine.serial.send_line("exit")?;
        Ok(())
    }

    /// Switches the host off from within.
    ///
    /// # Errors
    /// When it does not go off.
    pub fn power_off(&mut self, run: &mut Run) -> Result<()> {
        run.phase("power off", |run| {
            let _ = self
                .ssh
                .output("systemctl poweroff", b"", run.bench.limit(10));
            self.machine.wait_off(run.bench.limit(40))
        })
    }
}
