//! Every parser of texts and tables alone, on damaged input: it says what is wrong or reads what it can, it never panics, and
//! its memory is in proportion to the input.

use super::fuzz::{Measure, Parser, run};
use super::tree::Tree;
use super::{samples, tables};
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::{Dump, Dumps};
use hcl_checker::fleet::Fleet;
use hcl_checker::list::List;
use hcl_checker::modalias::AliasIndex;
use hcl_checker::verdict::JudgedBy;
use hcl_checker::{Facts, Root, verdict};
use std::fs;
use std::path::Path;

/// Longest input in bytes.
const LONGEST: usize = 64 * 1024;
/// Bytes of memory for a byte of input: `{}` in a list is a PCI function, which is some hundred bytes, and a growing list
/// is there twice while it moves.
const FACTOR: usize = 1024;
/// What a parser may take whatever the input: buffers, indexes, facts that say of everything that it is unknown.
const BASE: usize = 8 << 20;
#[test]
fn parsers_of_damaged_input() {
    let measure = Measure {
        factor: FACTOR,
        base: BASE,
        longest: LONGEST,
    };
    run(parsers(), &measure);
}

fn parsers() -> Vec<Parser> {
    let list = List::built_in().expect("list");
    let text = |input: &[u8]| String::from_utf8_lossy(input).into_owned();
    let dump = |name: &'static str, seeds: &[&str], pick: fn(Dump<'_>) -> Dumps<'_>| Parser {
        name,
        seeds: seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(),
        read: Box::new(move |input| {
            let text = String::from_utf8_lossy(input);
            let dump = Dump { name, text: &text };
            if let Ok(facts) = pick(dump).facts() {
                drop(serde_json::to_vec(&facts).expect("serialize"));
            }
        }),
    };
    let lspci: fn(Dump<'_>) -> Dumps<'_> = |dump| Dumps {
        lspci: Some(dump),
        ..Dumps::default()
    };
    let facts = samples::nvme_uefi().facts();
    let json = serde_json::to_vec(&facts).expect("serialize");
    let many = br#"{"schema":1,"pci":[{},{},{}],"disks":[{"partitions":[{},{}]}],"nics":[{}]}"#;
    let lines = [json.as_slice(), many, b"nonsense", b""].join(&b'\n');
    let bundle = list.to_bundle().into_bytes();
    let own = br#"{"entry":[{"id":"a","class":"nic","match":{"pci":{"vendor":1,"devices":[2,3]}},"require":{"driver":"x","firmware":{"min":"1.2"}},"level":"compatible","evidence":["https://example.org"],"date":"2026-01-01"}]}"#;
    let judged = list.clone();
    let by = JudgedBy::of(&list, true);
    let mut smbios = tables();
    smbios.push(SMBIOS.to_vec());
    smbios.retain(|table| table.len() <= LONGEST);
    vec![
        tree("SMBIOS", smbios, &["sys/firmware/dmi/tables/DMI"]),
        tree(
            "ACPI",
            vec![
                acpi(b"DMAR", &DMAR),
                acpi(b"IVRS", &IVRS),
                acpi(b"APIC", &MADT),
            ],
            &["DMAR", "IVRS", "APIC"].map(|name| format!("sys/firmware/acpi/tables/{name}")),
        ),
        tree(
            "PCI config",
            vec![config()],
            &["sys/bus/pci/devices/0000:00:01.0/config"],
        ),
        tree(
            "CPUID",
            vec![CPUID.as_bytes().to_vec()],
            &["run/hcl-checker/cpuid"],
        ),
        tree(
            "sysfs text",
            vec![
                b"0-3,8\n".to_vec(),
                b"processor\t: 0\nflags\t\t: fpu lm\n".to_vec(),
            ],
            &[
                "sys/devices/system/cpu/online",
                "proc/cpuinfo",
                "proc/meminfo",
            ],
        ),
        within(
            samples::nvme_uefi(),
            "udev",
            vec![UDEV.as_bytes().to_vec()],
            &["run/udev/data/b259:0"],
        ),
        within(
            dom0(),
            "Xen",
            vec![XL_INFO.as_bytes().to_vec(), XEN_CPUID.as_bytes().to_vec()],
            &["run/hcl-checker/xl-info", "run/hcl-checker/xen-cpuid"],
        ),
        dump("lspci", &LSPCI, lspci),
        dump("dmidecode", &[DMIDECODE], |dump| Dumps {
            dmidecode: Some(dump),
            ..Dumps::default()
        }),
        dump("lscpu", &[LSCPU], |dump| Dumps {
            lscpu: Some(dump),
            ..Dumps::default()
        }),
        Parser {
            name: "facts",
            seeds: vec![json, many.to_vec()],
            read: Box::new(move |input| {
                if let Ok(facts) = Facts::from_json(input) {
                    drop(verdict::judge(&facts, &list, None));
                }
            }),
        },
        Parser {
            name: "fleet",
            seeds: vec![lines],
            read: Box::new(move |input| {
                let fleet = Fleet {
                    list: &judged,
                    drivers: None,
                    by: &by,
                };
                fleet.judge(input, std::io::sink()).expect("streams");
            }),
        },
        Parser {
            name: "bundle",
            seeds: vec![bundle[..bundle.len().min(LONGEST)].to_vec(), own.to_vec()],
            read: Box::new(|input| drop(List::from_bundle(input))),
        },
        Parser {
            name: "list",
            seeds: vec![LIST.as_bytes().to_vec()],
            read: Box::new(move |input| drop(List::parse("x", &text(input)))),
        },
        Parser {
            name: "aliases",
            seeds: vec![
                b"alias pci:v00008086d*sv*sd*bc[0-9]sc*i* e1000e\nalias virtio:d1v* x\n".to_vec(),
            ],
            read: Box::new(|input| {
                let index = AliasIndex::parse(&String::from_utf8_lossy(input), input);
                drop(index.lookup("pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"));
            }),
        },
        modules(),
    ]
}

