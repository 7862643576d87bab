//! The system that the program runs on.

use super::command::{Stop, last_words};
use super::{
    Command, FileError, Held, Hold, LockError, Mount, MountError, Output, RunError, System, child,
    files, lock,
};
use crate::secrets::Secrets;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Takes each command line and each line that commands print: the log file. Never the event stream.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// After a command ended, its pipes are read for this long: a daemon that it left behind may hold them open forever.
const DRAIN: Duration = Duration::from_secs(2);
/// From SIGTERM to SIGKILL.
const TERM: Duration = Duration::from_secs(3);
/// A busy mount is tried again this often.
const UNMOUNT_TRIES: u32 = 30;
/// Time between two tries: 3 seconds in all, enough for udev to close a device that it probes.
const UNMOUNT_WAIT: Duration = Duration::from_millis(100);

/// Runs real commands and changes real files.
#[derive(Clone)]
pub struct RealSystem {
    log: Log,
}

impl RealSystem {
    /// With a log.
    pub fn new(log: Log) -> Self {
        RealSystem { log }
    }

    /// Into a file, a pipe or standard error; a log that cannot be written is no reason to stop.
    pub fn logging_to(writer: impl Write + Send + 'static) -> Self {
        let writer = Mutex::new(writer);
        Self::new(Arc::new(move |line| {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(writer, "{line}").and_then(|()| writer.flush());
        }))
    }

    /// Without a log.
    pub fn silent() -> Self {
        Self::new(Arc::new(|_| {}))
    }
}

impl System for RealSystem {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        (self.log)(&format!("$ {command}"));
        let result = run(command, &self.log);
        if let Err(error) = &result {
            let text = error.to_string();
            (self.log)(&format!("! {}", text.lines().next().unwrap_or_default()));
        }
        result
    }

    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        (self.log)(&format!(
            "mount {} on {}",
            mount.source.display(),
            mount.target.display()
        ));
        do_mount(mount).map_err(|source| MountError::mount(mount, source))
    }

    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        (self.log)(&format!("unmount {}", target.display()));
        let mut tries = 1;
        loop {
            match nix::mount::umount2(target, MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => return Ok(()),
                Err(Errno::EBUSY) if tries < UNMOUNT_TRIES => {
                    tries += 1;
                    thread::sleep(UNMOUNT_WAIT);
                }
                Err(errno) => return Err(MountError::unmount(target, errno.into())),
            }
        }
    }

    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        files::write_file(path, bytes, mode)
    }
    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        files::write_new(path, bytes, mode)
    }
    fn write_stream(
        &self,
        path: &Path,
        source: &mut dyn Read,
        mode: u32,
    ) -> Result<u64, FileError> {
        files::write_stream(path, source, mode)
    }
    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        files::read_file(path)
    }
    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        files::copy_file(from, to, mode)
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        files::create_dir_all(path)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        files::make_symlink(target, link)
    }
    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        files::remove_file(path)
    }
    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        files::move_file(from, to)
    }
    fn move_new(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        files::move_new(from, to)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        files::set_mode(path, mode)
    }
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        files::list_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn file_size(&self, path: &Path) -> Option<u64> {
        files::file_size(path)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
    fn lock(&self, path: &Path, hold: Hold, what: &str) -> Result<Held, LockError> {
        lock::lock(path, hold, what)
    }
    fn sync(&self, path: &Path) -> Result<(), FileError> {
        files::sync(path)
    }
}

fn do_mount(mount: &Mount) -> io::Result<()> {
    std::fs::create_dir_all(&mount.target)?;
    let mut flags = MsFlags::empty();
    flags.set(MsFlags::MS_RDONLY, mount.read_only);
    flags.set(
        MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        mount.inert,
    );
    let options = Some(mount.options.as_str()).filter(|o| !o.is_empty());
    match &mount.fs_type {
        Some(fs_type) => {
            nix::mount::mount(
                Some(&mount.source),
                &mount.target,
                Some(fs_type.as_str()),
                flags,
                options,
            )?;
        }
        None => {
            let none: Option<&str> = None;
            nix::mount::mount(
                Some(&mount.source),
                &mount.target,
                none,
                MsFlags::MS_BIND,
                none,
            )?;
            // The kernel ignores other flags while it binds; they are set by a second call (mount(2)).
            if !flags.is_empty() {
                let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
                nix::mount::mount(none, &mount.target, none, again, none)?;
            }
        }
    }
    Ok(())
}

