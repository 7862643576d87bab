//! A kernel's modules folder as a whole: what to load for a device, in which order.

use super::{AliasIndex, Builtins, Dependencies, SoftDependencies};
use std::collections::HashSet;
use std::io;
use std::path::Path;

/// The text files of `/lib/modules/<release>`, read once.
#[derive(Debug, Clone, Default)]
pub struct ModuleTree {
    /// Which module claims which device.
    pub aliases: AliasIndex,
    /// Where the modules are and what they need.
    pub dependencies: Dependencies,
    /// What they want beside that.
    pub soft: SoftDependencies,
    /// What is in the kernel image.
    pub builtins: Builtins,
}

impl ModuleTree {
    /// Reads `modules.alias` and `modules.dep` of `folder`, and where they exist `modules.softdep`, `modules.builtin`
    /// and `modules.builtin.modinfo`.
    ///
    /// # Errors
    /// One of the first two is missing or unreadable, or one of the others exists and is unreadable; the error's text
    /// names the file.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let aliases = read(folder, "modules.alias")?;
        let dependencies = read(folder, "modules.dep")?;
        let soft = optional(read(folder, "modules.softdep"))?;
        let builtin = optional(read(folder, "modules.builtin"))?;
        let modinfo = optional(read(folder, "modules.builtin.modinfo"))?;
        Ok(Self {
            aliases: AliasIndex::parse(&String::from_utf8_lossy(&aliases), &modinfo),
            dependencies: Dependencies::parse(&String::from_utf8_lossy(&dependencies)),
            soft: SoftDependencies::parse(&String::from_utf8_lossy(&soft)),
            builtins: Builtins::parse(&String::from_utf8_lossy(&builtin)),
        })
    }

    /// Module names that `name` stands for: the module of that name, or all that claim it as an alias.
    pub fn resolve(&self, name: &str) -> Vec<String> {
        if self.dependencies.path(name).is_some() {
            return vec![name.replace('-', "_")];
        }
        self.aliases
            .modules(name)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// Files to load, in order and each once, for module names or aliases (a device's modalias is one): soft
    /// dependencies before the module, then its dependencies, the module, and what is to follow it. What is built in or
    /// has no file is left out.
    pub fn load_order<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&str> {
        let mut order = Vec::new();
        let mut loaded = HashSet::new();
        let mut asked = HashSet::new();
        for name in names {
            for module in self.resolve(name) {
                self.add(&module, &mut asked, &mut loaded, &mut order);
            }
        }
        order
    }

    /// Adds one module. The depth is bounded by `asked`: each module is entered once, and few have soft dependencies.
    fn add<'a>(
        &'a self,
        module: &str,
        asked: &mut HashSet<String>,
        loaded: &mut HashSet<&'a str>,
        order: &mut Vec<&'a str>,
    ) {
        if !asked.insert(module.to_owned()) {
            return;
        }
        for path in self.dependencies.load_order(module) {
            let name = super::module_name(path);
            if name != module {
                // A dependency may have soft dependencies of its own.
                self.add(&name, asked, loaded, order);
                continue;
            }
            for wanted in self
                .soft
                .before(module)
                .iter()
                .flat_map(|name| self.resolve(name))
            {
                self.add(&wanted, asked, loaded, order);
            }
            if loaded.insert(path) {
                order.push(path);
            }
            for wanted in self
                .soft
                .behind(module)
                .iter()
                .flat_map(|name| self.resolve(name))
            {
                self.add(&wanted, asked, loaded, order);
            }
        }
    }
}

/// Reads a file of the folder; the error names it.
fn read(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A file that need not exist.
fn optional(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> ModuleTree {
        ModuleTree {
            aliases: AliasIndex::parse(
                "alias pci:v00001425d* csiostor\nalias crypto-crc32c crc32c_generic\nalias fs-ext4 ext4\n\
                 alias pci:v00001AF4d* virtio_pci\n",
                b"",
            ),
            dependencies: Dependencies::parse(
                "k/csiostor.ko: k/scsi_mod.ko\nk/scsi_mod.ko:\nk/cxgb4.ko: k/tls.ko\nk/tls.ko:\n\
                 k/ext4.ko: k/jbd2.ko k/mbcache.ko\nk/jbd2.ko:\nk/mbcache.ko:\nk/crc32c_generic.ko:\n",
            ),
            soft: SoftDependencies::parse(
                "softdep csiostor pre: cxgb4\nsoftdep ext4 pre: crypto-crc32c\nsoftdep jbd2 pre: crypto-crc32c\n\
                 softdep scsi_mod post: ext4\n",
            ),
            builtins: Builtins::parse("k/virtio_pci.ko\n"),
        }
    }

    #[test]
    fn soft_dependencies_come_in_their_place() {
        let tree = tree();
        assert_eq!(
            tree.load_order(["ext4"]),
            [
                "k/mbcache.ko",
                "k/crc32c_generic.ko",
                "k/jbd2.ko",
                "k/ext4.ko"
            ]
        );
        let order = tree.load_order(["pci:v00001425d00005001sv0sd0bc01sc00i00", "ext4"]);
        let at = |name: &str| order.iter().position(|path| *path == name).expect(name);
        assert!(at("k/scsi_mod.ko") < at("k/csiostor.ko"));
        assert!(at("k/tls.ko") < at("k/cxgb4.ko") && at("k/cxgb4.ko") < at("k/csiostor.ko"));
        assert!(at("k/scsi_mod.ko") < at("k/ext4.ko"));
        assert_eq!(order.len(), 8, "each once: {order:?}");
    }

    #[test]
    fn built_in_needs_no_file() {
        let tree = tree();
        assert_eq!(tree.resolve("pci:v00001AF4d00001041"), ["virtio_pci"]);
        assert!(tree.load_order(["pci:v00001AF4d00001041"]).is_empty());
        assert!(tree.builtins.contains("virtio-pci"));
    }

    #[test]
    fn reads_a_folder_and_names_what_is_missing() {
        let folder = tempfile::tempdir().expect("temp dir");
        let error = ModuleTree::read(folder.path()).expect_err("empty folder");
        assert!(error.to_string().contains("modules.alias"), "{error}");
        std::fs::write(folder.path().join("modules.alias"), "alias fs-ext4 ext4\n").expect("write");
        std::fs::write(folder.path().join("modules.dep"), "kernel/ext4.ko.xz:\n").expect("write");
        let tree = ModuleTree::read(folder.path()).expect("two files are enough");
        assert_eq!(tree.load_order(["fs-ext4"]), ["kernel/ext4.ko.xz"]);
    }
}
