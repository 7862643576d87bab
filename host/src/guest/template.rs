//! Kinds of guests with defaults that run, and the definition that is made of one.

use super::devices::{GuestDisk, GuestNic};
use super::xml::{element, with_text};
use super::{Domain, Virtualization};
use crate::XeError;
use crate::local::derived_uuid;
use xmltree::{Element, XMLNode};

/// Finds kernel and initrd in the disk of a guest, by its GRUB configuration.
pub const PYGRUB: &str = "pygrub";

/// A kind of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// How the guest is virtualized.
    pub virtualization: Virtualization,
    /// Windows: enlightenments of Hyper-V, the clock in local time.
    pub windows: bool,
    /// Bytes of memory.
    pub memory: u64,
    /// Virtual processors.
    pub vcpus: u32,
    /// Bytes of the disk that is made where nobody says otherwise.
    pub disk: u64,
}

const GIB: u64 = 1 << 30;

/// All templates.
pub static ALL: [Template; 4] = [
    Template {
        name: "Linux PVH",
        about: "Linux in a hardware container: the quickest and leanest. Boots a kernel on the host, or the one that GRUB's \
                configuration in its disk names",
        virtualization: Virtualization::Pvh,
        windows: false,
        memory: GIB,
        vcpus: 1,
        disk: 10 * GIB,
    },
    Template {
        name: "Linux PV",
        about: "Linux on processors without virtualization, and kernels that are too old for PVH (before 4.11)",
        virtualization: Virtualization::Pv,
        windows: false,
        memory: GIB,
        vcpus: 1,
        disk: 10 * GIB,
    },
    Template {
        name: "Other install media",
        about: "A whole emulated machine with BIOS: any operating system, installed from an ISO image",
        virtualization: Virtualization::Hvm,
        windows: false,
        memory: 2 * GIB,
        vcpus: 2,
        disk: 20 * GIB,
    },
    Template {
        name: "Windows",
        about: "A whole emulated machine with BIOS, Hyper-V's enlightenments and the clock in local time",
        virtualization: Virtualization::Hvm,
        windows: true,
        memory: 4 * GIB,
        vcpus: 2,
        disk: 64 * GIB,
    },
];

impl Template {
    /// The same on every host.
    pub fn uuid(&self) -> String {
        derived_uuid(None, "template", self.name).to_string()
    }

    /// The template with this UUID or name.
    pub fn find(name: &str) -> Result<&'static Template, XeError> {
        ALL.iter()
            .find(|template| template.name == name || template.uuid() == name)
            .ok_or_else(|| crate::selection::uuid_invalid("template", name))
    }
}

/// What a new guest is to have besides what its template says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Its UUID.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Virtual processors.
    pub vcpus: Option<u32>,
    /// Its disks and drives.
    pub disks: Vec<GuestDisk>,
    /// Its network interfaces.
    pub nics: Vec<GuestNic>,
    /// A kernel on the host; PV and PVH guests without one boot by [`PYGRUB`].
    pub kernel: Option<String>,
    /// The initial ramdisk for it.
    pub ramdisk: Option<String>,
    /// The kernel's command line.
    pub args: Option<String>,
}

/// The definition of a new guest.
pub fn build(template: &Template, wishes: &Wishes) -> Domain {
    let mut root = element("domain", &[("type", "xen")]);
    let mut push = |child| root.children.push(XMLNode::Element(child));
    push(with_text("name", &wishes.name));
    push(with_text("uuid", &wishes.uuid));
    let memory = wishes.memory.unwrap_or(template.memory) >> 10;
    for name in ["memory", "currentMemory"] {
        let mut bytes = with_text(name, &memory.to_string());
        bytes.attributes.insert("unit".into(), "KiB".into());
        push(bytes);
    }
    push(with_text(
        "vcpu",
        &wishes.vcpus.unwrap_or(template.vcpus).to_string(),
    ));
    let hvm = template.virtualization == Virtualization::Hvm;
    if !hvm && wishes.kernel.is_none() {
        push(with_text("bootloader", PYGRUB));
    }
    push(os(template, wishes));
    if hvm {
        push(features(template));
    }
    let offset = if template.windows { "localtime" } else { "utc" };
    push(element("clock", &[("offset", offset)]));
    push(with_text("on_poweroff", "destroy"));
    push(with_text("on_reboot", "restart"));
    push(with_text("on_crash", "restart"));
    push(devices(template, wishes));
    // It was built from an element with a UUID a moment ago.
    Domain::from_element(root)
}

