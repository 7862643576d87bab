//! `modules.dep`, `modules.softdep` and `modules.builtin`.

use std::collections::{HashMap, HashSet};

/// Name of a module from its path: `kernel/drivers/nvme/host/nvme-core.ko.xz` is `nvme_core`.
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    stem.replace('-', "_")
}

/// Where each module's file is and which others it needs.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Path relative to the modules folder, and the numbers of the modules that it names.
    modules: Vec<Module>,
    /// Normalised name to number.
    by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Module {
    path: String,
    needs: Vec<usize>,
}

impl Dependencies {
    /// Reads the text of `modules.dep`. A dependency that has no line of its own is taken as a module without needs;
    /// lines without a colon are passed over.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let Some((path, needs)) = line.split_once(':') else {
                continue;
            };
            let path = path.trim();
            if path.is_empty() || path.starts_with('#') {
                continue;
            }
            let number = all.number(path);
            let needs = needs
                .split_ascii_whitespace()
                .map(|need| all.number(need))
                .collect();
            all.modules[number].needs = needs;
        }
        all
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// No module at all.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Path of a module relative to the modules folder; `-` and `_` are the same.
    pub fn path(&self, name: &str) -> Option<&str> {
        let number = *self.by_name.get(&name.replace('-', "_"))?;
        Some(&self.modules[number].path)
    }

    /// Names of all modules, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.modules.iter().map(|module| module_name(&module.path))
    }

    /// Paths to load for `name`, dependencies first and the module last. Empty where there is no such module.
    ///
    /// `depmod` lists all dependencies of a module, but the closure is taken here as well, so a file that lists only
    /// direct ones works, and a circle ends.
    pub fn load_order(&self, name: &str) -> Vec<&str> {
        let mut order = Vec::new();
        if let Some(&number) = self.by_name.get(&name.replace('-', "_")) {
            self.visit(number, &mut HashSet::new(), &mut order);
        }
        order
    }

    /// Number of a path, made on first sight.
    fn number(&mut self, path: &str) -> usize {
        let next = self.modules.len();
        let number = *self.by_name.entry(module_name(path)).or_insert(next);
        if number == next {
            self.modules.push(Module {
                path: path.to_owned(),
                needs: Vec::new(),
            });
        }
        number
    }

    /// Depth first without recursion: a hostile file may chain as many modules as it has lines.
    fn visit<'a>(&'a self, start: usize, seen: &mut HashSet<usize>, order: &mut Vec<&'a str>) {
        // depmod writes the need to load first at the right, so each list is walked from its end.
        let mut stack = vec![(start, self.modules[start].needs.len())];
        seen.insert(start);
        while let Some((number, left)) = stack.last_mut() {
            if *left == 0 {
                order.push(&self.modules[*number].path);
                stack.pop();
                continue;
            }
            *left -= 1;
            let need = self.modules[*number].needs[*left];
            if seen.insert(need) {
                stack.push((need, self.modules[need].needs.len()));
            }
        }
    }
}

/// What a module wants loaded before and behind it, though it has no symbol of theirs (`modules.softdep`).
#[derive(Debug, Clone, Default)]
pub struct SoftDependencies {
    by_name: HashMap<String, (Vec<String>, Vec<String>)>,
}

impl SoftDependencies {
    /// Reads the text of `modules.softdep`. A name that stands before `pre:` or `post:` counts for neither, as in kmod.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some("softdep"), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let (before, behind) = all.by_name.entry(name.replace('-', "_")).or_default();
            let mut list: Option<&mut Vec<String>> = None;
            for word in words {
                match word {
                    "pre:" => list = Some(&mut *before),
                    "post:" => list = Some(&mut *behind),
                    _ => {
                        if let Some(list) = &mut list {
                            list.push(word.to_owned());
                        }
                    }
                }
            }
        }
        all
    }

    /// Modules or aliases to load before `name`.
    pub fn before(&self, name: &str) -> &[String] {
        self.by_name
            .get(&name.replace('-', "_"))
            .map_or(&[], |(before, _)| before)
    }

    /// Modules or aliases to load behind `name`.
    pub fn behind(&self, name: &str) -> &[String] {
        self.by_name
            .get(&name.replace('-', "_"))
            .map_or(&[], |(_, behind)| behind)
    }
}

