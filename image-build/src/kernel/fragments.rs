//! The fragments of `kernel-config/`: options for a kernel of our own, by theme.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// The fragments, without their ending, in the order in which they are read. No option stands in two.
pub const NAMES: [&str; 5] = ["base", "xen-dom0", "storage", "network", "hardening"];

/// What is asked for: option to value (`n` for off) and fragment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fragments(pub BTreeMap<String, (String, String)>);

impl Fragments {
    /// Reads all fragments below `folder`.
    ///
    /// # Errors
    /// When one is missing, a line is not understood, or an option stands twice.
    pub fn read(folder: &Path) -> Result<Fragments> {
        let mut all = Fragments::default();
        for name in NAMES {
            let path = folder.join(format!("{name}.config"));
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            all.add(name, &text)?;
        }
        Ok(all)
    }

    /// Adds one fragment. Comments and empty lines are skipped; `# CONFIG_X is not set` is an option as any other.
    ///
    /// # Errors
    /// See [`Fragments::read`].
    pub fn add(&mut self, name: &str, text: &str) -> Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            let Some((option, value)) = option(line)
                .with_context(|| format!("kernel-config/{name}.config, line {number}"))?
            else {
                continue;
            };
            if let Some((_, other)) = self.0.insert(option.clone(), (value, name.to_owned())) {
                bail!(
                    "kernel-config/{name}.config, line {number}: {option} stands in {other}.config already"
                );
            }
        }
        Ok(())
    }

    /// The options as kconfig reads them, to be put behind a default configuration.
    pub fn text(&self) -> String {
        self.0
            .iter()
            .map(|(option, (value, _))| match value.as_str() {
                "n" => format!("# {option} is not set\n"),
                value => format!("{option}={value}\n"),
            })
            .collect()
    }

    /// The options that a finished configuration does not have as asked: one that does not exist in this kernel, or whose
    /// dependencies are off. A module where a built-in was asked for counts, and so does the reverse.
    pub fn lost(&self, config: &BTreeMap<String, String>) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|(option, (value, fragment))| {
                let found = config.get(option).map_or("n", String::as_str);
                (found != value.trim_matches('"'))
                    .then(|| format!("{fragment}: {option} is {found}, asked for is {value}"))
            })
            .collect()
    }
}

/// `CONFIG_X=value` or `# CONFIG_X is not set`; none for comments and empty lines.
fn option(line: &str) -> Result<Option<(String, String)>> {
    let line = line.trim();
    if let Some(option) = line
        .strip_prefix("# ")
        .and_then(|l| l.strip_suffix(" is not set"))
        .filter(|o| o.starts_with("CONFIG_"))
    {
        return Ok(Some((option.to_owned(), "n".to_owned())));
    }
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    match line.split_once('=') {
        Some((option, value))
            if option.starts_with("CONFIG_") && !value.is_empty() && !option.contains(' ') =>
        {
            Ok(Some((option.to_owned(), value.to_owned())))
        }
        _ => bail!("`{line}` is no option of the kernel"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(text: &str) -> Fragments {
        let mut fragments = Fragments::default();
        fragments.add("base", text).unwrap();
        fragments
    }

    #[test]
    fn the_fragments_of_the_project_are_sound() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel-config"));
        let all = Fragments::read(folder).unwrap();
        for (option, value) in [
            ("CONFIG_XEN_DOM0", "y"),
            ("CONFIG_DM_VERITY", "m"),
            ("CONFIG_SOUND", "n"),
        ] {
            assert_eq!(all.0[option].0, value, "{option}");
        }
    }

    #[test]
    fn an_option_in_two_fragments_is_refused() {
        let mut all = fragments("CONFIG_A=y\n");
        let error = all.add("storage", "\n# why\nCONFIG_A=m\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel-config/storage.config, line 3: CONFIG_A stands in base.config already"
        );
    }

    #[test]
    fn lines_are_options_comments_or_errors() {
        let all = fragments("# why\n# CONFIG_B is not set\nCONFIG_C=\"x y\"\nCONFIG_D=n\n");
        assert_eq!(
            all.text(),
            "# CONFIG_B is not set\nCONFIG_C=\"x y\"\n# CONFIG_D is not set\n"
        );
        for bad in ["CONFIG_A", "A=y", "CONFIG_A=", "CONFIG_A B=y"] {
            assert!(Fragments::default().add("base", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_kernel_did_not_take_is_told() {
        let all = fragments("CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=n\nCONFIG_D=\"x\"\nCONFIG_E=y\n");
        let config: BTreeMap<String, String> =
            [("CONFIG_A", "m"), ("CONFIG_B", "m"), ("CONFIG_D", "x")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        assert_eq!(
            all.lost(&config),
            [
                "base: CONFIG_A is m, asked for is y",
                "base: CONFIG_E is n, asked for is y"
            ]
        );
    }
}
