//! `installer validate`

use super::input::read_answers;
use super::plan::{Inputs, Subject, choices_for, zones};
use super::print::{complain, say};
use super::{MediumArgs, ValidateArgs};
use crate::answer_source::beside_file;
use crate::answers::{self, Beside};
use crate::choices::Choices;
use crate::exit::Exit;
use crate::license_check;
use crate::plan;
use crate::session::medium_device;
use crate::values::LicenseToken;
use anyhow::Result;
use license::KEYS_FILE;
use slots::names::{ISO_REPOSITORY, LIVE_MEDIUM};
use std::path::{Path, PathBuf};
use steps::system::{RealSystem, System};

/// Checks the file, and with facts also that a plan comes out of it.
pub fn run(args: &ValidateArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let bytes = read_answers(&args.file)?;
    let Some(facts) = &args.facts else {
        let mut beside = Beside {
            signed: false,
            read: &mut |file| beside_file(&RealSystem::silent(), &args.file, file),
        };
        if let Err(problems) = answers::read_with_files(&bytes, &name, &zones(), None, &mut beside)
        {
            complain(&problems);
            return Ok(Exit::Usage);
        }
        say(format!("{name} is valid\n"))?;
        return Ok(Exit::Done);
    };
    let Some(medium) = medium_of(args) else {
        return without_release(&bytes, args, facts);
    };
    let system = RealSystem::silent();
    let inputs = Inputs::load(&system, Some(facts), &medium)?;
    let plan = match inputs.plan_for(&bytes, &args.file)? {
        Ok(plan) => plan,
        // An answer file that fits another machine is not a failure of this program.
        Err(Exit::Failed) => return Ok(Exit::Usage),
        Err(exit) => return Ok(exit),
    };
    let mut text = format!(
        "{name} is valid, and fits the machine in {}\n",
        facts.display()
    );
    let license = plan.install().and_then(|plan| plan.license.as_ref());
    text.extend(unchecked_license(&system, license).map(not_checked));
    say(text)?;
    Ok(Exit::Done)
}

/// The medium that was named, or that of a live system.
fn medium_of(args: &ValidateArgs) -> Option<MediumArgs> {
    let live = || {
        let medium = PathBuf::from(LIVE_MEDIUM);
        medium.join(ISO_REPOSITORY).is_dir().then_some(medium)
    };
    Some(MediumArgs {
        medium: args.medium.clone().or_else(live)?,
        trusted_root: args.trusted_root.clone(),
    })
}

/// Everything but what only a release tells.
fn without_release(bytes: &[u8], args: &ValidateArgs, facts: &Path) -> Result<Exit> {
    let system = RealSystem::silent();
    let Subject {
        facts: known, boot, ..
    } = Subject::load(&system, Some(facts), false)?;
    let choices = match choices_for(bytes, &args.file, &known, &system) {
        Ok(choices) => choices,
        Err(problems) => {
            complain(&problems);
            return Ok(Exit::Usage);
        }
    };
    match plan::check(&known, &choices, medium_device(boot.as_ref())) {
        Ok(warnings) => {
            let mut text = format!(
                "{} is valid, and fits the machine in {} as far as can be told without a release\n",
                args.file.display(),
                facts.display()
            );
            // An upgrade leaves the license of the host as it is.
            let license = choices.license.as_ref().filter(|_| !choices.disk.upgrade);
            let doubt =
                license.and_then(|token| license_check::warning(&system, token.expose(), &known));
            text.extend(
                warnings
                    .iter()
                    .chain(&doubt)
                    .map(|warning| format!("Warning: {warning}\n")),
            );
            text.extend(unchecked(&choices).into_iter().map(not_checked));
            text.push_str("A mounted ISO with --medium and --trusted-root checks that, too\n");
            text.extend(unchecked_license(&system, license).map(not_checked));
            say(text)?;
            Ok(Exit::Done)
        }
        Err(problems) => {
            complain(&problems);
            Ok(Exit::Usage)
        }
    }
}

/// What a license is worth, where the keys for it are not here: they are in the live system. A plan that is made there warns of one
/// that cannot be used.
fn unchecked_license(system: &dyn System, license: Option<&LicenseToken>) -> Option<&'static str> {
    license.filter(|_| !system.exists(Path::new(KEYS_FILE)))?;
    Some("`token` in [license]: only the live system has the keys that tell whether it can be used")
}

fn not_checked(what: &str) -> String {
    format!("Not checked: {what}\n")
}

/// What only a release tells.
fn unchecked(choices: &Choices) -> Vec<&'static str> {
    let mut list = vec!["what the compatibility list of the release says about the hardware"];
    if choices.disk.upgrade {
        list.push("`upgrade`: whether the release is newer than that of the host");
    }
    if choices.expect_plan.is_some() {
        list.push("`expect_plan`: whether the plan is the expected one");
    }
    list
}
