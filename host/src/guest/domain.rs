//! The definition of a guest, as libvirt keeps it. Whatever `xe` does not know about is kept as it is.

use super::devices::{GuestDisk, GuestNic, new_mac};
use super::xml::{attribute, child, children, element, find, remove, set_text, text, with_text};
use crate::XeError;
use std::collections::{BTreeMap, BTreeSet};
use xmltree::{Element, XMLNode};

/// Where libvirt keeps what it does not know itself: notes, tags, what a snapshot is of.
const NAMESPACE: &str = "urn:bedplate:xe:1";

/// How a guest is virtualized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Virtualization {
    /// Paravirtualized.
    Pv,
    /// Paravirtualized in a hardware container.
    Pvh,
    /// A whole emulated machine.
    Hvm,
}

impl Virtualization {
    /// As `vm-list` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Virtualization::Pv => "pv",
            Virtualization::Pvh => "pvh",
            Virtualization::Hvm => "hvm",
        }
    }
}

/// Whether libvirt takes this as the name of a guest: it is the name of a file, too.
pub fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(['/', '\n'])
}

/// A definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    root: Element,
}

impl Domain {
    /// Reads `<domain>`.
    pub fn parse(text: &str) -> Result<Domain, XeError> {
        let odd = |why: String| {
            XeError::failure(
                "INTERNAL_ERROR",
                format!("the definition of a virtual machine cannot be understood: {why}"),
            )
        };
        let root = super::xml::parse(text).map_err(odd)?;
        let domain = Domain { root };
        match domain.root.name == "domain" && !domain.uuid().is_empty() {
            true => Ok(domain),
            false => Err(odd("it is no <domain> with a <uuid>".to_owned())),
        }
    }

    /// From an element that was built here.
    pub(super) fn from_element(root: Element) -> Domain {
        Domain { root }
    }

    pub(super) fn root(&self) -> &Element {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }

    /// As text.
    pub fn print(&self) -> String {
        super::xml::print(&self.root)
    }

    /// Its UUID.
    pub fn uuid(&self) -> String {
        text(&self.root, &["uuid"]).unwrap_or_default()
    }

    /// Gives it another UUID.
    pub fn set_uuid(&mut self, uuid: &str) {
        set_text(&mut self.root, "uuid", Some(uuid));
    }

    /// Its name.
    pub fn name(&self) -> String {
        text(&self.root, &["name"]).unwrap_or_default()
    }

    /// Gives it another name.
    pub fn set_name(&mut self, name: &str) {
        set_text(&mut self.root, "name", Some(name));
    }

    /// Its description.
    pub fn description(&self) -> String {
        text(&self.root, &["description"]).unwrap_or_default()
    }

    /// Gives it another description; an empty one is none.
    pub fn set_description(&mut self, text: &str) {
        set_text(
            &mut self.root,
            "description",
            Some(text).filter(|text| !text.is_empty()),
        );
    }

    /// How it is virtualized; none for what this is not.
    pub fn virtualization(&self) -> Option<Virtualization> {
        match text(&self.root, &["os", "type"])?.as_str() {
            "linux" | "xen" => Some(Virtualization::Pv),
            "xenpvh" => Some(Virtualization::Pvh),
            "hvm" => Some(Virtualization::Hvm),
            _ => None,
        }
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        let number: u64 = text(&self.root, &[name])?.parse().ok()?;
        let unit = attribute(&self.root, &[name], "unit");
        let factor = match unit.as_deref().unwrap_or("KiB") {
            "b" | "bytes" => 1,
            "KiB" | "k" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor)
    }

    /// Bytes of memory at most.
    pub fn memory_max(&self) -> Option<u64> {
        self.bytes("memory")
    }

    /// Bytes of memory at its start.
    pub fn memory(&self) -> Option<u64> {
        self.bytes("currentMemory").or_else(|| self.memory_max())
    }

