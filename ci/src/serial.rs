//! The serial console of a machine: everything it says goes to a log, and a test waits for words in it.
//!
//! A panic ends every wait at once, whatever was waited for: under emulation a time-out costs minutes.

use crate::console_text::Cleaner;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Words that mean that the machine is lost: from Linux, Xen, its loader and the firmware.
const FATAL: [&str; 8] = [
    "Kernel panic",
    "Xen BUG at",
    "(XEN) Reboot in",
    "Panic on CPU",
    "DOUBLE FAULT",
    "double fault:",
    "X64 Exception Type",
    "not syncing:",
];

/// Why a wait for words ended without them.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// The words did not come.
    #[error(
        "waited {waited} s on the serial console for {wanted}, in vain; its last lines:\n{tail}"
    )]
    Timeout {
        /// Seconds waited.
        waited: u64,
        /// The words, in quotes.
        wanted: String,
        /// The last lines of the console.
        tail: String,
    },
    /// The machine is lost.
    #[error(
        "the machine is lost (`{word}` on the serial console) while waiting for {wanted}; its last lines:\n{tail}"
    )]
    Fatal {
        /// What it said.
        word: String,
        /// The words that were waited for, in quotes.
        wanted: String,
        /// The last lines of the console.
        tail: String,
    },
    /// The machine ended.
    #[error(
        "the machine ended while the test waited on its serial console for {wanted}; its last lines:\n{tail}"
    )]
    Ended {
        /// The words that were waited for, in quotes.
        wanted: String,
        /// The last lines of the console.
        tail: String,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which of the words.
    pub index: usize,
    /// Everything that was said since the last find, up to the words.
    pub before: String,
}

#[derive(Debug, Default)]
struct Heard {
    text: String,
    raw: Vec<u8>,
    closed: bool,
}

type Shared = Arc<(Mutex<Heard>, Condvar)>;

/// The test's end of a serial console.
#[derive(Debug)]
pub struct Serial {
    heard: Shared,
    writer: UnixStream,
    /// Bytes of the text that earlier finds have used up.
    cursor: usize,
    /// Bytes of the text that were searched for fatal words.
    checked: usize,
    log: PathBuf,
}

impl Serial {
    /// Listens on `stream`. `log` gets the plain text as it comes, and a file beside it ending in `.raw` every byte.
    ///
    /// # Errors
    /// When the logs cannot be written.
    pub fn start(stream: UnixStream, log: &Path) -> Result<Serial> {
        let reader = stream.try_clone().context("the serial console's socket")?;
        let open = |path: &Path| {
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))
        };
        let (plain, raw) = (open(log)?, open(&log.with_extension("raw"))?);
        let heard = Shared::default();
        let shared = heard.clone();
        std::thread::spawn(move || listen(reader, &shared, plain, raw));
        Ok(Serial {
            heard,
            writer: stream,
            cursor: 0,
            checked: 0,
            log: log.to_path_buf(),
        })
    }

    /// Waits until one of `words` is said after the last find.
    ///
    /// # Errors
    /// When it does not come within `limit`, the machine ends, or it says that it is lost.
    pub fn expect(&mut self, words: &[&str], limit: Duration) -> Result<Found, SerialError> {
        let shared = self.heard.clone();
        let (mutex, condvar) = &*shared;
        let started = Instant::now();
        let longest_word = words.iter().map(|word| word.len()).max().unwrap_or(0);
        let mut from = self.cursor;
        let mut heard = lock(mutex);
        loop {
            let found = first(&heard.text[from..], words);
            // What came before a panic still counts: a test may wait for the panic itself.
            if let Some((at, index)) = found {
                let at = from + at;
                let before = heard.text[self.cursor..at].to_string();
                self.cursor = at + words[index].len();
                self.checked = self.checked.max(self.cursor);
                return Ok(Found { index, before });
            }
            // Old text is not searched again, but for a word that is half there.
            from = from.max(floor(
                &heard.text,
                heard.text.len().saturating_sub(longest_word),
            ));
            let wanted = quoted(words);
            if let Some((_, index)) = first(&heard.text[self.checked..], &FATAL) {
                // The reason and the trace come after the first word: let them reach the log.
                drop(heard);
                std::thread::sleep(Duration::from_secs(2));
                return Err(SerialError::Fatal {
                    word: FATAL[index].into(),
                    wanted,
                    tail: self.tail(40),
                });
            }
            let longest = FATAL.iter().map(|word| word.len()).max().unwrap_or(0);
            self.checked = self
                .checked
                .max(floor(&heard.text, heard.text.len().saturating_sub(longest)));
            let tail = |heard: &Heard| crate::process::last_lines(&heard.text, 40);
            if heard.closed {
                return Err(SerialError::Ended {
                    wanted,
                    tail: tail(&heard),
                });
            }
            let Some(left) = limit.checked_sub(started.elapsed()) else {
                return Err(SerialError::Timeout {
                    waited: limit.as_secs(),
                    wanted,
                    tail: tail(&heard),
                });
            };
            heard = condvar
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// True when `word` was said at any time.
    pub fn said(&self, word: &str) -> bool {
        lock(&self.heard.0).text.contains(word)
    }

    /// Bytes that came up to now, as they came.
    pub fn raw_length(&self) -> usize {
        lock(&self.heard.0).raw.len()
    }

    /// The bytes as they came, without the first `seen`.
    pub fn raw_since(&self, seen: usize) -> Vec<u8> {
        lock(&self.heard.0)
            .raw
            .get(seen..)
            .unwrap_or_default()
            .to_vec()
    }

    /// Forgets what was said up to now: the next find comes after it.
    pub fn skip(&mut self) {
        self.cursor = lock(&self.heard.0).text.len();
        self.checked = self.cursor;
    }

    /// Types `text` as it is.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.writer
            .write_all(text.as_bytes())
            .context("nothing can be typed on the serial console: has the machine ended?")
    }

    /// Types a line.
    ///
    /// # Errors
    /// As [`Serial::send`].
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        self.send(&format!("{line}\r"))
    }

    /// The last `count` lines, indented.
    pub fn tail(&self, count: usize) -> String {
        crate::process::last_lines(&lock(&self.heard.0).text, count)
    }

    /// The file that holds everything that was said, as plain text.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn listen(mut reader: UnixStream, shared: &Shared, mut plain: File, mut raw: File) {
    let (mutex, condvar) = &**shared;
    let mut cleaner = Cleaner::default();
    let mut buffer = [0; 4096];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let text = cleaner.clean(&buffer[..count]);
        // A full disk must not stop the test from hearing the machine.
        let _ = raw
            .write_all(&buffer[..count])
            .and_then(|()| plain.write_all(text.as_bytes()));
        let mut heard = lock(mutex);
        heard.text.push_str(&text);
        heard.raw.extend_from_slice(&buffer[..count]);
        drop(heard);
        condvar.notify_all();
    }
    lock(mutex).closed = true;
    condvar.notify_all();
}

