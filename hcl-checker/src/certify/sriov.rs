//! Virtual functions of PCI devices.

use super::change::{read_text, sriov_numvfs};
use super::{Bench, Change, Outcome, TestError};
use std::path::Path;
use std::time::Duration;

/// How long the kernel may take to add the functions after it said that it made them.
const APPEAR: u32 = 100;

/// Makes `count` virtual functions and looks at them; they are removed after the test.
pub(super) fn run(bench: &mut Bench<'_>, address: &str, count: u32) -> Result<Outcome, TestError> {
    let file = sriov_numvfs(address);
    let now = read_text(bench.system, &file)?;
    if now != "0" {
        return Err(TestError::CannotRun(format!(
            "{file} is {now}: virtual functions came into use since the plan was made"
        )));
    }
    bench.change(Change::VirtualFunctions {
        address: address.to_owned(),
        count,
    })?;
    let missing = |bench: &Bench<'_>| -> Vec<u32> {
        let folder = format!("/sys/bus/pci/devices/{address}");
        // Each is a link to a function that the bus really has.
        let there = |number: &u32| {
            let function = format!("{folder}/virtfn{number}/vendor");
            bench.system.exists(Path::new(&function))
        };
        (0..count).filter(|number| !there(number)).collect()
    };
    for _ in 0..APPEAR {
        if missing(bench).is_empty() {
            break;
        }
        bench.wait(Duration::from_millis(50))?;
    }
    let missing = missing(bench);
    let mut outcome = Outcome::new();
    outcome.measured(
        "virtual functions",
        (count as usize - missing.len()).to_string(),
        count.to_string(),
        file,
    );
    outcome.expect(missing.is_empty(), || {
        format!(
            "{} of {count} virtual functions did not appear",
            missing.len()
        )
    });
    Ok(outcome)
}
