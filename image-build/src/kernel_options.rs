//! Holds the shipped kernel and hypervisor against `kernel-config/required.toml`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// `required.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Required {
    kernel: Vec<Requirement>,
    xen: Vec<Requirement>,
}

/// One option that the appliance depends on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    /// Name with its `CONFIG_`.
    option: String,
    /// Accepted values; `n` also means absent.
    value: Vec<String>,
    /// Who needs it: live, dom0, guest, hardening.
    needed_by: String,
    /// Why.
    why: String,
}

/// Checks a kernel and a hypervisor configuration; returns how many options were checked.
///
/// # Errors
/// Lists every option that differs, with its reason.
pub fn check(required: &Path, kernel_config: &Path, xen_config: &Path) -> Result<usize> {
    let required = read_required(required)?;
    let mut problems = differences("kernel", &required.kernel, &read_config(kernel_config)?);
    problems.extend(differences(
        "hypervisor",
        &required.xen,
        &read_config(xen_config)?,
    ));
    if !problems.is_empty() {
        bail!(
            "the shipped kernel or hypervisor lacks what Bedplate depends on:\n{}",
            problems.join("\n")
        );
    }
    Ok(required.kernel.len() + required.xen.len())
}

/// Checks the configuration of a kernel alone; returns how many options were checked.
///
/// # Errors
/// Lists every option that differs, with its reason.
pub fn check_kernel(required: &Path, kernel_config: &Path) -> Result<usize> {
    let required = read_required(required)?;
    let problems = differences("kernel", &required.kernel, &read_config(kernel_config)?);
    if !problems.is_empty() {
        bail!(
            "the kernel lacks what Bedplate depends on:\n{}",
            problems.join("\n")
        );
    }
    Ok(required.kernel.len())
}

fn read_required(path: &Path) -> Result<Required> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).context("kernel-config/required.toml is not as expected")
}

fn differences(
    what: &str,
    required: &[Requirement],
    config: &BTreeMap<String, String>,
) -> Vec<String> {
    required
        .iter()
        .filter_map(|r| {
            let found = config.get(&r.option).map_or("n", String::as_str);
            (!r.value.iter().any(|v| v == found)).then(|| {
                format!(
                    "  {what}: {} is {found}, must be {} (for {}: {})",
                    r.option,
                    r.value.join(" or "),
                    r.needed_by,
                    r.why
                )
            })
        })
        .collect()
}

/// The options of a finished configuration: `OPTION=value` lines; `# OPTION is not set` is the same as absent.
///
/// # Errors
/// When the file cannot be read.
pub fn read_config(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once('='))
        .map(|(k, v)| (k.to_string(), v.trim_matches('"').to_string()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_option_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let required = write(
            "r.toml",
            "[[kernel]]\noption='CONFIG_A'\nvalue=['y','m']\nneeded_by='dom0'\nwhy='because'\n[[xen]]\noption='CONFIG_B'\nvalue=['n']\nneeded_by='hardening'\nwhy='x'\n",
        );
        let good = write("good", "CONFIG_A=m\n# CONFIG_B is not set\n");
        let empty = write("empty", "# CONFIG_A is not set\n");
        assert_eq!(check(&required, &good, &empty).unwrap(), 2);
        let error = check(&required, &empty, &empty).unwrap_err().to_string();
        assert!(
            error.contains("kernel: CONFIG_A is n, must be y or m (for dom0: because)"),
            "{error}"
        );
    }
}
