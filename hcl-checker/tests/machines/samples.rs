//! Whole machines.

use super::tree::Tree;

pub const INTEL: &str = "fpu pae apic nx lm cx16 vmx ept vpid smep smap x2apic";
pub const AMD_GUEST: &str = "fpu pae apic nx lm cx16 svm npt hypervisor";

/// A QEMU machine of type pc, with BIOS, a virtio disk with a GPT and a virtio NIC.
pub fn qemu_virtio() -> Tree {
    let tree = Tree::empty();
    tree.base("AuthenticAMD", 15, 107, AMD_GUEST, 4_014_488)
        .dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)");
    tree.cpus(&[("0", "0"), ("1", "1")]);
    tree.pci(
        "0000:00:03.0",
        [0x1af4, 0x1000, 0x1af4, 1],
        0x02_0000,
        Some("virtio-pci"),
    );
    tree.pci(
        "0000:00:04.0",
        [0x1af4, 0x1001, 0x1af4, 2],
        0x01_0000,
        Some("virtio-pci"),
    );
    let disk = tree.disk("vda", "0000:00:04.0/virtio1/block", 41_943_040, "254:0");
    tree.file(&format!("{disk}/serial"), "bedplate-1");
    partition(
        &tree,
        &disk,
        "vda1",
        1,
        2048,
        2_097_152,
        "PARTN=1\nPARTNAME=bedplate-esp\nPARTUUID=ABCD-01\n",
    );
    partition(&tree, &disk, "vda10", 10, 4_194_304, 2048, "PARTN=10\n");
    partition(
        &tree,
        &disk,
        "vda2",
        2,
        2_099_200,
        2048,
        "PARTN=2\nPARTNAME=bedplate state\n",
    );
    tree.file(
        "run/udev/data/b254:0",
        "S:disk/by-id/virtio-bedplate-1\nE:ID_PART_TABLE_TYPE=gpt\nE:ID_SERIAL=bedplate-1\n",
    );
    tree.file(
        "run/udev/data/b254:1",
        "E:ID_FS_TYPE=vfat\nE:ID_FS_LABEL=EFI_SYSTEM\nE:ID_FS_LABEL_ENC=EFI\\x20SYSTEM\nE:ID_FS_UUID=1234-ABCD\n",
    );
    // udev copies what it found on the disk into the records of its partitions.
    tree.file(
        "run/udev/data/b254:2",
        "E:ID_PART_TABLE_TYPE=gpt\nE:ID_PART_ENTRY_TYPE=0FC63DAF\n",
    );
    tree.file(
        "proc/self/mountinfo",
        "30 1 254:1 / /boot/efi rw - vfat /dev/vda1 rw\n",
    );
    tree.nic(
        "eth0",
        "0000:00:03.0/virtio0",
        "virtio_net",
        "52:54:00:12:34:56",
    );
    tree
}

/// A server with UEFI, Secure Boot, a TPM, an empty NVMe disk, and Ethernet that the list knows.
pub fn nvme_uefi() -> Tree {
    let tree = Tree::empty();
    tree.base("GenuineIntel", 6, 143, INTEL, 131_000_000)
        .dmi("Example Inc.", "Server 1000");
    tree.cpus(&[("0", "0-1"), ("0", "0-1"), ("0", "2-3"), ("0", "2-3")]);
    tree.file(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        [6, 0, 0, 0, 1],
    );
    tree.file(
        "sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        [6, 0, 0, 0, 0],
    );
    tree.file("sys/class/tpm/tpm0/tpm_version_major", "2\n");
    // A DMAR table whose flags, behind the head of 36 bytes and the width of addresses, say that interrupts are remapped.
    let mut dmar = [0; 48 + 16];
    dmar[37] = 1;
    (dmar[48 + 2], dmar[4]) = (16, 64);
    tree.file("sys/firmware/acpi/tables/DMAR", dmar);
    tree.pci(
        "0000:01:00.0",
        [0x144d, 0xa80a, 0x144d, 0xa801],
        0x01_0802,
        Some("nvme"),
    );
    tree.pci(
        "0000:02:00.0",
        [0x8086, 0x1572, 0x8086, 0x0007],
        0x02_0000,
        Some("i40e"),
    );
    tree.pci(
        "0000:02:00.1",
        [0x8086, 0x1572, 0x8086, 0x0007],
        0x02_0000,
        Some("i40e"),
    );
    let disk = tree.disk("nvme0n1", "0000:01:00.0/nvme/nvme0", 1_875_385_008, "259:0");
    tree.file(&format!("{disk}/wwid"), "eui.0025385b61b0d5e9\n");
    tree.link(&format!("{disk}/device"), "../../nvme0");
    let controller = "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0";
    tree.file(&format!("{controller}/serial"), "S675NX0T123456      \n");
    tree.file(
        &format!("{controller}/model"),
        "SAMSUNG MZQL2960HCJR-00A07              \n",
    );
    tree.file(&format!("{controller}/firmware_rev"), "GDC5602Q\n");
    tree.file("run/udev/data/b259:0", "E:ID_MODEL=x\n");
    tree.nic("eno1", "0000:02:00.0", "i40e", "3C:FD:FE:00:00:01");
    tree
}