    /// Sets memory in bytes: at most, and at the start.
    pub fn set_memory(&mut self, max: u64, start: u64) {
        for (name, bytes) in [("memory", max), ("currentMemory", start)] {
            let memory = child(&mut self.root, name);
            memory.attributes.insert("unit".into(), "KiB".into());
            memory.children = vec![XMLNode::Text((bytes >> 10).to_string())];
        }
    }

    /// Virtual processors at most.
    pub fn vcpus_max(&self) -> Option<u32> {
        text(&self.root, &["vcpu"])?.parse().ok()
    }

    /// Virtual processors at its start.
    pub fn vcpus(&self) -> Option<u32> {
        attribute(&self.root, &["vcpu"], "current")
            .and_then(|text| text.parse().ok())
            .or_else(|| self.vcpus_max())
    }

    /// Sets virtual processors: at most, and at the start.
    pub fn set_vcpus(&mut self, max: u32, start: u32) {
        let vcpu = child(&mut self.root, "vcpu");
        vcpu.attributes.insert("current".into(), start.to_string());
        vcpu.children = vec![XMLNode::Text(max.to_string())];
    }

    /// `kernel`, `initrd` or `cmdline`.
    pub fn boot_file(&self, name: &str) -> String {
        text(&self.root, &["os", name]).unwrap_or_default()
    }

    /// Sets `kernel`, `initrd` or `cmdline`; an empty one is none.
    pub fn set_boot_file(&mut self, name: &str, value: &str) {
        set_text(
            child(&mut self.root, "os"),
            name,
            Some(value).filter(|text| !text.is_empty()),
        );
    }

    /// The program of dom0 that finds the kernel in the guest's disk.
    pub fn bootloader(&self) -> String {
        text(&self.root, &["bootloader"]).unwrap_or_default()
    }

    /// Sets the program that finds the kernel; an empty one is none.
    pub fn set_bootloader(&mut self, program: &str) {
        set_text(
            &mut self.root,
            "bootloader",
            Some(program).filter(|text| !text.is_empty()),
        );
    }

    /// What an HVM guest boots from, a letter each as XenServer writes it: `c` disk, `d` optical drive, `n` network.
    pub fn boot_order(&self) -> String {
        let Some(os) = find(&self.root, &["os"]) else {
            return String::new();
        };
        children(os, "boot")
            .filter_map(|boot| match boot.attributes.get("dev")?.as_str() {
                "hd" => Some('c'),
                "cdrom" => Some('d'),
                "network" => Some('n'),
                _ => None,
            })
            .collect()
    }

    /// Sets the order; false where a letter is none of these.
    pub fn set_boot_order(&mut self, order: &str) -> bool {
        let devices: Option<Vec<_>> = order
            .chars()
            .map(|letter| match letter {
                'c' => Some("hd"),
                'd' => Some("cdrom"),
                'n' => Some("network"),
                _ => None,
            })
            .collect();
        let Some(devices) = devices else {
            return false;
        };
        let os = child(&mut self.root, "os");
        remove(os, |element| element.name == "boot");
        for device in devices {
            os.children
                .push(XMLNode::Element(element("boot", &[("dev", device)])));
        }
        true
    }

