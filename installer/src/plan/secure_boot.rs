//! What the firmware makes of Secure Boot, as far as an installation can change it.

use hcl_checker::Known;
use hcl_checker::facts::{Firmware, FirmwareKind};

/// What is to be done after keys were enrolled. The variable that says whether Secure Boot is on only changes with the next start
/// (UEFI 2.10, section 3.3), so the installer cannot see what its firmware does by itself.
pub const SWITCH_ON: &str = "keys of Secure Boot are enrolled: firmware that does not switch Secure Boot on by itself needs that \
done in its setup; on the host, /sys/kernel/security/lockdown says [integrity] when it is on";

/// What the firmware makes of Secure Boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecureBoot {
    /// BIOS, which has none.
    Without,
    /// It is enforced: this system was started by keys that are enrolled already.
    On,
    /// No platform key: the firmware takes keys from whoever writes them.
    SetupMode,
    /// Not enforced, and keys are changed in the setup of the firmware only. Firmware that knows no Secure Boot says the same.
    Off,
    /// It could not be read.
    Unknown(String),
}

impl SecureBoot {
    /// By what the facts say.
    pub fn of(firmware: &Firmware) -> Self {
        if firmware.kind == Known::Value(FirmwareKind::Bios) {
            return SecureBoot::Without;
        }
        match (&firmware.secure_boot, &firmware.setup_mode) {
            (Known::Value(true), _) => SecureBoot::On,
            (_, Known::Value(true)) => SecureBoot::SetupMode,
            (Known::Value(false), Known::Value(false)) => SecureBoot::Off,
            (on, setup) => SecureBoot::Unknown(
                [on, setup]
                    .into_iter()
                    .find_map(Known::reason)
                    .unwrap_or("the firmware does not say")
                    .to_owned(),
            ),
        }
    }

    /// True where keys can be enrolled.
    pub fn takes_keys(&self) -> bool {
        *self == SecureBoot::SetupMode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_firmware_that_says_so_takes_keys() {
        let of = |kind, secure_boot, setup_mode| {
            SecureBoot::of(&Firmware {
                kind: Known::Value(kind),
                secure_boot,
                setup_mode,
                ..Firmware::default()
            })
        };
        let (yes, no) = (Known::Value(true), Known::Value(false));
        let unknown = Known::unknown("efivars: empty");
        let uefi = FirmwareKind::Uefi;
        assert_eq!(of(uefi, no.clone(), yes.clone()), SecureBoot::SetupMode);
        assert_eq!(of(uefi, yes.clone(), no.clone()), SecureBoot::On);
        // A contradiction is taken for what changes nothing.
        assert_eq!(of(uefi, yes.clone(), yes.clone()), SecureBoot::On);
        assert_eq!(of(uefi, no.clone(), no.clone()), SecureBoot::Off);
        assert_eq!(of(FirmwareKind::Bios, no.clone(), no), SecureBoot::Without);
        let SecureBoot::Unknown(reason) = of(uefi, unknown.clone(), unknown) else {
            panic!("what is not known was taken for known")
        };
        assert_eq!(reason, "efivars: empty");
        assert_eq!(
            of(FirmwareKind::Bios, yes.clone(), yes),
            SecureBoot::Without
        );
    }
}
