//! The report on the stick.

use super::Checked;
use crate::answer_source::file_system;
use hcl_checker::facts::Facts;
use std::path::Path;
use steps::StepError;
use steps::system::{Mount, System};

/// Where the stick is mounted meanwhile.
pub(super) const MOUNT: &str = "/run/bedplate/check-volume";
/// The folder of all machines on it.
const FOLDER: &str = "bedplate-check";
/// Longest name of a machine's folder.
const LONGEST: usize = 60;

/// Writes the report, and returns the folder that it is in.
pub(super) fn write(
    checked: &Checked,
    system: &dyn System,
    device: &Path,
) -> Result<String, StepError> {
    let kind = file_system(system, device)?;
    let name = format!("{FOLDER}/{}", machine(&checked.facts));
    let files = checked.files()?;
    system.mount(&Mount::device(device, MOUNT, &kind).inert())?;
    let written = fill(system, &Path::new(MOUNT).join(&name), &files);
    let synced = system.sync(Path::new(MOUNT));
    let unmounted = system.unmount(Path::new(MOUNT));
    written?;
    synced?;
    unmounted?;
    Ok(name)
}

fn fill(
    system: &dyn System,
    folder: &Path,
    files: &[(&'static str, Vec<u8>)],
) -> Result<(), StepError> {
    system.create_dir_all(folder)?;
    for (name, content) in files {
        // FAT knows no owners; on other file systems the report is for whoever takes the stick.
        system.write_file(&folder.join(name), content, 0o644)?;
    }
    Ok(())
}

/// A name for the machine that every file system takes: model and serial number, else the UUID.
fn machine(facts: &Facts) -> String {
    let dmi = &facts.dmi;
    let number = dmi.serial.value().or(dmi.uuid.value());
    let words: Vec<String> = [dmi.product.value(), number]
        .into_iter()
        .flatten()
        .map(|text| plain(text))
        .filter(|text| !text.is_empty())
        .collect();
    let mut name = words.join("-");
    name.truncate(LONGEST);
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

/// Letters and digits; one `-` for any run of others.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hcl_checker::Known;

    #[test]
    fn names_that_every_file_system_takes() {
        let mut facts = Facts::default();
        assert_eq!(machine(&facts), "unnamed");
        facts.dmi.uuid = Known::Value("4c4c4544-0042".into());
        assert_eq!(machine(&facts), "4c4c4544-0042");
        facts.dmi.product = Known::Value("PowerEdge R640 / ../..".into());
        facts.dmi.serial = Known::Value("ABC:1*2".into());
        assert_eq!(machine(&facts), "PowerEdge-R640-ABC-1-2");
        facts.dmi.serial = Known::Value("x".repeat(300));
        assert_eq!(machine(&facts).len(), LONGEST);
        facts.dmi.product = Known::Value("..".into());
        facts.dmi.serial = Known::Value("é/".into());
        assert_eq!(machine(&facts), "unnamed");
    }
}
