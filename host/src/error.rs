//! Errors of `xe`: a symbolic code, a sentence, and the parameters.

use std::fmt;

/// Why a command failed. Shown as `CODE: sentence` and then one `name: value` a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XeError {
    /// Symbolic code, for scripts: `UUID_INVALID`.
    pub code: &'static str,
    /// What happened and what to do about it.
    pub message: String,
    /// Names and values.
    pub params: Vec<(&'static str, String)>,
    /// True where the command line itself was wrong.
    pub usage: bool,
    /// What the command found out or did all the same; it is printed like the output of one that succeeds.
    pub printed: String,
    /// More failures of the same command: one that acts on several does not stop at the first.
    pub others: Vec<XeError>,
}

impl XeError {
    /// The command could not do its work.
    pub fn failure(code: &'static str, message: impl Into<String>) -> XeError {
        XeError {
            code,
            message: message.into(),
            params: Vec::new(),
            usage: false,
            printed: String::new(),
            others: Vec::new(),
        }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> XeError {
        XeError {
            code: "WRONG_USE",
            message: message.into(),
            params: Vec::new(),
            usage: true,
            printed: String::new(),
            others: Vec::new(),
        }
    }

    /// A part of the system did not answer.
    pub fn system(error: &(dyn std::error::Error + 'static)) -> XeError {
        XeError::failure("INTERNAL_ERROR", chain(error))
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> XeError {
        self.params.push((name, value.into()));
        self
    }

    /// Adds what is to be printed all the same.
    pub fn printing(mut self, text: String) -> XeError {
        self.printed = text;
        self
    }

    /// One for all failures of a command that acted on several, with what it printed for the others.
    pub fn several(mut failures: Vec<XeError>, printed: String) -> Option<XeError> {
        if failures.is_empty() {
            return None;
        }
        let others = failures.split_off(1);
        failures.pop().map(|first| XeError {
            // Something was done, so it was no wrong command line.
            usage: false,
            printed,
            others,
            ..first
        })
    }

    /// 2 for wrong use, 1 for a failure.
    pub fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for XeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.params
            .iter()
            .try_for_each(|(name, value)| write!(f, "\n{name}: {value}"))?;
        self.others
            .iter()
            .try_for_each(|other| write!(f, "\n\n{other}"))
    }
}

impl std::error::Error for XeError {}

/// An error with all of its causes on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Many errors repeat their cause in their own words.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
