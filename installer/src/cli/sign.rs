//! `installer sign-answers`

use super::SignArgs;
use super::input::read_answers;
use super::plan::zones;
use super::print::complain;
use crate::answer_source::{SIGNATURE_ENDING, beside_file};
use crate::answers::{self, Beside};
use crate::exit::Exit;
use anyhow::{Context, Result};
use hcl_checker::report::SubmitterKey;
use slots::names::CMDLINE_ANSWERS_KEY;
use std::ffi::OsString;
use std::path::PathBuf;
use steps::system::{RealSystem, System};

/// Signs an answer file that is valid, and whose hooks name the hashes of their files.
pub fn run(args: &SignArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = read_answers(&args.file)?;
    let system = RealSystem::silent();
    let mut beside = Beside {
        signed: true,
        read: &mut |file| beside_file(&system, &args.file, file),
    };
    if let Err(problems) = answers::read_with_files(&bytes, &name, &zones(), None, &mut beside) {
        complain(format!("{problems}; nothing was signed"));
        return Ok(Exit::Usage);
    }
    let key = SubmitterKey::open_or_make(&args.key).context(
        "the key cannot be used; `--key` names a file in PEM, which is made where it is missing",
    )?;
    let mut path = OsString::from(&args.file);
    path.push(SIGNATURE_ENDING);
    let path = PathBuf::from(path);
    system.write_file(&path, &key.sign(&bytes), 0o644)?;
    println!(
        "{} is signed. Put {} beside it on the server, and on the kernel command line of the machines:\n{CMDLINE_ANSWERS_KEY}={}",
        name,
        path.display(),
        key.public().hex()
    );
    Ok(Exit::Done)
}
