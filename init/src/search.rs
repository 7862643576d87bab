//! Waits for the disk that this host was installed on.

use crate::block::{self, Block};
use crate::choice::{self, Calm, Contents, Decision, Fit};
use crate::console::Console;
use crate::loader::ModuleLoader;
use crate::mirror::Mirror;
use crate::root;
use crate::stop::SomebodyNeeded;
use anyhow::{Result, bail};
use slots::block::{Access, FileDevice};
use slots::md_superblock::MdSuperblock;
use slots::names::PART_ESP;
use slots::{PartitionKind, RootIdentity, gpt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest time from the first look to the disk.
const LIMIT: Duration = Duration::from_secs(60);

/// How long nothing may have changed before "there is one" is said of the machine.
const QUIET: Duration = Duration::from_secs(2);

/// After this time a driver that is still busy is no reason to wait for a copy of a disk that was found.
const BUSY_AT_MOST: Duration = Duration::from_secs(5);

/// After this time a driver that is still busy is no reason to wait for the other half of a mirror.
const HALF_AFTER: Duration = Duration::from_secs(20);

/// Time between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Time before a device that could not be read is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// Time between two messages that say what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Tells from time to time what is waited for, and when the time is over.
pub struct Patience {
    started: Instant,
    told: Instant,
    limit: Duration,
}

impl Patience {
    /// Starts the time.
    pub fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            told: now,
            limit,
        }
    }

    /// Waits for the next look; false when the time is over.
    pub fn wait(&mut self, console: &Console, loader: &ModuleLoader, reason: &str) -> bool {
        for failure in loader.take_failures() {
            console.warning(&failure);
        }
        if self.started.elapsed() >= self.limit {
            return false;
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let (passed, limit) = (self.started.elapsed().as_secs(), self.limit.as_secs());
            console.info(&format!("waiting, {passed} of {limit} s: {reason}"));
        }
        sleep(LOOK_EVERY);
        true
    }
}

/// What was read from disks, so that each is read once.
#[derive(Default)]
struct Looks {
    /// What was read from partitions.
    contents: Contents,
    /// Partitions that were read for a superblock, whether there was one or not.
    told: BTreeSet<String>,
    /// PARTUUIDs by disk and partition number.
    uuids: BTreeMap<(String, u32), String>,
    /// When a device was read last, by name.
    read_at: BTreeMap<String, Instant>,
}

impl Looks {
    /// Reads partition tables and slots that are new, or could not be read a while ago; forgets what is gone. Sets the
    /// PARTUUIDs of Bedplate's partitions.
    fn look(&mut self, blocks: &mut [Block], identity: &RootIdentity) {
        let is_there = |name: &str| blocks.iter().any(|block| block.name == name);
        self.contents.fits.retain(|name, _| is_there(name));
        self.contents.members.retain(|name, _| is_there(name));
        self.told.retain(|name| is_there(name));
        self.uuids.retain(|(disk, _), _| is_there(disk));
        self.read_at.retain(|name, _| is_there(name));

        let nodes: BTreeMap<String, PathBuf> = blocks
            .iter()
            .filter(|block| block.is_disk())
            .map(|disk| (disk.name.clone(), disk.node.clone()))
            .collect();
        for block in blocks.iter_mut().filter(|block| choice::is_ours(block)) {
            let (Some(number), Some(node)) = (block.part_number, nodes.get(&block.disk)) else {
                continue;
            };
            let key = (block.disk.clone(), number);
            if !self.uuids.contains_key(&key) && self.is_due(&block.disk) {
                self.read_table(&block.disk, node);
            }
            block.part_uuid = self.uuids.get(&key).cloned();
        }
        for member in blocks.iter().filter(|block| choice::is_member(block)) {
            let unread = !self.told.contains(&member.name)
                || matches!(self.contents.fits.get(&member.name), Some(Fit::Unread(_)));
            if unread && self.is_due(&member.name) {
                self.read_member(member, identity);
            }
        }
    }

    /// Reads what a partition says about its array, and for a slot whether it holds the root.
    fn read_member(&mut self, block: &Block, identity: &RootIdentity) {
        let superblock = FileDevice::open(&block.node, Access::ReadOnly)
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
            .and_then(|mut device| MdSuperblock::read(&mut device).map_err(|e| e.to_string()));
        let fit = match superblock {
            Ok(superblock) => {
                self.told.insert(block.name.clone());
                let offset = superblock.as_ref().map_or(0, |member| member.data_offset);
                if let Some(member) = superblock {
                    self.contents.members.insert(block.name.clone(), member);
                }
                match choice::is_slot(block) {
                    true => root::fit(&block.node, identity, offset),
                    false => return,
                }
            }
            Err(error) => Fit::Unread(error),
        };
        if choice::is_slot(block) {
            self.contents.fits.insert(block.name.clone(), fit);
        }
    }

    /// Whether a device was not read before, or long enough ago to try again; counts as read from now on.
    fn is_due(&mut self, name: &str) -> bool {
        let due = self
            .read_at
            .get(name)
            .is_none_or(|at| at.elapsed() >= RETRY);
        if due {
            self.read_at.insert(name.to_owned(), Instant::now());
        }
        due
    }

