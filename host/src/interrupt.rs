//! Ctrl-C, a terminal that is gone, and `kill`: a long command takes back what it had made, as `task-cancel` has it, instead of
//! ending where it stands.

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Set once somebody wants this process to end.
static WANTED: AtomicBool = AtomicBool::new(false);

const SIGNALS: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Whether somebody wants this process to end.
pub fn is_wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}

/// The same, for commands that are to end then.
pub fn flag() -> &'static AtomicBool {
    &WANTED
}

/// From here on the signals are noted, and the command ends at its next step. A second one ends the process at once. To be
/// called before there are other threads: they would be ended by the signal.
pub fn note() -> nix::Result<()> {
    let signals = heeded(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    signals.thread_block()?;
    thread::spawn(move || {
        // It fails for no set of signals that exist.
        while let Ok(signal) = signals.wait() {
            if WANTED.swap(true, Ordering::SeqCst) {
                kill_children();
                std::process::exit(128 + signal as i32);
            }
            eprintln!(
                "{signal}: ending as soon as nothing is left half done; once more ends at once"
            );
        }
    });
    Ok(())
}

/// Ends what this process started, with all that is in its group: with this process the locks go, and nobody may write to a disk
/// without one. Nobody waits for what they would do at a milder signal.
fn kill_children() {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for thread in threads.flatten() {
        // Linux Documentation/filesystems/proc.rst, section 3.7.
        let children = std::fs::read_to_string(thread.path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            if let Ok(group) = child.parse() {
                // It ended just now, or is no group of its own.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
        }
    }
}

/// Lets `act` be ended by the signals as if nothing was noted: it waits for somebody.
pub fn unnoted<T>(act: impl FnOnce() -> T) -> T {
    let mut signals = SigSet::empty();
    signals.extend(SIGNALS);
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_UNBLOCK);
    let result = act();
    if let Ok(before) = before {
        // It was the mask a moment ago.
        let _ = before.thread_set_mask();
    }
    result
}

/// Without those that are ignored, as nohup(1) and shells do for what runs in the background; proc_pid_status(5).
fn heeded(status: &str) -> SigSet {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let mut signals = SigSet::empty();
    signals.extend(
        SIGNALS
            .into_iter()
            .filter(|signal| ignored & (1 << (*signal as i32 - 1)) == 0),
    );
    signals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_started_lives_on() {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        kill_children();
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    }

    #[test]
    fn what_is_ignored_stays_ignored() {
        let all = heeded("Name:\txe\nSigIgn:\t0000000000001000\n");
        assert!(SIGNALS.iter().all(|signal| all.contains(*signal)));
        let nohup = heeded("SigIgn:\t0000000000001001\n");
        assert!(!nohup.contains(Signal::SIGHUP) && nohup.contains(Signal::SIGTERM));
    }
}
