//! What the boot loader should boot: the typed view of the environment block on the ESP.

use crate::RootIdentity;
use crate::env_block::{ATOMIC, EnvBlock, EnvError, SIZE};

/// The block, from the root of the ESP. Changed by GRUB (tries only) and by the host.
pub const STATE_ENV: &str = "grub/state.env";
/// A second block with `good` and `console` only, written by installer and host after the first one and never by
/// GRUB. Used where the first one cannot be read: an unreadable block boots the last good.
pub const GOOD_ENV: &str = "grub/good.env";
/// What GRUB shows as the version of a root; in the folder of its boot files.
pub const RELEASE_ENV: &str = "release.env";
/// A root under trial gets at most this many tries: GRUB's script cannot count, so that its configuration has a line
/// for each number.
pub const MAX_TRIES: u8 = 3;
/// Characters of the short name of a root ([`RootIdentity::id`]).
pub const ID_LEN: usize = 16;

/// Where hypervisor and dom0 show what they do: the section of `xen.efi` and the branch in `grub.cfg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Console {
    /// First serial port and screen.
    #[default]
    Com1,
    /// Second serial port and screen: where many servers have their serial-over-LAN.
    Com2,
    /// Screen only.
    Vga,
    /// As [`Console::Com1`], with the fewest features of the machine in use.
    Safe,
}

impl Console {
    /// All of them.
    pub const ALL: [Console; 4] = [Console::Com1, Console::Com2, Console::Vga, Console::Safe];

    /// Its name in the block, in `grub.cfg` and as a section of `xen.efi`.
    pub fn name(self) -> &'static str {
        match self {
            Console::Com1 => "com1",
            Console::Com2 => "com2",
            Console::Vga => "vga",
            Console::Safe => "safe",
        }
    }

    /// The console with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }
}

/// What the boot loader should boot. Ids are those of [`RootIdentity::id`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootState {
    /// The root that came up last with everything it needs.
    pub good: Option<String>,
    /// A root under trial.
    pub try_id: Option<String>,
    /// Tries that are left for it, [`MAX_TRIES`] at most.
    pub tries: u8,
    /// The root that was good before, while its slot still holds it.
    pub previous: Option<String>,
    /// Where everything is shown.
    pub console: Console,
}

/// What the boot loader does with a state, unless someone at the console decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Takes one of the tries and boots the root under trial.
    Try(&'a str),
    /// Boots the last good root.
    Good(&'a str),
    /// No root is good: boots one on bare Linux to tell why.
    Rescue,
}

impl BootState {
    /// The state right after an install: no root is good yet. The new one is on trial like every other, with all the
    /// tries that there can be, because there is no older one to go back to: a first boot that panics ends in the
    /// rescue system, which can tell why, and not in restarts for ever.
    pub fn installed(root: &RootIdentity, console: Console) -> Self {
        BootState {
            try_id: Some(root.id().to_owned()),
            tries: MAX_TRIES,
            console,
            ..BootState::default()
        }
    }

    /// The same host without any other root: the slot that does not run is about to hold nothing, and no menu entry may lead
    /// there.
    pub fn forgetting_other(&self) -> Self {
        BootState {
            try_id: None,
            tries: 0,
            previous: None,
            ..self.clone()
        }
    }

    /// The same host, which tries the root `id` once at its next start.
    pub fn trying_once(&self, id: &str) -> Self {
        BootState {
            try_id: Some(id.to_owned()),
            tries: 1,
            ..self.clone()
        }
    }

    /// What a block says. What is not valid in it counts as absent, exactly as in `grub.cfg`, so that the host sees
    /// the same as the loader.
    pub fn from_env(block: &EnvBlock) -> Self {
        let id = |name| {
            block
                .get(name)
                .filter(|value| is_id(value))
                .map(str::to_owned)
        };
        let tries = block
            .get("tries")
            .and_then(|t| t.parse().ok())
            .filter(|n| *n <= MAX_TRIES);
        BootState {
            good: id("good"),
            try_id: id("try"),
            tries: tries.unwrap_or(0),
            previous: id("previous"),
            console: block
                .get("console")
                .and_then(Console::from_name)
                .unwrap_or_default(),
        }
    }

    /// The block. Every variable is in it, also the empty ones, so that its length hardly ever changes.
    pub fn to_env(&self) -> Result<EnvBlock, EnvError> {
        let mut block = EnvBlock::new();
        let id = |id: &Option<String>| id.clone().unwrap_or_default();
        block.set("good", &id(&self.good))?;
        block.set("try", &id(&self.try_id))?;
        block.set("tries", &self.tries.min(MAX_TRIES).to_string())?;
        block.set("previous", &id(&self.previous))?;
        block.set("console", self.console.name())?;
        Ok(block)
    }

    /// The content of [`GOOD_ENV`].
    pub fn to_good_env(&self) -> Result<EnvBlock, EnvError> {
        BootState {
            try_id: None,
            tries: 0,
            previous: None,
            ..self.clone()
        }
        .to_env()
    }

    /// The good root that a host goes back to by restarting, where the root `id` runs, is on trial and is another one.
    pub fn way_back(&self, id: &str) -> Option<&str> {
        let good = self.good.as_deref().filter(|good| *good != id)?;
        (self.try_id.as_deref() == Some(id)).then_some(good)
    }

    /// What the boot loader will do.
    pub fn choice(&self) -> Choice<'_> {
        match (&self.try_id, &self.good) {
            (Some(id), _) if self.tries > 0 => Choice::Try(id),
            (_, Some(id)) => Choice::Good(id),
            _ => Choice::Rescue,
        }
    }
}

