//! What the administrator of one host adds to the command lines of hypervisor and kernel.
//!
//! `grub.cfg` is the same on every host, so the additions lie beside it in a block of their own. Nothing signs that block:
//! the configuration does not look at it where the firmware or GRUB enforces signatures.

use crate::env_block::{EnvBlock, EnvError};

/// The block, from the root of the ESP. Written by the installer, and never by GRUB.
pub const OPTIONS_ENV: &str = "grub/options.env";
/// Most characters of both command lines together, so that the block always has room for them.
pub const OPTIONS_MAX: usize = 900;

/// Additions to the command lines. Words without blanks, quotes and other characters that GRUB reads as its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraOptions {
    /// Words for the hypervisor. A later `dom0_mem=` goes before an earlier one (Xen 4.20, xen/arch/x86/dom0_build.c).
    pub xen: Vec<String>,
    /// Words for the kernel of dom0.
    pub dom0: Vec<String>,
}

impl ExtraOptions {
    /// True when nothing is added.
    pub fn is_empty(&self) -> bool {
        self.xen.is_empty() && self.dom0.is_empty()
    }

    /// Characters of both command lines.
    pub fn len(&self) -> usize {
        self.xen.join(" ").len() + self.dom0.join(" ").len()
    }

    /// The block.
    ///
    /// # Errors
    /// When the words take more than a block holds.
    pub fn to_env(&self) -> Result<EnvBlock, EnvError> {
        let mut block = EnvBlock::new();
        block.set("bp_xen", &self.xen.join(" "))?;
        block.set("bp_dom0", &self.dom0.join(" "))?;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env_block::SIZE;

    #[test]
    fn the_longest_additions_fit_the_block() {
        let options = ExtraOptions {
            xen: vec!["x".repeat(450)],
            dom0: vec!["d".repeat(450)],
        };
        assert_eq!(options.len(), OPTIONS_MAX);
        let block = options.to_env().unwrap().to_bytes_within(SIZE).unwrap();
        assert_eq!(
            EnvBlock::parse(&block)
                .unwrap()
                .get("bp_dom0")
                .unwrap()
                .len(),
            450
        );
    }
}
