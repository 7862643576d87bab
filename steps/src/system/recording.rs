//! A system for tests: answers as scripted, keeps files in memory, and records every call.

use super::{
    Command, FileError, Held, Hold, LockError, Mount, MountError, Output, RunError, System,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One call, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`System::run`]: the command line.
    Run(String),
    /// [`System::mount`].
    Mount(Mount),
    /// [`System::unmount`].
    Unmount(PathBuf),
    /// [`System::write_file`]: path and mode.
    Write(PathBuf, u32),
    /// [`System::copy_file`]: from, to, mode.
    Copy(PathBuf, PathBuf, u32),
    /// [`System::create_dir_all`].
    CreateDir(PathBuf),
    /// [`System::symlink`]: target, link.
    Symlink(PathBuf, PathBuf),
    /// [`System::remove_file`].
    Remove(PathBuf),
    /// [`System::move_file`]: from, to.
    Move(PathBuf, PathBuf),
    /// [`System::set_mode`].
    SetMode(PathBuf, u32),
    /// [`System::sync`].
    Sync(PathBuf),
}

/// How a scripted command ends.
enum Answer {
    Output(Output),
    Exit(i32, String),
    Missing,
}

/// What commands get, by the start of their command line and a part of their standard input.
struct Scripted {
    start: String,
    input: String,
    answer: Answer,
}

/// What others do while a command runs.
type Meanwhile = Box<dyn FnOnce(&RecordingSystem) + Send>;

#[derive(Default)]
struct State {
    /// By the start of the command line.
    meanwhile: Vec<(String, Meanwhile)>,
    answers: Vec<Scripted>,
    calls: Vec<Call>,
    commands: Vec<Command>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    dirs: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
    mounted: Vec<PathBuf>,
    failing: BTreeSet<PathBuf>,
    locks: Locks,
}

/// By their paths, who holds them how.
type Locks = Arc<Mutex<BTreeMap<PathBuf, Vec<(usize, Hold, String)>>>>;

/// Lets go of one.
struct Lock {
    locks: Locks,
    path: PathBuf,
    number: usize,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holders) = locks.get_mut(&self.path) {
            holders.retain(|(number, ..)| *number != self.number);
        }
    }
}

/// The system for tests. Commands without an answer succeed and print nothing, unless it is [strict](Self::strict).
#[derive(Default)]
pub struct RecordingSystem {
    state: Mutex<State>,
    strict: bool,
}

impl RecordingSystem {
    /// No files, no answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A command without an answer is then a missing program.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(self, start: &str, input: &str, answer: Answer) -> Self {
        self.state().answers.push(Scripted {
            start: start.to_owned(),
            input: input.to_owned(),
            answer,
        });
        self
    }

    /// Commands whose command line starts with `start` print `stdout`. The answer that was added last wins.
    pub fn prints(self, start: &str, stdout: &str) -> Self {
        self.prints_for(start, "", stdout)
    }

    /// The same for those alone whose standard input holds `input`.
    pub fn prints_for(self, start: &str, input: &str, stdout: impl Into<Vec<u8>>) -> Self {
        self.answer(
            start,
            input,
            Answer::Output(Output {
                stdout: stdout.into(),
                ..Output::default()
            }),
        )
    }

    /// They end with that exit code and message.
    pub fn fails(self, start: &str, code: i32, stderr: &str) -> Self {
        self.answer(start, "", Answer::Exit(code, stderr.to_owned()))
    }

    /// Their program is not installed.
    pub fn misses(self, start: &str) -> Self {
        self.answer(start, "", Answer::Missing)
    }

    /// While the next command whose command line starts with `start` runs, others do this.
    pub fn meanwhile(
        self,
        start: &str,
        act: impl FnOnce(&RecordingSystem) + Send + 'static,
    ) -> Self {
        let meanwhile = (start.to_owned(), Box::new(act) as Meanwhile);
        self.state().meanwhile.push(meanwhile);
        self
    }

    /// A file that is there from the start.
    pub fn file(self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.state().files.insert(path.into(), bytes.into());
        self
    }

    /// A symbolic link that is there from the start.
    pub fn linked(self, link: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.state().links.insert(link.into(), target.into());
        self
    }

    /// Every file operation, mount and unmount on this path fails.
    pub fn breaks(self, path: impl Into<PathBuf>) -> Self {
        self.state().failing.insert(path.into());
        self
    }

    /// All calls so far that change something, and all commands.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The command lines so far.
    pub fn command_lines(&self) -> Vec<String> {
        self.state()
            .commands
            .iter()
            .map(Command::to_string)
            .collect()
    }

    /// The commands so far, with their standard input.
    pub fn commands(&self) -> Vec<Command> {
        self.state().commands.clone()
    }

    /// What is mounted now, in order.
    pub fn mounted(&self) -> Vec<PathBuf> {
        self.state().mounted.clone()
    }

    /// The content of a file now.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.state().files.get(path.as_ref()).cloned()
    }

    /// Where a symbolic link points now.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        self.state().links.get(path.as_ref()).cloned()
    }

    /// Records `call`, and fails when `path` is broken.
    fn change(
        &self,
        action: &'static str,
        path: &Path,
        call: Call,
    ) -> Result<MutexGuard<'_, State>, FileError> {
        let mut state = self.state();
        state.calls.push(call);
        check(&state, action, path)?;
        Ok(state)
    }
}

