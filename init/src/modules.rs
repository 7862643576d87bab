//! Loads drivers: the process `init load-modules`.
//!
//! A driver may take many seconds over its devices (SAS fabrics, a USB controller without a disk), while the root is on
//! a quick disk that is there already. So drivers are loaded by a process of its own, several at a time, and process 1
//! goes on as soon as it has its root, without waiting for the rest.
//!
//! It tells its progress on stdout, one line each: see [`crate::loader::Line`]. It ends when stdin does, which is when
//! process 1 became the system's own init.

use crate::cmdline::Cmdline;
use crate::loader::Line;
use crate::uevent::{Heard, Listener};
use anyhow::{Context, Result};
use hcl_checker::modalias::{ModuleTree, module_name};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Modules that are loaded whatever the machine is and however it boots, beside those that the boot asks for: faster
/// checksums, for example. One name a line; `#` starts a comment.
const ALWAYS: &str = "/bedplate/modules-load";

/// Modules loaded at the same time. They mostly wait for hardware, so this is not about CPUs.
const WORKERS: usize = 4;

/// How long the kernel must be silent, with nothing left to load, to be called idle.
const SILENCE_MS: i64 = 200;

/// Loads `needed` and what the machine needs, until stdin ends.
pub fn run(needed: &[String]) -> ExitCode {
    thread::spawn(|| {
        // Nothing is ever written there: this returns when process 1 closes its end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match load_all(needed) {
        Ok(never) => match never {},
        Err(error) => {
            tell(&Line::Failed(format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Reads the initrd's modules, loads what is asked for and what devices ask for, as they appear.
fn load_all(needed: &[String]) -> Result<Infallible> {
    let release = nix::sys::utsname::uname().context("cannot ask the kernel for its release")?;
    let folder = Path::new("/lib/modules").join(release.release());
    let loader = Loader {
        tree: ModuleTree::read(&folder).with_context(|| {
            format!(
                "the initrd has no modules for this kernel ({})",
                release.release().to_string_lossy()
            )
        })?,
        folder,
        cmdline: Cmdline::parse(
            &std::fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?,
        ),
        states: Mutex::default(),
        finished: Condvar::new(),
    };
    let always =
        std::fs::read_to_string(ALWAYS).with_context(|| format!("cannot read {ALWAYS}"))?;
    // Before /sys is read, so that no device falls between the two.
    let listener = Listener::open(SILENCE_MS).context("cannot listen for devices")?;
    let queue = Queue::default();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    loader.load_for_device(&queue.take());
                    queue.done();
                }
            });
        }
        let mut seen = HashSet::new();
        let mut ask = |modalias: String| {
            if seen.insert(modalias.clone()) {
                queue.put(modalias);
            }
        };
        present(Path::new("/sys/bus"))
            .into_iter()
            .for_each(&mut ask);
        let needed: Vec<&str> = names(&always)
            .chain(needed.iter().map(String::as_str))
            .collect();
        // Behind the devices, which take time without taking a processor. This thread takes them from the front, the
        // workers help it, and what devices announce meanwhile waits in the listener.
        for name in &needed {
            queue.put((*name).to_owned());
        }
        for name in needed {
            if loader.tree.resolve(name).is_empty() && !loader.tree.builtins.contains(name) {
                tell(&Line::Failed(format!(
                    "module {name} is needed and is not in the initrd"
                )));
            }
            loader.load(name);
        }
        tell(&Line::Ready);
        let mut idle = false;
        loop {
            let heard = match listener.next() {
                Ok(heard) => heard,
                Err(error) => {
                    // Not by returning: the workers wait for devices and never end.
                    tell(&Line::Failed(format!("cannot listen for devices: {error}")));
                    std::process::exit(1);
                }
            };
            let quiet = heard == Heard::Silence && queue.is_idle();
            match heard {
                Heard::Device(Some(modalias)) => ask(modalias),
                Heard::Lost => present(Path::new("/sys/bus"))
                    .into_iter()
                    .for_each(&mut ask),
                Heard::Device(None) | Heard::Silence => {}
            }
            if quiet != idle {
                idle = quiet;
                tell(if idle { &Line::Idle } else { &Line::Busy });
            }
        }
    })
}

/// Names in the text of [`ALWAYS`].
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|name| !name.is_empty())
}

/// Modaliases of the devices that are there: each bus lists its own, so the rest of /sys need not be walked.
fn present(buses: &Path) -> Vec<String> {
    let folders = |path: PathBuf| {
        path.read_dir()
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
    };
    folders(buses.to_owned())
        .flat_map(|bus| folders(bus.join("devices")))
        .filter_map(|device| std::fs::read_to_string(device.join("modalias")).ok())
        .map(|modalias| modalias.trim_end().to_owned())
        .filter(|modalias| !modalias.is_empty())
        .collect()
}

