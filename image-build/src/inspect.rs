//! Opening a finished ISO: what release it holds, whether every byte of it verifies, what is embedded in it.

use crate::iso_reader::Iso;
use crate::paths::Paths;
use crate::secure_boot::Enrolled;
use crate::tool::Tool;
use crate::{embed, measured_boot, tools_root};
use anyhow::{Context, Result};
use release::{Artifact, OpenRelease, Policy, Repository, Source};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use url::Url;

/// A boot file that is larger is none.
const PROGRAM: u64 = 1 << 30;

/// What to print beyond the summary.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Every package with its version.
    pub packages: bool,
    /// JSON in place of text.
    pub json: bool,
    /// The software bill of materials and nothing else.
    pub sbom: bool,
    /// The predicted registers of a TPM and nothing else.
    pub pcrs: bool,
}

/// Verifies every artifact of the ISO against `trusted_root` and returns the text to print. Without the `paths` of a checkout
/// everything is done in a folder of its own, and only the prediction for a TPM needs a program of the machine (`unsquashfs`).
///
/// # Errors
/// When the ISO cannot be read, or anything in it does not verify.
pub fn inspect(
    paths: Option<&Paths>,
    iso: &Path,
    trusted_root: &Path,
    wanted: Wanted,
) -> Result<String> {
    let iso = iso
        .canonicalize()
        .with_context(|| format!("{} cannot be read", iso.display()))?;
    let answers = embed::read(&iso)?;
    let root = std::fs::read(trusted_root).with_context(|| {
        format!(
            "{} cannot be read: give --trusted-root",
            trusted_root.display()
        )
    })?;
    let folder = work_folder(paths.map(|paths| paths.target.as_path()))?;
    let out = folder.path();
    Iso::open(&iso)?.extract(slots::names::ISO_REPOSITORY, &out.join("repository"))?;
    let opened = Repository::open(
        &root,
        &Source::Directory(out.join("repository")),
        &Policy::medium(),
    )?;
    opened.verify_all(|_, _, _| ())?;
    let packages: BTreeMap<String, String> =
        serde_json::from_slice(&opened.read(Artifact::Packages, 16 << 20)?)?;
    let text = if wanted.pcrs {
        pcrs(paths, &opened, out, wanted.json)?
    } else if wanted.sbom {
        String::from_utf8(opened.read(Artifact::Sbom, 64 << 20)?)
            .context("the software bill of materials is no text")?
    } else if wanted.json {
        json(&opened, &packages, answers.as_deref())?
    } else {
        text(&opened, &packages, answers.as_deref(), wanted.packages)?
    };
    Ok(text)
}

/// A folder for what is taken out, below `target` where this user may write there: what root built there stays root's, and everybody
/// may look into an ISO.
fn work_folder(target: Option<&Path>) -> Result<tempfile::TempDir> {
    let in_target = target.and_then(|target| {
        std::fs::create_dir_all(target).ok()?;
        tempfile::tempdir_in(target).ok()
    });
    match in_target {
        Some(folder) => Ok(folder),
        None => {
            tempfile::tempdir().context("no folder for temporary files can be made; set TMPDIR")
        }
    }
}

