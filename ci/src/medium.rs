//! Damaging one byte of a file on an ISO.

use crate::case::Run;
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of a block of ISO 9660.
const BLOCK: u64 = 2048;
/// Where the artifacts lie on the ISO.
const TARGETS: &str = "/bedplate/repository/targets";

/// A file on an ISO.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    path: String,
    /// Byte at which it begins on the ISO.
    start: u64,
    /// Its size in bytes.
    size: u64,
}

/// Turns over one bit in the middle of the artifact whose file name ends in `suffix`; returns the file's name.
///
/// # Errors
/// When there is not exactly one such artifact, or the ISO cannot be written.
pub fn flip(run: &Run, iso: &Path, suffix: &str) -> Result<String> {
    let mut command = run.bench.tools.command("xorriso");
    command
        .args(["-report_about", "WARNING", "-indev"])
        .arg(iso);
    command.args(["-find", TARGETS, "-type", "f", "-exec", "report_lba", "--"]);
    let extents = parse(&process::run(&mut command, b"", Duration::from_secs(120))?);
    let found: Vec<&Extent> = extents
        .iter()
        .filter(|extent| extent.path.ends_with(suffix))
        .collect();
    let [extent] = found[..] else {
        bail!(
            "{} has not one artifact *{suffix} but these: {extents:?}",
            iso.display()
        )
    };
    ensure!(extent.size > 0, "{} is empty", extent.path);
    let at = extent.start + extent.size / 2;
    let turn = || -> std::io::Result<()> {
        let file = File::options().read(true).write(true).open(iso)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[byte[0] ^ 0x10], at)
    };
    turn().with_context(|| format!("{} cannot be changed at byte {at}", iso.display()))?;
    Ok(extent
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_string())
}

/// Lines such as `File data lba:  0 ,    12345 ,      100 ,   204000 , '/a/b'`: extent, block, blocks, bytes, path.
///
/// Source: xorriso(1), report_lba. Artifacts are below 4 GiB, so each has one extent.
fn parse(text: &str) -> Vec<Extent> {
    let line = |line: &str| {
        let mut parts = line
            .strip_prefix("File data lba:")?
            .splitn(5, ',')
            .map(str::trim);
        let _extent = parts.next()?;
        let block: u64 = parts.next()?.parse().ok()?;
        let _blocks = parts.next()?;
        let size = parts.next()?.parse().ok()?;
        let path = parts.next()?.trim_matches('\'').to_string();
        Some(Extent {
            path,
            start: block * BLOCK,
            size,
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read() {
        let text = "Report layout: xt , Startlba ,   Blocks , Filesize , ISO image path\n\
                    File data lba:  0 ,      437 ,        3 ,     5000 , '/bedplate/repository/targets/ab.vmlinuz'\n";
        let extent = Extent {
            path: "/bedplate/repository/targets/ab.vmlinuz".into(),
            start: 437 * 2048,
            size: 5000,
        };
        assert_eq!(parse(text), [extent]);
    }
}