/// The content of [`RELEASE_ENV`].
///
/// # Errors
/// When the version is too long, or no text for a block.
pub fn release_env(version: &str) -> Result<[u8; SIZE], EnvError> {
    let mut block = EnvBlock::new();
    block.set("version", version)?;
    block.to_bytes_within(ATOMIC)
}

/// True for what [`RootIdentity::id`] gives: 16 lowercase hexadecimal characters.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "0123456789abcdef";
    const B: &str = "fedcba9876543210";

    fn state(good: &str, try_id: &str, tries: u8) -> BootState {
        let id = |id: &str| is_id(id).then(|| id.to_owned());
        BootState {
            good: id(good),
            try_id: id(try_id),
            tries,
            ..BootState::default()
        }
    }

    #[test]
    fn a_try_is_taken_while_there_are_tries() {
        assert_eq!(state(A, B, 1).choice(), Choice::Try(B));
        assert_eq!(state(A, B, 0).choice(), Choice::Good(A));
        assert_eq!(state(A, "", 3).choice(), Choice::Good(A));
        assert_eq!(state("", B, 1).choice(), Choice::Try(B));
        assert_eq!(state("", B, 0).choice(), Choice::Rescue);
    }

    #[test]
    fn a_new_host_is_on_trial_and_ends_in_rescue() {
        let root = RootIdentity {
            version: "0.1.0".into(),
            image_name: "x.root.img".into(),
            image_size: 8192,
            image_sha256: "0".repeat(64),
            verity: crate::Verity {
                data_blocks: 1,
                salt: String::new(),
                root_hash: "c3".repeat(32),
            },
        };
        let mut state = BootState::installed(&root, Console::Com2);
        assert_eq!(state.good, None);
        assert_eq!(state.console, Console::Com2);
        for left in (0..MAX_TRIES).rev() {
            assert_eq!(state.choice(), Choice::Try(root.id()));
            state.tries = left;
        }
        assert_eq!(state.choice(), Choice::Rescue);
    }

    #[test]
    fn what_is_not_valid_counts_as_absent() {
        let mut block = EnvBlock::new();
        for (name, value) in [
            ("good", "../../../evil123"),
            ("try", "0123456789ABCDEF"),
            ("tries", "4"),
            ("previous", "0123456789abcde"),
            ("console", "com3"),
        ] {
            block.set(name, value).unwrap();
        }
        assert_eq!(BootState::from_env(&block), BootState::default());
        assert_eq!(BootState::from_env(&EnvBlock::new()), BootState::default());
    }

    #[test]
    fn a_slot_that_is_written_is_forgotten_first_and_tried_once_afterwards() {
        let before = BootState {
            previous: Some(B.into()),
            console: Console::Com2,
            ..state(A, B, 3)
        };
        let meanwhile = before.forgetting_other();
        assert_eq!(
            meanwhile,
            BootState {
                console: Console::Com2,
                ..state(A, "", 0)
            }
        );
        let after = meanwhile.trying_once(B);
        assert_eq!((after.choice(), after.tries), (Choice::Try(B), 1));
        assert_eq!(after.way_back(B), Some(A));
    }

    #[test]
    fn the_second_block_names_the_good_root_only() {
        let full = BootState {
            previous: Some(B.into()),
            console: Console::Vga,
            ..state(A, B, 2)
        };
        let second = BootState::from_env(&full.to_good_env().unwrap());
        assert_eq!(
            second,
            BootState {
                console: Console::Vga,
                ..state(A, "", 0)
            }
        );
    }

    proptest! {
        #[test]
        fn every_state_survives_the_block_within_one_sector(
            ids in prop::array::uniform3(prop::option::of("[0-9a-f]{16}")),
            tries in 0..=MAX_TRIES,
            console in prop::sample::select(Console::ALL.to_vec()),
        ) {
            let [good, try_id, previous] = ids;
            let state = BootState { good, try_id, tries, previous, console };
            let bytes = state.to_env().unwrap().to_bytes_within(ATOMIC).unwrap();
            prop_assert_eq!(BootState::from_env(&EnvBlock::parse(&bytes).unwrap()), state);
        }
    }
}
