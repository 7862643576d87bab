//! Limits on what may hang: programs, device nodes, questions to a driver.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a program's answer that are kept; `xl info -n` of 8,192 CPUs has 400 KB.
const OUTPUT: u64 = 4 << 20;
/// Time between two looks at a program that has said all and not ended yet.
const PAUSE: Duration = Duration::from_millis(1);

/// Runs `probe` in a thread of its own. A probe that takes too long is left behind: a system call that hangs in a
/// driver cannot be broken off.
pub(super) fn within<T, F>(limit: Duration, probe: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, String> + Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    let started = thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || sender.send(probe()));
    started.map_err(|error| format!("no thread for it: {error}"))?;
    match receiver.recv_timeout(limit) {
        Ok(answer) => answer,
        Err(_) => Err(no_answer(limit)),
    }
}

/// What a program writes to its standard output. It is ended when it takes longer than `limit`.
pub(super) fn output(program: &str, arguments: &[&str], limit: Duration) -> Result<String, String> {
    let until = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let Some(stdout) = child.stdout.take() else {
        end(child);
        return Err(format!("{program}: no output to read"));
    };
    let answer = within(limit, move || {
        let mut bytes = Vec::new();
        let read = stdout.take(OUTPUT + 1).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| error.to_string())
    });
    let bytes = match answer {
        Ok(bytes) if bytes.len() as u64 <= OUTPUT => bytes,
        Ok(_) => {
            end(child);
            return Err(format!("{program}: more than {OUTPUT} bytes of output"));
        }
        Err(reason) => {
            end(child);
            return Err(format!("{program}: {reason}"));
        }
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => {
                return Ok(crate::root::clean(&bytes, true));
            }
            Ok(Some(status)) => return Err(format!("{program}: ended with {status}")),
            Ok(None) if Instant::now() < until => thread::sleep(PAUSE),
            Ok(None) => {
                end(child);
                return Err(format!("{program}: {}", no_answer(limit)));
            }
            Err(error) => return Err(format!("{program}: {error}")),
        }
    }
}

/// Ends a program. What hangs in the kernel does not end now; it is not waited for.
fn end(mut child: Child) {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    let _ = thread::Builder::new().spawn(move || child.wait());
}

fn no_answer(limit: Duration) -> String {
    if limit.as_secs() > 0 {
        format!("no answer within {} s", limit.as_secs())
    } else {
        format!("no answer within {} ms", limit.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than any of these takes.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_answers_in_time() {
        assert_eq!(within(LONG, || Ok(7)), Ok(7));
        assert_eq!(
            within(LONG, || Err::<u8, _>("why".to_owned())),
            Err("why".to_owned())
        );
        assert_eq!(output("echo", &["a", "b"], LONG), Ok("a b".to_owned()));
    }

    #[test]
    fn what_hangs_is_left_behind() {
        let short = Duration::from_millis(20);
        let hangs = within(short, || {
            thread::sleep(LONG);
            Ok(())
        });
        assert_eq!(hangs, Err("no answer within 20 ms".to_owned()));
        let reason = output("sleep", &["60"], short).expect_err("sleeps");
        assert!(reason.contains("no answer"), "{reason}");
        // It has closed its output, and goes on.
        let reason = output(
            "sh",
            &["-c", "exec >&-; sleep 60"],
            Duration::from_millis(300),
        );
        assert!(reason.expect_err("sleeps").contains("no answer"));
    }

    #[test]
    fn what_fails_or_never_ends_to_talk() {
        assert!(
            output("false", &[], LONG)
                .expect_err("fails")
                .contains("exit status")
        );
        assert!(output("/nowhere/at/all", &[], LONG).is_err());
        assert!(
            output("yes", &[], LONG)
                .expect_err("talks")
                .contains("bytes of output")
        );
    }

    #[test]
    fn a_probe_that_panics_has_no_answer() {
        let panics = within(LONG, || -> Result<(), String> { panic!("test") });
        assert!(panics.is_err());
    }
}
