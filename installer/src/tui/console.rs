//! One console: its bytes in raw mode, its size, what it can show. A console that hangs holds up nothing.

use super::decode::Decoder;
use super::key::Input;
use super::theme::Theme;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// What a terminal is taken for until it says more.
const USUAL: (u16, u16) = (80, 24);
/// A terminal larger than this is a broken answer.
const LARGEST: u16 = 500;
/// After this time a lone escape is one. Long enough for the slow lines of management controllers.
const ESCAPE_MS: i64 = 150;
/// How long the last bytes may take on a slow line.
const DRAIN: Duration = Duration::from_secs(2);
/// How often a serial line is asked for its size.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// A terminal that has not answered by then does not.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Another screen, cleared, with pasted text marked. Terminals that do not know a part of it leave it out.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[0m\x1b[2J\x1b[H";
/// All of that undone, with the cursor shown.
const LEAVE: &[u8] = b"\x1b[0m\x1b[2J\x1b[H\x1b[?2004l\x1b[?1049l\x1b[?25h";
/// Writes a character of two bytes of UTF-8 and asks where the cursor is: in column 2 where it was taken for one.
const ASK_UTF8: &[u8] = b"\r\xc3\xa9\x1b[6n\r\x1b[K";
/// Goes to where the last column and row would be, asks where that is, and comes back: as resize(1) does.
const ASK_SIZE: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";

/// What the terminal was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Utf8,
    Size,
}

/// Bytes that are drawn before they are sent.
#[derive(Clone, Default)]
struct Canvas(Arc<Mutex<Vec<u8>>>);

impl Canvas {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Canvas {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends bytes through a thread of its own, and knows how many pieces are still on their way.
#[derive(Clone)]
struct Line {
    queue: Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

impl Line {
    fn start(mut file: File) -> io::Result<Line> {
        let (queue, pieces) = channel::<Vec<u8>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = waiting.clone();
        thread::Builder::new()
            .name("console-out".into())
            .spawn(move || {
                for piece in pieces {
                    // A line that went away may come back: the next piece is tried again.
                    let _ = file.write_all(&piece);
                    count.fetch_sub(1, Ordering::Release);
                }
            })?;
        Ok(Line { queue, waiting })
    }

