//! Does a kernel drive a device? Asked of the kernel that will run the machine, which need not be the one that runs now.

mod claims;
mod compact;
mod ids;
mod names;

pub use compact::{CompactError, write as write_compact};

use crate::modalias::{AliasIndex, ModuleTree};
use claims::Claims;
use names::Names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The drivers of the release that this program was made for. `image-build driver-index` writes the file, and every build of
/// an image compares it with the kernel that goes into the image.
const SHIPPED: &str = include_str!("../drivers.index");

/// Where an image of a release has the index of its own kernel, which may be newer than the one this program was built with.
const IN_IMAGE: &str = "/usr/share/bedplate/drivers.index";

/// The drivers of one kernel.
#[derive(Debug, Clone)]
pub struct DriverIndex {
    /// Release of the kernel: the name of its modules folder.
    pub release: String,
    /// Version of the hypervisor that goes with it, where that is told.
    pub xen: Option<String>,
    claims: Claims,
    modules: Modules,
}

/// Which modules there are.
#[derive(Debug, Clone)]
enum Modules {
    /// Those of a folder, looked up when asked.
    Folder {
        folder: PathBuf,
        tree: Box<ModuleTree>,
    },
    /// Those of a list, with the firmware that a module names and the image lacks.
    Listed {
        names: Names,
        lacking: BTreeMap<String, Vec<String>>,
    },
}

/// Kernel and hypervisor of the release that this program was made for, without reading the whole index.
pub fn release_names() -> (Option<&'static str>, Option<&'static str>) {
    let line = |key: &str| {
        SHIPPED
            .lines()
            .take(8)
            .find_map(|line| line.strip_prefix(key))
    };
    (line("kernel "), line("xen "))
}

/// A driver that claims a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Driver {
    /// Name of the module, with `_`.
    pub module: String,
    /// Whether it can be used: it is part of the kernel image, or its file is there, and so is its firmware.
    pub usable: bool,
}

impl DriverIndex {
    /// The drivers of the release that this program was made for.
    ///
    /// # Errors
    /// The index inside of the program is malformed; a test sees to it that it is not.
    pub fn shipped() -> Result<Self, CompactError> {
        compact::read_own(SHIPPED)
    }

    /// The drivers of the release that this program is part of, in an image or host of it; elsewhere [`Self::shipped`].
    ///
    /// # Errors
    /// The index is malformed.
    pub fn of_release() -> Result<Self, CompactError> {
        match std::fs::read_to_string(IN_IMAGE) {
            // A release's own program carries the same one, and need not look whether it is well-formed.
            Ok(text) if text != SHIPPED => compact::read(&text),
            Ok(_) | Err(_) => Self::shipped(),
        }
    }

    /// Reads `/lib/modules/<release>`, given as `folder`.
    ///
    /// # Errors
    /// `modules.alias` or `modules.dep` is missing or unreadable; the error's text names it.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut tree = ModuleTree::read(folder)?;
        Ok(Self {
            release: compact::release_of(folder),
            xen: None,
            claims: Claims::by_patterns(std::mem::take(&mut tree.aliases)),
            modules: Modules::Folder {
                folder: folder.to_owned(),
                tree: Box::new(tree),
            },
        })
    }

    /// What was taken down elsewhere of a kernel, in a report.
    #[cfg(feature = "certify")]
    pub(crate) fn recorded(
        release: String,
        aliases: AliasIndex,
        names: BTreeSet<String>,
        lacking: BTreeMap<String, Vec<String>>,
    ) -> Self {
        Self {
            release,
            xen: None,
            claims: Claims::by_patterns(aliases),
            modules: Modules::Listed {
                names: names.into_iter().collect(),
                lacking,
            },
        }
    }

    /// Every driver that claims a device with this modalias. Several are common.
    ///
    /// They are in the order of `modules.alias`, and of their names where the index is a release's own.
    ///
    /// An alias is no proof: depmod may have run before the file was left out of an image, so the file is looked for.
    pub fn drivers(&self, modalias: &str) -> Vec<Driver> {
        let found = self.claims.lookup(modalias).into_iter();
        found
            .map(|(module, builtin)| Driver {
                module: module.to_owned(),
                usable: builtin || (self.has(module) && self.lacking(module).is_empty()),
            })
            .collect()
    }

    /// Whether the kernel has this module, as part of its image or as a file.
    ///
    /// Needed beside the aliases: Debian's `modules.builtin.modinfo` holds no alias of a PCI driver, so a driver in
    /// the image is found by its name only, once it is bound.
    pub fn has(&self, module: &str) -> bool {
        match &self.modules {
            Modules::Folder { folder, tree } => {
                tree.builtins.contains(module)
                    || tree
                        .dependencies
                        .path(module)
                        .is_some_and(|path| folder.join(path).is_file())
            }
            Modules::Listed { names, .. } => names.contains(&module.replace('-', "_")),
        }
    }

    /// Firmware files that a module names, none of which the image has. Only known of a release's own index.
    pub fn lacking(&self, module: &str) -> &[String] {
        match &self.modules {
            Modules::Folder { .. } => &[],
            Modules::Listed { lacking, .. } => lacking
                .get(&*module.replace('-', "_"))
                .map_or(&[], Vec::as_slice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_alone_is_no_driver() {
        let folder = tempfile::tempdir().expect("temp dir");
        let release = folder.path().join("6.12.1-test");
        std::fs::create_dir_all(release.join("kernel")).expect("mkdir");
        let write =
            |name: &str, text: &str| std::fs::write(release.join(name), text).expect("write");
        write(
            "modules.alias",
            "alias pci:v00008086d* here\nalias pci:v00008086d* not-here\nalias pci:v*bc01* inside\n",
        );
        write(
            "modules.dep",
            "kernel/here.ko.xz:\nkernel/not-here.ko.xz:\n",
        );
        write("modules.builtin", "kernel/inside.ko\n");
        write("kernel/here.ko.xz", "");
        let index = DriverIndex::read(&release).expect("index");
        assert_eq!(index.release, "6.12.1-test");
        let found = index.drivers("pci:v00008086d0000bc01");
        let expected = [("here", true), ("not_here", false), ("inside", true)];
        let expected = expected.map(|(module, usable)| Driver {
            module: module.to_owned(),
            usable,
        });
        assert_eq!(found, expected);
        assert!(index.has("inside") && !index.has("not-here"));
        assert!(index.drivers("pci:v00001234").is_empty());
    }

    #[test]
    fn the_shipped_index_knows_the_drivers_of_servers() {
        let index = DriverIndex::shipped().expect("well-formed");
        assert!(index.release.ends_with("-amd64") && index.xen.is_some());
        let claims = |modalias: &str, module: &str| {
            let found = index.drivers(modalias);
            found
                .iter()
                .any(|driver| driver.module == module && driver.usable)
        };
        assert!(claims(
            "pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02",
            "nvme"
        ));
        assert!(claims(
            "pci:v00008086d00001572sv00008086sd00000000bc02sc00i00",
            "i40e"
        ));
        assert!(claims(
            "pci:v00001000d0000005Dsv00001028sd00001F49bc01sc04i00",
            "megaraid_sas"
        ));
        // Firmware of sound and of graphics is not in the image.
        assert!(!index.has("snd_hda_intel") && !index.has("i915"));
        assert!(index.has("virtio_net") && index.has("virtio-net"));
    }

    #[test]
    fn a_wrong_folder_is_told() {
        let folder = tempfile::tempdir().expect("temp dir");
        let error = DriverIndex::read(folder.path()).expect_err("empty");
        assert!(error.to_string().contains("modules.alias"));
    }
}
