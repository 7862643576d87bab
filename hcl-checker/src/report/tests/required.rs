//! What a report says where something is not known.

use super::*;
use crate::facts::FirmwareKind;

#[test]
fn firmware_that_nobody_knows_is_told_once() {
    let program = std::path::Path::new("/proc/self/exe");
    let row = |facts: Facts| {
        let report = Report::of_run(
            &state(facts),
            &list(),
            None,
            &key(),
            Serials::Plain,
            program,
        )
        .expect("report");
        let page = html(&report, b"");
        let (_, rest) = page.split_once("<dt>Firmware</dt><dd>").expect("row");
        rest.split('<').next().unwrap_or_default().to_owned()
    };
    let mut facts = facts();
    assert_eq!(row(facts.clone()), "unknown");
    facts.firmware.kind = Known::Value(FirmwareKind::Bios);
    assert_eq!(row(facts.clone()), "BIOS, version unknown");
    facts.dmi.bios_version = text("2.1");
    assert_eq!(row(facts.clone()), "BIOS 2.1, date unknown");
    facts.dmi.bios_date = text("01/02/2025");
    assert_eq!(row(facts.clone()), "BIOS 2.1, 01/02/2025");
    facts.firmware.kind = Known::unknown("test");
    assert_eq!(row(facts.clone()), "kind unknown, 2.1, 01/02/2025");
    facts.dmi.bios_version = Known::Absent;
    assert_eq!(row(facts), "kind unknown, version none, 01/02/2025");
}
