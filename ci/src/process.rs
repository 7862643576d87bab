//! Running a program to its end with a limit on the time, and with its output in the error when it fails.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines of output that an error repeats.
const LAST_LINES: usize = 15;

/// Runs `command` with `input` on its standard input and collects its output; kills it after `limit`.
///
/// # Errors
/// When it cannot be started or runs out of time. Its exit status is the caller's to judge.
pub fn output(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("{program} did not start; ./ci/setup installs it"))?;
    let stdin = child.stdin.take();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading everything is not wrong: its status tells.
            let _ = stdin.write_all(&input);
        }
    });
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!(
                "{} ran longer than {} s and was ended",
                shown(command),
                limit.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let _ = writer.join();
    Ok(Output {
        status,
        stdout: joined(stdout),
        stderr: joined(stderr),
    })
}

/// Runs `command` and returns what it wrote to standard output.
///
/// # Errors
/// As [`output`], and when it fails: with its command line, status and last lines.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<String> {
    let output = output(command, input, limit)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let tail = last_lines(&format!("{stdout}\n{stderr}"), LAST_LINES);
    bail!("{} failed ({}):\n{tail}", shown(command), output.status)
}

/// The last `count` lines that are not empty, indented.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(count);
    lines[from..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn joined(thread: JoinHandle<Vec<u8>>) -> Vec<u8> {
    thread.join().unwrap_or_default()
}

fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        // The script that enters the tools root says nothing about what went wrong.
        line.push(' ');
        line.push_str(if arg.contains('\n') { "..." } else { &arg });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let text = run(
            &mut Command::new("cat"),
            b"over the pipe",
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(text, "over the pipe");
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let error = run(
            Command::new("sh").args(["-c", "echo first; echo last >&2; exit 3"]),
            b"",
            Duration::from_secs(10),
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("first") && error.contains("last"),
            "{error}"
        );
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let started = Instant::now();
        let error = output(
            Command::new("sleep").arg("30"),
            b"",
            Duration::from_millis(100),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("ran longer than"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
