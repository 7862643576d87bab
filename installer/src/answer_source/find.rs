//! Looking for answers, and reading them.

use super::beside::Origin;
use super::discover::Discovery;
use super::fetch::{FetchError, fetch};
use super::network::Network;
use super::oem_strings::{OemStrings, OemStringsError};
use super::request::{Request, RequestError, from_command_line};
use super::trust::Trust;
use crate::answers::MAX_BYTES;
use crate::laydown::Machine;
use crate::values::{Mac, ValueError, WebUrl};
use sha2::{Digest, Sha256};
use slots::answer_area::{self, AnswerAreaError};
use slots::block::{Access, OpenError};
use slots::names::{ANSWER_LABEL, ISO_ANSWERS};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::StepError;
use steps::fetch::shown_url;
use steps::system::{Command, FileError, Mount, MountError, RunError, System};

/// Where a volume with answers is mounted while they are read.
pub(super) const MOUNT: &str = "/run/bedplate/answer-volume";
/// The file on a labelled volume.
const FILE: &str = "answers.toml";

/// Answers that were found.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// The place, as it may be shown.
    pub place: String,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
    /// The content. May hold a secret.
    pub content: Vec<u8>,
    /// What else may be there.
    pub origin: Origin,
    /// True when the key that the operator named signed them.
    pub signed: bool,
}

impl Found {
    pub(super) fn new(place: impl Into<String>, content: Vec<u8>, origin: Origin) -> Self {
        Found {
            place: place.into(),
            sha256: hex::encode(Sha256::digest(&content)),
            content,
            origin,
            signed: false,
        }
    }
}

