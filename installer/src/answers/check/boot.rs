//! What `[boot]` must hold beyond its shape.

use super::super::document::Document;
use super::super::schema::{Boot, BootConsole};
use super::value;
use crate::choices::BootChoice;
use crate::values::{ArgumentOf, BootArgument, parse_size};
use slots::Console;
use slots::extra_options::OPTIONS_MAX;

/// Less, and dom0 does not come up.
const MEMORY_MIN: u64 = 1 << 30;
/// More than any machine has.
const MEMORY_MAX: u64 = 1 << 44;
/// Virtual processors that Linux as dom0 takes (CONFIG_NR_CPUS of Debian's kernel is 8192; this is a slip of the keyboard).
const VCPUS_MAX: u64 = 512;

/// The choice, or `None` with at least one problem added to `document`.
pub fn boot(boot: Boot, document: &mut Document<'_>) -> Option<BootChoice> {
    let mut fine = true;
    let console = boot.console.map(|console| match console {
        BootConsole::Com1 => Console::Com1,
        BootConsole::Com2 => Console::Com2,
        BootConsole::Vga => Console::Vga,
    });
    let mut dom0_memory = None;
    if let Some(text) = boot.dom0_memory {
        dom0_memory = value(document, "boot.dom0_memory", parse_size(&text));
        fine &= dom0_memory.is_some();
        if dom0_memory.is_some_and(|bytes| !(MEMORY_MIN..=MEMORY_MAX).contains(&bytes)) {
            document.problem_at(
                "boot.dom0_memory",
                "`boot.dom0_memory` is below 1 GiB or above 16 TiB",
                "write a size such as `4 GiB`, or leave the key out",
            );
            fine = false;
        }
    }
    let mut dom0_vcpus = None;
    if let Some(count) = boot.dom0_vcpus {
        dom0_vcpus = u32::try_from(count).ok();
        if !(1..=VCPUS_MAX).contains(&count) {
            document.problem_at(
                "boot.dom0_vcpus",
                format!("`boot.dom0_vcpus` is not from 1 to {VCPUS_MAX}"),
                "write a number such as 4, or leave the key out",
            );
            fine = false;
        }
    }
    let mut words = |key: &str, list: Option<Vec<String>>, of: ArgumentOf| {
        let mut words = Vec::new();
        for (index, text) in list.unwrap_or_default().iter().enumerate() {
            let path = format!("boot.{key}.{index}");
            match value(document, &path, BootArgument::parse(text, of)) {
                Some(word) => words.push(word),
                None => fine = false,
            }
        }
        words
    };
    let xen_args = words("xen_args", boot.xen_args, ArgumentOf::Xen);
    let kernel_args = words("kernel_args", boot.kernel_args, ArgumentOf::Kernel);
    let choice = BootChoice {
        console,
        dom0_memory,
        dom0_vcpus,
        xen_args,
        kernel_args,
        enroll_keys: boot.enroll_keys.unwrap_or_default(),
    };
    if choice.options().len() > OPTIONS_MAX {
        document.problem_at(
            "boot",
            format!("[boot] adds more than {OPTIONS_MAX} characters to the command lines"),
            "use fewer or shorter arguments",
        );
        fine = false;
    }
    fine.then_some(choice)
}