/// Modules that are part of the kernel image (`modules.builtin`).
#[derive(Debug, Clone, Default)]
pub struct Builtins {
    names: HashSet<String>,
}

impl Builtins {
    /// Reads the text of `modules.builtin`: one path a line.
    pub fn parse(text: &str) -> Self {
        Self {
            names: text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(module_name)
                .collect(),
        }
    }

    /// Whether `name` is built in; `-` and `_` are the same.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(&name.replace('-', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEP: &str = "\
kernel/drivers/nvme/host/nvme-core.ko.xz: kernel/drivers/nvme/common/nvme-auth.ko.xz kernel/crypto/dh_generic.ko.xz
kernel/drivers/nvme/common/nvme-auth.ko.xz: kernel/crypto/dh_generic.ko.xz
kernel/crypto/dh_generic.ko.xz:
kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz
kernel/drivers/x/lonely.ko: kernel/drivers/x/unlisted.ko
no colon here
";

    #[test]
    fn closure_has_dependencies_first() {
        let dependencies = Dependencies::parse(DEP);
        assert_eq!(
            dependencies.load_order("nvme"),
            [
                "kernel/crypto/dh_generic.ko.xz",
                "kernel/drivers/nvme/common/nvme-auth.ko.xz",
                "kernel/drivers/nvme/host/nvme-core.ko.xz",
                "kernel/drivers/nvme/host/nvme.ko.xz",
            ]
        );
        assert_eq!(
            dependencies.load_order("lonely"),
            ["kernel/drivers/x/unlisted.ko", "kernel/drivers/x/lonely.ko"]
        );
        assert!(dependencies.load_order("absent").is_empty());
        assert_eq!(
            dependencies.path("nvme_core"),
            dependencies.path("nvme-core")
        );
        assert_eq!(
            dependencies.path("nvme_core"),
            Some("kernel/drivers/nvme/host/nvme-core.ko.xz")
        );
    }

    #[test]
    fn a_circle_ends() {
        let dependencies = Dependencies::parse("a.ko: b.ko\nb.ko: c.ko\nc.ko: a.ko\n");
        assert_eq!(dependencies.load_order("a"), ["c.ko", "b.ko", "a.ko"]);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let text: String = (0..200_000)
            .map(|n| format!("m{n}.ko: m{}.ko\n", n + 1))
            .collect();
        assert_eq!(Dependencies::parse(&text).load_order("m0").len(), 200_001);
    }

    #[test]
    fn soft_dependencies() {
        let text = "softdep ext4 pre: crypto-crc32c\nsoftdep vfio post: a b\nsoftdep cifs gcm\nsoftdep ext4 pre: x\n";
        let soft = SoftDependencies::parse(text);
        assert_eq!(soft.before("ext4"), ["crypto-crc32c", "x"]);
        assert_eq!(soft.behind("vfio"), ["a", "b"]);
        assert!(soft.before("cifs").is_empty());
        assert!(soft.before("absent").is_empty());
    }

    #[test]
    fn built_in_names() {
        let builtins = Builtins::parse("kernel/mm/zsmalloc.ko\nkernel/fs/fuse/virtio-fs.ko\n");
        assert!(
            builtins.contains("zsmalloc")
                && builtins.contains("virtio_fs")
                && builtins.contains("virtio-fs")
        );
        assert!(!builtins.contains("nvme"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-c:. /\n]|pre:|softdep |\\PC){0,120}") {
            for name in Dependencies::parse(&text).names() {
                let _ = Dependencies::parse(&text).load_order(&name);
            }
            SoftDependencies::parse(&text);
            Builtins::parse(&text);
        }
    }
}
