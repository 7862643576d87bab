//! The installer's own screens, driven over the serial line through a terminal, from welcome to an installed host.

use crate::answers::{PASSWORD, TIMEZONE};
use crate::case::Run;
use crate::disk::Image;
use crate::host::Host;
use crate::installation::{DISK_MIB, Entries, Hardware, Installation, boot_medium};
use crate::machine::Machine;
use crate::qemu::{Bus, Nic};
use crate::ssh::Key;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

/// Name of the host.
const HOSTNAME: &str = "bp-screens";
/// What DHCP gives in QEMU's network.
const DHCP_ADDRESS: &str = "10.0.2.15";
/// Escape and 0 stand for F10: the way on from a screen with fields.
const NEXT: &str = "\x1b0";

/// A person at the terminal.
struct Operator<'m> {
    machine: &'m mut Machine,
    terminal: Terminal,
    limit: Duration,
}

impl Operator<'_> {
    fn see(&mut self, words: &[&str]) -> Result<usize> {
        self.terminal.wait(self.machine, words, self.limit)
    }

    fn see_for(&mut self, words: &[&str], limit: Duration) -> Result<usize> {
        self.terminal.wait(self.machine, words, limit)
    }

    fn send(&mut self, keys: &str) -> Result<()> {
        self.machine.serial.send(keys)?;
        // A lone escape at the end of one message and a letter at the start of the next must not become one key.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    /// Keeps what the terminal shows, and a picture of the console that looks on.
    fn keep(&mut self, run: &Run, name: &str) -> Result<()> {
        self.terminal
            .keep(&run.file(&format!("{name}.screen.txt")))?;
        run.screenshot(self.machine, name)
    }
}

/// Runs the case.
///
/// # Errors
/// What does not work.
pub fn run(run: &mut Run) -> Result<()> {
    let hardware = Hardware {
        uefi: false,
        secure_boot: false,
        bus: Bus::Ahci,
        nic: Nic::Virtio,
        serial: "BPSCREENS1",
    };
    let path = run.file("installed.raw");
    let image = Image::blank(&path, DISK_MIB)?;
    // Something to lose, so that the whole word has to be typed.
    let mut mkfs = run.bench.tools.command("mkfs.ext4");
    mkfs.args(["-q", "-F", "-L", "precious"]).arg(&image.path);
    crate::process::run(&mut mkfs, b"", Duration::from_secs(120))?;
    let key = Key::make(run.dir())?;
    let iso = run.bench.workspace.iso()?.to_path_buf();
    let mut machine = run.start(&hardware.medium(&image, &iso), "install")?;
    boot_medium(run, &mut machine)?;
    let limit = run.bench.limit(20);
    let mut operator = Operator {
        terminal: Terminal::plug_in(&machine),
        machine: &mut machine,
        limit,
    };
    run.phase("screens: from welcome to the plan", |run| {
        choose(run, &mut operator, &key)
    })?;
    run.phase("screens: consent and install", |run| {
        install(run, &mut operator)
    })?;
    let screen = operator.terminal.screen();
    run.phase("screens: power off", |run| {
        // The second of the three ways on.
        operator.send("\x1b[B")?;
        operator.send("\r")?;
        operator.machine.wait_off(run.bench.limit(30))
    })?;
    drop(machine);

    let installation = Installation {
        hardware,
        disk: Image::raw(&path),
        variables: None,
        key,
    };
    let machine = installation.boot(run, Entries::Lost, "host")?;
    let mut host = Host::come_up(run, machine, &installation.key, None, "first boot")?;
    run.look("the host is what was typed", |run| {
        let limit = run.bench.limit(10);
        let name = host.ssh.run("hostname; readlink /etc/localtime", limit)?;
        ensure!(
            name.contains(HOSTNAME) && name.contains(TIMEZONE),
            "the host says:\n{name}"
        );
        let line = host
            .ssh
            .run("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub", limit)?;
        let fingerprint = line.split_whitespace().nth(1).context("no fingerprint")?;
        ensure!(
            screen.contains(fingerprint),
            "the last screen does not show {fingerprint}:\n{screen}"
        );
        Ok(())
    })?;
    run.look("log in at the serial console", |run| {
        host.console_login(run, HOSTNAME, PASSWORD)
    })?;
    host.power_off(run)
}

