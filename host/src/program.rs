//! `xe` and the services of the host are one program: the name that it is called by says which of them it is.
//!
//! They share nearly all of their code, so that one file has a third of the bytes of six. In the root image the services are links to
//! `xe`. Only the name decides and never an argument: who is given `xe` with any arguments is not given the services by it.

mod crash_kernel;
mod health;
mod license;
mod mirror;
mod update;
mod xe;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// What a program does with the arguments of the process. An error is printed with its causes, and the exit status is 1.
type Main = fn() -> anyhow::Result<ExitCode>;

/// The services by their names, which are [`slots::names::XE_LINKS`].
const SERVICES: [(&str, Main); 5] = [
    ("bedplate-crash-kernel", crash_kernel::main),
    ("bedplate-health", health::main),
    ("bedplate-license", license::main),
    ("bedplate-mirror", mirror::main),
    ("bedplate-update", update::main),
];

/// Runs the program that is called by this name or path, the first word of the command line; `xe` where it is no service's.
///
/// # Errors
/// What the program could not do.
pub fn run(called: Option<OsString>) -> anyhow::Result<ExitCode> {
    let main = service(&called.unwrap_or_default()).unwrap_or(xe::main);
    main()
}

/// The service that is called by this path, in whatever folder.
fn service(called: &OsStr) -> Option<Main> {
    let name = Path::new(called).file_name()?;
    let found = SERVICES.iter().find(|(service, _)| name == *service);
    found.map(|(_, main)| *main)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn every_link_of_the_image_is_a_service() {
        assert_eq!(SERVICES.map(|(name, _)| name), slots::names::XE_LINKS);
    }

    #[test]
    fn the_last_part_of_the_path_decides_and_all_else_is_xe() {
        for called in [
            "bedplate-health",
            "/usr/bin/bedplate-health",
            "../any folder/bedplate-health",
        ] {
            assert!(service(OsStr::new(called)).is_some(), "{called}");
        }
        for called in [
            "",
            "/",
            "..",
            "xe",
            "/usr/bin/xe",
            "/bedplate-health/xe",
            "bedplate-healthy",
            "bedplate-",
            "-bedplate-health",
            "BEDPLATE-HEALTH",
        ] {
            assert!(service(OsStr::new(called)).is_none(), "{called}");
        }
        assert!(service(OsStr::from_bytes(b"bedplate-health\xff")).is_none());
    }
}