/// The registers of a TPM, from the boot files and from the keys in the root image.
fn pcrs(paths: Option<&Paths>, opened: &OpenRelease, out: &Path, json: bool) -> Result<String> {
    let tree = out.join("root");
    let keys = slots::names::SECURE_BOOT_KEYS.trim_start_matches('/');
    let here = Paths::at(out);
    let unsquashfs = match paths {
        Some(paths) => {
            tools_root::ensure(paths)?;
            Tool::locked(paths, "unsquashfs")
        }
        None => Tool::host(&here, "unsquashfs"),
    };
    unsquashfs
        .args(["-no-progress", "-dest"])
        .arg(&tree)
        .arg(opened.path(Artifact::Root))
        .arg(keys)
        .quiet()
        .run()?;
    let registers = measured_boot::predict(
        &opened.read(Artifact::GrubEfi, PROGRAM)?,
        &opened.read(Artifact::XenEfi, PROGRAM)?,
        &Enrolled::read(&tree.join(keys))?,
    )?;
    if !json {
        return Ok(measured_boot::describe(&registers));
    }
    let values: BTreeMap<String, String> = registers
        .iter()
        .map(|register| (register.number.to_string(), hex::encode(register.value)))
        .collect();
    let document = serde_json::json!({ "schema": 1, "sha256": values });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn text(
    opened: &OpenRelease,
    packages: &BTreeMap<String, String>,
    answers: Option<&[u8]>,
    all: bool,
) -> Result<String> {
    let manifest = &opened.manifest;
    let mut text = String::new();
    writeln!(
        text,
        "Bedplate {}: every artifact verifies",
        manifest.version
    )?;
    writeln!(text, "  kernel     {}", manifest.kernel)?;
    writeln!(text, "  hypervisor Xen {}", manifest.xen)?;
    writeln!(text, "  root hash  {}", manifest.root.verity.root_hash)?;
    if let Some(expired) = &opened.expired {
        writeln!(text, "  note       {expired}")?;
    }
    writeln!(text, "\n  {:<22} {:>12}  sha256", "artifact", "bytes")?;
    for artifact in Artifact::ALL {
        let info = opened.info(artifact);
        writeln!(
            text,
            "  {:<22} {:>12}  {}",
            artifact.target_name(),
            info.size,
            info.sha256
        )?;
    }
    match answers {
        None => writeln!(text, "\n  no answers are embedded")?,
        Some(bytes) => writeln!(
            text,
            "\n  embedded answers ({} bytes, secrets not shown):\n{}",
            bytes.len(),
            indented(&redacted(bytes))
        )?,
    }
    writeln!(
        text,
        "\n  {} packages{}",
        packages.len(),
        if all { ":" } else { " (--packages lists them)" }
    )?;
    if all {
        for (name, version) in packages {
            writeln!(text, "  {name} {version}")?;
        }
    }
    Ok(text)
}

fn json(
    opened: &OpenRelease,
    packages: &BTreeMap<String, String>,
    answers: Option<&[u8]>,
) -> Result<String> {
    let document = serde_json::json!({
        "schema": 1,
        "verified": true,
        "manifest": opened.manifest,
        "expired": opened.expired,
        "answers": answers.map(redacted),
        "packages": packages,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|l| format!("    {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The answers without what is secret: the value of every key whose name says password, token, key, license or secret, at any
/// depth, scripts of hooks, and what is no address in a URL. What is no TOML is not shown at all: nobody can tell what in it is secret.
fn redacted(answers: &[u8]) -> String {
    let parsed = std::str::from_utf8(answers)
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok());
    let Some(mut table) = parsed else {
        return "(not shown: this is no TOML)".to_string();
    };
    hide(&mut table);
    toml::to_string(&table).unwrap_or_else(|error| format!("(not shown: {error})"))
}

fn hide(table: &mut toml::Table) {
    for (key, value) in table.iter_mut() {
        if is_secret(key) {
            *value = toml::Value::String("(not shown)".to_string());
        } else {
            hide_below(value);
        }
    }
}

fn hide_below(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => hide(table),
        toml::Value::Array(items) => items.iter_mut().for_each(hide_below),
        toml::Value::String(text) if text.contains("://") => *text = address(text),
        _ => {}
    }
}

/// A URL without login, query and fragment.
fn address(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return "(not shown)".to_string();
    };
    // What cannot have a login has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// `ssh_keys` are public, and a `keymap` is no key.
fn is_secret(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase();
    !["ssh_keys", "keymap"].contains(&key.as_str())
        && ["password", "token", "secret", "license", "key", "script"]
            .iter()
            .any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_target_cannot_be_written_the_folder_is_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let work = work_folder(Some(&target)).unwrap();
        assert!(work.path().starts_with(&target));
        // Nobody makes a folder below a file, root neither.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for target in [Some(file.join("target")), None] {
            let work = work_folder(target.as_deref()).unwrap();
            assert!(work.path().is_dir() && !work.path().starts_with(folder.path()));
        }
    }

    #[test]
    fn secrets_are_not_shown_in_any_form() {
        for answers in [
            "[system]\nroot_password_hash = \"$6$abc$def\"\nhostname = \"a\"\nssh_keys = [\"ssh-ed25519 AAAA\"]\n",
            "system = { hostname = \"a\", root_password_hash = \"$6$abc$def\", ssh_keys = [\"ssh-ed25519 AAAA\"] }\n",
            "[system]\nhostname = \"a\"\nssh_keys = [\"ssh-ed25519 AAAA\"]\nroot_password_hash = \"\"\"\n$6$abc$def\"\"\"\n",
            "[system]\nhostname = \"a\"\nssh_keys = [\"ssh-ed25519 AAAA\"]\n[[report]]\ntoken = [\n\"$6$abc$def\"]\n",
        ] {
            let shown = redacted(answers.as_bytes());
            assert!(!shown.contains("$6$"), "{shown}");
            assert!(
                shown.contains("hostname = \"a\"") && shown.contains("ssh-ed25519 AAAA"),
                "{shown}"
            );
        }
        assert!(!redacted(b"root_password_hash = $6$abc").contains("$6$"));
    }

    #[test]
    fn scripts_and_logins_in_urls_are_not_shown_and_addresses_are() {
        let shown = redacted(
            b"[system]\nkeymap = \"de\"\n[webhook]\nurl = \"https://u:pa55@h.example.org/r?k=qu3ry#f\"\n[source]\n\
              url = \"https://s3cret@:\"\n[[hook]]\nname = \"a\"\nscript = \"#!/bin/sh\\nt0ken\"\nfile = \"h/a.sh\"\n",
        );
        for secret in ["pa55", "qu3ry", "s3cret", "t0ken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for part in ["\"https://h.example.org/r\"", "keymap = \"de\"", "h/a.sh"] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}