    fn send(&self, bytes: Vec<u8>) {
        self.waiting.fetch_add(1, Ordering::Acquire);
        if self.queue.send(bytes).is_err() {
            self.waiting.fetch_sub(1, Ordering::Release);
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.is_idle() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How a terminal was before, so that it can be so again: at the end, on an error, on a panic.
struct Restore {
    file: File,
    before: Option<Termios>,
    line: Line,
}

impl Restore {
    fn restore(&self) {
        self.line.send(LEAVE.to_vec());
        self.line.drain(DRAIN);
        if let Some(before) = &self.before {
            // Nothing can be done about a terminal that refuses.
            let _ = tcsetattr(&self.file, SetArg::TCSANOW, before);
        }
    }
}

/// All terminals that are to be restored, and the thread whose panic means that they are lost.
static OPEN: Mutex<Option<(ThreadId, Vec<Restore>)>> = Mutex::new(None);

/// Makes every open terminal what it was.
pub fn restore_all() {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    for restore in open.into_iter().flat_map(|(_, list)| list) {
        restore.restore();
    }
}

/// From now on a panic of this thread restores the terminals before its message is printed.
pub fn restore_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let ours = OPEN.try_lock().is_ok_and(|open| {
            open.as_ref()
                .is_some_and(|(id, _)| *id == thread::current().id())
        });
        if ours {
            restore_all();
        }
        usual(panic);
    }));
}

/// A console.
pub struct Console {
    /// Its name, for people.
    pub name: String,
    /// How it is drawn on.
    pub theme: Theme,
    color: bool,
    /// A line that cannot say its size by itself.
    serial: bool,
    file: File,
    line: Line,
    canvas: Canvas,
    terminal: Terminal<CrosstermBackend<Canvas>>,
    size: (u16, u16),
    asked: VecDeque<Question>,
    asked_at: Instant,
    answers: bool,
}

impl Console {
    /// Opens a terminal device and takes it over.
    pub fn open(path: &Path, color: bool) -> io::Result<Console> {
        use std::os::unix::fs::OpenOptionsExt;
        // It must not become the controlling terminal of a service.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOCTTY)
            .open(path)?;
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let before = tcgetattr(&file).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&file, SetArg::TCSANOW, &raw)?;
        }
        let line = Line::start(file.try_clone()?)?;
        let restore = Restore {
            file: file.try_clone()?,
            before,
            line: line.clone(),
        };
        OPEN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (thread::current().id(), Vec::new()))
            .1
            .push(restore);
        let canvas = Canvas::default();
        let terminal = Terminal::with_options(
            CrosstermBackend::new(canvas.clone()),
            TerminalOptions {
                viewport: Viewport::Fixed(Rect::new(0, 0, USUAL.0, USUAL.1)),
            },
        )?;
        let mut console = Console {
            serial: !(name.starts_with("tty") && name[3..].bytes().all(|b| b.is_ascii_digit()))
                && name != "tty"
                && !path.starts_with("/dev/pts"),
            name,
            // ASCII until the terminal says that it knows more.
            theme: Theme::new(color, false),
            color,
            file,
            line,
            canvas,
            terminal,
            size: USUAL,
            asked: VecDeque::new(),
            asked_at: Instant::now(),
            answers: false,
        };
        console.line.send(ENTER.to_vec());
        console.ask(Question::Utf8);
        console.measure();
        Ok(console)
    }

    /// A second handle, for the thread that reads.
    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn ask(&mut self, question: Question) {
        let bytes = match question {
            Question::Utf8 => ASK_UTF8,
            Question::Size => ASK_SIZE,
        };
        self.line.send(bytes.to_vec());
        self.asked.push_back(question);
        self.asked_at = Instant::now();
    }

    /// Finds out how large the terminal is: by the kernel where it knows, else by asking.
    fn measure(&mut self) {
        match rustix::termios::tcgetwinsize(&self.file) {
            Ok(size) if !self.serial && size.ws_col > 0 && size.ws_row > 0 => {
                self.resize(size.ws_col, size.ws_row);
            }
            _ => self.ask(Question::Size),
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        let size = (columns.clamp(1, LARGEST), rows.clamp(1, LARGEST));
        if size != self.size {
            self.size = size;
            self.redraw();
        }
    }

    /// Draws everything anew with the next frame: something else wrote on the screen.
    pub fn redraw(&mut self) {
        let area = Rect::new(0, 0, self.size.0, self.size.1);
        // The canvas is memory: writing to it does not fail.
        let _ = self.terminal.resize(area);
        let _ = self.canvas.take();
        self.line.send(b"\x1b[0m\x1b[2J\x1b[H".to_vec());
    }

    /// Asks everything again and draws everything anew: what Ctrl-L does.
    pub fn refresh(&mut self) {
        self.asked.clear();
        self.redraw();
        self.ask(Question::Utf8);
        self.measure();
    }

    /// Takes the answer to the oldest question.
    pub fn position(&mut self, row: u16, column: u16) {
        self.answers = true;
        match self.asked.pop_front() {
            Some(Question::Utf8) => {
                let theme = Theme::new(self.color, column == 2);
                if theme != self.theme {
                    self.theme = theme;
                    self.redraw();
                }
            }
            Some(Question::Size) => self.resize(column, row),
            None => {}
        }
    }

    /// Looks whether the size changed. Called about once a second.
    pub fn tick(&mut self) {
        if !self.serial {
            self.measure();
            return;
        }
        if self.asked.is_empty() {
            // A terminal that never answered is not asked again until a key comes from it.
            if self.answers && self.asked_at.elapsed() >= ASK_EVERY && self.line.is_idle() {
                self.ask(Question::Size);
            }
        } else if self.asked_at.elapsed() >= ANSWER_LIMIT {
            self.asked.clear();
            self.answers = false;
        }
    }

    /// A key came: there is a terminal at the other end, which may not have been there before.
    pub fn touched(&mut self) {
        if !self.answers && self.asked.is_empty() {
            self.refresh();
        }
    }

    /// Draws a frame, unless the line is still busy with the one before: a slow line gets fewer frames.
    pub fn draw(&mut self, draw: impl FnOnce(&Theme, &mut ratatui::Frame<'_>)) -> io::Result<()> {
        if !self.line.is_idle() {
            return Ok(());
        }
        let theme = self.theme;
        self.terminal.draw(|frame| draw(&theme, frame))?;
        let bytes = self.canvas.take();
        if !bytes.is_empty() {
            self.line.send(bytes);
        }
        Ok(())
    }
}

/// Reads a console until `stop`, and gives what is typed to `tell`.
pub fn read(mut file: File, stop: &AtomicBool, mut tell: impl FnMut(Vec<Input>)) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        let wait = if decoder.is_waiting() { ESCAPE_MS } else { 250 };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait * 1_000_000,
        };
        let ready = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&timeout));
        let inputs = match ready {
            Ok(0) => decoder.settle(),
            Ok(_) => match file.read(&mut buffer) {
                Ok(0) => {
                    // The line went away; it may come back.
                    thread::sleep(Duration::from_millis(500));
                    continue;
                }
                Ok(count) => decoder.feed(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    thread::sleep(Duration::from_millis(500));
                    continue;
                }
            },
            Err(_) => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if !inputs.is_empty() {
            tell(inputs);
        }
    }
}
