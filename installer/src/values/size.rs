//! Sizes as people write them.

use super::ValueError;

const ADVICE: &str = "write a number and a unit, for example \"500 GB\" or \"64 GiB\"";

/// Units and their bytes. Decimal units are powers of 1000, as disk makers count; binary ones are powers of 1024.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Bytes of `"500 GB"`, `"1.5 TiB"` and the like. Upper and lower case are the same.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    if unit.is_empty() {
        return Err(ValueError::new("has no unit", ADVICE));
    }
    let Some((_, factor)) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
    else {
        return Err(ValueError::new(
            format!("has the unknown unit {unit:?}"),
            ADVICE,
        ));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let parse = |digits: &str| {
        digits
            .parse::<u64>()
            .map_err(|_| ValueError::new("is not a size", ADVICE))
    };
    if number.contains('.') && (fraction.is_empty() || fraction.len() > 6) {
        return Err(ValueError::new("is not a size", ADVICE));
    }
    let mut bytes = u128::from(parse(whole)?) * u128::from(*factor);
    if !fraction.is_empty() {
        let scale = 10u128.pow(fraction.len() as u32);
        bytes += u128::from(parse(fraction)?) * u128::from(*factor) / scale;
    }
    u64::try_from(bytes).map_err(|_| ValueError::new("is larger than any disk", ADVICE))
}

/// The size of a disk or of what is on it, in decimal units, as it is printed on the disk: `500.1 GB`.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &UNITS[1..5])
}

/// A size of memory, in binary units, as modules are sold: `64.0 GiB`.
pub fn show_memory(bytes: u64) -> String {
    show(bytes, &UNITS[5..])
}

fn show(bytes: u64, units: &[(&str, u64)]) -> String {
    for (name, factor) in units.iter().rev() {
        if bytes >= *factor {
            let tenths = u128::from(bytes) * 10 / u128::from(*factor);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_families_of_units() {
        assert_eq!(parse_size("500 GB").unwrap(), 500_000_000_000);
        assert_eq!(parse_size("64GiB").unwrap(), 64 << 30);
        assert_eq!(parse_size("1.5 tib").unwrap(), 3 << 39);
        assert_eq!(parse_size("0.000001 MB").unwrap(), 1);
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "",
            "GB",
            "500",
            "500 G",
            "-1 GB",
            "1e3 GB",
            "1. GB",
            "1.2.3 GB",
            "99999999999 TiB",
            "٣ GB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn shows_what_the_label_says() {
        assert_eq!(show_size(500_107_862_016), "500.1 GB");
        assert_eq!(show_size(512), "512 B");
        assert_eq!(show_size(u64::MAX), "18446744.0 TB");
        assert_eq!(show_memory(64 << 30), "64.0 GiB");
        assert_eq!(show_memory(512), "512 B");
        assert_eq!(show_memory(3 << 29), "1.5 GiB");
    }
}
