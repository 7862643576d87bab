//! Trees that are broken or meant to do harm: the facts are unknown, and nothing hangs, panics or leaves the tree.

use super::samples::{nvme_uefi, qemu_virtio};
use super::tree::Tree;
use hcl_checker::Known;
use std::fs::File;

#[test]
fn nothing_there_is_unknown_throughout() {
    let facts = Tree::empty().facts();
    let json = serde_json::to_value(&facts).expect("serialize");
    for group in ["context", "kernel_release", "tpm", "pci", "disks", "nics"] {
        assert!(
            json[group]["unknown"].is_string(),
            "{group}: {}",
            json[group]
        );
    }
    for (group, field) in [
        ("cpu", "vendor"),
        ("cpu", "long_mode"),
        ("cpu", "virtualization"),
        ("topology", "sockets"),
        ("topology", "numa_nodes"),
        ("memory", "total_bytes"),
        ("dmi", "product"),
        ("firmware", "kind"),
        ("firmware", "secure_boot"),
        ("firmware", "setup_mode"),
    ] {
        assert!(
            json[group][field]["unknown"].is_string(),
            "{group}.{field}: {}",
            json[group][field]
        );
    }
}

#[test]
fn links_that_circle_and_that_lead_outside() {
    let outside = Tree::empty();
    outside.file("secret", "SECRET");
    let secret = outside.path().join("secret");
    let secret = secret.to_str().expect("UTF-8");
    let tree = qemu_virtio();
    let disk = "sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda";
    std::fs::remove_file(tree.inside(&format!("{disk}/serial"))).expect("remove");
    tree.link(&format!("{disk}/serial"), secret);
    tree.link("sys/block/sdx", "../block/sdx");
    tree.link("sys/block/sdy", outside.path().to_str().expect("UTF-8"));
    tree.link(
        "sys/bus/pci/devices/0000:ff:00.0",
        "../devices/0000:ff:00.0",
    );
    tree.link("sys/class/net/eth9", "eth9");
    let facts = tree.facts();
    let json = serde_json::to_string(&facts).expect("serialize");
    assert!(!json.contains("SECRET"));
    let disks = facts.disks.value().expect("disks");
    assert_eq!(
        disks
            .iter()
            .find(|disk| disk.name == "vda")
            .map(|disk| &disk.serial),
        Some(&Known::Absent)
    );
    assert!(
        disks
            .iter()
            .filter(|disk| disk.name.starts_with("sd"))
            .all(|disk| disk.size_bytes.is_unknown())
    );
    assert_eq!(facts.pci.value().map(Vec::len), Some(3));
}

#[test]
fn huge_files_and_pipes() {
    let tree = nvme_uefi();
    for path in [
        "proc/meminfo",
        "proc/cpuinfo",
        "sys/class/dmi/id/product_name",
        "run/udev/data/b259:0",
    ] {
        let file = File::create(tree.inside(path)).expect("create");
        file.set_len(1 << 40).expect("sparse");
    }
    let pipe = tree.inside("sys/class/dmi/id/sys_vendor");
    std::fs::remove_file(&pipe).expect("remove");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo")
            .success()
    );
    let facts = tree.facts();
    assert!(facts.memory.total_bytes.is_unknown() && facts.cpu.vendor.is_unknown());
    assert!(facts.dmi.product.is_unknown() && facts.dmi.system_vendor.is_unknown());
    let disk = &facts.disks.value().expect("disks")[0];
    assert!(
        disk.holds_data().is_unknown(),
        "a record that cannot be read says nothing about the disk"
    );
}

#[test]
fn text_that_is_no_text() {
    let tree = nvme_uefi();
    tree.file("sys/class/dmi/id/product_name", b"\xff\xfeServer\x1b[2J\n");
    tree.file(
        "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/serial",
        b"S\x00\xc3\x28\n",
    );
    tree.file("sys/devices/pci0000:00/0000:01:00.0/modalias", b"\xff\xff");
    tree.file("sys/class/net/eno1/address", b"\x80\x80");
    let facts = tree.facts();
    assert_eq!(
        facts.dmi.product.value().map(String::as_str),
        Some("\\xff\\xfeServer\\x1b[2J")
    );
    let disk = &facts.disks.value().expect("disks")[0];
    assert_eq!(
        disk.serial.value().map(String::as_str),
        Some("S\\x00\\xc3(")
    );
    assert!(facts.nics.value().expect("nics")[0].mac.is_unknown());
    let function = facts.pci_function("0000:01:00.0").expect("function");
    assert!(
        function.ids.is_unknown(),
        "neither modalias nor files tell them"
    );
}

#[test]
fn numbers_that_are_none() {
    let tree = nvme_uefi();
    let disk = "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1";
    tree.file(&format!("{disk}/size"), "18446744073709551615\n");
    tree.file(&format!("{disk}/queue/rotational"), "2\n");
    tree.file(&format!("{disk}/queue/logical_block_size"), "-512\n");
    let facts = tree.facts();
    let disk = &facts.disks.value().expect("disks")[0];
    assert!(
        disk.size_bytes.is_unknown()
            && disk.rotational.is_unknown()
            && disk.logical_sector.is_unknown()
    );
    assert!(!disk.is_install_candidate());
}

#[test]
fn folders_and_pipes_in_place_of_every_file() {
    let tree = nvme_uefi();
    let whole = tree.facts();
    let files = std::process::Command::new("find")
        .arg(tree.path())
        .args(["-type", "f"])
        .output()
        .expect("find");
    let files = String::from_utf8(files.stdout).expect("UTF-8");
    assert!(files.lines().count() > 30);
    for file in files.lines() {
        std::fs::remove_file(file).expect("remove");
        std::fs::create_dir(file).expect("mkdir");
    }
    let folders = tree.facts();
    for file in files.lines() {
        std::fs::remove_dir(file).expect("remove");
    }
    let made = std::process::Command::new("mkfifo")
        .args(files.lines())
        .status();
    assert!(made.expect("mkfifo").success());
    // Opening one for reading would wait for ever.
    let pipes = tree.facts();
    for facts in [folders, pipes] {
        assert!(facts.cpu.vendor.is_unknown() && facts.memory.total_bytes.is_unknown());
        assert!(facts.dmi.product.is_unknown() && facts.firmware.secure_boot.is_unknown());
        // What the folders tell is still told.
        assert_eq!(
            facts.pci.value().map(Vec::len),
            whole.pci.value().map(Vec::len)
        );
    }
}
