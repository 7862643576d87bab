//! `xe help`.

use crate::XeError;
use crate::cmdline::Invocation;
use crate::commands::Command;
use std::fmt::Write;

/// The list of commands, or what one of them takes.
pub fn help(line: &Invocation) -> Result<String, XeError> {
    let mut text = String::new();
    // Writing to a String does not fail.
    if let Some(word) = line.words.first() {
        let command = Command::named(word)?;
        let _ = writeln!(
            text,
            "xe {} {}\n\n{}.",
            command.name(),
            command.usage(),
            command.summary()
        );
        if !command.args().is_empty() {
            let _ = writeln!(text, "\nArguments:");
        }
        for arg in command.args() {
            let _ = writeln!(text, "  {}  {}", arg.usage(), arg.about);
        }
        if !command.fields().is_empty() {
            let _ = writeln!(text, "\nFields:");
        }
        for field in command.fields() {
            let _ = writeln!(text, "  {} ({})", field.name, field.access);
        }
        return Ok(text);
    }
    let all = Command::all();
    if line.minimal {
        return Ok(format!(
            "{}\n",
            all.iter().map(Command::name).collect::<Vec<_>>().join(",")
        ));
    }
    text.push_str(
        "Usage: xe COMMAND [NAME=VALUE ...] [--minimal | --json] [--multiple]\n\nCommands:\n",
    );
    let width = all
        .iter()
        .map(|command| command.name().len())
        .max()
        .unwrap_or(0);
    for command in &all {
        let _ = writeln!(text, "  {:<width$}  {}", command.name(), command.summary());
    }
    text.push_str("\n`xe help COMMAND` explains one. `--x` is short for x=true.\n");
    text.push_str("Exit status: 0 done, 1 failed, 2 wrong use.\n");
    Ok(text)
}
