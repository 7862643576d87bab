//! Lists of names that stay short, however many there are.

/// How many names are told; one more takes no more room than the words that it was left out.
const TOLD: usize = 4;

/// The first of many names, and how many more there are: for sentences, where what lists all of them is elsewhere.
pub fn few<T: AsRef<str>>(names: &[T]) -> String {
    let told = match names.len() {
        n if n > TOLD + 1 => TOLD,
        n => n,
    };
    let words: Vec<&str> = names[..told].iter().map(AsRef::as_ref).collect();
    let shown = words.join(", ");
    match names.len() - told {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_are_shortened() {
        let names = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(few(&names[..0]), "");
        assert_eq!(few(&names[..1]), "a");
        assert_eq!(few(&names[..5]), "a, b, c, d, e");
        assert_eq!(few(&names), "a, b, c, d and 2 more");
    }
}