/// Facts are read from a tree that holds the input in these files and nothing else.
fn tree(name: &'static str, seeds: Vec<Vec<u8>>, files: &[impl AsRef<Path>]) -> Parser {
    within(Tree::empty(), name, seeds, files)
}

/// Facts are read from a machine whose files of these names hold the input.
fn within(
    machine: Tree,
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    files: &[impl AsRef<Path>],
) -> Parser {
    let paths: Vec<_> = files.iter().map(|file| machine.path().join(file)).collect();
    for path in &paths {
        fs::create_dir_all(path.parent().expect("folder")).expect("mkdir");
    }
    Parser {
        name,
        seeds,
        read: Box::new(move |input| {
            for path in &paths {
                fs::write(path, input).expect("write");
            }
            let facts = Facts::read(&Root::at(machine.path()).expect("root"));
            drop(serde_json::to_vec(&facts).expect("serialize"));
        }),
    }
}

/// A machine that is seen from the first domain of Xen.
fn dom0() -> Tree {
    let machine = samples::nvme_uefi();
    machine
        .file("sys/hypervisor/type", "xen\n")
        .file("proc/xen/capabilities", "control_d\n");
    machine
}

/// `modules.alias` and `modules.dep` of a kernel.
fn modules() -> Parser {
    let folder = tempfile::tempdir().expect("temp dir");
    Parser {
        name: "modules",
        seeds: vec![
            b"alias pci:v*d*sv*sd*bc01sc08i02* nvme\nkernel/nvme.ko.xz: kernel/core.ko.xz\n"
                .to_vec(),
        ],
        read: Box::new(move |input| {
            for file in ["modules.alias", "modules.dep", "modules.builtin"] {
                fs::write(folder.path().join(file), input).expect("write");
            }
            if let Ok(index) = DriverIndex::read(folder.path()) {
                drop(index.drivers("pci:v0000144Dd0000A80Asv0000144Dsd0000A801bc01sc08i02"));
            }
        }),
    }
}

