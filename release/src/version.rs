//! Which of two versions is the older one.

use std::cmp::Ordering;

/// True when release `a` is older than `b`: numbers are compared as numbers, and what has something behind a dash comes
/// before the same without (`1.2.0-rc.1` before `1.2.0`), as semver.org says. Build data behind a plus does not count.
pub fn is_older(a: &str, b: &str) -> bool {
    compare(a, b) == Ordering::Less
}

fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let text = text.split('+').next().unwrap_or_default();
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (text, None),
        };
        (core.to_owned(), before.map(str::to_owned))
    };
    let ((core_a, before_a), (core_b, before_b)) = (parts(a), parts(b));
    fields(&core_a, &core_b, true).then_with(|| match (before_a, before_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => fields(&a, &b, false),
    })
}

/// Field by field. In `core`, a missing field counts as 0.
fn fields(a: &str, b: &str, core: bool) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(y)) if core => ("0", y),
            (Some(x), None) if core => (x, "0"),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => (x, y),
        };
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_in_their_order() {
        let order = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2.0.0",
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(is_older(a, b), i < j, "{a} {b}");
            }
        }
        assert!(!is_older("1.2", "1.2.0") && !is_older("1.2.0", "1.2"));
        assert!(!is_older("1.0.0+a", "1.0.0+b"));
    }
}
