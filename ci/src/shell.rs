//! Commands in a shell on the serial console, where there is no network.

use crate::machine::Machine;
use anyhow::{Context, Result, bail};
use base64::Engine;
use std::time::Duration;

/// Longest piece of a file on one line: a terminal takes 4095 bytes at once.
const PIECE: usize = 1500;

/// Xen keeps 128 bytes that dom0 has not read yet, and drops what comes beyond (`SERIAL_RX_SIZE` in its
/// drivers/char/console.c).
const TYPED_AT_ONCE: usize = 64;
/// Time for dom0 to read them.
const BREATH: Duration = Duration::from_millis(100);

/// A shell on the serial console of a machine.
#[derive(Debug)]
pub struct Shell<'a> {
    machine: &'a mut Machine,
    commands: u32,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit status.
    pub status: i32,
    /// Its output, standard error included, as the console showed it (the machine's own messages may stand between).
    pub output: String,
}

impl<'a> Shell<'a> {
    /// Makes the shell that waits on the console a quiet one: no echo, no prompt, no messages of the kernel.
    ///
    /// # Errors
    /// When no shell answers within `limit`.
    pub fn attach(machine: &'a mut Machine, limit: Duration) -> Result<Shell<'a>> {
        let mut shell = Shell {
            machine,
            commands: 0,
        };
        // Typing ahead works only once the shell reads: try until it answers.
        let tries = 6;
        let mut last = None;
        for attempt in 0..tries {
            // What was typed before the shell read may have lost its beginning, and left a quote open: Ctrl-C ends it.
            if attempt > 0 {
                shell.machine.serial.send("\x03")?;
                std::thread::sleep(Duration::from_millis(500));
            }
            // On a line of its own: commands that are run here have no terminal as their input.
            shell.machine.serial.send_line("stty -echo")?;
            match shell.run(
                "export TERM=dumb PS1= PS2= PAGER=cat; dmesg -n 1",
                limit / tries,
            ) {
                Ok(_) => return Ok(shell),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never asked")))
            .context("there is no shell on the serial console")
    }

    /// The shell of a machine that [`Shell::attach`] was called on before it was saved.
    pub fn resume(machine: &'a mut Machine) -> Shell<'a> {
        machine.serial.skip();
        Shell {
            machine,
            commands: 1000,
        }
    }

    /// Runs a command line and waits for its end.
    ///
    /// # Errors
    /// When it does not end within `limit`, or the machine is lost.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Ran> {
        self.commands += 1;
        let number = self.commands;
        // Put together by the guest's printf: an echo of the typed line does not look like the end of the command.
        let (begin, end) = (format!("@begin-{number}@"), format!("@end-{number}:"));
        let mark = format!(
            "printf '@%s-%s@\\n' begin {number}; {{ {command}\n}} 2>&1 </dev/null; printf '\\n@%s-%s:%d@\\n' end {number} $?"
        );
        self.type_slowly(&(mark.replace('\n', "\r") + "\r"))?;
        let serial = &mut self.machine.serial;
        serial
            .expect(&[&begin], limit)
            .with_context(|| format!("`{command}` did not begin"))?;
        let output = serial
            .expect(&[&end], limit)
            .with_context(|| format!("`{command}` did not end"))?
            .before;
        let status = serial.expect(&["@"], limit)?.before;
        let status = status
            .trim()
            .parse()
            .with_context(|| format!("`{command}` ended with status {status:?}"))?;
        Ok(Ran {
            status,
            output: output.trim().to_string(),
        })
    }

    fn type_slowly(&mut self, text: &str) -> Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(TYPED_AT_ONCE));
            self.machine.serial.send(piece)?;
            rest = after;
            if !rest.is_empty() {
                std::thread::sleep(BREATH);
            }
        }
        Ok(())
    }

    /// Runs a command line that must succeed; returns its output.
    ///
    /// # Errors
    /// As [`Shell::run`], and when its status is not 0.
    pub fn must(&mut self, command: &str, limit: Duration) -> Result<String> {
        let ran = self.run(command, limit)?;
        if ran.status != 0 {
            bail!(
                "`{command}` failed with status {} on the serial console:\n{}",
                ran.status,
                ran.output
            );
        }
        Ok(ran.output)
    }

    /// Writes `content` to the file `path` of the guest.
    ///
    /// # Errors
    /// As [`Shell::must`].
    pub fn write(&mut self, path: &str, content: &[u8], limit: Duration) -> Result<()> {
        let text = base64::engine::general_purpose::STANDARD.encode(content);
        self.must(&format!(": > {path}.b64"), limit)?;
        for piece in text.as_bytes().chunks(PIECE) {
            let piece = String::from_utf8_lossy(piece);
            self.must(&format!("echo {piece} >> {path}.b64"), limit)?;
        }
        self.must(
            &format!("base64 -d -i {path}.b64 > {path} && rm {path}.b64"),
            limit,
        )?;
        Ok(())
    }
}
