//! Names of modules as the lines of an index hold them.

use std::borrow::Cow;

/// Sorted names. They are kept in lines of some ten, sorted too: to take thousands of them apart at each start takes longer
/// than to search a line now and then.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    names: Cow<'static, str>,
    /// Length of the first name.
    first: usize,
}

impl Line {
    fn first(&self) -> &[u8] {
        &self.names.as_bytes()[..self.first]
    }
}

impl Names {
    /// Names in lines of one or more, with one blank between them.
    pub(super) fn of_lines(lines: impl IntoIterator<Item = Cow<'static, str>>) -> Self {
        let line = |names: Cow<'static, str>| Line {
            first: names.find(' ').unwrap_or(names.len()),
            names,
        };
        let mut lines: Vec<Line> = lines.into_iter().map(line).collect();
        // They stand there sorted, and sorting what is sorted is quick.
        lines.sort_by(|a, b| a.first().cmp(b.first()));
        Self { lines }
    }

    /// Whether there is such a name.
    pub(super) fn contains(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let behind = self.lines.partition_point(|line| line.first() <= name);
        let line = behind.checked_sub(1).and_then(|at| self.lines.get(at));
        // Two blanks are no name between them.
        !name.is_empty()
            && line.is_some_and(|line| {
                let mut names = line.names.as_bytes().split(|&byte| byte == b' ');
                names.any(|known| known == name)
            })
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self::of_lines(names.into_iter().map(Cow::Owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// However they are put into lines.
        #[test]
        fn names_of_lines_are_found(
            names in proptest::collection::btree_set("[a-c_]{1,3}", 0..30),
            width in 1_usize..6,
            backwards: bool,
        ) {
            let sorted: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut lines: Vec<Cow<'static, str>> =
                sorted.chunks(width).map(|line| Cow::Owned(line.join(" "))).collect();
            if backwards {
                lines.reverse();
            }
            let all = Names::of_lines(lines);
            let one_by_one: Names = names.iter().cloned().collect();
            let others: BTreeSet<String> = ["", "a", "b_", "zz", "a b"].map(str::to_owned).into();
            for name in names.iter().chain(&others) {
                prop_assert_eq!(all.contains(name), names.contains(name), "{}", name);
                prop_assert_eq!(one_by_one.contains(name), names.contains(name), "{}", name);
            }
        }
    }
}
