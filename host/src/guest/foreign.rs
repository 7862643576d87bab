//! What a definition that came from elsewhere says about the host itself. libvirt and Xen's tools do it as root: run the
//! boot loader and the scripts of network interfaces, read kernels, write what a serial port prints. A file that somebody
//! sent must not decide about that.

use super::Domain;
use super::template::PYGRUB;
use super::xml::{attribute, child, children, find, remove, text};
use xmltree::{Element, XMLNode};

/// Children of `<domain>` that say something about the guest alone (libvirt's formatdomain).
const OF_DOMAIN: [&str; 22] = [
    "name",
    "uuid",
    "genid",
    "title",
    "description",
    "metadata",
    "maxMemory",
    "memory",
    "currentMemory",
    "vcpu",
    "vcpus",
    "cputune",
    "numatune",
    "os",
    "features",
    "cpu",
    "clock",
    "pm",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "devices",
];
/// The same of `<os>`.
const OF_OS: [&str; 7] = [
    "type", "boot", "bootmenu", "bios", "smbios", "cmdline", "acpi",
];
/// The same of `<devices>`. Disks and network interfaces are looked at one by one.
const OF_DEVICES: [&str; 8] = [
    "disk",
    "interface",
    "controller",
    "input",
    "graphics",
    "video",
    "sound",
    "memballoon",
];
/// Devices that are characters going somewhere: nowhere but to a terminal of their own.
const TERMINALS: [&str; 2] = ["console", "serial"];
/// The script that Xen's tools take by themselves.
const OWN_SCRIPT: &str = "vif-bridge";

impl Domain {
    /// Takes away what this host says by itself: where its emulator and the firmware of emulated machines are.
    pub fn forget_programs(&mut self) {
        remove(child(self.root_mut(), "devices"), |element| {
            element.name == "emulator"
        });
        remove(child(self.root_mut(), "os"), |element| {
            element.name == "loader" && element.attributes.get("type").is_none_or(|t| t == "rom")
        });
    }

    /// The first thing of the host that the definition decides about: a path of names, with its content.
    pub fn foreign(&self) -> Option<String> {
        let root = self.root();
        elements(root).find_map(|element| match element.name.as_str() {
            _ if element.prefix.is_some() => Some(said("", element)),
            "os" => outside(element, &OF_OS),
            "devices" => elements(element).find_map(device),
            "bootloader" if text(root, &["bootloader"]).as_deref() == Some(PYGRUB) => None,
            name if OF_DOMAIN.contains(&name) => None,
            _ => Some(said("", element)),
        })
    }
}

fn elements(parent: &Element) -> impl Iterator<Item = &Element> {
    parent.children.iter().filter_map(XMLNode::as_element)
}

fn outside(parent: &Element, allowed: &[&str]) -> Option<String> {
    elements(parent)
        .find(|element| element.prefix.is_some() || !allowed.contains(&element.name.as_str()))
        .map(|element| said(&format!("{}/", parent.name), element))
}

fn device(device: &Element) -> Option<String> {
    let name = device.name.as_str();
    let of_type = device.attributes.get("type").map(String::as_str);
    let known = match name {
        _ if device.prefix.is_some() => false,
        "interface" => {
            let script = attribute(device, &["script"], "path");
            matches!(of_type, Some("bridge" | "network"))
                && script.is_none_or(|path| path == OWN_SCRIPT)
        }
        "graphics" => {
            // A socket is a file that is made by root.
            children(device, "listen").all(|listen| !listen.attributes.contains_key("socket"))
                && !device.attributes.contains_key("socket")
        }
        _ if TERMINALS.contains(&name) => {
            of_type == Some("pty") && find(device, &["log"]).is_none()
        }
        _ => OF_DEVICES.contains(&name),
    };
    (!known).then(|| said("devices/", device))
}

