//! What a program starts with that is not in its command line: which signals reach it, and when it ends with this process.
#![allow(
    unsafe_code,
    reason = "what is set between fork and exec is set by a function that must do little; it says why it does"
)]

use nix::libc;
use nix::sys::signal::SigSet;
use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::process;

/// Has the program started with no signal blocked: one that inherits that they are cannot be told to end. With `dies_with_us` it is
/// killed when the thread that starts it ends, and so when this process does, be it by SIGKILL.
pub(super) fn prepare(command: &mut process::Command, dies_with_us: bool) {
    // Where nothing is to be set, programs are started a quicker way.
    if !dies_with_us && !blocks_signals() {
        return;
    }
    let us = process::id();
    let set = move || {
        if dies_with_us {
            // SAFETY: PR_SET_PDEATHSIG takes a number and touches no memory of ours (PR_SET_PDEATHSIG(2const)).
            let result =
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            // We ended before it was asked for, so nobody would tell.
            if parent_id() != us {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        SigSet::empty().thread_set_mask().map_err(io::Error::from)
    };
    // SAFETY: other threads may hold any lock at the moment of the fork. This makes three system calls and allocates nothing, also
    // where it fails: an error is a number.
    unsafe { command.pre_exec(set) };
}

fn blocks_signals() -> bool {
    SigSet::thread_get_mask().is_ok_and(|mask| mask.iter().next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, RealSystem, System};
    use nix::sys::signal::Signal;
    use std::os::unix::process::ExitStatusExt;
    use std::thread;

    #[test]
    fn what_dies_with_us_dies_with_the_thread_that_started_it() {
        let start = |dies_with_us: bool| {
            thread::spawn(move || {
                let mut command = process::Command::new("sleep");
                command.arg("600");
                prepare(&mut command, dies_with_us);
                command.spawn().unwrap()
            })
            .join()
            .unwrap()
        };
        let (mut lives, mut dies) = (start(false), start(true));
        let killed = dies.wait().unwrap().signal();
        assert_eq!(killed, Some(Signal::SIGKILL as i32));
        assert_eq!(lives.try_wait().unwrap(), None);
        lives.kill().unwrap();
        lives.wait().unwrap();
        // One that is waited for comes to its end.
        let output = RealSystem::silent().run(&Command::new("echo").arg("x").dies_with_us());
        assert_eq!(output.unwrap().text(), "x");
    }

    #[test]
    fn signals_that_are_blocked_here_reach_what_is_started() {
        let mut term = SigSet::empty();
        term.add(Signal::SIGTERM);
        term.thread_block().unwrap();
        let blocked = Command::new("grep").args(["SigBlk", "/proc/self/status"]);
        let told = RealSystem::silent().run(&blocked).unwrap().text();
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
        term.thread_unblock().unwrap();
        let mask = told.rsplit('\t').next().unwrap();
        assert_eq!(u64::from_str_radix(mask, 16), Ok(0), "{told}");
    }
}
