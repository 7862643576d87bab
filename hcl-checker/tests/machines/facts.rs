//! What is read from each machine.

use super::samples::{INTEL, nvme_uefi, qemu_virtio, sata};
use super::tree::Tree;
use hcl_checker::Known;
use hcl_checker::facts::{
    Context, CountMethod, DiskKind, FirmwareKind, NicKind, Transport, Virtualization,
};

fn text(value: &str) -> Known<String> {
    Known::Value(value.to_owned())
}

#[test]
fn virtio_disk_with_partitions() {
    let facts = qemu_virtio().facts();
    let disks = facts.disks.value().expect("disks");
    assert_eq!(disks.len(), 1);
    let disk = &disks[0];
    assert_eq!(
        (disk.name.as_str(), disk.path.as_str()),
        ("vda", "/dev/vda")
    );
    assert_eq!(disk.by_id, ["/dev/disk/by-id/virtio-bedplate-1"]);
    assert_eq!(disk.serial, text("bedplate-1"));
    assert_eq!((&disk.wwn, &disk.model), (&Known::Absent, &Known::Absent));
    assert_eq!(disk.size_bytes, Known::Value(20 << 30));
    assert_eq!(
        (disk.logical_sector.value(), disk.physical_sector.value()),
        (Some(&512), Some(&4096))
    );
    assert_eq!(disk.transport, Known::Value(Transport::Virtio));
    assert_eq!(disk.pci_address, text("0000:00:04.0"));
    assert_eq!(
        disk.content
            .value()
            .and_then(|content| content.table.as_deref()),
        Some("gpt")
    );
    assert_eq!(disk.holds_data(), Known::Value(true));
    assert!(disk.is_in_use() && disk.is_install_candidate());
    let numbers: Vec<_> = disk
        .partitions
        .iter()
        .map(|part| part.number.value().copied())
        .collect();
    assert_eq!(
        numbers,
        [Some(1), Some(2), Some(10)],
        "in the order of the table, not of the names"
    );
    let esp = &disk.partitions[0];
    assert_eq!(
        (&esp.gpt_name, &esp.part_uuid),
        (&text("bedplate-esp"), &text("abcd-01"))
    );
    assert_eq!(
        (esp.start_bytes.value(), esp.size_bytes.value()),
        (Some(&(1 << 20)), Some(&(1 << 30)))
    );
    assert_eq!(esp.mount_points, ["/boot/efi"]);
    let content = esp.content.value().expect("content");
    assert_eq!(
        (content.kind.as_deref(), content.label.as_deref()),
        (Some("vfat"), Some("EFI SYSTEM"))
    );
    assert_eq!(disk.partitions[1].gpt_name, text("bedplate state"));
    assert_eq!(
        disk.partitions[1].content,
        Known::Absent,
        "the table is the disk's, not the partition's"
    );
    assert_eq!(disk.partitions[1].type_id, text("0fc63daf"));
    assert_eq!(disk.partitions[2].gpt_name, Known::Absent);
    assert!(
        disk.partitions[2].part_uuid.is_unknown(),
        "neither the kernel nor udev told it"
    );
    assert!(
        disk.partitions[2].content.is_unknown(),
        "udev has no record of it"
    );
}

#[test]
fn a_stick_with_a_hybrid_image_holds_the_image_once() {
    let tree = qemu_virtio();
    let image =
        "E:ID_FS_TYPE=iso9660\nE:ID_FS_UUID=2026-11-22-00-00-00-00\nE:ID_FS_LABEL=BEDPLATE\n";
    tree.file("run/udev/data/b254:0", image)
        .file("run/udev/data/b254:2", image);
    let facts = tree.facts();
    let disk = &facts.disks.value().expect("disks")[0];
    assert_eq!(
        disk.content
            .value()
            .and_then(|content| content.kind.as_deref()),
        Some("iso9660")
    );
    assert_eq!(disk.partitions[1].content, Known::Absent);
    let esp = disk.partitions[0].content.value().expect("content");
    assert_eq!(esp.kind.as_deref(), Some("vfat"), "what is its own stays");
}

#[test]
fn qemu_is_a_guest_by_its_names_alone() {
    let tree = qemu_virtio();
    assert_eq!(
        tree.facts().context,
        Known::Value(Context::Guest {
            hypervisor: "QEMU".to_owned()
        })
    );
    tree.base("GenuineIntel", 6, 143, INTEL, 1_000_000);
    assert_eq!(
        tree.facts().context,
        Known::Value(Context::Guest {
            hypervisor: "QEMU".to_owned()
        })
    );
    tree.dmi("Example Inc.", "Server 1000");
    assert_eq!(tree.facts().context, Known::Value(Context::Bare));
}

