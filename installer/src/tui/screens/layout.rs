//! What the disk will look like.

use super::super::app::App;
use super::super::key::Key;
use super::super::page::Page;
use super::super::text::{Block, bar};
use crate::values::show_size;
use ratatui::text::Line;
use slots::Layout;
use slots::layout::PartitionKind;

/// What F1 says.
pub const HELP: &str = "The parts of the disk, now and after the installation. Their sizes follow from the size of the disk.\n\n\
Two slots hold the system: one runs, a hotfix goes into the other, and the host starts the old one again if the new one \
does not come up. The state partition keeps settings and logs. The rest is the storage repository for virtual machines.\n\n\
The two disks of a mirror get the same parts, as large as the smaller one allows.";

/// Takes a key.
pub fn key(app: &mut App, key: Key) {
    match key {
        Key::Enter => app.next(),
        Key::Esc => app.back(),
        _ => {}
    }
}

fn purpose(kind: PartitionKind) -> &'static str {
    match kind {
        PartitionKind::Esp => "boot files of both slots",
        PartitionKind::Bios => "boot code for BIOS",
        PartitionKind::SlotA => "the system",
        PartitionKind::SlotB => "the system after the next hotfix",
        PartitionKind::State => "settings, logs, home of root",
        PartitionKind::Storage => "storage repository for virtual machines",
    }
}

fn short(kind: PartitionKind) -> &'static str {
    match kind {
        PartitionKind::Esp => "ESP",
        PartitionKind::Bios => "b",
        PartitionKind::SlotA => "slot A",
        PartitionKind::SlotB => "slot B",
        PartitionKind::State => "state",
        PartitionKind::Storage => "storage",
    }
}

/// Draws it.
pub fn draw(app: &App, page: &mut Page<'_, '_>) {
    let chosen = app.draft.disks.first();
    let disk = chosen.and_then(|path| app.disks().iter().find(|disk| disk.path == *path));
    let Some(disk) = disk else {
        page.text("No disk is chosen yet: go back and take one.");
        return;
    };
    page.heading(&format!(
        "{}, {}",
        disk.path,
        disk.size_bytes
            .value()
            .map_or("size not known".to_owned(), |size| show_size(*size))
    ));
    let width = page.width().min(96);
    let glyphs = page.theme.glyphs;
    let mut picture = |name: &str, blocks: &[Block]| {
        page.text(name);
        for line in bar(blocks, width, glyphs) {
            page.line(Line::raw(line));
        }
    };
    let size = disk.size_bytes.value().copied().unwrap_or(0);
    let mut now: Vec<Block> = disk
        .partitions
        .iter()
        .map(|partition| Block {
            name: partition
                .gpt_name
                .value()
                .filter(|name| !name.trim().is_empty())
                .cloned()
                .unwrap_or_else(|| partition.name.clone()),
            size: partition.size_bytes.value().copied().unwrap_or(0),
        })
        .collect();
    if now.is_empty() {
        let name = if super::super::draft::needs_consent(disk) {
            "data without partitions"
        } else {
            "empty"
        };
        now.push(Block {
            name: name.to_owned(),
            size,
        });
    }
    let used = now
        .iter()
        .map(|block| block.size)
        .fold(0, u64::saturating_add);
    let free = size.saturating_sub(used);
    // What alignment leaves over is not worth a place in the picture.
    if free > size / 100 {
        now.push(Block {
            name: "free".to_owned(),
            size: free,
        });
    }
    picture("Now", &now);
    let sector = disk.logical_sector.value().copied().unwrap_or(512);
    let kept = app.draft.kept(disk);
    let second = app.draft.second();
    let second = second.and_then(|path| app.disks().iter().find(|disk| disk.path == *path));
    let planned = match (&kept, second) {
        (Some(kept), _) => Layout::plan_keeping(size, sector, None, (kept.start, kept.size)),
        (None, Some(second)) => {
            let other = second.size_bytes.value().copied().unwrap_or(0);
            let sector_of_other = second.logical_sector.value().copied().unwrap_or(512);
            Layout::plan_mirror((size, sector), (other, sector_of_other), None)
                .map(|[first, _]| first)
        }
        (None, None) => Layout::plan(size, sector),
    };
    let layout = match planned {
        Ok(layout) => layout,
        Err(error) => {
            page.gap();
            page.problem(&format!("{}: {error}. Choose another disk.", disk.path));
            return;
        }
    };
    let after: Vec<Block> = layout
        .partitions
        .iter()
        .map(|partition| Block {
            name: short(partition.kind).to_owned(),
            size: partition.size,
        })
        .collect();
    picture(
        &second.map_or("After".to_owned(), |second| {
            format!("After, and {} the same", second.path)
        }),
        &after,
    );
    page.gap();
    for partition in &layout.partitions {
        page.line(Line::raw(format!(
            "  {}  {:<14} {:>10}   {}",
            partition.kind.number(),
            partition.kind.name(),
            show_size(partition.size),
            match partition.kind {
                PartitionKind::Storage if kept.is_some() =>
                    "stays as it is, with the disks of guests",
                kind => purpose(kind),
            }
        )));
    }
}
