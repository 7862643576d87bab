//! What was typed: `xe COMMAND [name=value ...] [--minimal] [--json] [--multiple]`.

use crate::XeError;

/// A command line, taken apart. Nothing here knows which commands there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The command.
    pub command: String,
    /// Names and values in the order in which they were typed; `--x` is `x=true`.
    pub args: Vec<(String, String)>,
    /// Words without `=`, which only `help` takes.
    pub words: Vec<String>,
    /// Print the first field of each record, joined by commas.
    pub minimal: bool,
    /// Print JSON.
    pub json: bool,
    /// Act on all records that a selector matches, not on exactly one.
    pub multiple: bool,
}

impl Invocation {
    /// Takes the words after `xe` apart.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Invocation, XeError> {
        let mut invocation = Invocation::default();
        for word in words {
            match word.as_str() {
                "--minimal" => invocation.minimal = true,
                "--json" => invocation.json = true,
                "--multiple" => invocation.multiple = true,
                "-s" | "-p" | "-u" | "-pw" | "-pwf" => {
                    return Err(XeError::usage(format!(
                        "{word} is for managing another host; this xe manages the host it runs on: use `ssh HOST xe ...`"
                    )));
                }
                _ => invocation.take(&word)?,
            }
        }
        if invocation.command.is_empty() {
            return Err(XeError::usage("no command given; `xe help` lists them"));
        }
        if invocation.minimal && invocation.json {
            return Err(XeError::usage("--minimal and --json exclude each other"));
        }
        Ok(invocation)
    }

    fn take(&mut self, word: &str) -> Result<(), XeError> {
        let (name, value) = match (word.strip_prefix("--"), word.split_once('=')) {
            (Some(option), _) => option.split_once('=').unwrap_or((option, "true")),
            (None, Some(pair)) => pair,
            (None, None) if word.starts_with('-') => {
                return Err(XeError::usage(format!(
                    "{word} is not known; options start with two dashes"
                )));
            }
            (None, None) if self.command.is_empty() => {
                word.clone_into(&mut self.command);
                return Ok(());
            }
            (None, None) => {
                self.words.push(word.to_owned());
                return Ok(());
            }
        };
        if name.is_empty() {
            return Err(XeError::usage(format!(
                "{word:?} has no name before the `=`"
            )));
        }
        if self.command.is_empty() {
            return Err(XeError::usage(format!("the command comes before {word:?}")));
        }
        if self.args.iter().any(|(known, _)| known == name) {
            return Err(XeError::usage(format!("{name} is given twice")));
        }
        self.args.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The value of an argument.
    pub fn arg(&self, name: &str) -> Option<&str> {
        self.args
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, XeError> {
        Invocation::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_a_line_apart() {
        let line = parse(
            "vm-list --minimal name-label=a=b params=all --force other-config:x=y --multiple",
        )
        .unwrap();
        assert_eq!(line.command, "vm-list");
        assert!(line.minimal && line.multiple && !line.json);
        assert_eq!(line.arg("name-label"), Some("a=b"));
        assert_eq!(line.arg("force"), Some("true"));
        assert_eq!(line.arg("other-config:x"), Some("y"));
        assert_eq!(line.arg("none"), None);
        assert_eq!(parse("x name-label=").unwrap().arg("name-label"), Some(""));
        assert_eq!(
            parse("x --force=false").unwrap().arg("force"),
            Some("false")
        );
        assert_eq!(parse("help vm-list").unwrap().words, ["vm-list"]);
    }

    #[test]
    fn wrong_lines_are_usage_errors() {
        for (line, words) in [
            ("", "no command"),
            ("a=b", "comes before"),
            ("vm-list a=1 a=2", "given twice"),
            ("vm-list =x", "no name"),
            ("vm-list --", "no name"),
            ("vm-list -x", "two dashes"),
            ("-s host vm-list", "ssh HOST"),
            ("vm-list --minimal --json", "exclude"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.message.contains(words), "{line}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
