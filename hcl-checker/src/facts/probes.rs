//! What no file of /sys or /proc tells: answers of programs, of drivers and of model specific registers.
//!
//! On the running system each question is put with a limit on the time it may take. A captured tree holds the answers
//! in `run/hcl-checker`, so everything replays, and a tree made by hand can hold them too:
//!
//! - `xl-info`: output of `xl info -n`
//! - `xen-cpuid`: output of `xen-cpuid`
//! - `cpuid`: output of `cpuid -r -1`
//! - `ethtool/NAME`: output of `ethtool -i NAME`
//! - `msr/3a`, `msr/c0010114`: the register, in hexadecimal
//!
//! Where the question failed the same name with `.failed` holds the reason.

use super::{PciIds, ethtool, limit};
use crate::known::Known;
use crate::root::{CAPTURE, Root};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Time for a program of Xen.
const PROGRAM: Duration = Duration::from_secs(5);
/// Time for everything else.
pub(super) const PROBE: Duration = Duration::from_secs(2);
/// Longest recorded answer.
const ANSWER: usize = 4 << 20;
/// Model specific registers of the first CPU.
const MSRS: &str = "/dev/cpu/0/msr";

/// How far reading goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing is woken and no device node is opened.
    #[default]
    Passive,
    /// Sleeping devices are woken and device nodes are opened, each with a limit of 2 seconds.
    Deep,
}

/// What facts are read for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To be shown, kept, and installed by: everything.
    All,
    /// To be judged: what a verdict does not ask for is not read, and not known then.
    Verdict {
        /// Whether the list asks for the revision of such functions.
        revision: &'a dyn Fn(&PciIds) -> bool,
    },
}

/// One thing to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// Xen's view of the machine.
    XenInfo,
    /// Xen's view of the CPU.
    XenCpuid,
    /// Driver and firmware of a network interface.
    Ethtool(String),
    /// A model specific register of the first CPU.
    Msr(u32),
}

impl Question {
    fn path(&self) -> String {
        match self {
            Self::XenInfo => format!("{CAPTURE}/xl-info"),
            Self::XenCpuid => format!("{CAPTURE}/xen-cpuid"),
            Self::Ethtool(name) => format!("{CAPTURE}/ethtool/{name}"),
            Self::Msr(register) => format!("{CAPTURE}/msr/{register:x}"),
        }
    }
}

/// Who answers on the running system.
pub(super) trait Machine {
    /// The answer, or the reason why there is none.
    fn ask(&self, question: &Question) -> Result<String, String>;
}

/// This machine.
#[derive(Debug)]
pub(super) struct ThisMachine;

impl Machine for ThisMachine {
    fn ask(&self, question: &Question) -> Result<String, String> {
        match question {
            Question::XenInfo => limit::output("xl", &["info", "-n"], PROGRAM),
            Question::XenCpuid => limit::output("xen-cpuid", &[], PROGRAM),
            Question::Ethtool(name) => {
                let name = name.clone();
                limit::within(PROBE, move || ethtool::driver_info(&name))
            }
            Question::Msr(register) => {
                let register = *register;
                limit::within(PROBE, move || msr(register))
            }
        }
    }
}

/// Eight bytes at the register's number.
fn msr(register: u32) -> Result<String, String> {
    let node = File::open(MSRS).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{MSRS}: not there; load it with `modprobe msr`"),
        _ => format!("{MSRS}: {error}"),
    })?;
    let mut value = [0; 8];
    node.read_exact_at(&mut value, u64::from(register))
        .map_err(|error| format!("{MSRS}: register {register:#x}: {error}"))?;
    Ok(format!("{:#x}", u64::from_le_bytes(value)))
}

/// Where answers come from.
pub(super) struct Probes<'a> {
    pub(super) root: &'a Root,
    pub(super) depth: Depth,
    pub(super) purpose: Purpose<'a>,
    machine: &'a dyn Machine,
}

impl<'a> Probes<'a> {
    pub(super) fn new(root: &'a Root, depth: Depth, machine: &'a dyn Machine) -> Self {
        Self {
            root,
            depth,
            purpose: Purpose::All,
            machine,
        }
    }