fn check(state: &State, action: &'static str, path: &Path) -> Result<(), FileError> {
    match state.failing.contains(path) {
        true => Err(FileError {
            action,
            path: path.to_owned(),
            source: io::Error::other("scripted failure"),
        }),
        false => Ok(()),
    }
}

fn missing(action: &'static str, path: &Path) -> FileError {
    FileError {
        action,
        path: path.to_owned(),
        source: io::Error::from(io::ErrorKind::NotFound),
    }
}

impl System for RecordingSystem {
    fn run(&self, command: &Command) -> Result<Output, RunError> {
        let line = command.to_string();
        let mut state = self.state();
        state.calls.push(Call::Run(line.clone()));
        state.commands.push(command.clone());
        let begun = state
            .meanwhile
            .iter()
            .position(|(start, _)| line.starts_with(start.as_str()));
        if let Some(at) = begun {
            let (_, act) = state.meanwhile.remove(at);
            drop(state);
            act(self);
            state = self.state();
        }
        let answer = state.answers.iter().rev().find(|scripted| {
            line.starts_with(scripted.start.as_str())
                && String::from_utf8_lossy(&command.stdin).contains(scripted.input.as_str())
        });
        match answer.map(|scripted| &scripted.answer) {
            Some(Answer::Output(output)) => Ok(command.hidden(output.clone())),
            Some(Answer::Exit(code, stderr)) => {
                let output = command.hidden(Output {
                    code: *code,
                    stdout: Vec::new(),
                    stderr: stderr.clone().into_bytes(),
                });
                match command.good.contains(code) {
                    true => Ok(output),
                    false => Err(RunError::failed(
                        command,
                        format!("exit code {code}"),
                        Some(*code),
                        &output,
                    )),
                }
            }
            None if !self.strict => Ok(Output::default()),
            Some(Answer::Missing) | None => {
                Err(RunError::start(command, io::ErrorKind::NotFound.into()))
            }
        }
    }

    fn mount(&self, mount: &Mount) -> Result<(), MountError> {
        let changed = self.change("mount", &mount.target, Call::Mount(mount.clone()));
        let mut state = changed.map_err(|e| MountError::mount(mount, e.source))?;
        state.mounted.push(mount.target.clone());
        Ok(())
    }