    /// Reads the PARTUUIDs of a disk. What cannot be read stays unknown: the disk then does not match any hint.
    fn read_table(&mut self, disk: &str, node: &Path) {
        let table = FileDevice::open(node, Access::ReadOnly)
            .ok()
            .and_then(|mut device| gpt::read_table(&mut device).ok().flatten());
        for entry in table.into_iter().flat_map(|table| table.entries) {
            self.uuids
                .insert((disk.to_owned(), entry.number), entry.guid.to_string());
        }
    }
}

/// How calm the machine is: drivers idle since `idle`, the last disk seen at `changed`, looking since `started`.
fn calm(idle: Option<Instant>, changed: Instant, started: Instant) -> Calm {
    let idle = idle.map(|since| since.max(changed).elapsed());
    match idle {
        Some(idle) if idle >= QUIET => Calm::Quiet,
        Some(_) => Calm::Idle,
        None if started.elapsed() >= HALF_AFTER => Calm::Late,
        None if started.elapsed() >= BUSY_AT_MOST => Calm::Idle,
        None => Calm::Busy,
    }
}

/// Where this host's root and state are.
pub enum Install {
    /// On partitions of one disk.
    Disk {
        /// The slot.
        slot: Box<Block>,
        /// The state partition.
        state: Box<Block>,
    },
    /// On arrays that are not started yet.
    Mirror {
        /// The slot.
        slot: PartitionKind,
        /// The arrays.
        mirror: Box<Mirror>,
        /// PARTUUID of the ESP on the disk that counts; none where its table cannot be read.
        esp: Option<String>,
    },
}

/// Waits for the slot and the state partition of this host; `esp` is the PARTUUID that the loader told.
///
/// # Errors
/// Not found in time, or it cannot be told which is the right one; what was seen is on the console then.
pub fn install(
    console: &Console,
    loader: &ModuleLoader,
    identity: &RootIdentity,
    esp: Option<&str>,
) -> Result<Install> {
    let started = Instant::now();
    let mut patience = Patience::new(LIMIT);
    let mut looks = Looks::default();
    let mut before = Vec::new();
    let mut changed = Instant::now();
    loop {
        // Asked first: what is idle now has shown all its disks by the time they are listed.
        let idle = loader.idle_since();
        let seen = block::scan(Path::new(block::CLASS_BLOCK));
        if seen != before {
            changed = Instant::now();
            before.clone_from(&seen);
        }
        let mut blocks = seen;
        looks.look(&mut blocks, identity);
        let calm = calm(idle, changed, started);
        let decision = choice::choose(&blocks, &looks.contents, esp, calm);
        let reason = match decision {
            Decision::Open { slot, state } if loader.is_ready() => {
                return Ok(Install::Disk { slot, state });
            }
            Decision::OpenMirror { slot, mirror } if loader.is_ready() => {
                let on_kept = |block: &&Block| {
                    block.disk == mirror.kept && block.part_name.as_deref() == Some(PART_ESP)
                };
                let esp = blocks.iter().find(on_kept);
                let esp = esp.and_then(|block| block.part_uuid.clone());
                return Ok(Install::Mirror { slot, mirror, esp });
            }
            Decision::Open { .. } | Decision::OpenMirror { .. } => {
                "file systems are being loaded".to_owned()
            }
            Decision::Wait(reason) if patience.wait(console, loader, &reason) => continue,
            Decision::Wait(reason) | Decision::Missing(reason) => {
                tell(console, identity, esp, &blocks, &looks);
                bail!(reason);
            }
            Decision::Ambiguous(reason) => {
                tell(console, identity, esp, &blocks, &looks);
                return Err(SomebodyNeeded(reason).into());
            }
        };
        if !patience.wait(console, loader, &reason) {
            bail!("the drivers in the initrd were not loaded in time");
        }
    }
}

/// Says what was looked for and what was seen.
fn tell(
    console: &Console,
    identity: &RootIdentity,
    esp: Option<&str>,
    blocks: &[Block],
    looks: &Looks,
) {
    let hint = esp.unwrap_or("not told by the loader");
    console.error(&format!(
        "Looked for the slot with root {} of version {}; PARTUUID of the boot disk's EFI system partition: {hint}. Seen:",
        identity.verity.root_hash, identity.version
    ));
    for line in choice::explain(blocks, &looks.contents) {
        console.error(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calm_needs_idle_drivers_and_for_quiet_some_time() {
        let now = Instant::now();
        let Some(long_ago) = now.checked_sub(Duration::from_secs(10)) else {
            panic!("the machine was started less than ten seconds ago");
        };
        assert_eq!(calm(None, now, now), Calm::Busy);
        assert_eq!(calm(None, long_ago, long_ago), Calm::Idle);
        assert_eq!(calm(Some(now), long_ago, long_ago), Calm::Idle);
        assert_eq!(calm(Some(long_ago), now, long_ago), Calm::Idle);
        assert_eq!(calm(Some(long_ago), long_ago, now), Calm::Quiet);
    }
}