/// Writes one line to process 1. When that has gone on to the system's init, nobody reads it and this process ends.
fn tell(line: &Line) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// A lock of this file guards plain data that is whole between any two statements, so a panic elsewhere is no reason to
/// stop loading drivers.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Modaliases that wait for a worker.
#[derive(Default)]
struct Queue {
    inner: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    modaliases: VecDeque<String>,
    /// Workers that are loading.
    busy: usize,
}

impl Queue {
    fn put(&self, modalias: String) {
        lock(&self.inner).modaliases.push_back(modalias);
        self.filled.notify_one();
    }

    /// Waits for the next one; [`Queue::done`] must follow.
    fn take(&self) -> String {
        let mut inner = lock(&self.inner);
        loop {
            if let Some(modalias) = inner.modaliases.pop_front() {
                inner.busy += 1;
                return modalias;
            }
            inner = self
                .filled
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self) {
        lock(&self.inner).busy -= 1;
    }

    fn is_idle(&self) -> bool {
        let inner = lock(&self.inner);
        inner.modaliases.is_empty() && inner.busy == 0
    }
}

/// How far a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Loading,
    /// Loaded, or refused by the kernel: not tried again.
    Done,
}

struct Loader {
    tree: ModuleTree,
    folder: PathBuf,
    cmdline: Cmdline,
    /// By path in `folder`.
    states: Mutex<HashMap<String, State>>,
    finished: Condvar,
}

impl Loader {
    /// Loads all modules that claim a device, but for those that the command line forbids.
    fn load_for_device(&self, modalias: &str) {
        for module in self.tree.resolve(modalias) {
            if !self.cmdline.is_blacklisted(&module) {
                self.load(&module);
            }
        }
    }

    /// Loads a module and what it needs; returns when all of it is loaded, by whichever worker.
    fn load(&self, name: &str) {
        for path in self.tree.load_order([name]) {
            if self.claim(path) {
                let result = self.insert(path);
                lock(&self.states).insert(path.to_owned(), State::Done);
                self.finished.notify_all();
                if let Err(error) = result {
                    tell(&Line::Failed(format!("{error:#}")));
                }
            }
        }
    }

    /// True when the caller is to load the module; false when it is loaded, which may mean to wait for another worker.
    fn claim(&self, path: &str) -> bool {
        let mut states = lock(&self.states);
        loop {
            match states.get(path) {
                None => {
                    states.insert(path.to_owned(), State::Loading);
                    return true;
                }
                Some(State::Done) => return false,
                Some(State::Loading) => {
                    states = self
                        .finished
                        .wait(states)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Hands one file to the kernel, which checks its signature.
    fn insert(&self, path: &str) -> Result<()> {
        let parameters = CString::new(self.cmdline.module_parameters(&module_name(path)))
            .context("the kernel command line has a zero byte")?;
        let file = File::open(self.folder.join(path))
            .with_context(|| format!("cannot open module {path}"))?;
        match finit_module(&file, &parameters, ModuleInitFlags::empty()) {
            // ENODEV: the module found nothing that it serves, such as a CPU without its instructions.
            Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("module {path} was not loaded")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_without_comments() {
        let text = "# file systems\nsquashfs\n\n  overlay # over /etc\n#x\n";
        assert_eq!(names(text).collect::<Vec<_>>(), ["squashfs", "overlay"]);
    }

    #[test]
    fn devices_of_all_buses() {
        let sys = tempfile::tempdir().expect("temp dir");
        for (device, modalias) in [
            ("pci/devices/0", "pci:v1\n"),
            ("usb/devices/1-1", "usb:v2\n"),
            ("usb/devices/2", "\n"),
        ] {
            let folder = sys.path().join(device);
            fs::create_dir_all(&folder).expect("device");
            fs::write(folder.join("modalias"), modalias).expect("modalias");
        }
        fs::create_dir_all(sys.path().join("cpu/devices/cpu0")).expect("device without one");
        let mut found = present(sys.path());
        found.sort();
        assert_eq!(found, ["pci:v1", "usb:v2"]);
    }

    #[test]
    fn a_queue_is_idle_only_when_the_last_worker_is_done() {
        let queue = Queue::default();
        assert!(queue.is_idle());
        queue.put("a".to_owned());
        assert!(!queue.is_idle());
        assert_eq!(queue.take(), "a");
        assert!(!queue.is_idle());
        queue.done();
        assert!(queue.is_idle());
    }

    #[test]
    fn a_module_is_claimed_once_and_others_wait_for_it() {
        let loader = Loader {
            tree: ModuleTree::default(),
            folder: PathBuf::new(),
            cmdline: Cmdline::default(),
            states: Mutex::default(),
            finished: Condvar::new(),
        };
        assert!(loader.claim("a.ko"));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| loader.claim("a.ko"));
            thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            lock(&loader.states).insert("a.ko".to_owned(), State::Done);
            loader.finished.notify_all();
            assert!(!waiting.join().expect("no panic"));
        });
    }
}