    fn unmount(&self, target: &Path) -> Result<(), MountError> {
        let changed = self.change("unmount", target, Call::Unmount(target.to_owned()));
        let mut state = changed.map_err(|e| MountError::unmount(target, e.source))?;
        // As the kernel: the topmost mount goes, and what is not mounted is an error.
        let Some(at) = state.mounted.iter().rposition(|m| m == target) else {
            return Err(MountError::unmount(
                target,
                io::Error::from_raw_os_error(nix::libc::EINVAL),
            ));
        };
        state.mounted.remove(at);
        Ok(())
    }

    fn write_file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        let mut state = self.change("write", path, Call::Write(path.to_owned(), mode))?;
        state.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        let state = self.state();
        check(&state, "read", path)?;
        state
            .files
            .get(path)
            .cloned()
            .ok_or_else(|| missing("read", path))
    }

    fn copy_file(&self, from: &Path, to: &Path, mode: u32) -> Result<u64, FileError> {
        let mut state = self.change(
            "copy to",
            to,
            Call::Copy(from.to_owned(), to.to_owned(), mode),
        )?;
        check(&state, "read", from)?;
        let bytes = state
            .files
            .get(from)
            .cloned()
            .ok_or_else(|| missing("read", from))?;
        let len = bytes.len() as u64;
        state.files.insert(to.to_owned(), bytes);
        Ok(len)
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), FileError> {
        let mut state = self.change("create the folder", path, Call::CreateDir(path.to_owned()))?;
        state.dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<(), FileError> {
        let mut state = self.change(
            "make the link",
            link,
            Call::Symlink(target.to_owned(), link.to_owned()),
        )?;
        state.links.insert(link.to_owned(), target.to_owned());
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileError> {
        let mut state = self.change("remove", path, Call::Remove(path.to_owned()))?;
        state.files.remove(path);
        state.links.remove(path);
        Ok(())
    }

    fn move_file(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let call = Call::Move(from.to_owned(), to.to_owned());
        let mut state = self.change("move to", to, call)?;
        let bytes = state.files.remove(from);
        state
            .files
            .insert(to.to_owned(), bytes.ok_or_else(|| missing("move", from))?);
        Ok(())
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        self.change(
            "set the permissions of",
            path,
            Call::SetMode(path.to_owned(), mode),
        )
        .map(|_| ())
    }

    fn list_dir(&self, path: &Path) -> Result<Vec<String>, FileError> {
        let state = self.state();
        check(&state, "list", path)?;
        let all = state
            .files
            .keys()
            .chain(&state.dirs)
            .chain(state.links.keys());
        let below: BTreeSet<_> = all
            .filter_map(|p| p.strip_prefix(path).ok()?.iter().next())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        match below.is_empty() && !state.dirs.contains(path) {
            true => Err(missing("list", path)),
            false => Ok(below.into_iter().collect()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        // A folder exists where something is in it.
        let all = state
            .files
            .keys()
            .chain(&state.dirs)
            .chain(state.links.keys());
        all.into_iter().any(|p| p.starts_with(path))
    }

    fn file_size(&self, path: &Path) -> Option<u64> {
        let state = self.state();
        state.files.get(path).map(|bytes| bytes.len() as u64)
    }

    fn real_path(&self, path: &Path) -> PathBuf {
        let state = self.state();
        let next = |path: &PathBuf| state.links.get(path).cloned();
        // A chain of links that never ends is a mistake of the test.
        std::iter::successors(Some(path.to_owned()), next)
            .take(8)
            .last()
            .unwrap_or_default()
    }

    fn lock(&self, path: &Path, hold: Hold, what: &str) -> Result<Held, LockError> {
        let state = self.state();
        check(&state, "lock", path).map_err(LockError::File)?;
        let locks = state.locks.clone();
        drop(state);
        let mut all = locks.lock().unwrap_or_else(PoisonError::into_inner);
        let holders = all.entry(path.to_owned()).or_default();
        let is_free = match hold {
            Hold::Shared => holders.iter().all(|(_, other, _)| *other == Hold::Shared),
            Hold::Alone => holders.is_empty(),
        };
        match holders.last() {
            Some((_, _, by)) if !is_free => Err(LockError::Taken { by: by.clone() }),
            last => {
                let number = last.map_or(0, |(number, ..)| number + 1);
                holders.push((number, hold, what.to_owned()));
                drop(all);
                Ok(Held::new(Lock {
                    locks,
                    path: path.to_owned(),
                    number,
                }))
            }
        }
    }

    fn sync(&self, path: &Path) -> Result<(), FileError> {
        self.change("sync the file system of", path, Call::Sync(path.to_owned()))
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_the_start_of_the_command_line_last_one_first() {
        let system =
            RecordingSystem::new()
                .prints("lsblk", "sda\n")
                .fails("lsblk --json", 32, "no json");
        let run = |args: &[&str]| system.run(&Command::new("lsblk").args(args.iter().copied()));
        assert_eq!(run(&["-d"]).unwrap().text(), "sda");
        let error = run(&["--json"]).unwrap_err();
        assert!(
            matches!(error, RunError::Failed { code: Some(32), .. }),
            "{error}"
        );
        assert_eq!(
            system
                .run(&Command::new("lsblk").arg("--json").also_good(&[32]))
                .unwrap()
                .code,
            32
        );
        assert_eq!(
            system.run(&Command::new("true")).unwrap(),
            Output::default()
        );
        assert_eq!(
            system.command_lines(),
            ["lsblk -d", "lsblk --json", "lsblk --json", "true"]
        );
    }

    #[test]
    fn what_others_do_meanwhile_is_done_once_and_before_the_answer() {
        let system = RecordingSystem::new()
            .prints("cat", "x")
            .meanwhile("cat", |system| {
                system.run(&Command::new("cat").arg("other")).unwrap();
            });
        assert_eq!(system.run(&Command::new("cat")).unwrap().text(), "x");
        assert_eq!(system.command_lines(), ["cat", "cat other"]);
    }

    #[test]
    fn answers_may_depend_on_the_input() {
        let system =
            RecordingSystem::new()
                .prints("curl", "any")
                .prints_for("curl", "url = a", "that of a");
        let run = |input: &str| {
            system
                .run(&Command::new("curl").stdin(input))
                .unwrap()
                .text()
        };
        assert_eq!(
            (run("url = a\n"), run("url = b\n")),
            ("that of a".into(), "any".into())
        );
    }

    #[test]
    fn strict_refuses_what_is_not_scripted() {
        let system = RecordingSystem::new().strict().prints("mkfs.ext4", "");
        assert!(system.run(&Command::new("mkfs.ext4").arg("/dev/x")).is_ok());
        let error = system.run(&Command::new("pvcreate")).unwrap_err();
        assert!(error.to_string().contains("lvm2"), "{error}");
    }

    #[test]
    fn files_folders_and_mounts_are_remembered() {
        let system = RecordingSystem::new().file("/a/b", "x").breaks("/broken");
        assert!(system.exists(Path::new("/a")) && !system.exists(Path::new("/b")));
        assert_eq!(
            system
                .copy_file(Path::new("/a/b"), Path::new("/a/c"), 0o600)
                .unwrap(),
            1
        );
        system.create_dir_all(Path::new("/a/d/e")).unwrap();
        assert_eq!(system.list_dir(Path::new("/a")).unwrap(), ["b", "c", "d"]);
        assert!(system.write_file(Path::new("/broken"), b"", 0o600).is_err());
        assert!(system.read_file(Path::new("/none")).is_err());

        let mount = Mount::device("/dev/sda1", "/mnt", "vfat");
        system.mount(&mount).unwrap();
        assert_eq!(system.mounted(), [Path::new("/mnt")]);
        system.unmount(Path::new("/mnt")).unwrap();
        assert!(system.unmount(Path::new("/mnt")).is_err());
        assert!(system.calls().contains(&Call::Mount(mount)));
    }
}
