//! Secrets taken out of text that leaves the host.

/// What stands in their place.
const REMOVED: &str = "(removed)";
/// Words before the values that are secrets, in small letters; also as parts of longer names.
const WORDS: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "psk",
    "authorization",
    "bearer",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "private_key",
    // WireGuard's files of systemd-networkd.
    "privatekey",
    "presharedkey",
    // SNMP's.
    "community",
];
/// The same where they stand alone: `bypass` and `passed` are none.
const WHOLE_WORDS: [&str; 4] = ["pass", "pw", "pwd", "passcode"];
/// How secrets begin that need no word before them, besides hashes of passwords: license tokens.
const STARTS: [&str; 2] = ["v4.public.", "v4.local."];

/// Where a secret that goes on behind its line ends.
enum End {
    /// With the last line of a private key.
    PrivateKey,
    /// With the tag that closes the element.
    Tag,
    /// With the last line that is indented deeper than this.
    Block(usize),
}

/// The text without passwords, hashes of passwords, tokens and private keys. What could be one is taken for one.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open = None;
    for line in text.split_inclusive('\n') {
        let (line, end) = line.split_at(line.trim_end_matches('\n').len());
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            out.push_str(REMOVED);
            out.push_str(end);
            let closed = line.contains("-----END");
            open = (!closed).then_some(End::PrivateKey);
            continue;
        }
        match open {
            Some(End::PrivateKey) if line.contains("-----END") => open = None,
            Some(End::Tag) if line.contains("</") => open = None,
            Some(End::PrivateKey | End::Tag) => {}
            Some(End::Block(indent)) if line.trim().is_empty() || indent_of(line) > indent => {}
            Some(End::Block(_)) | None => {
                let (line, goes_on) = redact_line(line);
                out.push_str(&line);
                out.push_str(end);
                open = goes_on;
            }
        }
    }
    out
}

