//! Which kernel modules drive a device: the matching that kmod does, without kmod.
//!
//! The kernel gives every device a `modalias` (PCI: `pci:v00008086d000010D3sv...`), and `depmod` writes the patterns
//! that each module claims into `modules.alias`. This module uses nothing but the standard library and the caller's
//! text, because the initrd's `init` links it too.
//!
//! Sources: `man 5 modules.dep`, `man 5 modprobe.d` (softdep), kmod's `shared/util.c` (`alias_normalize`) and
//! `libkmod/libkmod-index.c` (`fnmatch` with no flags on the normalised strings).

mod dependencies;
mod glob;
mod index;
mod tree;

pub use dependencies::{Builtins, Dependencies, SoftDependencies, module_name};
pub use glob::matches;
pub use index::{AliasIndex, AliasMatch};
pub use tree::ModuleTree;

/// Normalises a module name, an alias or an alias pattern: `-` and `_` are the same to kmod outside of brackets.
///
/// Returns `None` where brackets do not pair up; kmod refuses such an alias.
pub fn normalize(alias: &str) -> Option<String> {
    let mut bytes = alias.as_bytes().to_vec();
    normalize_in_place(&mut bytes).then_some(())?;
    // Only one ASCII byte was replaced by another, so this is valid UTF-8 still.
    String::from_utf8(bytes).ok()
}

/// [`normalize`] on bytes; false where brackets do not pair up.
fn normalize_in_place(bytes: &mut [u8]) -> bool {
    let mut inside = false;
    for byte in bytes {
        match (*byte, inside) {
            (b'-', false) => *byte = b'_',
            (b'[', false) => inside = true,
            (b']', true) => inside = false,
            (b']', false) => return false,
            _ => {}
        }
    }
    !inside
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn normalizes_outside_of_brackets_only() {
        assert_eq!(normalize("net-pf-10").as_deref(), Some("net_pf_10"));
        assert_eq!(
            normalize("usb:v1645d01[0-2]*-x").as_deref(),
            Some("usb:v1645d01[0-2]*_x")
        );
    }

    #[test]
    fn refuses_unpaired_brackets() {
        assert_eq!(normalize("a]"), None);
        assert_eq!(normalize("a[0-9"), None);
        assert_eq!(normalize("a[0-9]]"), None);
    }
}
