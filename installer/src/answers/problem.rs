//! One thing that is wrong in an answer file.

use serde::Serialize;
use std::fmt;

/// A place in a text file, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A text with its lines, so that places are found without reading it from the start each time.
#[derive(Debug)]
pub struct Text<'t> {
    text: &'t str,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl<'t> Text<'t> {
    /// Looks for the lines.
    pub fn new(text: &'t str) -> Self {
        let behind = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Text {
            text,
            lines: std::iter::once(0).chain(behind).collect(),
        }
    }

    /// The place of byte `offset`.
    pub fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        // The first line starts at 0, so there is one.
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        Place {
            line,
            column: self.text[start..offset].chars().count() + 1,
        }
    }
}

/// One thing that is wrong in an answer file. Holds no value of the file, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub advice: String,
}

/// Everything that is wrong in an answer file, in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// Name of the file, as the operator knows it.
    pub file: String,
    /// At least one.
    pub list: Vec<Problem>,
}

impl Problems {
    /// For events and reports: what happened, and then one line for each problem.
    pub fn lines(&self) -> Vec<String> {
        let head = "the answers cannot be used; nothing was written".to_owned();
        let line = |problem: &Problem| {
            let Problem {
                place: Place { line, column },
                message,
                advice,
            } = problem;
            format!("{}:{line}:{column}: {message}; {advice}", self.file)
        };
        std::iter::once(head)
            .chain(self.list.iter().map(line))
            .collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            let Place { line, column } = problem.place;
            writeln!(f, "{}:{line}:{column}: {}", self.file, problem.message)?;
            writeln!(f, "    {}", problem.advice)?;
        }
        match self.list.len() {
            1 => write!(f, "1 problem in the answer file"),
            n => write!(f, "{n} problems in the answer file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_never_panic() {
        let whole = "a\nä = 1\n";
        let text = Text::new(whole);
        assert_eq!(text.place(0), Place { line: 1, column: 1 });
        assert_eq!(text.place(1), Place { line: 1, column: 2 });
        assert_eq!(text.place(2), Place { line: 2, column: 1 });
        assert_eq!(
            text.place(whole.find('=').unwrap()),
            Place { line: 2, column: 3 }
        );
        for offset in 0..20 {
            text.place(offset);
        }
        assert_eq!(text.place(99), Place { line: 3, column: 1 });
        assert_eq!(Text::new("").place(7), Place { line: 1, column: 1 });
    }
}
