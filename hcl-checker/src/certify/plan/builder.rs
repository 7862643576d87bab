//! Which tests a machine asks for.

use super::{Action, PlannedTest, Task};
use crate::certify::nic::{JumboTest, LinkTest, LossTest, ThroughputTest, VlanTest, Way};
use crate::certify::target::test_id;
use crate::certify::{CrashOf, GuestKind, MemoryTest, Options, StorageTest, Surroundings};
use crate::facts::{Context, Facts, NicKind};
use crate::known::Known;

/// Virtual functions made in a test: enough to show that it works.
const MAX_VFS: u32 = 8;
/// From a restart to the end of the next boot of a large server, whose firmware alone takes minutes.
const RESTART: u64 = 600;
/// Why what needs Xen is skipped.
const NO_XEN: &str = "Xen does not run here; certify on a host that was booted with Xen";

pub(super) struct Builder<'a> {
    facts: &'a Facts,
    surroundings: &'a Surroundings,
    options: &'a Options,
    tests: Vec<PlannedTest>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        surroundings: &'a Surroundings,
        options: &'a Options,
    ) -> Self {
        Self {
            facts,
            surroundings,
            options,
            tests: Vec::new(),
        }
    }

    /// Every test, in the order in which they run: what may take the machine down comes last.
    pub(super) fn all(mut self) -> Vec<PlannedTest> {
        self.cpu();
        self.guests();
        self.memory();
        self.storage();
        self.nics();
        self.sriov();
        self.add(
            "log",
            "Look for errors in the logs of kernel and hypervisor",
            5,
            "",
            Action::Run(Task::KernelLog),
        );
        self.restart();
        self.tests
    }

    fn add(&mut self, id: &str, title: &str, seconds: u64, changes: &str, action: Action) {
        // Nearly everything below opens devices or changes settings.
        let action = match action {
            Action::Run(task) if !self.surroundings.root && task.needs_root() => {
                Action::Skip("only root can do this; run it as root".to_owned())
            }
            other => other,
        };
        self.tests.push(PlannedTest {
            id: id.to_owned(),
            title: title.to_owned(),
            seconds,
            changes: changes.to_owned(),
            action,
        });
    }

    fn cpu(&mut self) {
        self.add(
            "cpu.topology",
            "Count CPUs and run on each",
            2,
            "",
            Action::Run(Task::Topology),
        );
        self.add(
            "cpu.virtualization",
            "Look whether Xen can virtualize",
            1,
            "",
            Action::Run(Task::Virtualization),
        );
        let seconds = self.options.cpu_seconds;
        self.add(
            "cpu.load",
            "Calculate on every CPU",
            seconds,
            "",
            Action::Run(Task::CpuLoad { seconds }),
        );
    }

    fn guests(&mut self) {
        for kind in [GuestKind::Pv, GuestKind::Pvh, GuestKind::Hvm] {
            let action = match (self.facts.context.value(), &self.surroundings.guest_kernel) {
                (Some(Context::Dom0), Some(kernel)) => Action::Run(Task::Guest {
                    kind,
                    kernel: kernel.clone(),
                }),
                (Some(Context::Dom0), None) => Action::Skip(
                    "no kernel for a guest was found; name one with --guest-kernel FILE".to_owned(),
                ),
                _ => Action::Skip(NO_XEN.to_owned()),
            };
            let name = kind.name();
            self.add(
                &format!("guest.{name}"),
                &format!(
                    "Start a guest of kind {} and hear from it",
                    name.to_uppercase()
                ),
                30,
                "a guest named hcl-checker-*, removed again",
                action,
            );
        }
    }

    fn memory(&mut self) {
        let test = MemoryTest {
            seconds: self.options.memory_seconds,
            limit_bytes: self.options.memory_limit,
        };
        self.add(
            "memory",
            "Write and read patterns in free memory",
            test.seconds,
            "",
            Action::Run(Task::Memory(test)),
        );
    }

    fn storage(&mut self) {
        if self.options.erase.is_empty() {
            let reason =
                "no disk may be erased; name one with --erase-disk PATH, whose content is lost";
            self.add(
                "disk",
                "Write, verify and read a disk",
                0,
                "",
                Action::Skip(reason.to_owned()),
            );
            return;
        }
        for path in self.options.erase.clone() {
            let disks = self
                .facts
                .disks
                .value()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_it = |name: &str| path.to_str() == Some(name);
            let known = disks
                .iter()
                .find(|disk| is_it(&disk.path) || disk.by_id.iter().any(|name| is_it(name)));
            let test = StorageTest {
                path: path.clone(),
                disk: known.map(|disk| disk.name.clone()),
                serial: known.and_then(|disk| disk.serial.value().cloned()),
                wwn: known.and_then(|disk| disk.wwn.value().cloned()),
                size_bytes: known.and_then(|disk| disk.size_bytes.value().copied()),
                seconds: self.options.disk_seconds,
                limit_bytes: self.options.disk_limit,
            };
            self.add(
                &test_id(&path),
                &format!("Write, verify and read {}", path.display()),
                // Writing and verifying have half of the time each; the random reads come on top.
                self.options.disk_seconds + self.options.disk_seconds / 2,
                &format!("the content of {} is lost", path.display()),
                Action::Run(Task::Storage(test)),
            );
        }
    }

    fn nics(&mut self) {
        let nics = self
            .facts
            .nics
            .value()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let wired: Vec<String> = nics
            .iter()
            .filter(|nic| nic.kind == Known::Value(NicKind::Ethernet))
            .map(|nic| nic.name.clone())
            .collect();
        let named = self.options.peers.keys();
        // Bridges and bonds are no hardware, and traffic through them is. A bridge with one port of hardware is tested as
        // that port.
        let software = named
            .filter(|name| !wired.contains(name) && self.only_port(name, &wired).is_none())
            .cloned();
        let mut names: Vec<String> = wired.iter().cloned().chain(software).collect();
        names.sort_unstable();
        if names.is_empty() {
            self.add(
                "nic",
                "Test network interfaces",
                0,
                "",
                Action::Skip("no wired network interface was found".to_owned()),
            );
        }
        for name in names {
            self.nic(&name, &wired);
        }
    }

    /// The one port of hardware of a bridge.
    fn only_port<'s>(&'s self, bridge: &str, wired: &[String]) -> Option<&'s str> {
        let ports = self.surroundings.bridges.get(bridge)?;
        let mut hardware = ports.iter().filter(|port| wired.contains(port));
        hardware
            .next()
            .filter(|_| hardware.next().is_none())
            .map(String::as_str)
    }

    /// The way to the peer of an interface, or why there is none.
    fn way(&self, name: &str, wired: &[String]) -> Result<Way, String> {
        let bridge = self
            .surroundings
            .bridges
            .iter()
            .find_map(|(bridge, ports)| ports.iter().any(|port| port == name).then_some(bridge));
        let peers = &self.options.peers;
        let peer = peers.get(name).or_else(|| peers.get(bridge?));
        let Some(peer) = peer else {
            return Err(format!(
                "no peer was named; run `hcl-checker peer` on a machine that {name} reaches and give --peer {name}=ADDRESS"
            ));
        };
        if let Some(bridge) = bridge
            && self.only_port(bridge, wired) != Some(name)
        {
            return Err(format!(
                "{name} is one of several ports of {bridge}, and nobody can tell which of them carries what; take it out of \
                 {bridge} to test it, and give --peer {name}=ADDRESS"
            ));
        }
        Ok(Way {
            interface: name.to_owned(),
            bridge: bridge.cloned(),
            peer: peer.clone(),
        })
    }

    fn nic(&mut self, name: &str, wired: &[String]) {
        let seconds = self.options.net_seconds;
        self.add(
            &format!("nic.{name}.link"),
            &format!("Look for a link on {name}"),
            3,
            &format!("{name} is up, if it was down"),
            Action::Run(Task::Link(LinkTest {
                interface: name.to_owned(),
            })),
        );
        let way = self.way(name, wired);
        let with_peer = |task: &dyn Fn(Way) -> Task| match &way {
            Ok(way) => Action::Run(task(way.clone())),
            Err(reason) => Action::Skip(reason.clone()),
        };
        let bridge = way.as_ref().ok().and_then(|way| way.bridge.as_ref());
        let both = bridge.map_or(name.to_owned(), |bridge| format!("{name} and {bridge}"));
        let above = bridge.map_or(name, String::as_str);
        let own = match way.as_ref().map(|way| &way.peer.own_address) {
            Ok(Some(address)) => format!("address {address} on {above}"),
            _ => String::new(),
        };
        let throughput = with_peer(&|way| Task::Throughput(ThroughputTest { way, seconds }));
        let loss = with_peer(&|way| Task::Loss(LossTest { way, seconds }));
        let jumbo = with_peer(&|way| Task::Jumbo(JumboTest { way }));
        let vlan = match self.options.vlan {
            Some(id) => with_peer(&|way| Task::Vlan(VlanTest { way, id })),
            None => {
                let named = "give a VLAN that the switch lets through with --vlan ID";
                Action::Skip(match &way {
                    Ok(_) => format!("no VLAN was named; {named}"),
                    Err(reason) => format!("{reason}, and {named}"),
                })
            }
        };
        self.add(
            &format!("nic.{name}.throughput"),
            &format!("Send and receive data through {name}"),
            2 * seconds,
            &own,
            throughput,
        );
        self.add(
            &format!("nic.{name}.loss"),
            &format!("Count datagrams through {name}"),
            seconds + 2,
            &own,
            loss,
        );
        self.add(
            &format!("nic.{name}.jumbo"),
            &format!("Send frames of 9000 bytes through {name}"),
            5,
            &format!("MTU 9000 on {both} and at the peer"),
            jumbo,
        );
        self.add(
            &format!("nic.{name}.vlan"),
            &format!("Send through a VLAN on {name}"),
            5,
            &format!("a VLAN interface on {above} and at the peer"),
            vlan,
        );
    }

    fn sriov(&mut self) {
        if let Some(reason) = self.facts.pci.reason() {
            self.add(
                "sriov",
                "Make and remove virtual functions",
                0,
                "",
                Action::Skip(format!(
                    "it is not known which devices could have virtual functions: {reason}"
                )),
            );
        }
        let functions = self
            .facts
            .pci
            .value()
            .map(Vec::as_slice)
            .unwrap_or_default();
        for function in functions {
            let address = function.address.clone();
            let sriov = match &function.sriov {
                Known::Value(sriov) if sriov.total > 0 => *sriov,
                Known::Value(_) | Known::Absent => continue,
                // Unknown is no reason to leave it out.
                Known::Unknown(unknown) => {
                    let reason = format!(
                        "it is not known whether {address} could have virtual functions: {}",
                        unknown.reason
                    );
                    self.one_sriov(&address, Action::Skip(reason));
                    continue;
                }
            };
            let action = if !self.options.sriov {
                Action::Skip(
                    "not asked for; --sriov makes virtual functions, and some drivers reset the port for it".to_owned(),
                )
            } else if sriov.enabled > 0 {
                Action::Skip(format!(
                    "{} virtual functions are in use; free them first: echo 0 > /sys/bus/pci/devices/{address}/sriov_numvfs",
                    sriov.enabled
                ))
            } else {
                Action::Run(Task::Sriov {
                    address: address.clone(),
                    count: sriov.total.min(MAX_VFS),
                })
            };
            self.one_sriov(&address, action);
        }
    }

    fn one_sriov(&mut self, address: &str, action: Action) {
        self.add(
            &format!("sriov.{address}"),
            &format!("Make and remove virtual functions of {address}"),
            10,
            &format!("virtual functions of {address}"),
            action,
        );
    }

    fn restart(&mut self) {
        let surroundings = self.surroundings;
        let possible = |task: Task| {
            if !surroundings.systemd {
                Action::Skip(
                    "systemd does not run here, so nothing can restart the machine".to_owned(),
                )
            } else if !surroundings.folder_survives {
                Action::Skip(
                    "the folder of this run is lost by a restart; name one on a disk with --out"
                        .to_owned(),
                )
            } else {
                Action::Run(task)
            }
        };
        let restart = if self.options.restart {
            possible(Task::Restart)
        } else {
            Action::Skip("not asked for; --restart restarts the machine".to_owned())
        };
        let unit = "the machine restarts; a unit that goes on with the run, removed again";
        self.add(
            "restart",
            "Restart, and come back with everything",
            RESTART,
            unit,
            restart,
        );
        let crashes = [
            (CrashOf::Kernel, &surroundings.kernel_dump),
            (CrashOf::Xen, &surroundings.xen_dump),
        ];
        let is_dom0 = self.facts.context.value() == Some(&Context::Dom0);
        let mut planned = Vec::new();
        for (whom, dump) in crashes {
            // Like the guests: without Xen nothing is certified, so this test is not left out there.
            let action = if whom == CrashOf::Xen && !is_dom0 {
                Action::Skip(NO_XEN.to_owned())
            } else if !self.options.crash.contains(&whom) {
                Action::Skip(format!(
                    "not asked for; --crash {} crashes it on purpose",
                    whom.name()
                ))
            } else if dump.is_none() {
                Action::Skip(match whom {
                    CrashOf::Kernel => "nothing would keep the dump: there is neither a crash kernel (kdump) nor a place for \
                                        last words in the firmware (pstore)",
                    CrashOf::Xen => "nothing would keep the dump: Xen has no crash kernel; it needs memory for one \
                                     (crashkernel=) and kdump to load it",
                }.to_owned())
            } else {
                possible(Task::Crash { whom })
            };
            planned.push((whom, action));
        }
        for (whom, action) in planned {
            let title = match whom {
                CrashOf::Kernel => "Crash the kernel and collect the dump",
                CrashOf::Xen => "Crash Xen and collect the dump",
            };
            self.add(
                &format!("crash.{}", whom.name()),
                title,
                RESTART,
                unit,
                action,
            );
        }
    }
}
