//! The software bill of materials of a release, as CycloneDX 1.6 JSON.
//!
//! Everything that ends up on a host: Debian's packages of the root image (kernel, hypervisor and microcode among them),
//! those that the boot loaders come from, our programs with the crates in them, and what is linked into them beside crates.
//! The same content gives the same bytes.

pub mod crates;
pub mod debian;
pub mod gather;

use anyhow::{Context, Result};
use crates::{Crates, Id};
use debian::Package;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What the bill is made from.
#[derive(Debug)]
pub struct Contents {
    /// Version of the release.
    pub version: String,
    /// Seconds since 1970 that the release is dated with.
    pub epoch: u64,
    /// Debian suite, for example `trixie`.
    pub suite: String,
    /// Packages of the root image.
    pub root: Vec<Package>,
    /// Packages of the tools root that the boot loaders are made from.
    pub loaders: Vec<Package>,
    /// Our programs and the crates in them.
    pub crates: Crates,
    /// What is linked into our programs beside crates: name, version, what it is.
    pub linked: Vec<(String, String, String)>,
}

/// Names of the packages of the tools root whose content is copied into the boot loaders.
pub const LOADER_PACKAGES: [&str; 2] = ["grub-efi-amd64-bin", "grub-pc-bin"];

/// Writes the bill.
///
/// # Errors
/// When the date of the release is no date.
pub fn make(contents: &Contents) -> Result<Vec<u8>> {
    let mut components = BTreeMap::new();
    let mut dependencies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let release = format!("bedplate@{}", contents.version);
    let mut whole = BTreeSet::new();
    for (packages, part) in [
        (&contents.root, "root image"),
        (&contents.loaders, "boot loaders"),
    ] {
        let refs: Vec<String> = packages.iter().map(|p| purl(p, &contents.suite)).collect();
        for (index, needs) in debian::dependencies(packages).into_iter().enumerate() {
            let entry = dependencies.entry(refs[index].clone()).or_default();
            entry.extend(needs.into_iter().map(|n| refs[n].clone()));
            // A package that stands in both is the root image's.
            components
                .entry(refs[index].clone())
                .or_insert_with(|| package_component(&packages[index], &refs[index], part));
            whole.insert(refs[index].clone());
        }
    }
    let linked: BTreeSet<String> = contents
        .linked
        .iter()
        .map(|(name, version, about)| {
            let reference = format!("linked:{name}@{version}");
            let component = json!({
                "bom-ref": reference,
                "type": "library",
                "name": name,
                "version": version,
                "description": about,
                "scope": "required",
            });
            components.insert(reference.clone(), component);
            reference
        })
        .collect();
    for (id, one) in &contents.crates.0 {
        let reference = crate_ref(id, one);
        let entry = dependencies.entry(reference.clone()).or_default();
        for needed in &one.needs {
            if let Some(found) = contents.crates.0.get(needed) {
                entry.insert(crate_ref(needed, found));
            }
        }
        if one.sha256.is_none() {
            entry.extend(linked.iter().cloned());
            whole.insert(reference.clone());
        }
        components.insert(reference.clone(), crate_component(id, one, &reference));
    }
    dependencies.insert(release.clone(), whole);
    let date = i64::try_from(contents.epoch)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .with_context(|| format!("{} seconds since 1970 are no date", contents.epoch))?;
    let dependencies: Vec<Value> = dependencies
        .into_iter()
        .map(|(reference, needs)| json!({ "ref": reference, "dependsOn": needs }))
        .collect();
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": date.to_string(),
            "component": {
                "bom-ref": release,
                "type": "operating-system",
                "name": "bedplate",
                "version": contents.version,
            },
        },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    let serial = serial_number(&Sha256::digest(serde_json::to_vec(&bill)?));
    bill["serialNumber"] = serial.into();
    let mut bytes = serde_json::to_vec_pretty(&bill)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn package_component(package: &Package, reference: &str, part: &str) -> Value {
    let mut component = json!({
        "bom-ref": reference,
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": reference,
        "scope": "required",
        "properties": [
            { "name": "bedplate:part", "value": part },
            { "name": "bedplate:source", "value": format!("{} {}", package.source, package.source_version) },
        ],
    });
    if let Some(maintainer) = &package.maintainer {
        component["publisher"] = maintainer.as_str().into();
    }
    if let Some(homepage) = &package.homepage {
        component["externalReferences"] = json!([{ "type": "website", "url": homepage }]);
    }
    component
}

fn crate_component(id: &Id, one: &crates::Crate, reference: &str) -> Value {
    let mut component = json!({
        "bom-ref": reference,
        // Without a hash it is one of the workspace.
        "type": if one.sha256.is_some() { "library" } else { "application" },
        "name": id.0,
        "version": id.1,
        "scope": "required",
    });
    if let Some(sha256) = &one.sha256 {
        component["purl"] = reference.into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    if let Some(license) = &one.license {
        component["licenses"] = json!([{ "expression": license }]);
    }
    component
}

fn crate_ref(id: &Id, one: &crates::Crate) -> String {
    let (name, version) = (escaped(&id.0), escaped(&id.1));
    match one.sha256 {
        Some(_) => format!("pkg:cargo/{name}@{version}"),
        None => format!("bedplate:{name}@{version}"),
    }
}

/// Package URL of a Debian package, by which vulnerability scanners know it. Source: the purl specification, type `deb`.
fn purl(package: &Package, suite: &str) -> String {
    format!(
        "pkg:deb/debian/{}@{}?arch={}&distro={suite}",
        escaped(&package.name),
        escaped(&package.version),
        package.architecture
    )
}

/// Percent-encoded, as a part of a package URL.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b".-_~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// A UUID of version 8 (RFC 9562) from the content's hash.
fn serial_number(hash: &[u8]) -> String {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let text = hex::encode(uuid);
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

#[cfg(test)]
mod tests;
