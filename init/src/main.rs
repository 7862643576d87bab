//! The program in the initrd that opens the verified root and switches to it.
//!
//! It is `/init`, a static binary and the only program there: no shell can be reached before the root is verified.
//! Started by the kernel it is process 1 and boots; process 1 starts it once more as `init load-modules`, which loads
//! drivers and never decides anything. As the crash kernel's `/init` it collects a dump ([`crash`]) and boots nothing.

mod block;
mod boot;
mod choice;
mod cmdline;
mod console;
mod console_ring;
mod copy;
mod crash;
mod loader;
mod loader_hint;
mod loop_device;
mod md;
mod medium;
mod mirror;
mod modules;
mod root;
mod search;
mod state;
mod stop;
mod switch_root;
mod uevent;
mod verity_device;
mod vmcore;
mod watchdog;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return boot::process_one();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, needed @ ..] = arguments.as_slice()
        && first == loader::ARGUMENT
    {
        return modules::run(needed);
    }
    eprintln!(
        "This program is /init in Bedplate's initrd: the kernel starts it, and it does nothing else."
    );
    ExitCode::from(2)
}
