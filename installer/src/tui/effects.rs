//! What the screens cause and learn, behind one trait: the machine, or a simulation of one.

use crate::choices::{Choices, NetworkChoice};
use crate::license_check::LicenseCheck;
use crate::plan::{PlanProblems, Planned};
use crate::values::{PasswordHash, Zones};
use hcl_checker::facts::Facts;
use hcl_checker::verdict::Verdict;
use serde::{Deserialize, Serialize};
use steps::Report;
use steps::event::Event;

/// What is known once the release was opened and the machine looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The machine.
    pub facts: Facts,
    /// Version of the release on the medium.
    pub version: String,
    /// Version of the hypervisor.
    pub xen: String,
    /// Version of dom0's kernel.
    pub kernel: String,
    /// Root hash of the root image, hexadecimal.
    pub root_hash: String,
    /// Bytes of all artifacts.
    pub bytes: u64,
    /// What is to say about metadata that expired.
    pub expired: Option<String>,
    /// The block device that the medium is; never a disk to install to.
    pub medium: Option<String>,
}

/// The state of an interface's link now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Name of the interface.
    pub name: String,
    /// True with a carrier.
    pub up: bool,
    /// Megabits per second, where the driver says it.
    pub speed_mbit: Option<u32>,
    /// Addresses that it has now.
    pub addresses: Vec<String>,
}

/// Memory and load of the machine now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Bytes in use.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
    /// Load average over a minute.
    pub one: f64,
}

/// A line of what a test of the network found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `link of eno1`.
    pub what: String,
    /// How it is, in words.
    pub found: String,
    /// True when it is as it should be.
    pub good: bool,
}

/// Something that takes its time, done beside the screens.
pub enum Job {
    /// Look at the machine and open the release: [`Message::Opened`].
    Open,
    /// Read everything on the medium and compare it: [`Message::Verifying`], then [`Message::Verified`].
    Verify,
    /// Set up the network of the live system as the choices say, and look what comes of it: [`Message::Tested`].
    TestNetwork(Box<NetworkChoice>),
    /// Read a license from a file, a file on a device, or a URL: [`Message::License`].
    ReadLicense(String),
    /// Write the answer file; nothing in it is a secret but the hash of the password: [`Message::Saved`].
    Save {
        /// The file, or `DEVICE:/FILE`.
        place: String,
        /// The text.
        text: String,
    },
    /// Do what the plan says: [`Message::Event`] many times, then [`Message::Ended`].
    Install(Box<Planned>),
}

/// What a job has to say.
pub enum Message {
    /// The machine and the release, or why not, outermost first.
    Opened(Result<Box<Subject>, Vec<String>>),
    /// Bytes read of how many.
    Verifying {
        /// Bytes read.
        done: u64,
        /// Bytes in all.
        total: u64,
        /// Milliseconds since the start.
        ms: u64,
    },
    /// All is as it was signed, or what is not.
    Verified(Result<(), Vec<String>>),
    /// What the test of the network found.
    Tested(Vec<Check>),
    /// The text of the license, or why it could not be read.
    License(Result<String, String>),
    /// Where the answers are now, or why not.
    Saved(Result<String, String>),
    /// An event of the installation.
    Event(Event),
    /// The installation is over.
    Ended(Box<Ended>),
}

/// How an installation ended.
pub struct Ended {
    /// The report.
    pub report: Report,
    /// Fingerprint of the host's ssh key.
    pub fingerprint: Option<String>,
}

/// What the screens cause and learn. Everything that takes longer than a moment is a [`Job`].
pub trait Effects: Sync {
    /// True when nothing is real.
    fn is_simulation(&self) -> bool;
    /// The plan that follows from the choices; pure.
    fn plan(&self, choices: &Choices) -> Result<Planned, PlanProblems>;
    /// What the list says for an installation on these disks (kernel names); none before [`Job::Open`] is done.
    fn verdict(&self, disks: &[&str]) -> Option<Verdict>;
    /// Known time zones.
    fn zones(&self) -> &Zones;
    /// Hashes a password.
    fn hash_password(&self, password: &str) -> Result<PasswordHash, String>;
    /// Looks at a license token.
    fn check_license(&self, token: &str, facts: &Facts) -> LicenseCheck;
    /// The links as they are now.
    fn links(&self) -> Vec<Link>;
    /// Memory and load as they are now.
    fn load(&self) -> Option<Load>;
    /// Sets the keyboard of the machine's own console.
    fn set_keymap(&self, layout: &str) -> Result<(), String>;
    /// Does a job to its end, and tells how it goes.
    fn run(&self, job: Job, tell: &(dyn Fn(Message) + Sync));
}