/// A SATA disk with a member of LVM on it, and an optical drive.
pub fn sata() -> Tree {
    let tree = Tree::empty();
    tree.base("GenuineIntel", 6, 158, INTEL, 16_000_000)
        .dmi("Example Inc.", "Desktop");
    tree.cpus(&[("0", "0")]);
    tree.pci(
        "0000:00:1f.2",
        [0x8086, 0x2922, 0, 0],
        0x01_0601,
        Some("ahci"),
    );
    tree.pci(
        "0000:00:19.0",
        [0x8086, 0x10d3, 0, 0],
        0x02_0000,
        Some("e1000e"),
    );
    let disk = tree.disk(
        "sda",
        "0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block",
        234_441_648,
        "8:0",
    );
    let device = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
    tree.link(&format!("{disk}/device"), "../../../0:0:0:0");
    tree.file(
        &format!("{device}/vpd_pg80"),
        b"\x00\x80\x00\x14        WD-WX12A3456",
    );
    tree.file(&format!("{device}/wwid"), "naa.50014ee2b1234567\n");
    tree.file(&format!("{device}/model"), "WDC WD1200BEVS-0\n");
    tree.file(&format!("{device}/vendor"), "ATA     \n");
    tree.file(&format!("{disk}/queue/rotational"), "1\n");
    tree.file(
        "run/udev/data/b8:0",
        "S:disk/by-id/wwn-0x50014ee2b1234567\nS:disk/by-id/ata-WDC\nS:disk/by-path/x\nE:ID_FS_TYPE=LVM2_member\n\
         E:ID_MODEL=WDC_WD1200BEVS-08VAT2\nE:ID_MODEL_ENC=WDC\\x20WD1200BEVS-08VAT2\\x20\\x20\n",
    );
    tree.folder(&format!("{disk}/holders/dm-0"));
    let optical = tree.disk(
        "sr0",
        "0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block",
        2_097_151,
        "11:0",
    );
    tree.file(&format!("{optical}/removable"), "1\n");
    tree.nic("eth0", "0000:00:19.0", "e1000e", "52:54:00:12:34:57");
    tree
}

/// Adds a partition to a disk.
pub fn partition(
    tree: &Tree,
    disk: &str,
    name: &str,
    number: u32,
    start: u64,
    size: u64,
    uevent: &str,
) {
    let folder = format!("{disk}/{name}");
    tree.file(&format!("{folder}/partition"), format!("{number}\n"));
    tree.file(&format!("{folder}/start"), format!("{start}\n"))
        .file(&format!("{folder}/size"), format!("{size}\n"));
    tree.file(&format!("{folder}/dev"), format!("254:{number}\n"));
    tree.file(
        &format!("{folder}/uevent"),
        format!("MAJOR=254\nDEVTYPE=partition\n{uevent}"),
    );
    tree.folder(&format!("{folder}/holders"));
}
