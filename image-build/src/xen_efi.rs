//! `xen.efi`: hypervisor, configuration, dom0 kernel and initrd in one file that can be signed.
//!
//! Source: Xen `docs/misc/efi.pandoc`, "Unified Xen kernel image": sections `.config`, `.kernel`, `.ramdisk`.

use crate::paths::Paths;
use crate::tool::{Tool, remove_all};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Sections start on a page: firmware maps them so.
const PAGE: u64 = 4096;

/// Where Xen's loader cuts the firmware's LoadOptions in two (`get_argv` in xen/common/efi/boot.c, 4.20): everything behind this
/// word goes to the command lines of hypervisor and dom0, also where the configuration is built in and signed.
const SEPARATOR: [u8; 6] = *b"-\0-\0\0\0";
/// What it becomes. Words are cut at blanks, so that none is equal to one with a blank in it, and nothing is ever behind the
/// separator. The section of the configuration can still be named.
const NEVER_EQUAL: [u8; 6] = *b" \0-\0\0\0";

/// Takes the options away that LoadOptions could add to a signed hypervisor.
fn close_options(program: &mut [u8]) -> Result<()> {
    let found: Vec<usize> = program
        .windows(SEPARATOR.len())
        .enumerate()
        .filter(|(_, window)| *window == SEPARATOR)
        .map(|(at, _)| at)
        .collect();
    let [at] = found.as_slice() else {
        bail!(
            "Debian's xen.efi holds the word L\"--\" {} times and not once: see in xen/common/efi/boot.c what LoadOptions can do \
             in this version, and change image-build/src/xen_efi.rs",
            found.len()
        );
    };
    program[*at..at + NEVER_EQUAL.len()].copy_from_slice(&NEVER_EQUAL);
    Ok(())
}

/// Joins the parts into `out`, and takes away that LoadOptions add options. Microcode goes in front of the initrd, where both Xen (`ucode=scan`) and Linux look.
///
/// # Errors
/// When a tool fails or the section table is not understood.
pub fn join(
    paths: &Paths,
    config: &str,
    kernel: &Path,
    initrd: &Path,
    microcode: &Path,
    epoch: u64,
    out: &Path,
) -> Result<()> {
    let work = paths.target.join("root/xen-efi");
    std::fs::create_dir_all(&work)?;
    let stripped = work.join("stripped.efi");
    remove_all(&stripped)?;
    // Debian's file carries some 50 MB of debug sections.
    Tool::locked(paths, "strip")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .arg("-o")
        .arg(&stripped)
        .arg(paths.boot_parts().join("xen-unjoined.efi"))
        .quiet()
        .run()?;
    let mut program = std::fs::read(&stripped)?;
    close_options(&mut program)?;
    std::fs::write(&stripped, program)?;
    let config_path = work.join("config");
    std::fs::write(&config_path, config)?;
    let ramdisk = work.join("ramdisk");
    let mut joined = std::fs::read(microcode)?;
    joined.extend(std::fs::read(initrd)?);
    std::fs::write(&ramdisk, joined)?;
    let table = Tool::locked(paths, "objdump")
        .arg("-h")
        .arg(&stripped)
        .quiet()
        .run()?;
    let mut next = end_of_sections(&table)?.next_multiple_of(PAGE);
    let mut objcopy = Tool::locked(paths, "objcopy").env("SOURCE_DATE_EPOCH", epoch.to_string());
    for (section, path) in [
        (".config", config_path.as_path()),
        (".kernel", kernel),
        (".ramdisk", &ramdisk),
    ] {
        objcopy = objcopy
            .arg("--add-section")
            .arg(format!("{section}={}", path.display()))
            .arg("--change-section-vma")
            .arg(format!("{section}={next:#x}"))
            .arg("--set-section-flags")
            .arg(format!("{section}=alloc,load,readonly,data,contents"));
        next = (next + crate::paths::file_size(path)?).next_multiple_of(PAGE);
    }
    remove_all(out)?;
    objcopy.arg(&stripped).arg(out).run()?;
    Ok(())
}

/// The highest address behind a section, from `objdump -h`: lines `idx name size vma lma offset alignment`.
fn end_of_sections(table: &str) -> Result<u64> {
    let mut end = 0;
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [index, _, size, vma, ..] = fields.as_slice() else {
            continue;
        };
        if index.parse::<u32>().is_err() {
            continue;
        }
        let hex = |text: &str| {
            u64::from_str_radix(text, 16).with_context(|| format!("objdump printed `{line}`"))
        };
        end = end.max(hex(vma)? + hex(size)?);
    }
    if end == 0 {
        bail!("objdump printed no sections:\n{table}");
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_options_is_replaced_where_it_is_found_once() {
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let mut program = wide("help\0--\0' ignored\0");
        close_options(&mut program).unwrap();
        assert_eq!(program, wide("help\0 -\0' ignored\0"));
        for wrong in [wide("help\0-\0"), wide("--\0--\0")] {
            let before = wrong.clone();
            let mut wrong = wrong;
            assert!(close_options(&mut wrong).is_err());
            assert_eq!(wrong, before);
        }
    }

    #[test]
    fn the_end_is_behind_the_highest_section() {
        let table = "Sections:\nIdx Name Size VMA LMA File off Algn\n  0 .text 00000010 ffff82d040200000 x x 2**4\n                  CONTENTS, ALLOC\n  1 .reloc 00000a00 ffff82d040a00000 x x 2**2\n";
        assert_eq!(end_of_sections(table).unwrap(), 0xffff_82d0_40a0_0a00);
        assert!(end_of_sections("nothing").is_err());
    }
}
