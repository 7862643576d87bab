//! Facts in a few lines.

use super::style::{Paint, Style};
use crate::facts::{
    Acpi, Bmc, Context, Dimm, Disk, DiskKind, Facts, FirmwareKind, IommuKind, Nic, PciFunction,
    Slot,
};
use crate::known::Known;
use crate::verdict::device_name;
use std::fmt::Write;

/// One line that names the machine.
pub(super) fn summary(facts: &Facts) -> String {
    let names = [&facts.dmi.system_vendor, &facts.dmi.product];
    let named: Vec<&str> = names
        .iter()
        .filter_map(|name| name.value())
        .map(String::as_str)
        .collect();
    let system = if named.is_empty() {
        "system without a name".to_owned()
    } else {
        named.join(" ")
    };
    let cpu = facts
        .cpu
        .model_name
        .value()
        .cloned()
        .unwrap_or_else(|| "CPU unknown".to_owned());
    let sockets = match facts.topology.sockets.value() {
        Some(1) => "1 socket".to_owned(),
        Some(sockets) => format!("{sockets} sockets"),
        None => "sockets unknown".to_owned(),
    };
    let memory = match facts.memory.total_bytes.value() {
        Some(&bytes) => size(bytes, 1024),
        None => "memory unknown".to_owned(),
    };
    format!(
        "{system} | {cpu} | {sockets} | {memory} | {}",
        context(&facts.context)
    )
}

fn context(context: &Known<Context>) -> String {
    match context {
        Known::Value(Context::Bare) => "bare metal".to_owned(),
        Known::Value(Context::Guest { hypervisor }) => format!("virtual machine ({hypervisor})"),
        Known::Value(Context::Dom0) => "dom0 of Xen".to_owned(),
        Known::Absent | Known::Unknown(_) => "bare metal or not: unknown".to_owned(),
    }
}

/// Names that belong together; where none of them is known the reason once.
fn names(names: &[&Known<String>]) -> String {
    let first = names.first().map(ToString::to_string).unwrap_or_default();
    if names.iter().all(|name| name.value().is_none()) {
        return first;
    }
    let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
    shown.join(" ")
}

/// Columns before a fact.
const INDENT: usize = 11;

/// The facts as text.
pub(super) fn facts(facts: &Facts, style: Style) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let label = style.paint(Paint::Strong, format!("{label:<10}"));
        text += &style.lines(&format!("{label} "), INDENT, &value);
    };
    line("context", context(&facts.context));
    let dmi = &facts.dmi;
    line("system", names(&[&dmi.system_vendor, &dmi.product]));
    line("board", names(&[&dmi.board_vendor, &dmi.board]));
    line(
        "bios",
        names(&[&dmi.bios_vendor, &dmi.bios_version, &dmi.bios_date]),
    );
    let kind = facts.firmware.kind.clone().map(|kind| match kind {
        FirmwareKind::Uefi => "UEFI",
        FirmwareKind::Bios => "BIOS",
    });
    line(
        "firmware",
        format!(
            "{kind}, Secure Boot {}{}",
            on_off(&facts.firmware.secure_boot),
            match facts.firmware.setup_mode {
                Known::Value(true) => " (setup mode)",
                _ => "",
            }
        ),
    );
    line(
        "tpm",
        match &facts.tpm {
            Known::Value(tpm) => format!("version {}", tpm.major_version),
            Known::Absent => "none".to_owned(),
            Known::Unknown(unknown) => format!("unknown ({})", unknown.reason),
        },
    );
    let cpu = &facts.cpu;
    line("cpu", format!("{} {}", cpu.vendor, cpu.model_name));
    line(
        "",
        format!(
            "family {}, model {}, stepping {}, microcode {}",
            cpu.family, cpu.model, cpu.stepping, cpu.microcode
        ),
    );
    let virtualization = cpu
        .virtualization
        .clone()
        .map(|found| format!("{found:?}").to_lowercase());
    line(
        "",
        format!(
            "virtualization {virtualization}, nested paging {}",
            yes_no(&cpu.nested_paging)
        ),
    );
    let topology = &facts.topology;
    line(
        "topology",
        format!(
            "sockets {}, cores {}, threads {}, NUMA nodes {}",
            topology.sockets, topology.cores, topology.threads, topology.numa_nodes
        ),
    );
    line("iommu", iommu(&facts.acpi));
    line("bmc", bmc(&facts.bmc));
    let memory = &facts.memory;
    line(
        "memory",
        format!("{} {}", binary(&memory.total_bytes), memory.total_means()),
    );
    if memory.total_means() != "installed" {
        line(
            "",
            format!("{} installed", binary(&memory.installed_bytes())),
        );
    }
    let filled = memory.dimms.clone().map(|dimms| {
        let filled = |dimm: &Dimm| dimm.size_bytes != Known::Absent;
        dimms.into_iter().filter(filled).collect()
    });
    for_each(&mut line, "modules", &filled, module);
    for_each(&mut line, "slots", &facts.slots, slot);
    for_each(&mut line, "disks", &facts.disks, disk);
    for_each(&mut line, "nics", &facts.nics, nic);
    for_each(&mut line, "pci", &facts.pci, function);
    text
}

fn iommu(acpi: &Acpi) -> String {
    let iommu = match &acpi.iommu {
        Known::Value(iommu) => iommu,
        Known::Absent => return "none that the firmware describes".to_owned(),
        Known::Unknown(unknown) => return format!("unknown ({})", unknown.reason),
    };
    let kind = match iommu.kind {
        IommuKind::VtD => "VT-d",
        IommuKind::AmdVi => "AMD-Vi",
    };
    format!(
        "{kind}, units {}, in use by the kernel {}, interrupt remapping {}",
        iommu.units,
        acpi.iommus_in_use,
        yes_no(&iommu.interrupt_remapping)
    )
}

