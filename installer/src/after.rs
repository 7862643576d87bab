//! What follows an installation.

use crate::choices::After;
use crate::consoles::Consoles;
use std::io::Write;
use std::time::Duration;
use steps::StepError;
use steps::system::{Command, System};

/// How long the last lines may take to get out of slow serial lines.
const DRAIN: Duration = Duration::from_secs(5);

/// Does it. Returns for [`After::Shell`] only, or with an error.
pub fn follow(after: After, system: &dyn System, consoles: &mut Consoles) -> Result<(), StepError> {
    let verb = match after {
        After::Reboot => "reboot",
        After::Poweroff => "poweroff",
        After::Halt => "halt",
        After::Shell => return shells(system, consoles),
    };
    writeln!(consoles, "Now: {verb}.")?;
    consoles.drain(DRAIN);
    system.run(&Command::new("systemctl").arg(verb))?;
    // The order is given; the service manager ends this program.
    loop {
        std::thread::park();
    }
}

/// Opens a shell on every console: the image's unit for that, which outlives this program.
fn shells(system: &dyn System, consoles: &mut Consoles) -> Result<(), StepError> {
    let names: Vec<String> = consoles.names().into_iter().map(str::to_owned).collect();
    writeln!(
        consoles,
        "A shell opens on {}. `systemctl reboot` starts the machine again.",
        names.join(" and ")
    )?;
    consoles.drain(DRAIN);
    let unit = |path: &String| {
        format!(
            "bedplate-shell@{}.service",
            path.trim_start_matches("/dev/").replace('/', "-")
        )
    };
    system.run(
        &Command::new("systemctl")
            .args(["start", "--no-block"])
            .args(names.iter().map(unit)),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::system::RecordingSystem;

    #[test]
    fn every_console_gets_a_shell() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| dir.path().join(name));
        paths
            .iter()
            .for_each(|path| std::fs::write(path, "").unwrap());
        let system = RecordingSystem::new();
        follow(After::Shell, &system, &mut Consoles::open(paths.clone())).unwrap();
        let lines = system.command_lines();
        assert!(
            lines[0].starts_with("systemctl start --no-block bedplate-shell@"),
            "{lines:?}"
        );
        assert_eq!(lines[0].matches("bedplate-shell@").count(), 2, "{lines:?}");
    }
}