fn run(command: &Command, log: &Log) -> Result<Output, RunError> {
    let io = |source| RunError::Io {
        command: command.to_string(),
        source,
    };
    let mut program = std::process::Command::new(&command.program);
    program
        .args(&command.args)
        .env("LC_ALL", "C")
        .envs(command.env.iter().map(|(k, v)| (k, v)))
        .stdin(if command.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that a timeout ends its children too.
        .process_group(0);
    child::prepare(&mut program, command.dies_with_us);
    let mut child = program
        .spawn()
        .map_err(|source| RunError::start(command, source))?;

    if let Some(mut stdin) = child.stdin.take() {
        let bytes = command.stdin.clone();
        // Apart, because a command that prints while it reads would otherwise wait for us and we for it. One that
        // ends without reading everything is judged by its exit status.
        thread::spawn(move || stdin.write_all(&bytes));
    }
    let quiet: Log = Arc::new(|_| {});
    let stdout = Capture::start(
        child.stdout.take(),
        if command.secret_stdout { &quiet } else { log },
        &command.secrets,
    );
    let stderr = Capture::start(child.stderr.take(), log, &command.secrets);

    let status = wait(&mut child, command.timeout, command.stop).map_err(io)?;
    let deadline = Instant::now() + DRAIN;
    let mut output = command.hidden(Output {
        code: 0,
        stdout: stdout.finish(deadline),
        stderr: stderr.finish(deadline),
    });
    match status {
        None if command.stop.is_some_and(Stop::is_set) => Err(RunError::failed(
            command,
            "the end: somebody wanted it to stop".to_owned(),
            None,
            &output,
        )),
        None => {
            let stderr = last_words(command, &output);
            Err(RunError::Timeout {
                command: command.to_string(),
                limit: command.timeout,
                stderr,
            })
        }
        Some(status) => match status.code() {
            Some(code) if command.good.contains(&code) => {
                output.code = code;
                Ok(output)
            }
            Some(code) => Err(RunError::failed(
                command,
                format!("exit code {code}"),
                Some(code),
                &output,
            )),
            None => {
                let signal = status.signal().unwrap_or_default();
                Err(RunError::failed(
                    command,
                    format!("signal {signal}"),
                    None,
                    &output,
                ))
            }
        },
    }
}

/// Waits for the end; none when the time was up, and the command was killed.
fn wait(child: &mut Child, limit: Duration, stop: Option<Stop>) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = poll(child, limit, stop)? {
        return Ok(Some(status));
    }
    let group = Pid::from_raw(child.id().try_into().map_err(io::Error::other)?);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // The group is gone when it ended just now.
        let _ = killpg(group, signal);
        if poll(child, TERM, None)?.is_some() {
            break;
        }
    }
    Ok(None)
}

/// Waits up to `limit`. Polls, because a wait with a time limit needs a pidfd or signal handlers; most commands end
/// within the first milliseconds, where it looks often.
fn poll(child: &mut Child, limit: Duration, stop: Option<Stop>) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() || stop.is_some_and(Stop::is_set) {
            return Ok(None);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A thread that reads one stream of a command into memory and into the log.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    done: Receiver<()>,
}

impl Capture {
    fn start(stream: Option<impl Read + Send + 'static>, log: &Log, secrets: &Secrets) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (tell, done) = mpsc::channel();
        if let Some(stream) = stream {
            let (bytes, log, secrets) = (bytes.clone(), log.clone(), secrets.clone());
            thread::spawn(move || {
                // An error of a pipe is its end.
                let _ = capture(stream, &bytes, |line, is_whole| {
                    // Half a secret is not found.
                    match is_whole || secrets.is_empty() {
                        true => log(&format!("  {}", secrets.hide(line))),
                        false => log(&format!(
                            "  (a piece of a line longer than {LOG_LINE} bytes)"
                        )),
                    }
                });
                let _ = tell.send(());
            });
        }
        Capture { bytes, done }
    }

