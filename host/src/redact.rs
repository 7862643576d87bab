//! Secrets taken out of text that leaves the host.

/// What stands in their place.
const REMOVED: &str = "(removed)";
/// Words before the values that are secrets, in small letters.
const WORDS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "psk",
    "authorization",
    "bearer",
    "api_key",
    "apikey",
    "private_key",
    // WireGuard's files of systemd-networkd.
    "privatekey",
    "presharedkey",
];
/// How secrets begin that need no word before them: hashes of passwords, license tokens.
const STARTS: [&str; 8] = [
    "$y$",
    "$6$",
    "$5$",
    "$1$",
    "$2b$",
    "$argon2",
    "v4.public.",
    "v4.local.",
];

/// The text without passwords, hashes of passwords, tokens and private keys. What could be one is taken for one.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        let end = line.trim_end_matches('\n').len();
        let (line, end) = line.split_at(end);
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
        if begins {
            in_key = true;
        }
        if in_key {
            if begins {
                out.push_str(REMOVED);
                out.push_str(end);
            }
            in_key = !(line.contains("-----END") && line.contains("PRIVATE KEY"));
            continue;
        }
        out.push_str(&redact_line(line));
        out.push_str(end);
    }
    out
}

fn redact_line(line: &str) -> String {
    let lower = line.to_lowercase();
    // The value behind the first word that is followed by `=` or `:`, to the end of the line: it may hold blanks.
    let value = WORDS
        .iter()
        .flat_map(|word| lower.match_indices(word))
        .filter_map(|(at, word)| {
            let behind = at + word.len();
            let separator = lower[behind..].find(['=', ':'])?;
            // In between are quotes and the rest of a name: `password_hash": `.
            let name_end = lower[behind..behind + separator]
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-\"' ".contains(c));
            name_end.then_some(behind + separator + 1)
        })
        .min();
    // Small letters can have other lengths than the large ones; then nothing of the line is kept.
    let line = match value {
        Some(at) if lower.len() == line.len() && line.is_char_boundary(at) => {
            format!("{} {REMOVED}", &line[..at])
        }
        Some(_) => return REMOVED.to_owned(),
        None => line.to_owned(),
    };
    without_logins(&without_tokens(&line))
}

fn without_tokens(line: &str) -> String {
    let mut line = line.to_owned();
    for start in STARTS {
        while let Some(at) = line.find(start) {
            let len = line[at..]
                .find(|c: char| c.is_whitespace() || "\"',:<>".contains(c))
                .unwrap_or(line.len() - at);
            line.replace_range(at..at + len, REMOVED);
        }
    }
    line
}

/// `https://user:secret@host` without the login.
fn without_logins(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after
            .find(|c: char| c.is_whitespace() || "/\"'<>".contains(c))
            .unwrap_or(after.len());
        match after[..authority].rfind('@') {
            Some(login) => {
                out.push_str(REMOVED);
                rest = &after[login..];
            }
            None => rest = after,
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (text, left) in [
            ("root:$y$j9T$abc$def:20000:0", "root:(removed):20000:0"),
            (
                "  \"password_hash\": \"$6$x\",",
                "  \"password_hash\": (removed)",
            ),
            (
                "<graphics type='vnc' passwd='hunter2' port='1'/>",
                "<graphics type='vnc' passwd= (removed)",
            ),
            ("Authorization: Bearer abcdef", "Authorization: (removed)"),
            (
                "webhook = https://user:pw@example.org/x",
                "webhook = https://(removed)@example.org/x",
            ),
            ("license v4.public.AAAA-BBB_ ok", "license (removed) ok"),
            ("token=abc def", "token= (removed)"),
            (
                "no token (yet), then token=abc",
                "no token (yet), then token= (removed)",
            ),
            ("PrivateKey=abc=", "PrivateKey= (removed)"),
            (
                "Failed password for root from 10.0.0.1 port 22",
                "Failed password for root from 10.0.0.1 port 22",
            ),
            ("net.ipv4 = 1", "net.ipv4 = 1"),
            ("see https://example.org/a@b", "see https://example.org/a@b"),
        ] {
            assert_eq!(redact(text), left);
        }
        let key =
            "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\nb\n";
        assert_eq!(redact(key), "a\n(removed)\nb\n");
        let cut = "-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB";
        assert_eq!(redact(cut), "(removed)\n", "a key without an end is a key");
    }
}
