//! Facts in plain words, as several screens and the plain questions show them.

use super::page::cut;
use super::theme::Glyphs;
use crate::plan::{SecureBoot, holds_bedplate};
use crate::values::{show_memory, show_size};
use hcl_checker::Known;
use hcl_checker::facts::{Disk, Facts, FirmwareKind};

/// Model, processors, memory and firmware of a machine.
pub fn machine_lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let text = |known: &Known<String>| known.value().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    let model = format!(
        "{} {}",
        text(&facts.dmi.system_vendor),
        text(&facts.dmi.product)
    );
    if !model.trim().is_empty() {
        lines.push(("Model", model.trim().to_owned()));
    }
    let count = |known: &Known<u32>, one: &str| {
        known.value().map(|count| {
            let s = if *count == 1 { "" } else { "s" };
            format!("{count} {one}{s}")
        })
    };
    let topology = &facts.topology;
    let processors: Vec<String> = [
        count(&topology.sockets, "socket"),
        count(&topology.cores, "core"),
        facts.cpu.model_name.value().cloned(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !processors.is_empty() {
        lines.push(("Processors", processors.join(", ")));
    }
    if let Some(bytes) = facts.memory.total_bytes.value() {
        lines.push(("Memory", show_memory(*bytes)));
    }
    let firmware = match facts.firmware.kind.value() {
        Some(FirmwareKind::Uefi) => "UEFI",
        Some(FirmwareKind::Bios) => "BIOS",
        None => "not known",
    };
    let secure = match SecureBoot::of(&facts.firmware) {
        SecureBoot::On => ", Secure Boot is on",
        SecureBoot::SetupMode => ", Secure Boot is in setup mode: keys can be enrolled",
        SecureBoot::Off => ", Secure Boot is off",
        SecureBoot::Without | SecureBoot::Unknown(_) => "",
    };
    lines.push(("Firmware", format!("{firmware}{secure}")));
    lines
}

/// A disk in one line: path, size, model, serial number, what is on it.
pub fn disk_line(disk: &Disk) -> String {
    let size = disk
        .size_bytes
        .value()
        .map_or("size not known".to_owned(), |size| show_size(*size));
    let text = |known: &Known<String>| known.value().cloned().unwrap_or_else(|| "-".to_owned());
    format!(
        "{:<13} {size:>9}  {:<18} {:<12} {}",
        disk.path,
        cut(&text(&disk.model), 18, "."),
        cut(&text(&disk.serial), 12, "."),
        content_word(disk)
    )
}

/// What is on a disk, in a word or two.
pub fn content_word(disk: &Disk) -> &'static str {
    match disk.holds_data() {
        _ if holds_bedplate(disk) => "runs Bedplate",
        Known::Value(false) | Known::Absent => "empty",
        Known::Value(true) => "holds data",
        Known::Unknown(_) => "not known",
    }
}

/// A part of a disk.
pub struct Block {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// The parts of a disk as a picture of `width` columns: a frame, names, sizes. Small parts are shown wider than they are.
pub fn bar(blocks: &[Block], width: usize, glyphs: &Glyphs) -> Vec<String> {
    let blocks = &blocks[..blocks.len().min(width / 4)];
    let inner = width.saturating_sub(blocks.len() + 1);
    let widths = widths(blocks, inner);
    let mut names = glyphs.bar.to_owned();
    let mut sizes = glyphs.bar.to_owned();
    for (block, width) in blocks.iter().zip(&widths) {
        let size = show_size(block.size);
        let size = if size.chars().count() > *width {
            String::new()
        } else {
            size
        };
        names.push_str(&format!(
            "{:^width$}{}",
            cut(&block.name, *width, "."),
            glyphs.bar
        ));
        sizes.push_str(&format!("{size:^width$}{}", glyphs.bar));
    }
    let rule = glyphs.rule.repeat(names.chars().count().saturating_sub(2));
    let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
    vec![
        format!("{top_left}{rule}{top_right}"),
        names,
        sizes,
        format!("{bottom_left}{rule}{bottom_right}"),
    ]
}

/// Columns of each part: enough for its name and size where possible, and the rest by its share.
fn widths(blocks: &[Block], inner: usize) -> Vec<usize> {
    let wanted = |block: &Block| {
        let longest = block
            .name
            .chars()
            .count()
            .max(show_size(block.size).chars().count());
        // A part of some mebibytes is a sliver.
        if block.size < 64 << 20 {
            1
        } else {
            longest.min(14)
        }
    };
    let mut widths: Vec<usize> = blocks.iter().map(wanted).collect();
    while widths.iter().sum::<usize>() > inner {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 1 => *widest -= 1,
            _ => return widths,
        }
    }
    let spare = inner - widths.iter().sum::<usize>();
    let total: u128 = blocks.iter().map(|block| u128::from(block.size)).sum();
    let mut given = 0;
    for (width, block) in widths.iter_mut().zip(blocks) {
        let share = (spare as u128 * u128::from(block.size))
            .checked_div(total)
            .unwrap_or(0) as usize;
        *width += share;
        given += share;
    }
    // What rounding left goes to the largest part.
    if let Some((_, width)) = blocks
        .iter()
        .zip(&mut widths)
        .max_by_key(|(block, _)| block.size)
    {
        *width += spare - given;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::super::theme::Theme;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_picture_has_straight_edges(sizes in prop::collection::vec(any::<u64>(), 1..24), width in 40..120usize) {
            let blocks: Vec<Block> = sizes.into_iter().map(|size| Block { name: "partition".into(), size }).collect();
            let lines = bar(&blocks, width, Theme::new(false, false).glyphs);
            prop_assert!(lines.iter().all(|line| line.len() == width), "{:#?}", lines);
        }
    }
}
