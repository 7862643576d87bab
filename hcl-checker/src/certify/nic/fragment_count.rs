//! Datagrams that went in pieces, by the kernel's own count.

use crate::certify::TestError;
use crate::certify::change::read_text;
use steps::System;

/// How many datagrams were split or put together again so far, by the kernel's count (RFC 4293, RFC 2465).
pub(super) fn fragments(system: &dyn System, v6: bool) -> Result<u64, TestError> {
    if v6 {
        let text = read_text(system, "/proc/net/snmp6")?;
        return Ok(sum_of_lines(&text, &["Ip6FragCreates", "Ip6ReasmReqds"]));
    }
    let text = read_text(system, "/proc/net/snmp")?;
    Ok(sum_of_columns(&text, &["FragCreates", "ReasmReqds"]))
}

/// `name  number` lines.
fn sum_of_lines(text: &str, names: &[&str]) -> u64 {
    let numbers = text.lines().filter_map(|line| {
        let (name, number) = line.split_once(char::is_whitespace)?;
        names
            .contains(&name)
            .then(|| number.trim().parse::<u64>().ok())?
    });
    numbers.sum()
}

/// Two lines that start with `Ip:`, names above numbers.
fn sum_of_columns(text: &str, names: &[&str]) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip:"));
    let (Some(head), Some(row)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let columns = head.split_whitespace().zip(row.split_whitespace());
    columns
        .filter(|(name, _)| names.contains(name))
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_read_from_the_kernels_tables() {
        let v4 = "Ip: Forwarding ReasmReqds FragOKs FragFails FragCreates\nIp: 1 20 3 0 4\nIcmp: InMsgs\nIcmp: 5\n";
        assert_eq!(sum_of_columns(v4, &["FragCreates", "ReasmReqds"]), 24);
        let v6 = "Ip6InReceives                   \t9\nIp6ReasmReqds                   \t2\nIp6FragCreates                  \t3\n";
        assert_eq!(sum_of_lines(v6, &["Ip6FragCreates", "Ip6ReasmReqds"]), 5);
        assert_eq!(
            sum_of_columns("", &["FragCreates"]) + sum_of_lines("", &["x"]),
            0
        );
    }
}
