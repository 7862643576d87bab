//! Names of hooks and of their files.

use super::ValueError;

/// A name of a hook is also that of a file and of a step.
pub fn check_hook_name(text: &str) -> Result<(), ValueError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 40 || !text.chars().all(fine) || text.starts_with('-') {
        return Err(ValueError::new(
            "is no name of a hook",
            "use lowercase letters, digits and hyphens, 40 at most, for example `register`",
        ));
    }
    Ok(())
}

/// A path from the folder of the answers, which is a path on a volume and a part of a URL.
pub fn check_beside(text: &str) -> Result<(), ValueError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
    let inside = text.split('/').all(|part| !["", ".", ".."].contains(&part));
    if text.len() > 200 || !text.chars().all(fine) || !inside {
        return Err(ValueError::new(
            "is no path of a file beside the answers",
            "write it from the folder of the answers, without `..`: `hooks/register.sh`",
        ));
    }
    Ok(())
}

/// SHA-256 in lowercase hexadecimal.
pub fn check_sha256(text: &str) -> Result<(), ValueError> {
    let fine = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() != 64 || !text.chars().all(fine) {
        return Err(ValueError::new(
            "is no SHA-256",
            "write the 64 hexadecimal digits that `sha256sum` prints",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_paths_stay_beside_the_answers() {
        assert!(check_hook_name("10-register").is_ok());
        for bad in ["", "-x", "A", "a b", "hooks.json", "../x", &"a".repeat(41)] {
            assert!(check_hook_name(bad).is_err(), "{bad}");
        }
        assert!(check_beside("hooks/register.sh").is_ok());
        for bad in [
            "", "/etc/x", "a/../b", "./a", "a//b", "a b", "a?b", "%2e%2e/x", "a/",
        ] {
            assert!(check_beside(bad).is_err(), "{bad}");
        }
        assert!(check_sha256(&"0f".repeat(32)).is_ok());
        assert!(check_sha256(&"0F".repeat(32)).is_err() && check_sha256("0f").is_err());
    }
}