fn os(template: &Template, wishes: &Wishes) -> Element {
    let (machine, kind) = match template.virtualization {
        Virtualization::Pv => ("xenpv", "linux"),
        Virtualization::Pvh => ("xenpvh", "xenpvh"),
        Virtualization::Hvm => ("xenfv", "hvm"),
    };
    let mut os = Element::new("os");
    let mut push = |child| os.children.push(XMLNode::Element(child));
    let mut of_type = with_text("type", kind);
    of_type.attributes.insert("arch".into(), "x86_64".into());
    of_type.attributes.insert("machine".into(), machine.into());
    push(of_type);
    if template.virtualization == Virtualization::Hvm {
        // An empty disk is passed over, so the first start is the installer and the later ones are the disk.
        push(element("boot", &[("dev", "hd")]));
        push(element("boot", &[("dev", "cdrom")]));
    } else {
        let files = [
            ("kernel", &wishes.kernel),
            ("initrd", &wishes.ramdisk),
            ("cmdline", &wishes.args),
        ];
        for (name, value) in files {
            if let Some(value) = value {
                push(with_text(name, value));
            }
        }
    }
    os
}

fn features(template: &Template) -> Element {
    let mut features = Element::new("features");
    for name in ["acpi", "apic", "pae"] {
        features.children.push(XMLNode::Element(Element::new(name)));
    }
    if template.windows {
        let mut hyperv = Element::new("hyperv");
        for name in ["relaxed", "vapic"] {
            hyperv
                .children
                .push(XMLNode::Element(element(name, &[("state", "on")])));
        }
        features.children.push(XMLNode::Element(hyperv));
    }
    features
}

fn devices(template: &Template, wishes: &Wishes) -> Element {
    let mut devices = Element::new("devices");
    let mut push = |child| devices.children.push(XMLNode::Element(child));
    for disk in &wishes.disks {
        push(disk.to_xml());
    }
    for nic in &wishes.nics {
        push(nic.to_xml());
    }
    let mut port = |name: &str, target: Element| {
        let mut console = element(name, &[("type", "pty")]);
        console.children.push(XMLNode::Element(target));
        push(console);
    };
    if template.virtualization == Virtualization::Hvm {
        port("serial", element("target", &[("port", "0")]));
        push(element("input", &[("type", "tablet"), ("bus", "usb")]));
        // Reached through ssh, as virt-manager does; open to nobody else.
        push(element(
            "graphics",
            &[
                ("type", "vnc"),
                ("port", "-1"),
                ("autoport", "yes"),
                ("listen", "127.0.0.1"),
            ],
        ));
        let mut video = Element::new("video");
        video.children.push(XMLNode::Element(element(
            "model",
            &[("type", "vga"), ("vram", "16384"), ("heads", "1")],
        )));
        push(video);
    } else {
        port(
            "console",
            element("target", &[("type", "xen"), ("port", "0")]),
        );
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        Wishes {
            uuid: "33333333-3333-4333-8333-333333333333".into(),
            name: "a & b".into(),
            disks: vec![
                GuestDisk {
                    target: "xvda".into(),
                    cdrom: false,
                    source: Some("/dev/bedplate/vdi-1".into()),
                    read_only: false,
                },
                GuestDisk {
                    target: "hdd".into(),
                    cdrom: true,
                    source: None,
                    read_only: true,
                },
            ],
            nics: vec![GuestNic::new("xenbr0")],
            ..Wishes::default()
        }
    }

    /// libvirt's own schema, where its tools are installed.
    fn is_valid(text: &str) -> Option<bool> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let output = std::process::Command::new("virt-xml-validate")
            .arg(file.path())
            .arg("domain")
            .output()
            .ok()?;
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Some(output.status.success())
    }

    #[test]
    fn every_template_gives_a_definition_that_libvirt_takes() {
        let mut skipped = 0;
        for template in &ALL {
            let domain = build(template, &wishes());
            let text = domain.print();
            match is_valid(&text) {
                Some(valid) => assert!(valid, "{}:\n{text}", template.name),
                None => skipped += 1,
            }
            assert_eq!(domain.virtualization(), Some(template.virtualization));
            assert_eq!(domain.memory_max(), Some(template.memory));
            assert_eq!(domain.name(), "a & b");
            assert_eq!(domain.disks(), wishes().disks);
            assert_eq!(Template::find(&template.uuid()).unwrap(), template);
        }
        if skipped > 0 {
            eprintln!(
                "SKIPPED: {skipped} definitions not held against libvirt's schema (virt-xml-validate is not installed)"
            );
        }
        assert!(Template::find("nothing").is_err());
    }

    #[test]
    fn a_kernel_on_the_host_takes_the_place_of_the_boot_loader() {
        let pvh = Template::find("Linux PVH").unwrap();
        let by_disk = build(pvh, &wishes());
        assert_eq!(by_disk.bootloader(), PYGRUB);
        let by_host = build(
            pvh,
            &Wishes {
                kernel: Some("/boot/vmlinuz".into()),
                args: Some("console=hvc0".into()),
                ..wishes()
            },
        );
        assert_eq!(by_host.bootloader(), "");
        assert_eq!(by_host.boot_file("kernel"), "/boot/vmlinuz");
        assert_eq!(by_host.boot_file("initrd"), "");
        let hvm = build(Template::find("Other install media").unwrap(), &wishes());
        assert_eq!(hvm.boot_order(), "cd");
        assert_eq!((hvm.bootloader().as_str(), hvm.firmware()), ("", "bios"));
    }
}