fn bmc(bmc: &Known<Bmc>) -> String {
    match bmc {
        Known::Value(bmc) => format!(
            "{}, IPMI {}, firmware {}",
            bmc.interface, bmc.ipmi_version, bmc.firmware_version
        ),
        Known::Absent => "none".to_owned(),
        Known::Unknown(unknown) => format!("unknown ({})", unknown.reason),
    }
}

fn module(dimm: &Dimm) -> String {
    let speed = match dimm.configured_speed_mts {
        Known::Value(speed) => format!("{speed} MT/s"),
        Known::Absent | Known::Unknown(_) => "speed unknown".to_owned(),
    };
    format!(
        "{}  {}, {}, {speed}, maker {}, part {}, serial {}",
        dimm.slot,
        binary(&dimm.size_bytes),
        dimm.kind,
        dimm.manufacturer,
        dimm.part_number,
        dimm.serial
    )
}

fn slot(slot: &Slot) -> String {
    let used = match slot.in_use {
        Known::Value(true) => "in use",
        Known::Value(false) => "empty",
        Known::Absent | Known::Unknown(_) => "not known whether in use",
    };
    format!(
        "{}  {}, {used}, PCI {}",
        slot.name, slot.kind, slot.pci_address
    )
}

fn function(function: &PciFunction) -> String {
    let mut text = format!(
        "{}  {}, driver {}",
        function.address,
        device_name(function),
        function.driver
    );
    // Writing to a String cannot fail.
    if let Known::Value(group) = function.iommu_group {
        let _ = write!(text, ", IOMMU group {group}");
    } else if let Known::Value(group) = function.computed_group {
        let _ = write!(text, ", IOMMU group {group} by its topology");
    }
    if let Known::Value(sriov) = function.sriov {
        let _ = write!(
            text,
            ", {} of {} virtual functions",
            sriov.enabled, sriov.total
        );
    }
    if let Known::Value(of) = &function.physical_function {
        let _ = write!(text, ", virtual function of {of}");
    }
    if let Known::Value(slot) = &function.slot {
        let _ = write!(text, ", in slot {slot}");
    }
    text
}

fn binary(bytes: &Known<u64>) -> String {
    bytes.clone().map(|bytes| size(bytes, 1024)).to_string()
}

/// One line for each of a list; one in all where it is not known or empty.
fn for_each<T>(
    line: &mut impl FnMut(&str, String),
    label: &str,
    list: &Known<Vec<T>>,
    show: impl Fn(&T) -> String,
) {
    match list {
        Known::Value(list) if !list.is_empty() => {
            for (number, item) in list.iter().enumerate() {
                line(if number == 0 { label } else { "" }, show(item));
            }
        }
        Known::Value(_) | Known::Absent => line(label, "none".to_owned()),
        Known::Unknown(unknown) => line(label, format!("unknown ({})", unknown.reason)),
    }
}

fn disk(disk: &Disk) -> String {
    let holds = match disk.holds_data() {
        Known::Value(true) if disk.is_in_use() => "in use",
        Known::Value(true) => "holds data",
        Known::Value(false) | Known::Absent => "no data found",
        Known::Unknown(_) => "not known what it holds",
    };
    let kind = match disk.kind {
        DiskKind::Disk => "",
        DiskKind::Optical => ", optical",
    };
    let bytes = disk.size_bytes.clone().map(|bytes| size(bytes, 1000));
    format!(
        "{}  {bytes}, model {}, serial {}, WWN {}, by {}{kind}, {} partitions, {holds}",
        disk.path,
        disk.model,
        disk.serial,
        disk.wwn,
        disk.transport,
        disk.partitions.len()
    )
}

fn nic(nic: &Nic) -> String {
    let link = match nic.carrier {
        Known::Value(true) => "link",
        Known::Value(false) => "no link",
        Known::Absent | Known::Unknown(_) => "link not known",
    };
    format!(
        "{}  {}, driver {}, PCI {}, {link}",
        nic.name, nic.mac, nic.driver, nic.pci_address
    )
}

fn on_off(known: &Known<bool>) -> String {
    known
        .clone()
        .map(|on| if on { "on" } else { "off" })
        .to_string()
}

fn yes_no(known: &Known<bool>) -> String {
    known
        .clone()
        .map(|yes| if yes { "yes" } else { "no" })
        .to_string()
}

/// Bytes with a unit: binary ones for memory, decimal ones for disks, as both are sold. Integers only.
pub(crate) fn size(bytes: u64, base: u64) -> String {
    let units = if base == 1024 {
        ["KiB", "MiB", "GiB", "TiB"]
    } else {
        ["KB", "MB", "GB", "TB"]
    };
    let (mut unit, mut scale) = (units[0], base);
    for next in &units[1..] {
        if bytes / scale < base {
            break;
        }
        (unit, scale) = (next, scale * base);
    }
    let tenths = bytes / (scale / 10).max(1);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        assert_eq!(size(512_110_190_592, 1000), "512.1 GB");
        assert_eq!(size(4 << 30, 1024), "4.0 GiB");
        assert_eq!(size(0, 1000), "0.0 KB");
        assert_eq!(size(u64::MAX, 1000), "18446744.0 TB");
    }
}
