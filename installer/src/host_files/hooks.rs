//! The hooks of the first boot, as they wait on the state file system.

use super::{Content, HostFile};
use crate::plan::Plan;
use steps::hook::{HOOKS_LIST, Hook, Stage};

/// Their list and programs, below the folder of the hooks. Empty without any.
pub fn first_boot_files(plan: &Plan) -> Result<Vec<HostFile>, serde_json::Error> {
    let hooks = plan
        .hooks
        .iter()
        .filter(|plan| plan.hook.when == Stage::FirstBoot);
    let list: Vec<&Hook> = hooks.clone().map(|plan| &plan.hook).collect();
    if list.is_empty() {
        return Ok(Vec::new());
    }
    // Programs may hold secrets; they are run from elsewhere.
    let file = |path: &str, bytes: Vec<u8>| HostFile {
        path: path.to_owned(),
        content: Content::File {
            bytes,
            mode: 0o600,
            group: 0,
        },
    };
    let mut files: Vec<HostFile> = hooks
        .map(|plan| file(&plan.hook.name, plan.program.expose().to_owned()))
        .collect();
    files.push(file(HOOKS_LIST, serde_json::to_vec_pretty(&list)?));
    Ok(files)
}
