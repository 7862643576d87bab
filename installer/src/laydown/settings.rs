//! Step: the release has what the settings of the host name. Before the first write, because a name that nothing
//! answers to would be found when the old system is gone.

use super::Context;
use crate::host_files::{HostFile, UNITS, enable_files};
use crate::values::Unit;
use steps::{Reporter, Step, StepError};

/// Where glibc has its locales.
const LOCALES: &str = "/usr/lib/locale";

/// Looks the names up in the root image that is laid down.
pub struct CheckSettings;

/// Something is named that the release does not have.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No such locale.
    #[error(
        "the release has no locale {wanted}; it has C.UTF-8{others}. Nothing was written; change `locale` in [system]"
    )]
    Locale {
        /// The name.
        wanted: String,
        /// What there is, each with a comma before it.
        others: String,
    },
    /// No such unit.
    #[error(
        "the release has no {unit}, which [system.services] switches {verb}; nothing was written. `systemctl list-unit-files` on a host shows all"
    )]
    Unit {
        /// The name.
        unit: String,
        /// `on` or `off`.
        verb: &'static str,
    },
    /// It has no `[Install]`.
    #[error(
        "{0} cannot be switched on: it says nowhere when it starts. Nothing was written; take it out of `enable` in [system.services]"
    )]
    Static(String),
}

impl Step<Context<'_>> for CheckSettings {
    fn id(&self) -> String {
        "check-settings".into()
    }

    fn title(&self) -> String {
        "Look up locale and services in the release".into()
    }

    fn run(&mut self, context: &mut Context<'_>, _: &mut Reporter<'_>) -> Result<(), StepError> {
        let (plan, system) = (&context.plan.system, context.system);
        if let Some(locale) = &plan.locale
            && let Some(folder) = locale.folder()
            && !system.exists(&context.image.path(LOCALES).join(folder))
        {
            let there = system
                .list_dir(&context.image.path(LOCALES))
                .unwrap_or_default();
            let others = there
                .iter()
                .filter_map(|name| name.strip_suffix(".utf8"))
                .filter(|name| *name != "C")
                .map(|name| format!(", {name}.UTF-8"))
                .collect();
            return Err(SettingsError::Locale {
                wanted: locale.as_str().to_owned(),
                others,
            }
            .into());
        }
        for unit in &plan.disable {
            if !system.exists(&context.image.path(UNITS).join(unit.file())) {
                return Err(missing(unit, "off").into());
            }
        }
        for unit in &plan.enable {
            links(context, unit)?;
        }
        Ok(())
    }
}

fn missing(unit: &Unit, verb: &'static str) -> SettingsError {
    SettingsError::Unit {
        unit: unit.as_str().to_owned(),
        verb,
    }
}

/// The links by which `unit` is switched on.
pub fn links(context: &Context<'_>, unit: &Unit) -> Result<Vec<HostFile>, StepError> {
    let system = context.system;
    let path = context.image.path(UNITS).join(unit.file());
    if !system.exists(&path) {
        return Err(missing(unit, "on").into());
    }
    let definition = String::from_utf8_lossy(&system.read_file(&path)?).into_owned();
    enable_files(unit, &definition)
        .ok_or_else(|| SettingsError::Static(unit.as_str().to_owned()).into())
}
