//! Answer files of the cases.

use crate::ssh::Key;

/// Root's password on installed hosts.
pub const PASSWORD: &str = "bedplate-test";
/// `openssl passwd -6 -salt bedplatetest bedplate-test`
const PASSWORD_HASH: &str = "$6$bedplatetest$1uJWNMPIHv7cgu6Wqx3lG0VsHM4pqJVbDm6gTXa/2pyjB/ehhceSkYs40r2xNtbKu75.TXuJgIp.JAqpNov0p/";
/// Time zone of installed hosts: one with another offset than the default, all year.
pub const TIMEZONE: &str = "Asia/Tokyo";

/// A complete answer file. `disk` is the content of its `[disk]` section, `network` of its `[network]` section.
pub fn file(hostname: &str, disk: &str, network: &str, key: Option<&Key>) -> String {
    let keys = key.map_or_else(String::new, |key| {
        format!("ssh_keys = [\"{}\"]\n", key.public)
    });
    format!(
        "schema = 1\n\
         on_success = \"poweroff\"\n\
         on_failure = \"poweroff\"\n\
         \n\
         [disk]\n{disk}\n\
         \n\
         [system]\n\
         hostname = \"{hostname}\"\n\
         root_password_hash = \"{PASSWORD_HASH}\"\n\
         timezone = \"{TIMEZONE}\"\n\
         {keys}\
         \n\
         [network]\n{network}\n\
         \n\
         [hcl]\n\
         policy = \"warn\"\n\
         reason = \"a virtual machine that tests the installation\"\n"
    )
}