/// Why answers that should be somewhere could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The kernel command line names no place.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The area on the medium was asked for and holds nothing.
    #[error(
        "the answers should be embedded in the medium, but its answer area holds none; fill it with `image-build embed`"
    )]
    NotEmbedded,
    /// The OEM strings were asked for and hold nothing.
    #[error(
        "the answers should be among the OEM strings of SMBIOS, and none of them holds any; docs/answers.md says how they are written"
    )]
    NoOemString,
    /// What the OEM strings say about answers cannot be used.
    #[error(transparent)]
    OemStrings(#[from] OemStringsError),
    /// The area is damaged.
    #[error("cannot read the answers embedded in the medium")]
    Area(#[from] AnswerAreaError),
    /// The device is not there.
    #[error(
        "the answers should be on {0}, and there is no such device; check its name, `lsblk` lists all"
    )]
    NoDevice(PathBuf),
    /// The device cannot be opened.
    #[error("cannot open the device with the answers")]
    Open(#[from] OpenError),
    /// The device cannot be read.
    #[error("cannot read {device}")]
    Read {
        /// The device.
        device: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The network should give the URL, and nothing says what makes the answers trustworthy.
    #[error(
        "the answers should come from {from}, and whoever answers there could be anybody; add `bedplate.answers-key=` (answers \
         signed by `installer sign-answers`) or `bedplate.answers-pin=` (the key of the server) to the kernel command line"
    )]
    NoTrust {
        /// Where to ask.
        from: Discovery,
    },
    /// The network gives no URL.
    #[error(
        "the answers should come from {from}, and there is none; set it on the server, or give the URL with `bedplate.answers=`"
    )]
    NothingDiscovered {
        /// Where it was asked for.
        from: Discovery,
    },
    /// The network gives something else.
    #[error("what {from} gives {}; {}", error.message, error.advice)]
    NotDiscovered {
        /// Where it came from.
        from: Discovery,
        /// What is wrong with it.
        error: ValueError,
    },
    /// The network gives several.
    #[error(
        "{from} gives {count} different URLs; let one remain, or name one with `bedplate.answers=`"
    )]
    SeveralUrls {
        /// Where they came from.
        from: Discovery,
        /// How many.
        count: usize,
    },
    /// A tool says what is not understood.
    #[error("cannot understand what {tool} of the live system says")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// There is no signature.
    #[error(
        "the answers from {place} must be signed, and their signature cannot be fetched; make it with `installer sign-answers` \
         and put it beside them, with .sig behind the name"
    )]
    NoSignature {
        /// Where the answers are.
        place: String,
        /// Why.
        source: FetchError,
    },
    /// The signature is another's, or of other answers.
    #[error(
        "the answers from {place} are not signed by the key {key}: somebody changed them, or they were changed after they were \
         signed; sign them again with `installer sign-answers`, or correct `bedplate.answers-key=`"
    )]
    Forged {
        /// Where the answers are.
        place: String,
        /// The key that should have signed.
        key: String,
    },
    /// There is no file system on it.
    #[error("{0} holds no file system that is known here, so no answer file can be read from it")]
    NoFileSystem(PathBuf),
    /// Several volumes have the label.
    #[error("{} volumes are labelled {ANSWER_LABEL} ({}); take away all but one", .0.len(), .0.join(", "))]
    SeveralVolumes(Vec<String>),
    /// Several files are for this machine.
    #[error("{} files are for this machine ({}), each named after one of its addresses; take away all but one", .0.len(), .0.join(", "))]
    SeveralFiles(Vec<String>),
    /// It is too large.
    #[error("{0} is larger than {MAX_BYTES} bytes, so it is no answer file")]
    TooLarge(String),
    /// The volume cannot be mounted.
    #[error("cannot mount the volume with the answers")]
    Mount(#[from] MountError),
    /// A tool failed.
    #[error("cannot look for answers")]
    Run(#[from] RunError),
    /// The file cannot be read.
    #[error("cannot read the answers")]
    File(#[from] FileError),
    /// The URL does not give them.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// What reading answers needs.
pub struct Finder<'a> {
    /// Commands and files.
    pub system: &'a dyn System,
    /// Devices.
    pub machine: &'a dyn Machine,
    /// Sleeps between attempts.
    pub pause: &'a dyn Fn(Duration),
    /// What answers from a network must prove.
    pub trust: &'a Trust,
    /// True in the live system, whose network is the installer's to set up.
    pub live: bool,
}

impl Finder<'_> {
    /// Looks at all places in their order: `command_line` is the kernel's, `medium` the root of the medium. None when
    /// nobody left answers anywhere. A place that was named and cannot be read is an error.
    pub fn find(
        &self,
        command_line: &str,
        medium: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<Option<Found>, FindError> {
        if let Some(request) = from_command_line(command_line)? {
            return self.read(&request, medium, tell).map(Some);
        }
        if let Some(found) = self.embedded(medium)? {
            return Ok(Some(found));
        }
        if let Some(found) = self.labelled()? {
            return Ok(Some(found));
        }
        match OemStrings::read(self.system) {
            Ok(strings) => {
                if let Some(found) = self.left(&strings, medium, tell)? {
                    return Ok(Some(found));
                }
            }
            // Nobody said that there is anything.
            Err(error) => tell(format!(
                "the OEM strings of SMBIOS are not looked at: {}",
                steps::step::error_chain(&error).join(": ")
            )),
        }
        // Only who said by what answers are trusted wants those that the network names.
        if self.trust.is_empty() {
            return Ok(None);
        }
        match self.discover(Discovery::Both)? {
            Some((url, by)) => self.by_url(url.expose(), Some(by), tell).map(Some),
            None => Ok(None),
        }
    }

    /// The URL that the network gives, and how. Not asked for where nothing could be trusted.
    fn discover(&self, from: Discovery) -> Result<Option<(WebUrl, Discovery)>, FindError> {
        if self.trust.is_empty() {
            return Err(FindError::NoTrust { from });
        }
        if self.live {
            Network::new(self.system).require(&Request::Discover(from).to_string())?;
        }
        self.discovered(from)
    }

    /// What is behind `url`, which the network gave where `from` says so.
    fn by_url(
        &self,
        url: &str,
        from: Option<Discovery>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Found, FindError> {
        let shown = shown_url(url);
        if self.live && from.is_none() {
            Network::new(self.system).require(&shown)?;
        }
        let content = fetch(self.system, url, self.trust.pin.as_ref(), self.pause, tell)?;
        if let Some(key) = &self.trust.key {
            self.check_signature(key, url, &shown, &content, tell)?;
        }
        let place = match from {
            Some(from) => format!("{shown}, by {from}"),
            None => shown,
        };
        Ok(Found {
            signed: self.trust.key.is_some(),
            ..Found::new(place, content, Origin::Url(url.to_owned()))
        })
    }

    /// Reads the answers from a place that was named.
    pub fn read(
        &self,
        request: &Request,
        medium: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<Found, FindError> {
        let place = request.to_string();
        let (content, origin) = match request {
            Request::Embedded => return self.embedded(medium)?.ok_or(FindError::NotEmbedded),
            Request::Smbios => {
                let found = self.left(&OemStrings::read(self.system)?, medium, tell)?;
                return found.ok_or(FindError::NoOemString);
            }
            Request::Url(url) => return self.by_url(url, None, tell),
            Request::Discover(from) => {
                let found = self.discover(*from)?;
                let (url, by) = found.ok_or(FindError::NothingDiscovered { from: *from })?;
                return self.by_url(url.expose(), Some(by), tell);
            }
            Request::File(path) => (
                limited(&place, self.system.read_file(path)?)?,
                Origin::File(path.clone()),
            ),
            Request::Raw(device) => (self.raw(device)?, Origin::Alone),
            Request::OnDevice { device, file } => {
                self.wait_for(device)?;
                let content = self.read_volume(device, file)?;
                (content, Origin::Volume(device.clone(), file.clone()))
            }
        };
        Ok(Found::new(place, content, origin))
    }

    fn embedded(&self, medium: &Path) -> Result<Option<Found>, FindError> {
        let path = medium.join(ISO_ANSWERS);
        if !self.system.exists(&path) {
            return Ok(None);
        }
        let content = answer_area::decode(&self.system.read_file(&path)?)?;
        Ok(
            content
                .map(|content| Found::new(Request::Embedded.to_string(), content, Origin::Alone)),
        )
    }

    fn labelled(&self) -> Result<Option<Found>, FindError> {
        let volumes = labelled_volumes(self.system)?;
        match volumes.as_slice() {
            [] => Ok(None),
            [device] => {
                let (name, content) = self.mounted(Path::new(device), |volume| {
                    let name = self.own_file(volume)?.unwrap_or_else(|| FILE.to_owned());
                    let content = self.system.read_file(&volume.join(&name))?;
                    Ok((name, content))
                })?;
                let place = format!("{name} on {device}, labelled {ANSWER_LABEL}");
                let content = limited(&name, content)?;
                let origin = Origin::Volume(device.into(), name.into());
                Ok(Some(Found::new(place, content, origin)))
            }
            _ => Err(FindError::SeveralVolumes(volumes)),
        }
    }

    fn wait_for(&self, device: &Path) -> Result<(), FindError> {
        // A stick or a virtual medium of a management controller can take some seconds to appear.
        for attempt in 0..10 {
            if self.machine.has_device(device) {
                return Ok(());
            }
            settle(self.system, Some(device))?;
            if attempt > 0 {
                (self.pause)(Duration::from_secs(1));
            }
        }
        Err(FindError::NoDevice(device.to_owned()))
    }

    fn raw(&self, device: &Path) -> Result<Vec<u8>, FindError> {
        self.wait_for(device)?;
        let mut open = self.machine.open(device, Access::ReadOnly)?;
        let length = open.size().min(MAX_BYTES + 1);
        let mut content = vec![0; length as usize];
        open.read_at(0, &mut content)
            .map_err(|source| FindError::Read {
                device: device.to_owned(),
                source,
            })?;
        // A device is a whole number of sectors: what is behind the text is zeros.
        let text = content
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        content.truncate(text);
        limited(&device.display().to_string(), content)
    }

    fn read_volume(&self, device: &Path, file: &Path) -> Result<Vec<u8>, FindError> {
        let read = |volume: &Path| Ok(self.system.read_file(&volume.join(file))?);
        limited(&file.display().to_string(), self.mounted(device, read)?)
    }

    /// Mounts the file system on `device`, and unmounts it whatever `read` does.
    pub(super) fn mounted<T>(
        &self,
        device: &Path,
        read: impl FnOnce(&Path) -> Result<T, FindError>,
    ) -> Result<T, FindError> {
        let kind = file_system(self.system, device)?;
        self.system.mount(
            &Mount::device(device, MOUNT, &kind)
                .read_only()
                .inert()
                .options(no_replay(&kind)),
        )?;
        let found = read(Path::new(MOUNT));
        let unmounted = self.system.unmount(Path::new(MOUNT));
        let found = found?;
        unmounted?;
        Ok(found)
    }

    /// The file that is named after the hardware address of one of this machine's interfaces, and so is for this machine
    /// alone: `525400123456.toml` or `52-54-00-12-34-56.toml`.
    fn own_file(&self, volume: &Path) -> Result<Option<String>, FindError> {
        let macs = Network::new(self.system).addresses();
        let mut own: Vec<String> = self
            .system
            .list_dir(volume)?
            .into_iter()
            .filter(|name| named_after(name).is_some_and(|mac| macs.contains(&mac)))
            .collect();
        match own.len() {
            0 | 1 => Ok(own.pop()),
            _ => Err(FindError::SeveralFiles(own)),
        }
    }
}

/// The hardware address that a file is named after.
fn named_after(name: &str) -> Option<Mac> {
    let (stem, ending) = name.rsplit_once('.')?;
    let digits: Vec<char> = stem.chars().filter(|c| !"-:".contains(*c)).collect();
    if !ending.eq_ignore_ascii_case("toml") || digits.len() != 12 {
        return None;
    }
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    Mac::parse(&pairs.join(":")).ok()
}

/// Devices with a file system that is labelled for answers, of which there should be one at most.
pub fn labelled_volumes(system: &dyn System) -> Result<Vec<String>, FindError> {
    settle(system, None)?;
    // Without a cache: a stick may have been plugged in a moment ago. 2: there is none.
    let token = format!("LABEL={ANSWER_LABEL}");
    let blkid = Command::new("blkid").args([
        "--cache-file",
        "/dev/null",
        "--match-token",
        &token,
        "--output",
        "device",
    ]);
    let output = system.run(&blkid.also_good(&[2]))?.text();
    let volumes = output.lines().map(|line| line.trim().to_owned());
    Ok(volumes.filter(|line| !line.is_empty()).collect())
}

/// The type of the file system on a device.
pub fn file_system(system: &dyn System, device: &Path) -> Result<String, FindError> {
    let probe = Command::new("blkid")
        .args(["--probe", "--output", "value", "--match-tag", "TYPE"])
        .arg(device);
    let kind = system.run(&probe.also_good(&[2]))?.text();
    if kind.is_empty() {
        return Err(FindError::NoFileSystem(device.to_owned()));
    }
    Ok(kind)
}

fn settle(system: &dyn System, device: Option<&Path>) -> Result<(), FindError> {
    let mut settle = Command::new("udevadm").args(["settle", "--timeout=30"]);
    if let Some(device) = device {
        settle = settle.arg(format!("--exit-if-exists={}", device.display()));
    }
    // 1: the queue is not empty yet. Whatever is missing then is told by who looks for it.
    system.run(&settle.also_good(&[1]))?;
    Ok(())
}

/// The option by which a file system is not repaired from its journal: a read-only mount does that otherwise, and the disk
/// that the answers lie on may be any disk (Linux Documentation/filesystems/ext4/, xfs.rst, btrfs.rst, f2fs.rst).
fn no_replay(fs_type: &str) -> &'static str {
    match fs_type {
        "ext3" | "ext4" => "noload",
        "xfs" | "f2fs" => "norecovery",
        "btrfs" => "rescue=nologreplay",
        _ => "",
    }
}

/// What is larger than answers may be is none.
pub(super) fn limited(place: &str, content: Vec<u8>) -> Result<Vec<u8>, FindError> {
    if content.len() as u64 > MAX_BYTES {
        Err(FindError::TooLarge(place.to_owned()))
    } else {
        Ok(content)
    }
}

impl From<FindError> for Vec<String> {
    fn from(error: FindError) -> Self {
        let error: StepError = error.into();
        steps::step::error_chain(error.as_ref())
    }
}