/// The element in words, short enough for an error.
fn said(path: &str, element: &Element) -> String {
    let mut out = format!("{path}{}", element.name);
    if let Some(kind) = element.attributes.get("type") {
        out += &format!(" type={kind}");
    }
    let script = attribute(element, &["script"], "path");
    if let Some(text) = script.or_else(|| element.get_text().map(|text| text.trim().to_owned()))
        && !text.is_empty()
    {
        let short: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        out += &format!(" {short}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::domain::tests::PVH;
    use crate::guest::template::{ALL, Wishes, build};

    #[test]
    fn what_templates_make_and_libvirt_adds_is_about_the_guest_alone() {
        for template in &ALL {
            let domain = build(
                template,
                &Wishes {
                    uuid: "1".into(),
                    ..Wishes::default()
                },
            );
            assert_eq!(domain.foreign(), None, "{}", template.name);
        }
        // As libvirt fills them in.
        let added = "<emulator>/usr/libexec/xen-qemu-system-i386</emulator><video><model type='vga'/></video>\
                     <interface type='bridge'><source bridge='xenbr0'/><script path='vif-bridge'/></interface></devices>";
        let loader = "<os><loader type='rom'>/usr/lib/xen-4.20/boot/hvmloader</loader>";
        let mut domain = Domain::parse(
            &PVH.replace("</devices>", added)
                .replace("<os>", loader)
                .replace(
                    "<kernel>/boot/efi/bedplate/f7c7bb1f8b7f3b8d/vmlinuz</kernel>",
                    "",
                )
                .replace("<initrd>/root/guest.cpio</initrd>", ""),
        )
        .unwrap();
        assert!(domain.foreign().is_some());
        domain.forget_programs();
        assert_eq!(domain.foreign(), None);
        assert!(!domain.print().contains("emulator"), "{}", domain.print());
    }

    #[test]
    fn what_root_would_run_read_or_write_is_foreign() {
        let plain = build(
            &ALL[0],
            &Wishes {
                uuid: "1".into(),
                ..Wishes::default()
            },
        )
        .print();
        let device = |xml: &str| plain.replace("</devices>", &format!("{xml}</devices>"));
        let top = |xml: &str| plain.replace("<devices>", &format!("{xml}<devices>"));
        let os = |xml: &str| plain.replace("</os>", &format!("{xml}</os>"));
        for (xml, wanted) in [
            (plain.replace(">pygrub<", ">/bin/sh<"), "bootloader /bin/sh"),
            (
                top("<bootloader_args>-c x</bootloader_args>"),
                "bootloader_args -c x",
            ),
            (
                top("<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>"),
                "commandline",
            ),
            (os("<kernel>/etc/shadow</kernel>"), "os/kernel /etc/shadow"),
            (os("<initrd>/etc/shadow</initrd>"), "os/initrd /etc/shadow"),
            (os("<nvram>/etc/shadow</nvram>"), "os/nvram /etc/shadow"),
            (
                os("<loader type='pflash'>/root/x</loader>"),
                "os/loader type=pflash /root/x",
            ),
            (
                device("<interface type='bridge'><script path='/tmp/x'/></interface>"),
                "devices/interface type=bridge /tmp/x",
            ),
            (
                device("<interface type='ethernet'/>"),
                "devices/interface type=ethernet",
            ),
            (
                device("<serial type='file'><source path='/etc/passwd'/></serial>"),
                "devices/serial type=file",
            ),
            (
                device("<console type='pty'><log file='/etc/passwd'/></console>"),
                "devices/console type=pty",
            ),
            (
                device("<hostdev mode='subsystem' type='pci'/>"),
                "devices/hostdev type=pci",
            ),
            (
                device("<filesystem type='mount'/>"),
                "devices/filesystem type=mount",
            ),
            (
                device("<graphics type='vnc' socket='/run/x'/>"),
                "devices/graphics type=vnc",
            ),
        ] {
            let mut domain = Domain::parse(&xml).unwrap();
            domain.forget_programs();
            assert_eq!(domain.foreign().as_deref(), Some(wanted), "{xml}");
        }
    }
}