/// Everything that is asked.
fn choose(run: &Run, operator: &mut Operator<'_>, key: &Key) -> Result<()> {
    operator.see(&["Press any key on the console"])?;
    operator.keep(run, "00-free")?;
    operator.send(" ")?;
    operator.see(&["Enter next"])?;
    operator.keep(run, "01-welcome")?;
    operator.send("\r")?;
    operator.see(&["Is the medium what"])?;
    operator.see(&["You can go on meanwhile", "Every file was read"])?;
    operator.keep(run, "02-medium")?;
    operator.send("\r")?;
    operator.see(&["This hardware is"])?;
    operator.keep(run, "03-hardware")?;
    if operator
        .terminal
        .screen()
        .contains("To install all the same")
    {
        operator.send("a virtual machine that tests the screens\r")?;
    } else {
        operator.send("\r")?;
    }
    operator.see(&["Which disk does"])?;
    operator.see(&["It holds data"])?;
    operator.keep(run, "04-disks")?;
    operator.send("\r")?;
    operator.see(&["storage repository for virtual machines"])?;
    operator.keep(run, "05-layout")?;
    operator.send("\r")?;
    operator.see(&["Management network"])?;
    // Up from the first item is the last one, and above it is the test.
    operator.send("\x1b[6~")?;
    operator.send("\x1b[A")?;
    operator.send("\r")?;
    operator.see_for(
        &["Router:", "Setting up:", "none after 30 s"],
        run.bench.limit(40),
    )?;
    operator.keep(run, "06-network-tested")?;
    let screen = operator.terminal.screen();
    ensure!(
        screen.contains(&format!("Address: {DHCP_ADDRESS}")),
        "the test of the network found no address:\n{screen}"
    );
    operator.send(NEXT)?;
    operator.see(&["Who is the host"])?;
    operator.send(&format!(
        "{HOSTNAME}\r\x15{TIMEZONE}\r{PASSWORD}\r{PASSWORD}\r"
    ))?;
    operator.see(&["kept as a hash"])?;
    operator.send(&format!("\x1b[200~{}\x1b[201~\r", key.public))?;
    operator.see(&["SHA256:"])?;
    operator.keep(run, "07-system")?;
    operator.send(NEXT)?;
    operator.see(&["A license adds"])?;
    operator.keep(run, "08-license")?;
    operator.send(NEXT)?;
    operator.see(&["The plan. Nothing was written yet.", "There is no plan"])?;
    operator.keep(run, "09-plan")?;
    let screen = operator.terminal.screen();
    ensure!(
        screen.contains("LOST"),
        "the plan does not say what is lost:\n{screen}"
    );
    ensure!(!screen.contains(PASSWORD), "the password is on the screen");
    operator.send("\r")?;
    operator.see(&["Type WIPE to agree"])?;
    Ok(())
}

fn install(run: &Run, operator: &mut Operator<'_>) -> Result<()> {
    operator.send("wipe\r")?;
    operator.see(&["or Esc to go back"])?;
    operator.keep(run, "10-confirm")?;
    operator.send("\x15WIPE\r")?;
    while operator.see(&["Install 11/12", "still being verified"])? == 1 {
        std::thread::sleep(Duration::from_secs(2));
        operator.send("\r")?;
    }
    operator.keep(run, "11-install")?;
    let found = operator.see_for(
        &["Bedplate is installed.", "Bedplate is NOT installed."],
        run.bench.limit(200),
    )?;
    if found == 0 {
        // The last of the ways on: everything above it is drawn.
        operator.see(&["Open a shell"])?;
    }
    operator.keep(run, "12-finish")?;
    if found == 1 {
        bail!("the install failed:\n{}", operator.terminal.screen());
    }
    Ok(())
}