fn lock(mutex: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The earliest of `words` in `text`: where, and which. Of two at one place, the one that stands first in the list.
fn first(text: &str, words: &[&str]) -> Option<(usize, usize)> {
    words
        .iter()
        .enumerate()
        .filter_map(|(index, word)| text.find(word).map(|at| (at, index)))
        .min()
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{}`", word.escape_debug()))
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The start of the character at `index`.
fn floor(text: &str, mut index: usize) -> usize {
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    fn pair() -> (Serial, UnixStream, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        (
            Serial::start(ours, &dir.path().join("serial.log")).unwrap(),
            theirs,
            dir,
        )
    }

    #[test]
    fn finds_follow_each_other() {
        let (mut serial, mut machine, _dir) = pair();
        machine.write_all(b"one two one login: ").unwrap();
        assert_eq!(
            serial.expect(&["two", "one"], SOON).unwrap(),
            Found {
                index: 1,
                before: String::new()
            }
        );
        assert_eq!(serial.expect(&["one"], SOON).unwrap().before, " two ");
        assert_eq!(serial.expect(&["one", "login: "], SOON).unwrap().index, 1);
        let error = serial.expect(&["one"], SOON).unwrap_err();
        assert!(matches!(error, SerialError::Timeout { .. }), "{error}");
    }

    #[test]
    fn words_that_come_in_pieces_are_found() {
        let (mut serial, mut machine, _dir) = pair();
        let typist = std::thread::spawn(move || {
            for byte in b"noise bedplate: install finished\r\n" {
                machine.write_all(&[*byte]).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            machine
        });
        serial
            .expect(&["install finished"], Duration::from_secs(10))
            .unwrap();
        typist.join().unwrap();
    }

    #[test]
    fn a_panic_ends_the_wait_early() {
        let (mut serial, mut machine, _dir) = pair();
        machine
            .write_all("a \u{fc} [ 3.1] Kernel pan".as_bytes())
            .unwrap();
        assert!(matches!(
            serial.expect(&["login:"], SOON),
            Err(SerialError::Timeout { .. })
        ));
        machine.write_all(b"ic - VFS\r\n").unwrap();
        let started = Instant::now();
        let error = serial
            .expect(&["login:"], Duration::from_secs(60))
            .unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(
            matches!(&error, SerialError::Fatal { word, .. } if word == "Kernel panic"),
            "{error}"
        );
    }

    #[test]
    fn a_panic_that_was_waited_for_is_a_find() {
        let (mut serial, mut machine, _dir) = pair();
        machine
            .write_all(b"Kernel panic - not syncing: x\n")
            .unwrap();
        serial.expect(&["not syncing: x"], SOON).unwrap();
    }

    #[test]
    fn the_end_of_the_machine_ends_the_wait() {
        let (mut serial, mut machine, dir) = pair();
        machine.write_all(b"\x1b[1mpower off\x1b[0m\r\n").unwrap();
        drop(machine);
        let error = serial
            .expect(&["login:"], Duration::from_secs(60))
            .unwrap_err();
        assert!(
            matches!(&error, SerialError::Ended { tail, .. } if tail.contains("power off")),
            "{error}"
        );
        assert_eq!(
            std::fs::read_to_string(dir.path().join("serial.log")).unwrap(),
            "power off\n"
        );
        assert_eq!(
            std::fs::read(dir.path().join("serial.raw")).unwrap(),
            b"\x1b[1mpower off\x1b[0m\r\n"
        );
    }
}
