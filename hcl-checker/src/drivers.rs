//! Does a kernel drive a device? Asked of the kernel that will run the machine, which need not be the one that runs now.

use crate::modalias::ModuleTree;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The drivers of one kernel.
#[derive(Debug, Clone)]
pub struct DriverIndex {
    /// Release of the kernel: the name of its modules folder.
    pub release: String,
    /// Where it was read.
    pub folder: PathBuf,
    tree: ModuleTree,
}

/// A driver that claims a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Name of the module, with `_`.
    pub module: String,
    /// Whether it can be used: it is part of the kernel image, or its file is there.
    pub usable: bool,
}

impl DriverIndex {
    /// Reads `/lib/modules/<release>`, given as `folder`.
    ///
    /// # Errors
    /// `modules.alias` or `modules.dep` is missing or unreadable; the error's text names it.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let tree = ModuleTree::read(folder)?;
        let release = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self {
            release,
            folder: folder.to_owned(),
            tree,
        })
    }

    /// What was taken down elsewhere of a kernel: no files, so what can be used stands among the built-in modules.
    #[cfg(feature = "certify")]
    pub(crate) fn recorded(release: String, tree: ModuleTree) -> Self {
        Self {
            release,
            folder: PathBuf::new(),
            tree,
        }
    }

    /// Every driver that claims a device with this modalias. Several are common.
    ///
    /// An alias is no proof: depmod may have run before the file was left out of an image, so the file is looked for.
    pub fn drivers(&self, modalias: &str) -> Vec<Driver> {
        let found = self.tree.aliases.lookup(modalias);
        found
            .into_iter()
            .map(|found| Driver {
                module: found.module.to_owned(),
                usable: found.builtin || self.has(found.module),
            })
            .collect()
    }

    /// Whether the kernel has this module, as part of its image or as a file.
    ///
    /// Needed beside the aliases: Debian's `modules.builtin.modinfo` holds no alias of a PCI driver, so a driver in
    /// the image is found by its name only, once it is bound.
    pub fn has(&self, module: &str) -> bool {
        self.tree.builtins.contains(module)
            || self
                .tree
                .dependencies
                .path(module)
                .is_some_and(|path| self.folder.join(path).is_file())
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
    fn a_wrong_folder_is_told() {
        let folder = tempfile::tempdir().expect("temp dir");
        let error = DriverIndex::read(folder.path()).expect_err("empty");
        assert!(error.to_string().contains("modules.alias"));
    }
}
