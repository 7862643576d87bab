//! Arguments that XenServer's `xe` takes and this one needs not: on a single host they say nothing, or say what another argument
//! says here. Scripts and habits go on working; a value that would mean something else is refused.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::commands::Surroundings;
use crate::selection;

/// What such an argument says.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// The same as another argument.
    As(&'static str),
    /// What is so anyway: any of these words.
    Only(&'static [&'static str]),
    /// Which host: there is this one.
    ThisHost,
}

/// Command, argument, and what it says (CLI reference of XenServer 6.2).
const ARGS: &[(&str, &str, Says)] = &[
    ("host-license-add", "host-uuid", Says::ThisHost),
    ("host-license-remove", "host-uuid", Says::ThisHost),
    ("sr-create", "content-type", Says::Only(&["", "user"])),
    ("sr-create", "host-uuid", Says::ThisHost),
    ("sr-create", "shared", Says::Only(&["false"])),
    ("vbd-create", "bootable", Says::Only(&["true", "false"])),
    ("vbd-create", "type", Says::Only(&["Disk"])),
    ("vdi-create", "read-only", Says::Only(&["false"])),
    ("vdi-create", "sharable", Says::Only(&["false"])),
    ("vdi-create", "type", Says::Only(&["user", "system"])),
    ("vm-install", "sr-name-label", Says::As("sr-uuid")),
    ("vm-install", "template-name-label", Says::As("template")),
    ("vm-install", "template-uuid", Says::As("template")),
    ("vm-resume", "on", Says::ThisHost),
    ("vm-start", "on", Says::ThisHost),
];

/// The command line without arguments that say nothing here, and with those that have another name here under that name.
///
/// # Errors
/// When one says what is not so on this host.
pub fn taken(line: &Invocation, around: &Surroundings<'_>) -> Result<Invocation, XeError> {
    let mut taken = line.clone();
    taken.args.clear();
    for (name, value) in &line.args {
        let known = ARGS
            .iter()
            .find(|(command, arg, _)| line.command == *command && name == arg);
        match known.map(|(_, _, says)| *says) {
            None => taken.args.push((name.clone(), value.clone())),
            Some(Says::As(ours)) => {
                if line.arg(ours).is_some() {
                    return Err(XeError::usage(format!(
                        "{name}= and {ours}= say the same: give one of them"
                    )));
                }
                taken.args.push((ours.to_owned(), value.clone()));
            }
            Some(Says::Only(words)) if words.contains(&value.as_str()) => {}
            Some(Says::Only(words)) => {
                return Err(XeError::usage(format!(
                    "{name}={value} is not possible here; leave it out, or give {}",
                    words.join(" or ").trim()
                )));
            }
            Some(Says::ThisHost) => {
                selection::one("host", value, around)?;
            }
        }
    }
    Ok(taken)
}
