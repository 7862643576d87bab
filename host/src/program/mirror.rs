//! `bedplate-mirror`: run by systemd at boot, and by `mdadm --monitor` when something happens to an array.

use crate::hotfix::{Places, RealMachine};
use crate::{health, mirror};
use clap::Parser;
use std::process::ExitCode;
use steps::RealSystem;

/// Looks after the mirror of a host on two disks.
///
/// Without arguments it takes halves in again that were away, and sets a disk aside that ran by itself. With an event, as
/// `mdadm --monitor` calls it, it tells the log and the consoles how the mirror stands.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// What happened: `Fail`, `DegradedArray`, `RebuildFinished` and so on, see mdadm(8).
    event: Option<String>,
    /// The array.
    array: Option<String>,
    /// The member.
    member: Option<String>,
}

/// Makes the mirror whole, or tells of an event.
pub fn main() -> anyhow::Result<ExitCode> {
    let (args, system) = (Args::parse(), RealSystem::silent());
    let places = Places::default();
    let mut fine = true;
    match args.event {
        Some(event) => println!(
            "{event}: {} {}",
            args.array.unwrap_or_default(),
            args.member.unwrap_or_default()
        ),
        None => {
            let settled = mirror::settle(&system, &RealMachine, &places);
            for part in &settled.taken {
                println!("{part} was away and is taken in again");
            }
            for disk in &settled.aside {
                println!(
                    "{disk} ran by itself while this half did, too. This half is kept, {disk} is set aside: nothing on it is \
                     changed. When what is on it is not needed: xe host-disk-replace device=/dev/{disk} wipe=true"
                );
            }
            for problem in &settled.problems {
                eprintln!("{problem}");
            }
            fine = settled.problems.is_empty();
        }
    }
    if let Some((_, text)) = mirror::summary(&system, &places.sys_block) {
        println!("The mirror is {text}");
        if let Err(error) = health::write_issue(&system) {
            eprintln!("the text for the login prompt was not written: {error}");
        }
    }
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
