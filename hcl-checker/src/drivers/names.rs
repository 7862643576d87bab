//! Names of modules as the lines of an index hold them.

use std::borrow::Cow;

/// Sorted names. They are kept in lines of some ten, sorted too: to take thousands of them apart at each start takes longer
/// than to search a line now and then.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    lines: Vec<Cow<'static, str>>,
}

impl Names {
    /// Names in lines of one or more, with one blank between them.
    pub(super) fn of_lines(mut lines: Vec<Cow<'static, str>>) -> Self {
        // They stand there sorted, and sorting what is sorted is quick.
        lines.sort_by(|a, b| first(a).cmp(first(b)));
        Self { lines }
    }

    /// Whether there is such a name.
    pub(super) fn contains(&self, name: &str) -> bool {
        let behind = self.lines.partition_point(|line| first(line) <= name);
        let line = behind.checked_sub(1).and_then(|at| self.lines.get(at));
        // Two blanks are no name between them.
        !name.is_empty() && line.is_some_and(|line| line.split(' ').any(|known| known == name))
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self::of_lines(names.into_iter().map(Cow::Owned).collect())
    }
}

fn first(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(first, _)| first)
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
