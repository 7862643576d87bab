//! The hash of a plan: what is done to which disks and interfaces, without the names that a kernel gives anew at each boot.

use super::{DiskIdentity, DiskPlan, KeptStorage, MirrorPlan, NetworkPlan, Plan, UpgradePlan};
use serde::Serialize;
use sha2::{Digest, Sha256};
use slots::Console;

/// Of an installation.
pub(super) fn of_plan(plan: &Plan) -> Result<String, serde_json::Error> {
    let mut plan = plan.clone();
    // Warnings change nothing of what happens, and some depend on the clock or the keys of the machine that looks.
    plan.warnings.clear();
    disk(&mut plan.disk);
    for storage in &mut plan.storage {
        for one in &mut storage.disks {
            unnamed(&mut one.identity);
            one.loses.clear();
            one.keeps.iter_mut().for_each(unshown);
        }
        // They come in the order of their names.
        let key = |id: &DiskIdentity| (id.serial.clone(), id.wwn.clone(), id.size, id.path.clone());
        storage.disks.sort_by_cached_key(|one| key(&one.identity));
    }
    network(&mut plan.network);
    let follows = plan.boot.console_follows;
    if follows {
        plan.boot.console = Console::Com1;
    }
    digest(&(plan, follows))
}

/// Of an upgrade.
pub(super) fn of_upgrade(plan: &UpgradePlan) -> Result<String, serde_json::Error> {
    let mut plan = plan.clone();
    plan.warnings.clear();
    unnamed(&mut plan.disk);
    digest(&plan)
}

fn digest(what: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(what)?)))
}

/// The host's disks: which they are, and the partitions that they get. What is lost is for people to read, and a second try after
/// one that failed must be the same plan. Consent stays in: `wipe`, and `reinstall` for a host.
fn disk(plan: &mut DiskPlan) {
    unnamed(&mut plan.identity);
    plan.loses.clear();
    plan.keeps.iter_mut().for_each(unshown);
    let Some(MirrorPlan {
        identity,
        loses,
        layout,
    }) = &mut plan.mirror
    else {
        return;
    };
    unnamed(identity);
    loses.clear();
    // Which half of a mirror comes first follows from the names.
    let key = |id: &DiskIdentity| (id.serial.clone(), id.wwn.clone(), id.size, id.path.clone());
    if key(identity) < key(&plan.identity) {
        std::mem::swap(identity, &mut plan.identity);
        std::mem::swap(layout, &mut plan.layout);
    }
}

/// Without the path, where something better tells which disk it is and no other one says the same of itself.
fn unnamed(identity: &mut DiskIdentity) {
    let numbered = identity.serial.is_some() || identity.wwn.is_some();
    if numbered && identity.twin.is_none() {
        identity.path.clear();
    }
}

fn unshown(kept: &mut KeptStorage) {
    kept.shown.clear();
}

/// Interfaces by their hardware address.
fn network(plan: &mut NetworkPlan) {
    let addresses: Vec<(String, String)> = plan
        .interfaces
        .iter()
        .map(|one| (one.interface.clone(), one.mac.to_string()))
        .collect();
    let rename = |name: &mut String| {
        if let Some((_, mac)) = addresses.iter().find(|(known, _)| known == name) {
            name.clone_from(mac);
        }
    };
    for bridge in &mut plan.bridges {
        bridge.chosen.clear();
        rename(&mut bridge.uplink);
    }
    for bond in &mut plan.bonds {
        bond.interfaces.iter_mut().for_each(rename);
    }
    for one in &mut plan.interfaces {
        rename(&mut one.interface);
    }
}