    /// What came until the stream ended, or until `deadline`.
    fn finish(self, deadline: Instant) -> Vec<u8> {
        let _ = self
            .done
            .recv_timeout(deadline.saturating_duration_since(Instant::now()));
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Longest line that is kept together in the log; a longer one is logged in pieces, so that a stream without line
/// ends does not fill the memory.
const LOG_LINE: u64 = 8192;

/// `log` hears of each line, and whether it is a whole one.
fn capture(stream: impl Read, bytes: &Mutex<Vec<u8>>, log: impl Fn(&str, bool)) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut goes_on = false;
    loop {
        line.clear();
        if reader
            .by_ref()
            .take(LOG_LINE)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(());
        }
        let mut kept = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Output::MAX - kept.len();
        kept.extend_from_slice(&line[..line.len().min(room)]);
        drop(kept);
        let went_on = goes_on;
        goes_on = line.len() as u64 == LOG_LINE && !line.ends_with(b"\n");
        log(
            String::from_utf8_lossy(&line).trim_end(),
            !went_on && !goes_on,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A system and what it logged.
    fn system() -> (RealSystem, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = lines.clone();
        (
            RealSystem::new(Arc::new(move |line| {
                log.lock().unwrap().push(line.to_owned())
            })),
            lines,
        )
    }

    fn sh(script: &str) -> Command {
        Command::new("sh").args(["-c", script])
    }

    #[test]
    fn output_is_returned_and_logged() {
        let (system, log) = system();
        let output = system
            .run(&sh("echo out; echo err >&2; echo $LC_ALL $X").env("X", "y"))
            .unwrap();
        assert_eq!(
            (output.text().as_str(), output.stderr.as_slice()),
            ("out\nC y", &b"err\n"[..])
        );
        let log = log.lock().unwrap();
        assert_eq!(
            log[0],
            "$ X=y sh -c 'echo out; echo err >&2; echo $LC_ALL $X'"
        );
        assert!(
            ["  out", "  err", "  C y"]
                .iter()
                .all(|l| log.iter().any(|line| line == l)),
            "{log:?}"
        );
    }

    #[test]
    fn a_command_ends_when_it_is_wanted_to() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let (system, _) = system();
        let start = Instant::now();
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            STOP.store(true, Ordering::SeqCst);
        });
        let error = system.run(&sh("sleep 60").stops_when(&STOP)).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(error.to_string().contains("wanted it to stop"), "{error}");
    }

    #[test]
    fn secrets_reach_the_command_and_nothing_else() {
        let (system, log) = system();
        let output = system
            .run(&Command::new("cat").secret_stdin("hunter2").secret_stdout())
            .unwrap();
        assert_eq!(output.text(), "hunter2");
        let error = system
            .run(&sh("cat; exit 3").secret_stdin("hunter2").secret_stdout())
            .unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
        assert!(
            !log.lock()
                .unwrap()
                .iter()
                .any(|line| line.contains("hunter2"))
        );
    }

    #[test]
    fn large_input_and_output_do_not_block_each_other() {
        let (system, _) = system();
        let big = vec![b'x'; 3 << 20];
        let output = system
            .run(&Command::new("cat").stdin(big.clone()).secret_stdout())
            .unwrap();
        assert_eq!(output.stdout.len(), big.len());
        // One that reads nothing of it is judged by its status.
        assert!(system.run(&Command::new("true").stdin(big)).is_ok());
        let output = system
            .run(&sh("head -c 10000000 /dev/zero").secret_stdout())
            .unwrap();
        assert_eq!(output.stdout.len(), Output::MAX);
    }

    #[test]
    fn failures_tell_command_status_and_last_words() {
        let (system, log) = system();
        let error = system.run(&sh("echo no space >&2; exit 4")).unwrap_err();
        let text = "`sh -c 'echo no space >&2; exit 4'` ended with exit code 4\n    no space";
        assert_eq!(error.to_string(), text);
        assert!(log.lock().unwrap().last().unwrap().starts_with("! `sh"));
        assert_eq!(system.run(&sh("exit 4").also_good(&[4])).unwrap().code, 4);
        let error = system.run(&sh("kill -9 $$")).unwrap_err();
        assert!(
            matches!(error, RunError::Failed { code: None, .. })
                && error.to_string().contains("signal 9")
        );
        let error = system
            .run(&Command::new("bedplate-no-such-program"))
            .unwrap_err();
        assert!(
            matches!(error, RunError::Missing { package: None, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let (system, _) = system();
        let start = Instant::now();
        let hang = sh("echo waiting >&2; sleep 60; true").timeout(Duration::from_millis(300));
        let error = system.run(&hang).unwrap_err();
        assert!(
            matches!(error, RunError::Timeout { .. }) && error.to_string().ends_with("waiting"),
            "{error}"
        );
        // The child held the pipes: had it lived on, reading them would have taken longer.
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn a_daemon_that_is_left_behind_does_not_hold_the_run_up() {
        let (system, _) = system();
        let start = Instant::now();
        let output = system.run(&sh("echo started; sleep 8 & exit 0")).unwrap();
        assert_eq!(output.text(), "started");
        assert!(
            start.elapsed() < Duration::from_secs(6),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn mounts_of_nothing_are_errors_that_name_it() {
        let (system, _) = system();
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("mnt");
        let error = system
            .mount(&Mount::device("/nonexistent/disk", &target, "ext4").read_only())
            .unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/disk") && error.to_string().contains("ext4"),
            "{error}"
        );
        assert!(target.is_dir(), "the mount point is created");
        let error = system.unmount(&target).unwrap_err();
        assert!(error.to_string().contains("mnt"), "{error}");
    }
}
