//! How many machines of a fleet are judged in a second on one core: `cargo bench --package hcl-checker --bench fleet`.
//!
//! The measure beside it is what reading the same lines costs without looking at them, by `serde_json::Value`. Both run in
//! turn, so whatever else the machine does is in both, and the best round of each counts.

#[path = "../tests/machines/samples.rs"]
#[allow(dead_code, missing_docs)]
mod samples;
#[path = "../tests/machines/tree.rs"]
#[allow(dead_code, missing_docs)]
mod tree;

use hcl_checker::Known;
use hcl_checker::drivers::DriverIndex;
use hcl_checker::facts::{Acs, PciFunction, PciIds, PcieLink, Sriov};
use hcl_checker::fleet::Fleet;
use hcl_checker::list::List;
use hcl_checker::verdict::JudgedBy;
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::time::Duration;

/// Machines in a round.
const MACHINES: usize = 4000;
/// PCI functions of each.
const FUNCTIONS: usize = 100;
const ROUNDS: usize = 7;
/// Machines a second that the stream is to judge at least.
const GOAL: f64 = 10_000.0;

fn main() {
    let lines = fleet();
    let list = List::built_in().expect("list");
    let drivers = DriverIndex::shipped().expect("index");
    let by = JudgedBy::of(&list, true);
    let fleet = Fleet {
        list: &list,
        drivers: Some(&drivers),
        by: &by,
    };
    let (mut judged, mut read) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        judged = judged.min(time(|| {
            let mut out = Count(0);
            fleet.judge(lines.as_bytes(), &mut out).expect("streams");
            assert!(out.0 > MACHINES, "every machine has a line");
        }));
        read = read.min(time(|| {
            for line in lines.lines() {
                let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert!(value.is_object());
            }
        }));
    }
    let rate = |took: Duration| MACHINES as f64 / took.as_secs_f64();
    println!(
        "{MACHINES} machines of {FUNCTIONS} PCI functions, {} bytes each",
        lines.len() / MACHINES
    );
    println!(
        "judged                    {:9.0} machines a second",
        rate(judged)
    );
    println!(
        "read by serde_json::Value {:9.0} machines a second",
        rate(read)
    );
    println!(
        "ratio {:.2} (judging : reading); goal {GOAL} a second: {:.2} of it",
        rate(judged) / rate(read),
        rate(judged) / GOAL
    );
}

/// Processor time of this thread, the only one: what others do meanwhile is not in it.
fn time(run: impl FnOnce()) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("clock"));
    let started = now();
    run();
    now() - started
}

/// Counts bytes and keeps none.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Servers that differ in their serial number: all of this repeats in a real fleet as well.
fn fleet() -> String {
    let mut facts = samples::nvme_uefi().facts();
    let mut functions = facts.pci.value().cloned().unwrap_or_default();
    let others = (0..).map(function);
    functions.extend(others.take(FUNCTIONS - functions.len()));
    functions.sort_by(|a, b| a.address.cmp(&b.address));
    facts.pci = Known::Value(functions);
    let mut lines = String::new();
    for number in 0..MACHINES {
        facts.dmi.serial = Known::Value(format!("BP{number:06}"));
        lines.push_str(&serde_json::to_string(&facts).expect("serialize"));
        lines.push('\n');
    }
    lines
}

/// A function as a two-socket server of 2017 to 2020 has them: mostly parts of the CPU, some bridges, a few controllers.
fn function(number: u32) -> PciFunction {
    let (device, class, driver) = match number % 20 {
        0 => (0x1572, 0x02_0000, Some("i40e")),
        1 => (0xa182, 0x01_0601, Some("ahci")),
        2..=5 => (0x2030, 0x06_0400, Some("pcieport")),
        kind => (0x2040 + kind as u16, 0x08_8000, None),
    };
    let ids = PciIds {
        vendor: 0x8086,
        device,
        subsystem_vendor: Some(0x1028),
        subsystem_device: Some(0x0715),
        class,
        interface_unknown: false,
    };
    let address = format!(
        "0000:{:02x}:{:02x}.{}",
        0x17 + number / 64,
        number / 8 % 8,
        number % 8
    );
    let express = driver.is_some();
    let if_express = |there: bool| there && express;
    PciFunction {
        source: format!("/sys/bus/pci/devices/{address}"),
        address,
        modalias: Known::Value(ids.to_modalias()),
        ids: Known::Value(ids),
        revision: Known::Value(4),
        driver: driver.map_or(Known::Absent, |driver| Known::Value(driver.to_owned())),
        numa_node: Known::Value(number / 50),
        iommu_group: Known::Value(number / 2),
        computed_group: Known::Absent,
        multifunction: Known::Value(true),
        link: known(
            if_express(true),
            PcieLink {
                speed_mts: 8000,
                width: 8,
                max_speed_mts: 8000,
                max_width: 8,
            },
        ),
        acs: known(
            if_express(class == 0x06_0400),
            Acs {
                capability: 0x5f,
                control: 0x1d,
            },
        ),
        sriov: known(
            if_express(class == 0x02_0000),
            Sriov {
                total: 64,
                enabled: 0,
            },
        ),
        physical_function: Known::Absent,
        slot: Known::Absent,
    }
}

fn known<T>(there: bool, value: T) -> Known<T> {
    if there {
        Known::Value(value)
    } else {
        Known::Absent
    }
}
