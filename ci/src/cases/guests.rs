//! Real guests on an installed host: the tiny guest with the host's own kernel, seen in the list of domains and heard
//! on its console.

use crate::accelerator::Accelerator;
use crate::case::Run;
use crate::host::Host;
use crate::tiny_guest;
use anyhow::{Result, ensure};

/// Kinds of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Paravirtualized.
    Pv,
    /// Paravirtualized in a hardware container.
    Pvh,
}

impl Kind {
    /// As `xl` spells it.
    fn word(self) -> &'static str {
        match self {
            Kind::Pv => "pv",
            Kind::Pvh => "pvh",
        }
    }

    /// As the guest's kernel spells it.
    fn guest_type(self) -> &'static str {
        match self {
            Kind::Pv => "PV",
            Kind::Pvh => "PVH",
        }
    }
}

/// Starts a guest, sees and hears it, and ends it.
///
/// # Errors
/// When it does not run.
pub fn start(run: &mut Run, host: &Host, kind: Kind) -> Result<()> {
    let limit = run.bench.limit(20);
    let ssh = &host.ssh;
    let name = format!("tiny-{}", kind.word());
    let initrd = tiny_guest::initrd(run)?;
    ssh.put(&initrd, "/root/guest.cpio", limit)?;
    // The root that runs names the folder of its boot files.
    let kernel = ssh.run("ls /boot/efi/bedplate/*/vmlinuz", limit)?;
    let kernels: Vec<&str> = kernel.lines().collect();
    ensure!(
        kernels.len() == 1,
        "one release is installed, so there should be one kernel on the ESP: {kernels:?}"
    );
    let config = format!(
        "name = \"{name}\"\ntype = \"{}\"\nkernel = \"{}\"\nramdisk = \"/root/guest.cpio\"\n\
         extra = \"console=hvc0 quiet -- 600\"\nmemory = 192\nvcpus = 1\n",
        kind.word(),
        kernels[0]
    );
    ssh.feed(&format!("cat > /root/{name}.cfg"), config.as_bytes(), limit)?;
    ssh.run(&format!("xl create /root/{name}.cfg"), limit)?;
    // A guest that restarts itself is missing from the list for a moment; how often it did is judged below.
    let list = ssh.run(
        &format!(
            "for i in $(seq 20); do xl list | grep -q '^{name} ' && break; sleep 0.5; done; xl list"
        ),
        limit,
    )?;
    ensure!(
        list.lines().any(|line| line.starts_with(&name)),
        "`xl list` does not show {name}:\n{list}\n{}",
        ssh.run(
            &format!("cat /var/log/xen/xl-{name}.log; xl dmesg | tail"),
            limit
        )?
    );

    // `xl console` ends with its input: a pipe that is open at both ends never ends.
    let hello = format!("{}{}", tiny_guest::HELLO, kind.guest_type());
    let listen = format!(
        "pipe=$(mktemp -u) && mkfifo $pipe && exec 9<>$pipe && rm $pipe && \
         timeout {seconds} xl console {name} <&9 2>&1 | grep --line-buffered -m 3 '{hello},'",
        seconds = limit.as_secs()
    );
    let heard = ssh.run(&listen, limit * 2)?;
    run.note(heard.trim_end());
    ensure!(
        heard.matches(&hello).count() == 3,
        "the guest should have said hello three times:\n{heard}"
    );
    let restarts = ssh.run(
        &format!("grep -c 'has shut down' /var/log/xen/xl-{name}.log || true"),
        limit,
    )?;
    judge_restarts(run, kind, restarts.trim())?;
    // libvirt lists the guests that were made through it and no others: nothing to ask it about this one.
    std::fs::write(run.file(&format!("{name}.txt")), format!("{list}\n{heard}"))?;

    ssh.run(&format!("xl destroy {name}"), limit)?;
    let list = ssh.run("xl list", limit)?;
    ensure!(
        !list.lines().any(|line| line.starts_with(&name)),
        "{name} is still there after its end:\n{list}"
    );
    Ok(())
}

/// No guest may restart itself. One exception, told in the record: QEMU's emulated SVM now and then resets a guest in a
/// hardware container as it starts (seen once in 32 starts; `xl` starts it again at once), which says nothing about Xen.
fn judge_restarts(run: &Run, kind: Kind, restarts: &str) -> Result<()> {
    if restarts == "0" {
        return Ok(());
    }
    let emulated = run.bench.accelerator == Accelerator::Emulation && kind != Kind::Pv;
    ensure!(
        emulated && restarts == "1",
        "the {} guest went down by itself, {restarts} times",
        kind.guest_type()
    );
    run.note("the emulated processor reset the guest once as it started; it was started again");
    Ok(())
}
