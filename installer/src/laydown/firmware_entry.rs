//! Step: the entry in the list of the UEFI firmware. The fallback path starts the disk without it, so nothing here can
//! fail the installation.

use super::Context;
use slots::layout::PartitionKind;
use slots::names::{EFI_LABEL, EFI_VENDOR_PATH};
use steps::system::Command;
use steps::{Reporter, Step, StepError};
use uuid::Uuid;

/// Adds the entry, and removes those of the installation that was on the disk before.
pub struct FirmwareEntry;

impl Step<Context<'_>> for FirmwareEntry {
    fn id(&self) -> String {
        "firmware-entry".into()
    }

    fn title(&self) -> String {
        "Add the entry to the firmware's boot list".into()
    }

    fn run(
        &mut self,
        context: &mut Context<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), StepError> {
        if let Err(error) = update(context) {
            reporter.warn(format!(
                "the firmware's boot list could not be changed: {}. The disk starts all the same, by its fallback path \
                 EFI/BOOT/BOOTX64.EFI; choose the disk in the firmware setup if it does not",
                error.to_string().replace('\n', " ")
            ));
        }
        Ok(())
    }
}

fn update(context: &Context<'_>) -> Result<(), StepError> {
    let list = context
        .run(Command::new("efibootmgr").arg("--verbose"))?
        .text();
    let ours: Vec<Uuid> = context
        .members
        .iter()
        .map(|member| member.guids.of(PartitionKind::Esp))
        .collect();
    let stale = |guid: &Uuid| ours.contains(guid) || context.old_partitions.contains(guid);
    for number in entries(&list)
        .filter(|(_, guid)| stale(guid))
        .map(|(number, _)| number)
    {
        context.run(Command::new("efibootmgr").args([
            "--quiet",
            "--bootnum",
            &number,
            "--delete-bootnum",
        ]))?;
    }
    let number = PartitionKind::Esp.number().to_string();
    // Each new entry becomes the first of the boot order, so the first disk comes last.
    for member in context.members.iter().rev() {
        let create = Command::new("efibootmgr")
            .args(["--quiet", "--create"])
            .args(["--disk", member.disk(), "--part", &number]);
        context.run(create.args(["--label", EFI_LABEL, "--loader", EFI_VENDOR_PATH]))?;
    }
    Ok(())
}

/// Numbers and ESPs of the entries called [`EFI_LABEL`] in what `efibootmgr --verbose` prints:
/// `Boot0003* Bedplate<tab>HD(1,GPT,c12a7328-...,0x800,0x200000)/File(...)`.
fn entries(list: &str) -> impl Iterator<Item = (String, Uuid)> {
    list.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("Boot")?.split_at_checked(4)?;
        let (label, path) = rest.trim_start_matches('*').trim_start().split_once('\t')?;
        let guid = path.split_once("GPT,")?.1.get(..36)?;
        let valid = number.bytes().all(|b| b.is_ascii_hexdigit()) && label == EFI_LABEL;
        valid.then(|| Some((number.to_owned(), Uuid::parse_str(guid).ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_entries_are_found() {
        let list = "BootCurrent: 0001\nTimeout: 0 seconds\nBootOrder: 0003,0000\n\
            Boot0000* UiApp\tFvVol(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)\n\
            Boot0003* Bedplate\tHD(1,GPT,6a1f2f9c-8a13-4c5e-9d5e-0b5e5f1f7a11,0x800,0x200000)/\\EFI\\bedplate\\grubx64.efi\n\
            Boot0004  Bedplate\tHD(1,GPT,7a1f2f9c-8a13-4c5e-9d5e-0b5e5f1f7a11,0x800,0x200000)/File(\\EFI\\X)\n\
            Boot0005* Bedplate old\tHD(1,GPT,8a1f2f9c-8a13-4c5e-9d5e-0b5e5f1f7a11,0x800,0x200000)\n\
            Boot000A* Bedplate\tPciRoot(0x0)\nBoot\nBootä\n";
        let found: Vec<String> = entries(list)
            .map(|(number, guid)| format!("{number} {guid}"))
            .collect();
        assert_eq!(
            found,
            [
                "0003 6a1f2f9c-8a13-4c5e-9d5e-0b5e5f1f7a11",
                "0004 7a1f2f9c-8a13-4c5e-9d5e-0b5e5f1f7a11"
            ]
        );
    }
}
