//! Values that an operator writes: each parses from text, says what is wrong with it, and what would be right.

mod address;
mod address6;
mod bearer_token;
mod boot_argument;
mod few;
mod hook_words;
mod hostname;
mod hostname_pattern;
mod keymap;
mod keymaps;
mod license_token;
mod locale;
mod mac;
mod password_hash;
mod pin;
mod plan_hash;
mod script;
mod size;
mod ssh_key;
mod storage_name;
mod timezone;
mod unit;
mod web_url;

pub use address::{Cidr, check_gateway, check_name_server};
pub use address6::{Cidr6, check_gateway6};
pub use bearer_token::BearerToken;
pub use boot_argument::{ArgumentOf, BootArgument};
pub use few::few;
pub use hook_words::{check_beside, check_hook_name, check_sha256};
pub use hostname::Hostname;
pub use hostname_pattern::HostnamePattern;
pub use keymap::Keymap;
pub use keymaps::{KEYMAPS, layout_and_variant};
pub use license_token::LicenseToken;
pub use locale::Locale;
pub use mac::{Mac, check_device_name, check_interface_name, is_pci_address};
pub use password_hash::PasswordHash;
pub use pin::Pin;
pub use plan_hash::PlanHash;
pub use script::Script;
pub use size::{parse_size, show_memory, show_size};
pub use ssh_key::SshKey;
pub use storage_name::StorageName;
pub use timezone::{Timezone, Zones};
pub use unit::Unit;
pub use web_url::WebUrl;

/// Why a value was refused. Never holds the value itself, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {advice}")]
pub struct ValueError {
    /// What is wrong, without a subject: `is longer than 64 characters`.
    pub message: String,
    /// What would be right.
    pub advice: String,
}

impl ValueError {
    fn new(message: impl Into<String>, advice: impl Into<String>) -> Self {
        ValueError {
            message: message.into(),
            advice: advice.into(),
        }
    }
}
