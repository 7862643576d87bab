//! The init of a tiny guest: says on its console every second how it is virtualized, then powers itself off. It is the guest's
//! `/sbin/poweroff` too, which the kernel runs when the host asks the guest to shut down (`drivers/xen/manage.c`).
//!
//! The end-to-end tests start it on an installed host, and directly under QEMU to try the harness. How it is
//! virtualized comes from the kernel (`/sys/hypervisor/guest_type`, or the absence of a hypervisor), so a test that
//! sees `hello from PV` has seen a paravirtualized kernel run.
//!
//! Built with `-C target-feature=+crt-static`: the initrd around it holds this one file.

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// What the kernel calls (`kernel/reboot.c`, `poweroff_cmd`).
const POWEROFF: &str = "/sbin/poweroff";

/// Seconds to live where the kernel command line says nothing (`-- SECONDS`).
const LIFETIME: u64 = 300;

fn main() {
    let called = std::env::args().next().unwrap_or_default();
    match std::process::id() {
        1 => {}
        _ if called == POWEROFF => power_off("asked to shut down"),
        _ => {
            eprintln!("guest is the init of a test guest: it only runs as process 1");
            std::process::exit(2);
        }
    }
    if let Err(error) = mount_kernel("devtmpfs", "/dev") {
        println!("bedplate-guest: no /dev, so that it cannot be asked to shut down: {error}");
    }
    let kind = kind();
    let lifetime = lifetime(std::env::args().skip(1));
    let started = Instant::now();
    while started.elapsed() < lifetime {
        println!(
            "bedplate-guest: hello from {kind}, up {} s",
            started.elapsed().as_secs()
        );
        std::thread::sleep(Duration::from_secs(1));
    }
    power_off("done");
}

/// Process 1 must not end: a failed power-off stays visible as a silent guest.
fn power_off(why: &str) -> ! {
    say(why);
    loop {
        let Err(error) = reboot(RebootMode::RB_POWER_OFF);
        say(&format!("power off failed: {error}"));
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// On the console, also where the kernel gives a program none.
fn say(text: &str) {
    if let Ok(mut console) = std::fs::File::options().write(true).open("/dev/console") {
        // Nobody could be told.
        let _ = writeln!(console, "bedplate-guest: {text}");
    }
}

/// The first argument that is a number of seconds.
fn lifetime(args: impl Iterator<Item = String>) -> Duration {
    Duration::from_secs(
        args.filter_map(|arg| arg.parse().ok())
            .next()
            .unwrap_or(LIFETIME),
    )
}

/// `PV`, `PVH` or `HVM` as the kernel says under Xen, `bare` where there is no Xen, else what went wrong.
fn kind() -> String {
    if let Err(error) = mount_kernel("sysfs", "/sys") {
        return format!("unknown (sysfs: {error})");
    }
    match std::fs::read_to_string("/sys/hypervisor/guest_type") {
        Ok(kind) => kind.trim().to_string(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "bare".to_string(),
        Err(error) => format!("unknown (guest_type: {error})"),
    }
}

/// Mounts a file system of the kernel. Without `/dev/null` in a devtmpfs no Rust program starts that the kernel runs by itself:
/// it has no standard streams, and the runtime of Rust opens that for them or aborts (`sanitize_standard_fds`).
fn mount_kernel(kind: &str, at: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(at)?;
    mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_lifetime() {
        let of = |args: &[&str]| lifetime(args.iter().map(ToString::to_string));
        assert_eq!(of(&["quiet", "7", "9"]), Duration::from_secs(7));
        assert_eq!(of(&["quiet"]), Duration::from_secs(LIFETIME));
        assert_eq!(of(&[]), Duration::from_secs(LIFETIME));
    }
}
