//! `installer sign-answers`

use super::SignArgs;
use super::plan::{load_hooks, zones};
use crate::answer_source::SIGNATURE_ENDING;
use crate::answers;
use crate::exit::Exit;
use anyhow::{Context, Result};
use hcl_checker::report::SubmitterKey;
use slots::names::CMDLINE_ANSWERS_KEY;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use steps::step::error_chain;
use steps::system::{RealSystem, System};

/// Signs an answer file that is valid, and whose hooks name the hashes of their files.
pub fn run(args: &SignArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = fs::read(&args.file).with_context(|| format!("cannot read {name}"))?;
    let system = RealSystem::silent();
    let mut all = match answers::read_all(&bytes, &name, &zones()) {
        Ok(all) => all,
        Err(problems) => {
            eprintln!("{problems}; nothing was signed");
            return Ok(Exit::Usage);
        }
    };
    let loaded = all
        .iter_mut()
        .try_for_each(|choices| load_hooks(choices, true, &system, &args.file));
    if let Err(error) = loaded {
        eprintln!("{}", error_chain(&error).join(": "));
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