    /// `bios` or `uefi`.
    pub fn firmware(&self) -> &'static str {
        match attribute(&self.root, &["os", "loader"], "type").as_deref() {
            Some("pflash") => "uefi",
            _ => "bios",
        }
    }

    /// What happens after `on_poweroff`, `on_reboot` or `on_crash`.
    pub fn action(&self, event: &str) -> String {
        text(&self.root, &[event]).unwrap_or_default()
    }

    /// Sets what happens.
    pub fn set_action(&mut self, event: &str, action: &str) {
        set_text(&mut self.root, event, Some(action));
    }

    /// Its disks and drives.
    pub fn disks(&self) -> Vec<GuestDisk> {
        find(&self.root, &["devices"]).map_or_else(Vec::new, |devices| {
            children(devices, "disk")
                .filter_map(GuestDisk::read)
                .collect()
        })
    }

    /// Its network interfaces.
    pub fn nics(&self) -> Vec<GuestNic> {
        find(&self.root, &["devices"]).map_or_else(Vec::new, |devices| {
            children(devices, "interface")
                .filter_map(GuestNic::read)
                .collect()
        })
    }

    /// The terminal of dom0 behind its serial console, while it runs.
    pub fn console(&self) -> Option<String> {
        attribute(&self.root, &["devices", "console"], "tty")
            .or_else(|| attribute(&self.root, &["devices", "console", "source"], "path"))
    }

    /// Adds a disk or an interface.
    pub fn add_device(&mut self, device: Element) {
        child(&mut self.root, "devices")
            .children
            .push(XMLNode::Element(device));
    }

    /// Puts another source under each disk for which `source` has one.
    pub fn replace_sources(&mut self, source: impl Fn(&GuestDisk) -> Option<String>) {
        let devices = child(&mut self.root, "devices");
        for node in &mut devices.children {
            if let XMLNode::Element(device) = node
                && device.name == "disk"
                && let Some(disk) = GuestDisk::read(device)
                && let Some(path) = source(&disk)
            {
                *device = GuestDisk {
                    source: Some(path),
                    ..disk
                }
                .to_xml();
            }
        }
    }

    /// Takes the media whose path fits out of the optical drives, and those that are no path. Of drives with another medium nothing
    /// stays but what was looked at.
    pub fn eject(&mut self, fits: impl Fn(&str) -> bool) {
        for node in &mut child(&mut self.root, "devices").children {
            if let XMLNode::Element(device) = node
                && device.name == "disk"
                && let Some(drive) = GuestDisk::read(device)
                && drive.cdrom
            {
                *device = GuestDisk {
                    source: drive.source.filter(|path| !fits(path)),
                    ..drive
                }
                .to_xml();
            }
        }
    }

    /// Gives every network interface a new address. Where it is connected stays, whatever that is.
    pub fn renew_addresses(&mut self) {
        for node in &mut child(&mut self.root, "devices").children {
            if let XMLNode::Element(device) = node
                && device.name == "interface"
            {
                child(device, "mac")
                    .attributes
                    .insert("address".into(), new_mac());
                // The name of dom0's end: two of the same name cannot be.
                remove(device, |element| element.name == "target");
            }
        }
    }

    /// Takes the passwords of its screens away, as libvirt does where nobody asks for them.
    pub fn forget_secrets(&mut self) {
        for node in &mut child(&mut self.root, "devices").children {
            if let XMLNode::Element(device) = node
                && device.name == "graphics"
            {
                device.attributes.shift_remove("passwd");
            }
        }
    }

    fn notes(&self) -> Option<&Element> {
        let metadata = find(&self.root, &["metadata"])?;
        children(metadata, "vm").find(|vm| vm.namespace.as_deref() == Some(NAMESPACE))
    }

    /// Notes of scripts.
    pub fn other_config(&self) -> BTreeMap<String, String> {
        self.entries("other-config")
    }

    /// What `xe` itself remembers: `snapshot-of`, `snapshot-time`.
    pub fn own(&self, key: &str) -> Option<String> {
        self.entries("own").remove(key)
    }

    /// The keys of what `xe` itself remembers.
    pub fn own_keys(&self) -> Vec<String> {
        self.entries("own").into_keys().collect()
    }

    /// Tags.
    pub fn tags(&self) -> BTreeSet<String> {
        self.entries("tag").into_keys().collect()
    }

    fn entries(&self, kind: &str) -> BTreeMap<String, String> {
        let Some(notes) = self.notes() else {
            return BTreeMap::new();
        };
        children(notes, kind)
            .filter_map(|entry| {
                let text = entry.get_text().unwrap_or_default().into_owned();
                Some((entry.attributes.get("key")?.clone(), text))
            })
            .collect()
    }

    /// Sets or, without a value, removes an entry: of `other-config`, `tag` or `own`.
    pub fn set_entry(&mut self, kind: &str, key: &str, value: Option<&str>) {
        let metadata = child(&mut self.root, "metadata");
        let is_ours = |node: &XMLNode| matches!(node, XMLNode::Element(e) if e.name == "vm" && e.namespace.as_deref() == Some(NAMESPACE));
        if !metadata.children.iter().any(is_ours) {
            metadata.children.push(XMLNode::Element(empty_notes()));
        }
        for node in &mut metadata.children {
            if let XMLNode::Element(notes) = node
                && notes.name == "vm"
                && notes.namespace.as_deref() == Some(NAMESPACE)
            {
                remove(notes, |entry| {
                    entry.name == kind && entry.attributes.get("key").is_some_and(|k| k == key)
                });
                if let Some(value) = value {
                    let mut entry = with_text(kind, value);
                    entry.prefix = Some("xe".to_owned());
                    entry.namespace = Some(NAMESPACE.to_owned());
                    entry.attributes.insert("key".into(), key.to_owned());
                    notes.children.push(XMLNode::Element(entry));
                }
            }
        }
    }
}