fn redact_line(line: &str) -> (String, Option<End>) {
    let lower = line.to_lowercase();
    let words = WORDS
        .iter()
        .flat_map(|word| lower.match_indices(word))
        .chain(whole_words(&lower))
        .filter_map(|(at, word)| value(&lower, at, at + word.len()))
        .chain(lone_key(&lower))
        .min();
    let Some(at) = words else {
        return (without_logins(&without_tokens(line)), None);
    };
    // Small letters can have other lengths than the large ones; then nothing of the line is kept.
    let (before, secret) = match line.split_at_checked(at) {
        Some(parts) if lower.len() == line.len() => parts,
        _ => ("", line),
    };
    let goes_on = if before.ends_with('>') && !secret.contains("</") {
        Some(End::Tag)
    } else if secret.chars().all(|c| " \t\"'|>\\+-".contains(c)) {
        Some(End::Block(indent_of(line)))
    } else {
        None
    };
    let before = without_logins(&without_tokens(before));
    let line = match before.is_empty() {
        true => REMOVED.to_owned(),
        false => format!("{before} {REMOVED}"),
    };
    (line, goes_on)
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Words that stand alone, or at the end of a name with its value directly behind it.
fn whole_words(lower: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| c.is_alphanumeric();
    WHOLE_WORDS
        .iter()
        .flat_map(|word| lower.match_indices(word))
        .filter(move |(at, word)| {
            let (before, behind) = (&lower[..*at], &lower[at + word.len()..]);
            let alone = !before.ends_with(part) && !behind.starts_with(part);
            alone || (behind.starts_with(['=', ':']) && !before.ends_with("by"))
        })
}

/// Where the value begins of the word from `at` to `behind`: behind `=`, `:` or the end of a tag, or the next argument of a command.
fn value(lower: &str, at: usize, behind: usize) -> Option<usize> {
    let rest = &lower[behind..];
    // In between are quotes and the rest of a name: `password_hash": `.
    let name = |c: char| c.is_ascii_alphanumeric() || "_-\"' ".contains(c);
    if let Some(separator) = rest.find(['=', ':', '>'])
        && rest[..separator].chars().all(name)
    {
        return Some(behind + separator + 1);
    }
    let option = lower[..at]
        .rsplit(char::is_whitespace)
        .next()
        .is_some_and(|word| word.starts_with('-'));
    let blank = rest.find(char::is_whitespace)?;
    (option && rest[..blank].chars().all(name)).then_some(behind + blank)
}

/// The value of a line `Key=`, as systemd-networkd's files have it for MACsec.
fn lone_key(lower: &str) -> Option<usize> {
    let key = lower.trim_start().strip_prefix("key")?;
    let value = key.trim_start().strip_prefix('=')?;
    Some(lower.len() - value.len())
}

fn without_tokens(line: &str) -> String {
    let mut line = line.to_owned();
    let ends = |c: char| c.is_whitespace() || "\"',:<>".contains(c);
    while let Some(at) = STARTS
        .iter()
        .filter_map(|start| line.find(start))
        .chain(hash(&line))
        .min()
    {
        let len = line[at..].find(ends).unwrap_or(line.len() - at);
        line.replace_range(at..at + len, REMOVED);
    }
    line
}

/// Where the hash of a password begins: `$y$`, `$2b$`, `$argon2id$`, whatever crypt(5) has next.
fn hash(line: &str) -> Option<usize> {
    let method = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    line.match_indices('$').map(|(at, _)| at).find(|at| {
        let rest = &line[at + 1..];
        rest.find(|c| !method(c))
            .is_some_and(|end| end > 0 && rest[end..].starts_with('$'))
    })
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
    fn no_form_of_a_secret_stays() {
        for form in [
            "root:$y$j9T$S$:20000:0",
            "root:$2y$12$S:1",
            "root:$7$S:1",
            "root:$gy$j9T$S:1",
            "hash $argon2id$v=19$m=65536$S ok",
            "  \"password_hash\": \"$6$S\",",
            "  \"password\": \"S\",",
            "<graphics type='vnc' passwd='S' port='1'/>",
            "<xe:other-config key=\"root-password\">S</xe:other-config>",
            "<xe:other-config key=\"root-password\">first\nS\nlast</xe:other-config>",
            "<secret>S</secret>",
            "Authorization: Basic S",
            "webhook = https://user:S@example.org/x",
            "license v4.public.S ok",
            "token=a S",
            "no token (yet), then token=S",
            "PrivateKey=S",
            "[MACsecReceiveAssociation]\nKey=S",
            "  Key = S",
            "//nas/vm /srv cifs user=u,pass=S 0 0",
            "pwd: S",
            "mysql --password S -u root",
            "tool -password S",
            "aws_access_key=S",
            "password:\n  S\nnext",
            "password: |\n  S",
            "  password: |-\n    first\n\n    S\n  user: x",
            "password: >+\n  S",
            "dbpass=S",
            "rootpw=S",
            "pw: S",
            "rocommunity=S",
            "snmp community: S",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nS\n-----END OPENSSH PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nS",
            // A letter whose small form is longer.
            "\u{130} password=S",
        ] {
            let text = format!("before\n{}\n", form.replace('S', "hunter2"));
            let left = redact(&text);
            assert!(!left.contains("hunter2"), "{text} -> {left}");
            assert!(
                left.contains(REMOVED) && left.starts_with("before\n"),
                "{left}"
            );
        }
    }

    #[test]
    fn the_rest_stays() {
        for text in [
            "Failed password for root from 10.0.0.1 port 22",
            "net.ipv4 = 1",
            "see https://example.org/a@b",
            "  pass     network      xenbr0 is up with 10.0.2.15",
            "\"passed\": true",
            "iommu=bypass: yes",
            "<xe:other-config key=\"owner\">ci</xe:other-config>",
            "costs $5 and $10",
        ] {
            assert_eq!(redact(text), text);
        }
        assert_eq!(redact("root:$y$abc:20000:0"), "root:(removed):20000:0");
        assert_eq!(redact("token=abc def\nnext\n"), "token= (removed)\nnext\n");
        assert_eq!(
            redact("a\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\nb\n"),
            "a\n(removed)\nb\n"
        );
        assert_eq!(
            redact("a:\n  password: |\n    x\n    y\n  user: z\n"),
            "a:\n  password: (removed)\n  user: z\n"
        );
        assert_eq!(
            redact("<a key='password'>x\ny</a>\n<b/>\n"),
            "<a key='password'> (removed)\n<b/>\n"
        );
    }
}
