//! Step: the release's keys of Secure Boot in the variables of a firmware that is in setup mode. From the next start on the
//! firmware starts nothing that they have not signed.

use super::Context;
use slots::names::SECURE_BOOT_KEYS;
use std::path::Path;
use steps::system::Command;
use steps::{Reporter, Step, StepError};

/// Where the kernel shows the firmware's variables.
const EFIVARS: &str = "/sys/firmware/efi/efivars";
/// Variables with the GUID of their vendor (UEFI 2.10, section 3.3 and 32.3). The platform key comes last: with it setup mode
/// ends, and a machine on which one before it failed still starts everything.
const VARIABLES: [(&str, &str); 3] = [
    ("db", "d719b2cb-3d3a-4596-a3bc-dad00e67656f"),
    ("KEK", "8be4df61-93ca-11d2-aa0d-00e098032b8c"),
    ("PK", "8be4df61-93ca-11d2-aa0d-00e098032b8c"),
];
/// What a variable's file begins with: non-volatile, for boot services and run time, with time-based authentication.
const ATTRIBUTES: [u8; 4] = 0x27_u32.to_le_bytes();

/// Enrolls the keys.
pub struct EnrollKeys;

impl Step<Context<'_>> for EnrollKeys {
    fn id(&self) -> String {
        "enroll-keys".into()
    }

    fn title(&self) -> String {
        "Enroll the keys of Secure Boot in the firmware".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let folder = Path::new(SECURE_BOOT_KEYS);
        // All are read before the first is written.
        let mut contents = Vec::new();
        for (name, vendor) in VARIABLES {
            let path = folder.join(format!("{name}.auth"));
            let signed = context
                .system
                .read_file(&context.image.path(&path.to_string_lossy()))?;
            contents.push((
                format!("{EFIVARS}/{name}-{vendor}"),
                [&ATTRIBUTES, signed.as_slice()].concat(),
            ));
        }
        for (variable, content) in contents {
            // The kernel takes a variable in one write only.
            context
                .run(
                    Command::new("dd")
                        .arg(format!("of={variable}"))
                        .args(["bs=1M", "iflag=fullblock", "conv=notrunc", "status=none"])
                        .stdin(content),
                )
                .map_err(|error| {
                    format!(
                        "the firmware does not take {variable}: {error}; put the firmware into setup mode anew (clear its \
                         platform key), or leave `enroll_keys` out and enroll the keys in its setup"
                    )
                })?;
        }
        Ok(())
    }
}