#[test]
fn nvme_disk_and_uefi() {
    let facts = nvme_uefi().facts();
    let disk = &facts.disks.value().expect("disks")[0];
    assert_eq!(disk.serial, text("S675NX0T123456"));
    assert_eq!(disk.model, text("SAMSUNG MZQL2960HCJR-00A07"));
    assert_eq!(disk.firmware_version, text("GDC5602Q"));
    assert!(disk.has_wwn("0x0025385B61B0D5E9"));
    assert_eq!(disk.transport, Known::Value(Transport::Nvme));
    assert_eq!(disk.pci_address, text("0000:01:00.0"));
    assert_eq!(disk.holds_data(), Known::Value(false));
    assert_eq!(facts.firmware.kind, Known::Value(FirmwareKind::Uefi));
    assert_eq!(facts.firmware.secure_boot, Known::Value(true));
    assert_eq!(facts.firmware.setup_mode, Known::Value(false));
    assert_eq!(
        facts.tpm.value().and_then(|tpm| tpm.major_version.value()),
        Some(&2)
    );
    assert_eq!(facts.context, Known::Value(Context::Bare));
    assert_eq!(facts.cpu.virtualization, Known::Value(Virtualization::Vmx));
    assert_eq!(facts.cpu.nested_paging, Known::Value(true));
    assert_eq!(facts.cpu.microcode, text("0x2b000590"));
    let topology = &facts.topology;
    assert_eq!(
        (
            topology.sockets.value(),
            topology.cores.value(),
            topology.threads.value()
        ),
        (Some(&1), Some(&2), Some(&4))
    );
    let nic = &facts.nics.value().expect("nics")[0];
    assert_eq!(
        (&nic.mac, &nic.permanent_mac),
        (&text("3c:fd:fe:00:00:01"), &text("3c:fd:fe:00:00:01"))
    );
    assert_eq!(
        (&nic.driver, &nic.pci_address),
        (&text("i40e"), &text("0000:02:00.0"))
    );
    assert_eq!(
        (nic.kind.value(), nic.speed_mbit.value()),
        (Some(&NicKind::Ethernet), Some(&1000))
    );
    assert_eq!(facts.pci.value().map(Vec::len), Some(3));
}

#[test]
fn sata_disk_and_optical_drive() {
    let facts = sata().facts();
    let disks = facts.disks.value().expect("disks");
    let (disk, optical) = (&disks[0], &disks[1]);
    assert_eq!(disk.serial, text("WD-WX12A3456"));
    assert!(disk.has_wwn("0x50014ee2b1234567"));
    assert_eq!(
        disk.model,
        text("WDC WD1200BEVS-08VAT2"),
        "whole, not as /sys cuts it"
    );
    assert_eq!(disk.vendor, Known::Absent);
    assert_eq!(
        disk.by_id,
        [
            "/dev/disk/by-id/ata-WDC",
            "/dev/disk/by-id/wwn-0x50014ee2b1234567"
        ]
    );
    assert_eq!(
        (disk.transport.value(), disk.rotational.value()),
        (Some(&Transport::Sata), Some(&true))
    );
    assert_eq!(
        disk.content
            .value()
            .and_then(|content| content.kind.as_deref()),
        Some("LVM2_member")
    );
    assert_eq!(disk.holders, ["dm-0"]);
    assert!(disk.is_in_use());
    assert_eq!(optical.kind, DiskKind::Optical);
    assert!(!optical.is_install_candidate());
    assert_eq!(facts.firmware.kind, Known::Value(FirmwareKind::Bios));
    assert_eq!(facts.firmware.secure_boot, Known::Value(false));
    assert_eq!(facts.firmware.setup_mode, Known::Value(false));
    assert_eq!(facts.tpm, Known::Absent);
}

#[test]
fn sockets_with_ids_that_are_not_contiguous() {
    let tree = sata();
    tree.cpus(&[
        ("36", "0,2"),
        ("8442", "1,3"),
        ("36", "0,2"),
        ("8442", "1,3"),
    ]);
    // A CPU that is off has no topology; one that says it is off does not count.
    tree.folder("sys/devices/system/cpu/cpu4");
    tree.file(
        "sys/devices/system/cpu/cpu5/topology/physical_package_id",
        "7\n",
    );
    tree.file("sys/devices/system/cpu/cpu5/topology/core_cpus_list", "5\n");
    tree.file("sys/devices/system/cpu/cpu5/online", "0\n");
    let topology = tree.facts().topology;
    assert_eq!(
        (
            topology.sockets.value(),
            topology.cores.value(),
            topology.threads.value()
        ),
        (Some(&2), Some(&2), Some(&4))
    );
}

