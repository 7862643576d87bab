//! Password hashes as `crypt(5)` writes them.

use super::ValueError;
use std::fmt;

const ADVICE: &str =
    "make a hash with `mkpasswd` or `openssl passwd -6` and put its whole output here";
/// The alphabet of crypt hashes (crypt(5), "base64 of crypt").
const ALPHABET: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A checked password hash. A secret: it is never serialized, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Checks that `text` is a complete hash of a method that is still fit for passwords.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let refuse = |message: &str| Err(ValueError::new(message, ADVICE));
        if !text.starts_with('$') {
            return refuse(
                "is not a password hash (is it the password itself? plain text is refused)",
            );
        }
        let fields: Vec<&str> = text.split('$').skip(1).collect();
        let method = fields.first().copied().unwrap_or_default();
        let hash = fields.last().copied().unwrap_or_default();
        let middle = fields
            .get(1..fields.len().saturating_sub(1))
            .unwrap_or_default();
        let (fields_wanted, hash_len) = match method {
            "6" => (3..=4, 86),
            "5" => (3..=4, 43),
            "y" => (4..=4, 43),
            "gy" => (4..=4, 43),
            "2a" | "2b" | "2y" => (3..=3, 53),
            "7" => (3..=3, 43),
            "1" | "md5" | "sha1" | "3" => {
                return refuse("is a hash of a method that is too weak for passwords today");
            }
            _ => return refuse("is a hash of an unknown method"),
        };
        if !fields_wanted.contains(&fields.len()) || middle.iter().any(|field| field.is_empty()) {
            return refuse("is not a complete hash (is a part missing?)");
        }
        if hash.len() != hash_len {
            return Err(ValueError::new(
                format!(
                    "is not a complete hash: {} of the {hash_len} characters behind the last `$`",
                    hash.len()
                ),
                ADVICE,
            ));
        }
        if fields.len() == 4 && matches!(method, "5" | "6") {
            let rounds = middle
                .first()
                .and_then(|field| field.strip_prefix("rounds="));
            let rounds = rounds.and_then(|rounds| rounds.parse::<u32>().ok());
            if !rounds.is_some_and(|rounds| (1000..=999_999_999).contains(&rounds)) {
                return refuse("has a part that is not `rounds=` with a number from 1000");
            }
        }
        // Longer salts are cut by crypt(3), whose result is then never this hash (crypt(5)).
        let salt = middle.last().map_or(0, |salt| salt.len());
        if matches!(method, "5" | "6") && salt > 16 {
            return refuse("has a salt of more than 16 characters, so no password would ever fit");
        }
        if hash_len == 53 {
            let cost = middle.first().copied().unwrap_or_default();
            let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
            let fits = |cost: u8| (4..=31).contains(&cost);
            if !digits || !cost.parse().is_ok_and(fits) {
                return refuse("has a cost that is not from 04 to 31");
            }
        }
        let salted = middle.iter().filter(|field| !field.starts_with("rounds="));
        for field in salted.chain(fields.last()) {
            // A colon or a line break would add fields or lines to /etc/shadow.
            if !field.chars().all(|c| ALPHABET.contains(c)) {
                return refuse("contains a character that no hash has");
            }
        }
        Ok(PasswordHash(text.to_owned()))
    }

    /// The hash, for /etc/shadow and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The method in words, which may be shown: `SHA-512 crypt`.
    pub fn method(&self) -> &'static str {
        match self.0.split('$').nth(1) {
            Some("6") => "SHA-512 crypt",
            Some("5") => "SHA-256 crypt",
            Some("y") => "yescrypt",
            Some("gy") => "gost-yescrypt",
            Some("7") => "scrypt",
            _ => "bcrypt",
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({}, hidden)", self.method())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl passwd -6 -salt saltsalt secret`
    const SHA512: &str = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

    #[test]
    fn takes_the_methods_of_crypt() {
        let y = format!("$y$j9T$abcdefghijklmnop$.{}", "a".repeat(42));
        let b = format!("$2b$12${}", "a".repeat(53));
        let five = format!("$5$rounds=5000$salt$/{}", "b".repeat(42));
        for good in [SHA512, &y, &b, &five] {
            assert_eq!(PasswordHash::parse(good).unwrap().expose(), good);
        }
    }

    #[test]
    fn refuses_plain_text_weak_cut_and_injected_hashes() {
        let cut = &SHA512[..SHA512.len() - 1];
        let inject = SHA512.replace("saltsalt", "salt:0:0");
        let line = format!("{SHA512}\n");
        for bad in [
            "",
            "secret",
            "$",
            "$6$",
            "$6$salt$",
            "$1$salt$abc",
            cut,
            &inject,
            &line,
            "$6$rounds=1$s$x",
            "$9$a$b",
        ] {
            let error = PasswordHash::parse(bad).unwrap_err();
            assert!(error.advice.contains("openssl passwd -6"), "{error}");
            assert!(bad.is_empty() || bad.len() < 3 || !error.to_string().contains(bad));
        }
    }

    /// Complete, and yet no password gives them: the host would have no login.
    #[test]
    fn refuses_hashes_that_nothing_fits() {
        let error = |text: &str| PasswordHash::parse(text).unwrap_err().message;
        let long = SHA512.replace("saltsalt", "abcdefghijklmnopq");
        assert!(error(&long).contains("16 characters"));
        assert!(PasswordHash::parse(&SHA512.replace("saltsalt", "abcdefghijklmnop")).is_ok());
        for cost in ["99", "3", "+4", "03", "012"] {
            let hash = format!("$2b${cost}${}", "a".repeat(53));
            assert!(error(&hash).contains("cost"), "{cost}");
        }
    }

    #[test]
    fn debug_hides_it() {
        let shown = format!("{:?}", PasswordHash::parse(SHA512).unwrap());
        assert!(
            !shown.contains("TVLl") && shown.contains("SHA-512"),
            "{shown}"
        );
    }
}