    /// The same for another purpose.
    pub(super) fn with(self, purpose: Purpose<'a>) -> Self {
        Self { purpose, ..self }
    }

    /// Whether everything is to be read.
    pub(super) fn for_all(&self) -> bool {
        matches!(self.purpose, Purpose::All)
    }

    /// Whether devices of this root may be woken and nodes opened. In a captured tree nothing is left to wake.
    pub(super) fn may_disturb(&self) -> bool {
        self.depth == Depth::Deep || !self.root.is_system()
    }

    /// Puts a question.
    pub(super) fn ask(&self, question: &Question) -> Known<String> {
        let path = question.path();
        if !self.root.is_system() {
            let missing = || Known::unknown(format!("{path}: not in this captured tree"));
            return self.recorded(&path).unwrap_or_else(missing);
        }
        match self.machine.ask(question) {
            Ok(answer) => {
                self.root.keep(&path, &answer);
                Known::Value(answer)
            }
            Err(reason) => {
                self.root.keep(&format!("{path}.failed"), &reason);
                Known::unknown(reason)
            }
        }
    }

    /// Puts a question that opens a device node: only where that was asked for.
    pub(super) fn ask_deep(&self, question: &Question) -> Known<String> {
        let not_asked = || Known::unknown(NOT_ASKED);
        match (self.root.is_system(), self.depth) {
            (true, Depth::Deep) => self.ask(question),
            (true, Depth::Passive) => not_asked(),
            (false, _) => self.recorded(&question.path()).unwrap_or_else(not_asked),
        }
    }

    /// What a captured tree holds.
    fn recorded(&self, path: &str) -> Option<Known<String>> {
        match self.root.text(path, ANSWER) {
            Ok(answer) => Some(Known::Value(answer)),
            Err(error) if error.is_missing() => {
                let reason = self.root.text(&format!("{path}.failed"), ANSWER).ok()?;
                Some(Known::unknown(reason))
            }
            Err(error) => Some(Known::unknown(error.to_string())),
        }
    }
}

/// Why a fact is unknown that needs a device node.
pub(super) const NOT_ASKED: &str = "not asked; `--deep` asks";

#[cfg(test)]
mod tests {
    use super::*;

    struct Recorded;

    impl Machine for Recorded {
        fn ask(&self, question: &Question) -> Result<String, String> {
            match question {
                Question::Msr(0x3a) => Ok("0x5".to_owned()),
                _ => Err("no such thing".to_owned()),
            }
        }
    }

    #[test]
    fn answers_replay() {
        let root = Root::system().recorded();
        let probes = Probes::new(&root, Depth::Deep, &Recorded);
        let msr = probes.ask_deep(&Question::Msr(0x3a));
        let xen = probes.ask(&Question::XenInfo);
        assert_eq!(
            (&msr, xen.reason()),
            (&Known::Value("0x5".to_owned()), Some("no such thing"))
        );
        let folder = tempfile::tempdir().expect("temp dir");
        let recording = root.recording().expect("recording");
        recording.write_folder(folder.path()).expect("write");
        let tree = Root::at(folder.path()).expect("root");
        // Nobody is asked for a captured tree, and what was asked deeply needs no depth.
        let replay = Probes::new(&tree, Depth::Passive, &ThisMachine);
        assert_eq!(replay.ask_deep(&Question::Msr(0x3a)), msr);
        assert_eq!(replay.ask(&Question::XenInfo), xen);
        assert!(
            replay
                .ask(&Question::XenCpuid)
                .reason()
                .is_some_and(|reason| reason.contains("xen-cpuid"))
        );
    }

    #[test]
    fn device_nodes_are_opened_on_request_only() {
        let root = Root::system();
        let probes = Probes::new(&root, Depth::Passive, &Recorded);
        assert_eq!(
            probes.ask_deep(&Question::Msr(0x3a)).reason(),
            Some(NOT_ASKED)
        );
    }
}