#[test]
fn a_package_of_minus_one_is_not_known() {
    let tree = sata();
    tree.cpus(&[("-1", "0"), ("-1", "1")]);
    let topology = tree.facts().topology;
    assert!(
        topology
            .sockets
            .reason()
            .is_some_and(|reason| reason.contains("-1"))
    );
    assert_eq!(topology.threads, Known::Value(2));
}

#[test]
fn sockets_of_the_firmware_table_are_counted_too() {
    let tree = sata();
    let mut processor = vec![0; 0x1a];
    processor[..4].copy_from_slice(&[4, 0x1a, 0, 0]);
    (processor[5], processor[0x18]) = (3, 0x41);
    processor.extend([0, 0]);
    tree.file(
        "sys/firmware/dmi/tables/DMI",
        [&processor[..], &processor[..], &[127, 4, 0, 0, 0, 0]].concat(),
    );
    let counts = tree.facts().topology.socket_counts;
    let found: Vec<_> = counts
        .iter()
        .map(|count| (count.method, count.sockets.value().copied()))
        .collect();
    assert_eq!(
        found,
        [
            (CountMethod::Kernel, Some(1)),
            (CountMethod::Smbios, Some(2))
        ]
    );
}

#[test]
fn dom0_does_not_pass_off_its_view_as_the_truth() {
    let tree = nvme_uefi();
    tree.base("GenuineIntel", 6, 143, "lm nx hypervisor", 4_000_000);
    tree.file("sys/hypervisor/type", "xen\n")
        .file("proc/xen/capabilities", "control_d\n");
    tree.file(
        "sys/hypervisor/properties/capabilities",
        "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_64 \n",
    );
    let facts = tree.facts();
    assert_eq!(facts.context, Known::Value(Context::Dom0));
    assert_eq!(facts.cpu.virtualization, Known::Value(Virtualization::Hvm));
    assert_eq!(facts.cpu.nx, Known::Value(true));
    assert!(facts.cpu.nested_paging.is_unknown() && facts.cpu.cx16.is_unknown());
    assert!(facts.topology.sockets.is_unknown() && facts.memory.total_bytes.is_unknown());
    tree.file("proc/xen/capabilities", "\n");
    assert_eq!(
        tree.facts().context,
        Known::Value(Context::Guest {
            hypervisor: "Xen".to_owned()
        })
    );
    tree.file("sys/hypervisor/properties/features", "00002705\n");
    assert_eq!(
        tree.facts().context,
        Known::Value(Context::Guest {
            hypervisor: "Xen".to_owned()
        })
    );
    tree.file("sys/hypervisor/properties/features", "00002f05\n");
    assert_eq!(tree.facts().context, Known::Value(Context::Dom0));
}

#[test]
fn a_disk_with_several_paths_hangs_on_a_controller() {
    let tree = nvme_uefi();
    let head = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    tree.link(
        "sys/block/nvme1n1",
        "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme1n1",
    );
    tree.file(&format!("{head}/nvme1n1/size"), "8\n")
        .file(&format!("{head}/serial"), "HEAD\n");
    tree.link(&format!("{head}/nvme1n1/device"), "../../nvme-subsys0");
    tree.link(
        &format!("{head}/nvme0"),
        "../../../pci0000:00/0000:01:00.0/nvme/nvme0",
    );
    tree.file("sys/block/nvme1c0n1/hidden", "1\n");
    let facts = tree.facts();
    let disks = facts.disks.value().expect("disks");
    let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["nvme0n1", "nvme1n1"]);
    assert_eq!(
        (&disks[1].serial, &disks[1].pci_address),
        (&text("HEAD"), &text("0000:01:00.0"))
    );
}

#[test]
fn facts_survive_json() {
    for tree in [qemu_virtio(), nvme_uefi(), sata(), Tree::empty()] {
        let facts = tree.facts();
        let json = serde_json::to_vec(&facts).expect("serialize");
        assert_eq!(
            hcl_checker::Facts::from_json(&json).expect("deserialize"),
            facts
        );
    }
}