/// BIOS, system, one processor, one memory module, one slot, the end (DMTF DSP0134).
const SMBIOS: &[u8] = b"\x00\x18\x00\x00\x01\x02\x00\xf0\x03\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0V\x002.1\x0001/02/2020\0\0\
\x01\x1b\x01\x00\x01\x02\x00\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0Maker\0Server\0SN1\0\0\
\x04\x30\x04\x00\x01\x03\xb3\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x41\0\0\0\0\0\0\0\0\0\0\x08\x08\x10\0\0\0\0\0\0\0\0\0\0CPU0\0Intel\0\0\
\x11\x28\x11\x00\0\0\0\0\x48\0\x40\0\0\x40\x09\0\x01\0\x1a\x80\0\x70\x17\x02\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0DIMM A1\0Micron\0S1\0P\0\0\
\x09\x11\x09\x00\x01\xa5\x0d\x04\x03\x01\0\x0c\x01\0\0\x3b\x08PCIe Slot 1\0\0\x7f\x04\x7f\x00\0\0";

/// A remapping unit for all devices of segment 0, and a reserved region (Intel VT-d specification, chapter 8).
const DMAR: [u8; 36] = [
    0x2e, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0,
    1, 0, 4, 0, 0, 0, 0, 0,
];
/// One unit of AMD's IOMMU (48882, chapter 5).
const IVRS: [u8; 40] = [
    0x43, 0x30, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 24, 0, 2, 0, 0x40, 0, 0, 0, 0xd9, 0xfe,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// Local APIC, two enabled processors, one x2APIC (ACPI 6.5, 5.2.12).
const MADT: [u8; 40] = [
    0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 1, 1, 0, 0, 0, 9, 16, 0, 0, 0,
    1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
];

/// A table with its header, whose length is right.
fn acpi(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table = signature.to_vec();
    table.extend(u32::try_from(36 + body.len()).expect("short").to_le_bytes());
    table.resize(36, 0);
    table.extend(body);
    table
}

/// A PCI Express function with ACS and SR-IOV in its extended capabilities (PCI Express base specification, 7.7 and 9.3).
fn config() -> Vec<u8> {
    let mut space = vec![0; 4096];
    space[..4].copy_from_slice(&[0x86, 0x80, 0x72, 0x15]);
    space[6] = 0x10;
    space[0x34] = 0x40;
    space[0x40..0x44].copy_from_slice(&[0x10, 0, 0x02, 0]);
    space[0x100..0x108].copy_from_slice(&[0x0d, 0, 0x01, 0x14, 0x5f, 0, 0x1d, 0]);
    space[0x140..0x144].copy_from_slice(&[0x10, 0, 0x01, 0]);
    space
}

const CPUID: &str = "CPU:\n   0x00000000 0x00: eax=0x00000016 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n   \
0x00000001 0x00: eax=0x00050657 ebx=0x00100800 ecx=0x7ffefbff edx=0xbfebfbff\n   \
0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000000\n   \
0x0000000b 0x01: eax=0x00000006 ebx=0x00000030 ecx=0x00000201 edx=0x00000000\n   \
0x80000000 0x00: eax=0x80000008 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n";

/// A disk with a file system (systemd's `sd-device`: a letter for each kind of line).
const UDEV: &str = "S:disk/by-id/nvme-Samsung_S1\nS:disk/by-path/pci-0000:01:00.0-nvme-1\nW:3\nI:1234567\nE:ID_SERIAL=S1\n\
E:ID_MODEL=PM9A1\nE:ID_MODEL_ENC=PM9A1\\x20x\nE:ID_WWN=eui.0025\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL_ENC=a\\x2fb\n\
E:ID_PART_TABLE_TYPE=gpt\nG:systemd\nV:1\n";

/// `xl info -n` (Xen's tools/xl/xl_info.c).
const XL_INFO: &str = "host                   : h\nrelease                : 6.12\nnr_cpus                : 4\n\
virt_caps              : pv hvm hvm_directio hap\ntotal_memory           : 32687\nfree_memory            : 1024\n\
xen_version            : 4.20.2\nxen_commandline        : com1=115200\ncpu_topology           :\n\
cpu:    core    socket     node\n  0:       0        0        0\n  1:       1        1        1\ndevice topology        :\n\
device           node\nnuma_info              :\nnode:    memsize    memfree    distances\n   0:     17408       1024      10,20\n";

/// `xen-cpuid` (Xen's tools/misc/xen-cpuid.c).
const XEN_CPUID: &str = "Xen reports there are maximum 120 leaves and 3 MSRs\nRaw policy: 48 leaves, 3 MSRs\n\n\
Raw                             bfebfbff:77fefbff:2c100800:00000121:0000000f:d39ffffb:0800000c:00000100\n\
Host                            bfebfbff:77fefbff:2c100800:00000121:0000000f:d39ffffb:0800000c:00000100\n";

/// `-nn`, `-nnk`, `-vmmnnk` and `-vvnn`.
const LSPCI: [&str; 4] = [
    "00:1f.2 SATA controller [0106]: Intel Corporation 6 port SATA Controller [AHCI mode] [8086:2922] (rev 02)\n\
     0001:3b:00.0 0200: 15b3:1015\n",
    "00:1f.2 SATA controller [0106]: Intel Corporation SATA [8086:2922] (rev 02)\n\tSubsystem: Red Hat [1af4:1100]\n\t\
     Kernel driver in use: ahci\n\tKernel modules: ahci, other\n\n",
    "Slot:\t0000:3b:00.0\nClass:\tEthernet controller [0200]\nVendor:\tIntel Corporation [8086]\nDevice:\tX710 [1572]\n\
     SVendor:\tDell [1028]\nSDevice:\tCard [1f99]\nRev:\t02\nProgIf:\t00\nDriver:\ti40e\nModule:\ti40e\nNUMANode:\t0\n\
     IOMMUGroup:\t28\n\n",
    "3b:00.0 Ethernet controller [0200]: Intel Corporation X710 [8086:1572] (rev 02) (prog-if 00)\n\tSubsystem: Dell Card \
     [1028:1f99]\n\tPhysical Slot: 3\n\tControl: I/O- Mem+ BusMaster+\n\tNUMA node: 0\n\tIOMMU group: 28\n\tCapabilities: \
     [a0] Express (v2) Endpoint, MSI 00\n\t\tLnkCap:\tPort #0, Speed 8GT/s, Width x8\n\t\tLnkSta:\tSpeed 8GT/s, Width x8\n\t\
     Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n\t\tInitial VFs: 64, Total VFs: 64, Number of VFs: 0\n\t\
     Kernel driver in use: i40e\n",
];

const DMIDECODE: &str = "# dmidecode 3.4\nGetting SMBIOS data from sysfs.\nSMBIOS 3.3.0 present.\n\n\
Handle 0x0000, DMI type 0, 26 bytes\nBIOS Information\n\tVendor: Dell Inc.\n\tVersion: 2.12.2\n\n\
Handle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: Dell Inc.\n\tProduct Name: PowerEdge R640\n\n\
Handle 0x0400, DMI type 4, 48 bytes\nProcessor Information\n\tType: Central Processor\n\tStatus: Populated, Enabled\n\n\
Handle 0x1100, DMI type 17, 84 bytes\nMemory Device\n\tSize: 32 GB\n\tLocator: A1\n\tSpeed: 2933 MT/s\n\n";

const LSCPU: &str = "Architecture:        x86_64\nCPU(s):              96\n  On-line CPU(s) list: 0-94\nVendor ID:           \
GenuineIntel\n  Model name:        Intel(R) Xeon(R)\n    CPU family:      6\n    Model:           85\n    Thread(s) per \
core: 2\n    Core(s) per socket: 24\n    Socket(s):       2\n    Stepping:        7\n    Flags:           fpu lm nx cx16 vmx \
ept\nNUMA:\n  NUMA node(s):      2\n  NUMA node0 CPU(s): 0-23,48-71\n";

const LIST: &str = "[[entry]]\nid = \"a\"\nclass = \"nic\"\nmatch.pci = { vendor = 0x8086, devices = [0x10d3], class = \
\"0200\", revisions = [1, 2] }\nrequire.driver = \"x\"\nrequire.firmware.min = \"4.0\"\nlevel = \"compatible\"\nevidence = \
[\"https://example.org\"]\ndate = \"2026-01-01\"\nreleases = [\"0.1\"]\nfeatures.boot = false\n\n[[requirement]]\nid = \"r\"\n\
check.memory_at_least_mib = 1\notherwise = \"warn\"\nexpected = \"x\"\nadvice = \"y\"\nevidence = []\ndate = \"2026-01-01\"\n";
