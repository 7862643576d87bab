//! Answers are checked before they are embedded: what is wrong in them is seen at the desk, not at the server.

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that reads answers on the machine, too.
const INSTALLER: &str = "installer";

/// Has `installer validate` read the answer file; it stands beside this program, or is in the path.
///
/// # Errors
/// Everything that is wrong in the answers; or that there is nobody to ask.
pub fn check(answers: &Path) -> Result<()> {
    check_with(&installer(), answers)
}

fn check_with(installer: &Path, answers: &Path) -> Result<()> {
    let done = match Command::new(installer)
        .arg("validate")
        .arg(answers)
        .output()
    {
        Ok(done) => done,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no `{INSTALLER}` beside this program or in PATH to check {} with; build it, or give --unchecked",
            answers.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be run", installer.display()));
        }
    };
    if done.status.success() {
        return Ok(());
    }
    bail!(
        "nothing is embedded: {} is not good (--unchecked embeds it all the same)\n{}{}",
        answers.display(),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr).trim_end()
    )
}

fn installer() -> PathBuf {
    let beside = std::env::current_exe().map(|program| program.with_file_name(INSTALLER));
    match beside {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from(INSTALLER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What stands in for the installer: good is what says so.
    const SCRIPT: &str = "#!/bin/sh\n[ \"$1\" = validate ] && grep -q good \"$2\" && exit 0\necho 'line 3: no such key' >&2; exit 2\n";

    #[test]
    fn only_what_the_installer_takes_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let installer = dir.path().join("installer");
        std::fs::write(&installer, SCRIPT).unwrap();
        std::fs::set_permissions(&installer, PermissionsExt::from_mode(0o755)).unwrap();
        let answers = dir.path().join("answers.toml");
        std::fs::write(&answers, "good").unwrap();
        check_with(&installer, &answers).unwrap();
        std::fs::write(&answers, "bad").unwrap();
        let error = check_with(&installer, &answers).unwrap_err().to_string();
        assert!(
            error.contains("line 3: no such key") && error.contains("answers.toml"),
            "{error}"
        );
        let error = check_with(&dir.path().join("none"), &answers)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--unchecked"), "{error}");
    }
}