/// `<xe:vm xmlns:xe="...">`.
fn empty_notes() -> Element {
    let mut notes = Element::new("vm");
    notes.prefix = Some("xe".to_owned());
    notes.namespace = Some(NAMESPACE.to_owned());
    let mut namespaces = xmltree::Namespace::empty();
    namespaces.put("xe", NAMESPACE);
    notes.namespaces = Some(namespaces);
    notes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What libvirt 11.3.0 printed of a running PVH guest under Xen 4.20.
    pub(crate) const PVH: &str = r#"<domain type='xen' id='1'>
  <name>lab pvh</name>
  <uuid>33333333-3333-4333-8333-333333333333</uuid>
  <description>first &amp; only</description>
  <metadata>
    <other:thing xmlns:other="urn:other" a="b"/>
    <xe:vm xmlns:xe="urn:bedplate:xe:1">
      <xe:other-config key="a b">c &lt; d</xe:other-config>
    </xe:vm>
  </metadata>
  <memory unit='KiB'>196608</memory>
  <currentMemory unit='KiB'>180280</currentMemory>
  <vcpu placement='static' current='1'>2</vcpu>
  <os>
    <type arch='x86_64' machine='xenpvh'>xenpvh</type>
    <kernel>/boot/efi/bedplate/f7c7bb1f8b7f3b8d/vmlinuz</kernel>
    <initrd>/root/guest.cpio</initrd>
    <cmdline>console=hvc0 quiet -- 600</cmdline>
  </os>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <disk type='block' device='disk'>
      <driver name='phy' type='raw'/>
      <source dev='/dev/bedplate/vdi-11111111-1111-4111-8111-111111111111'/>
      <target dev='xvda' bus='xen'/>
    </disk>
    <controller type='xenbus' index='0'/>
    <interface type='bridge'>
      <mac address='00:16:3e:11:22:33'/>
      <source bridge='xenbr0'/>
      <target dev='vif1.0'/>
    </interface>
    <console type='pty' tty='/dev/pts/0'>
      <source path='/dev/pts/0'/>
      <target type='xen' port='0'/>
    </console>
    <input type='mouse' bus='xen'/>
    <input type='keyboard' bus='xen'/>
    <memballoon model='xen'/>
  </devices>
</domain>
"#;

    #[test]
    fn a_definition_is_read() {
        let domain = Domain::parse(PVH).unwrap();
        assert_eq!(domain.name(), "lab pvh");
        assert_eq!(domain.description(), "first & only");
        assert_eq!(domain.virtualization(), Some(Virtualization::Pvh));
        assert_eq!(domain.memory_max(), Some(192 << 20));
        assert_eq!(domain.memory(), Some(180_280 << 10));
        assert_eq!((domain.vcpus_max(), domain.vcpus()), (Some(2), Some(1)));
        assert_eq!(domain.boot_file("cmdline"), "console=hvc0 quiet -- 600");
        assert_eq!(domain.console().as_deref(), Some("/dev/pts/0"));
        assert_eq!(domain.other_config()["a b"], "c < d");
        assert_eq!(domain.disks()[0].target, "xvda");
        assert_eq!(domain.nics()[0].interface.as_deref(), Some("vif1.0"));
        for broken in [
            "",
            "<domain/>",
            "<network><uuid>1</uuid></network>",
            "<domain>",
        ] {
            assert!(Domain::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_changed_changes_and_the_rest_stays() {
        let mut domain = Domain::parse(PVH).unwrap();
        domain.set_name("a & b");
        domain.set_description("");
        domain.set_memory(1 << 30, 1 << 29);
        domain.set_vcpus(4, 3);
        domain.set_boot_file("initrd", "");
        domain.set_entry("other-config", "a b", None);
        domain.set_entry("other-config", "new", Some("<x>"));
        domain.set_entry("tag", "prod", Some(""));
        let again = Domain::parse(&domain.print()).unwrap();
        assert_eq!(again.name(), "a & b");
        assert_eq!(again.description(), "");
        assert_eq!(again.memory_max(), Some(1 << 30));
        assert_eq!(again.memory(), Some(1 << 29));
        assert_eq!((again.vcpus_max(), again.vcpus()), (Some(4), Some(3)));
        assert_eq!(again.boot_file("initrd"), "");
        assert_eq!(
            again.boot_file("kernel"),
            Domain::parse(PVH).unwrap().boot_file("kernel")
        );
        assert_eq!(again.other_config().len(), 1);
        assert_eq!(again.other_config()["new"], "<x>");
        assert!(again.tags().contains("prod"));
        let text = again.print();
        assert!(text.contains("urn:other"), "notes of others stay: {text}");
        assert!(text.contains("<memballoon"), "{text}");
    }

    #[test]
    fn a_copy_stays_on_the_network_of_the_original() {
        let isolated = "<interface type='network'><mac address='00:16:3e:44:55:66'/><source network='lab'/>\
                        <filterref filter='clean-traffic'/></interface></devices>";
        let mut domain = Domain::parse(&PVH.replace("</devices>", isolated)).unwrap();
        domain.renew_addresses();
        let text = domain.print();
        for kept in ["network=\"lab\"", "clean-traffic", "bridge=\"xenbr0\""] {
            assert!(text.contains(kept), "{text}");
        }
        for gone in ["00:16:3e:44:55:66", "00:16:3e:11:22:33", "vif1.0"] {
            assert!(!text.contains(gone), "{text}");
        }
        assert_eq!(domain.nics().len(), 2);
    }

    #[test]
    fn disks_and_addresses_are_replaced() {
        let mut domain = Domain::parse(PVH).unwrap();
        domain.replace_sources(|disk| (disk.target == "xvda").then(|| "/dev/x".to_owned()));
        assert_eq!(domain.disks()[0].source.as_deref(), Some("/dev/x"));
        let old = domain.nics();
        domain.renew_addresses();
        assert_ne!(domain.nics()[0].mac, old[0].mac);
        assert_eq!(domain.nics()[0].bridge, old[0].bridge);
        let drive = GuestDisk {
            target: "hdd".into(),
            cdrom: true,
            source: Some("/srv/iso/a.iso".into()),
            read_only: true,
        };
        domain.add_device(drive.to_xml());
        domain.eject(|path| path != "/srv/iso/a.iso");
        assert_eq!(domain.disks()[1], drive);
        domain.eject(|path| path == "/srv/iso/a.iso");
        assert_eq!(domain.disks()[1].source, None);
        assert_eq!(domain.disks()[0].source.as_deref(), Some("/dev/x"));
    }
}
