//! The program in the initrd that opens the verified root and switches to it.
//!
//! It is `/init`, a static binary and the only program there: no shell can be reached before the root is verified.
//! Started by the kernel it is process 1 and boots; process 1 starts it once more as `init load-modules`, which loads
//! drivers and never decides anything.

mod block;
mod boot;
mod choice;
mod cmdline;
mod console;
mod copy;
mod loader;
mod loader_hint;
mod loop_device;
mod medium;
mod modules;
mod root;
mod search;
mod state;
mod stop;
mod switch_root;
mod uevent;
mod verity_device;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return boot::process_one();
    }
    if std::env::args().nth(1).as_deref() == Some(loader::ARGUMENT) {
        return modules::run();
    }
    eprintln!(
        "This program is /init in Bedplate's initrd: the kernel starts it, and it does nothing else."
    );
    ExitCode::from(2)
}
