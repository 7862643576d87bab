//! All consoles of the machine: what is said to one is said to all, and one that hangs holds up none.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait for a slow console; more are dropped, and told.
const QUEUE: usize = 256;

/// Writes to every console, each through a thread of its own: a serial line with flow control and nobody at its
/// other end blocks for ever.
#[derive(Clone)]
pub struct Consoles {
    writers: Vec<Writer>,
}

#[derive(Clone)]
struct Writer {
    name: String,
    queue: SyncSender<Message>,
}

enum Message {
    Text(Vec<u8>),
    /// Answered when everything before it was written.
    Sync(SyncSender<()>),
}

impl Consoles {
    /// The consoles of this machine.
    pub fn system() -> Self {
        let active = std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
        Self::open(console_paths(&active, |path| path.exists()))
    }

    /// Writes to these devices or files. One that cannot be opened is left out.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        use std::os::unix::fs::OpenOptionsExt;
        let writers = paths.into_iter().filter_map(|path| {
            // A console must not become the controlling terminal of a service.
            let file = OpenOptions::new()
                .append(true)
                .custom_flags(nix::libc::O_NOCTTY)
                .open(&path)
                .ok()?;
            let (queue, receive) = sync_channel(QUEUE);
            thread::Builder::new()
                .name("console".into())
                .spawn(move || write_all(file, &receive))
                .ok()?;
            Some(Writer {
                name: path.display().to_string(),
                queue,
            })
        });
        Consoles {
            writers: writers.collect(),
        }
    }

    /// Paths of the consoles that are written to.
    pub fn names(&self) -> Vec<&str> {
        self.writers
            .iter()
            .map(|writer| writer.name.as_str())
            .collect()
    }

    /// Waits until everything is written, `limit` at most.
    pub fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let waiting: Vec<Receiver<()>> = self
            .writers
            .iter()
            .filter_map(|writer| {
                let (done, wait) = sync_channel(1);
                writer
                    .queue
                    .try_send(Message::Sync(done))
                    .ok()
                    .map(|()| wait)
            })
            .collect();
        for wait in waiting {
            let left = end.saturating_duration_since(Instant::now());
            match wait.recv_timeout(left) {
                Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Write for Consoles {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        for writer in &self.writers {
            match writer.queue.try_send(Message::Text(data.to_vec())) {
                // A console that does not take its lines must not stop the others.
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(mut file: std::fs::File, queue: &Receiver<Message>) {
    while let Ok(message) = queue.recv() {
        match message {
            // A terminal that went away (a virtual serial line) may come back: the next line is tried again.
            Message::Text(text) => {
                let _ = file.write_all(&text);
            }
            Message::Sync(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// The devices to write to: what the kernel lists as consoles (`/sys/class/tty/console/active`), and the first virtual
/// terminal. `/dev/console` is one of those, and is taken only where the kernel lists nothing.
pub fn console_paths(active: &str, exists: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let listed = active
        .split_ascii_whitespace()
        .filter(|name| !name.contains('/'))
        .map(|name| {
            // tty0 is whatever terminal is in front; the installer's place is the first.
            if name == "tty0" { "tty1" } else { name }
        });
    let mut paths: Vec<PathBuf> = listed
        .chain(["tty1"])
        .filter(|name| seen.insert(name.to_string()))
        .map(|name| Path::new("/dev").join(name))
        .filter(|path| exists(path))
        .collect();
    if paths.is_empty() && exists(Path::new("/dev/console")) {
        paths.push("/dev/console".into());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(active: &str, missing: &[&str]) -> Vec<String> {
        let exists = |path: &Path| {
            !missing
                .iter()
                .any(|name| path == Path::new("/dev").join(name))
        };
        console_paths(active, exists)
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn every_console_once() {
        assert_eq!(paths("tty0 ttyS0\n", &[]), ["/dev/tty1", "/dev/ttyS0"]);
        assert_eq!(paths("ttyS0\n", &[]), ["/dev/ttyS0", "/dev/tty1"]);
        assert_eq!(
            paths("ttyS1 ttyS1 hvc0", &["tty1"]),
            ["/dev/ttyS1", "/dev/hvc0"]
        );
        assert_eq!(paths("", &["tty1"]), ["/dev/console"]);
        assert_eq!(paths("../etc/passwd", &[]), ["/dev/tty1"]);
    }

    #[test]
    fn all_get_the_text_and_one_that_blocks_holds_up_none() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        let pipe = dir.path().join("pipe");
        std::fs::write(&good, "").unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Opened for reading, too, so that opening does not wait; nobody ever reads.
        let _reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)
            .unwrap();
        let mut consoles = Consoles::open([pipe, good.clone(), dir.path().join("missing")]);
        assert_eq!(consoles.names().len(), 2);
        // More than a pipe holds (64 KiB).
        for _ in 0..200 {
            consoles.write_all(&[b'x'; 1024]).unwrap();
        }
        consoles.drain(Duration::from_millis(1500));
        assert_eq!(std::fs::read(&good).unwrap().len(), 200 * 1024);
    }
}
