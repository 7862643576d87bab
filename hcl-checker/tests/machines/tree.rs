//! Captured trees, made by hand in a temporary folder.

use hcl_checker::{Facts, Root};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A machine as its /proc and /sys show it.
pub struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    /// Nothing at all.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("temp dir"),
        }
    }

    /// The folder of the tree.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with the folders above it.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.inside(path);
        fs::write(path, content).expect("write");
        self
    }

    /// Makes a link whose target may not exist yet.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.inside(path)).expect("link");
        self
    }

    /// Makes a folder.
    pub fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.inside(path)).expect("mkdir");
        self
    }

    /// Path in the host's file system, with the folders above it made.
    pub fn inside(&self, path: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        path
    }

    /// Reads the facts.
    pub fn facts(&self) -> Facts {
        Facts::read(&self.root())
    }

    /// The tree as something to read from.
    pub fn root(&self) -> Root {
        Root::at(self.path()).expect("root")
    }

    /// /proc/cpuinfo of one CPU, a memory size, a kernel, and a firmware folder.
    pub fn base(
        &self,
        vendor: &str,
        family: u32,
        model: u32,
        flags: &str,
        memory_kib: u64,
    ) -> &Self {
        self.file(
            "proc/cpuinfo",
            format!(
                "processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {vendor} \
                 test CPU\nstepping\t: 1\nmicrocode\t: 0x2b000590\nflags\t\t: {flags}\n\nprocessor\t: 1\n"
            ),
        );
        self.file(
            "proc/meminfo",
            format!("MemTotal:       {memory_kib} kB\nMemFree:  1 kB\n"),
        );
        self.file("proc/sys/kernel/osrelease", "6.12.117+deb13-amd64\n");
        self.folder("sys/firmware/acpi")
            .folder("sys/class/tpm")
            .folder("sys/block")
            .folder("sys/class/net")
    }

    /// Names of system, board and firmware.
    pub fn dmi(&self, vendor: &str, product: &str) -> &Self {
        for (file, text) in [
            ("sys_vendor", vendor),
            ("product_name", product),
            ("board_vendor", vendor),
            ("board_name", "Board"),
            ("bios_vendor", "Firmware Inc."),
            ("bios_version", "1.2.3"),
            ("bios_date", "01/02/2025"),
        ] {
            self.file(&format!("sys/class/dmi/id/{file}"), format!("{text}\n"));
        }
        self
    }

    /// A PCI function below the host bridge.
    pub fn pci(&self, address: &str, ids: [u16; 4], class: u32, driver: Option<&str>) -> &Self {
        let real = format!("sys/devices/pci0000:00/{address}");
        let [vendor, device, subvendor, subdevice] = ids;
        let (base, sub, interface) = (class >> 16, (class >> 8) & 0xff, class & 0xff);
        self.file(
            &format!("{real}/modalias"),
            format!(
                "pci:v{vendor:08X}d{device:08X}sv{subvendor:08X}sd{subdevice:08X}bc{base:02X}sc{sub:02X}i{interface:02x}\n"
            ),
        );
        self.file(&format!("{real}/revision"), "0x03\n")
            .file(&format!("{real}/numa_node"), "-1\n");
        if let Some(driver) = driver {
            self.link(
                &format!("{real}/driver"),
                &format!("../../../bus/pci/drivers/{driver}"),
            );
        }
        self.link(
            &format!("sys/bus/pci/devices/{address}"),
            &format!("../../../devices/pci0000:00/{address}"),
        )
    }

    /// A disk: `below` is where it hangs below the host bridge. Returns its real folder.
    pub fn disk(&self, name: &str, below: &str, sectors: u64, number: &str) -> String {
        let real = format!("sys/devices/pci0000:00/{below}/{name}");
        self.link(
            &format!("sys/block/{name}"),
            &format!("../devices/pci0000:00/{below}/{name}"),
        );
        for (file, text) in [
            ("size", sectors.to_string()),
            ("dev", number.to_owned()),
            ("ro", "0".to_owned()),
            ("removable", "0".to_owned()),
            ("queue/rotational", "0".to_owned()),
            ("queue/logical_block_size", "512".to_owned()),
            ("queue/physical_block_size", "4096".to_owned()),
        ] {
            self.file(&format!("{real}/{file}"), format!("{text}\n"));
        }
        self.folder(&format!("{real}/holders"));
        real
    }

    /// A network interface of a device below the host bridge.
    pub fn nic(&self, name: &str, device: &str, driver: &str, mac: &str) -> &Self {
        let class = format!("sys/class/net/{name}");
        self.link(
            &format!("{class}/device"),
            &format!("../../../devices/pci0000:00/{device}"),
        );
        self.folder(&format!("sys/devices/pci0000:00/{device}"));
        let link = self.inside(&format!("sys/devices/pci0000:00/{device}/driver"));
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("../../../bus/drivers/{driver}"), link).expect("link");
        }
        self.file(&format!("{class}/address"), format!("{mac}\n"))
            .file(&format!("{class}/addr_assign_type"), "0\n")
            .file(&format!("{class}/type"), "1\n")
            .file(&format!("{class}/speed"), "1000\n")
            .file(&format!("{class}/carrier"), "1\n")
    }

    /// CPUs: for each its package and the threads of its core.
    pub fn cpus(&self, cpus: &[(&str, &str)]) -> &Self {
        for (number, (package, siblings)) in cpus.iter().enumerate() {
            let folder = format!("sys/devices/system/cpu/cpu{number}/topology");
            self.file(
                &format!("{folder}/physical_package_id"),
                format!("{package}\n"),
            );
            self.file(&format!("{folder}/core_cpus_list"), format!("{siblings}\n"));
        }
        self.folder("sys/devices/system/cpu/cpufreq")
            .folder("sys/devices/system/node/node0")
    }

    /// A modules folder whose drivers claim these patterns. Returns its path.
    pub fn modules(&self, aliases: &[(&str, &str)], builtin: &[&str]) -> std::path::PathBuf {
        let folder = "lib/modules/6.12.117+deb13-amd64";
        let lines: String = aliases
            .iter()
            .map(|(pattern, module)| format!("alias {pattern} {module}\n"))
            .collect();
        let names: std::collections::BTreeSet<&str> =
            aliases.iter().map(|(_, module)| *module).collect();
        for name in &names {
            self.file(&format!("{folder}/kernel/{name}.ko.xz"), "");
        }
        let needs: String = names
            .iter()
            .map(|name| format!("kernel/{name}.ko.xz:\n"))
            .collect();
        let inside: String = builtin
            .iter()
            .map(|name| format!("kernel/{name}.ko\n"))
            .collect();
        self.file(&format!("{folder}/modules.alias"), lines);
        self.file(&format!("{folder}/modules.dep"), needs);
        self.file(&format!("{folder}/modules.builtin"), inside);
        self.path().join(folder)
    }
}
