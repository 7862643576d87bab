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

impl Place {
    /// The place of byte `offset` in `text`.
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line,
            column: before[start..].chars().count() + 1,
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
        let text = "a\nä = 1\n";
        assert_eq!(Place::of(text, 0), Place { line: 1, column: 1 });
        assert_eq!(
            Place::of(text, text.find('=').unwrap()),
            Place { line: 2, column: 3 }
        );
        for offset in 0..20 {
            Place::of(text, offset);
        }
        assert_eq!(Place::of(text, 99), Place { line: 3, column: 1 });
    }
}
