//! Programs of the operator that run in the course of the installation.

use super::Choices;
use crate::values::{Script, ValueError};
use steps::StepError;
use steps::hook::Stage;

/// A program of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookChoice {
    /// Its name, also that of its file: lowercase letters, digits and hyphens. Each is there once.
    pub name: String,
    /// When it runs.
    pub when: Stage,
    /// What runs.
    pub program: HookProgram,
    /// Seconds after which it is killed.
    pub time_limit_s: u64,
    /// True when a failure is a warning.
    pub may_fail: bool,
}

/// What a hook runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookProgram {
    /// A script in the answers.
    Inline(Script),
    /// A file beside the answers.
    File {
        /// Its path from the folder of the answers.
        file: String,
        /// The only content that it may have, lowercase hexadecimal.
        sha256: Option<String>,
        /// Its content; none until [`Choices::load_hooks`] read it.
        content: Option<Script>,
    },
}

/// A file of a hook that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HookFileError {
    /// It cannot be read.
    #[error(
        "cannot read `{file}` of the hook {name}, which should be beside the answers; nothing was written"
    )]
    Read {
        /// The hook.
        name: String,
        /// The file.
        file: String,
        /// Why.
        source: StepError,
    },
    /// It is no program.
    #[error("`{file}` of the hook {name} {}; {}", error.message, error.advice)]
    NoProgram {
        /// The hook.
        name: String,
        /// The file.
        file: String,
        /// Why.
        error: ValueError,
    },
    /// It is another one.
    #[error(
        "`{file}` of the hook {name} has the SHA-256 {found}, and the answers want {wanted}; \
         nothing was written. Put the right file there, or correct `sha256`"
    )]
    Other {
        /// The hook.
        name: String,
        /// The file.
        file: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// Who signed the answers did not sign the file.
    #[error(
        "the answers are signed, and `{file}` of the hook {name} is not; \
         add its `sha256` to the hook and sign the answers again, or write the script into the answers"
    )]
    Unsigned {
        /// The hook.
        name: String,
        /// The file.
        file: String,
    },
}

impl HookChoice {
    /// What runs; none for a file that was not read.
    pub fn script(&self) -> Option<&Script> {
        match &self.program {
            HookProgram::Inline(script) => Some(script),
            HookProgram::File { content, .. } => content.as_ref(),
        }
    }
}

impl Choices {
    /// Reads the files of hooks with `read`, which takes the path from the folder of the answers. Where the answers are
    /// `signed`, each file must be named with its hash: whoever keeps it is not trusted.
    ///
    /// # Errors
    /// At the first file that cannot be used.
    pub fn load_hooks(
        &mut self,
        signed: bool,
        read: &mut dyn FnMut(&str) -> Result<Vec<u8>, StepError>,
    ) -> Result<(), HookFileError> {
        for HookChoice { name, program, .. } in &mut self.hooks {
            let HookProgram::File {
                file,
                sha256,
                content,
            } = program
            else {
                continue;
            };
            let (name, shown) = (name.clone(), file.clone());
            if signed && sha256.is_none() {
                return Err(HookFileError::Unsigned { name, file: shown });
            }
            let bytes = match read(file) {
                Ok(bytes) => bytes,
                Err(source) => {
                    return Err(HookFileError::Read {
                        name,
                        file: shown,
                        source,
                    });
                }
            };
            let script = match Script::parse(&bytes) {
                Ok(script) => script,
                Err(error) => {
                    return Err(HookFileError::NoProgram {
                        name,
                        file: shown,
                        error,
                    });
                }
            };
            let found = script.sha256();
            if let Some(wanted) = sha256.clone().filter(|wanted| *wanted != found) {
                return Err(HookFileError::Other {
                    name,
                    file: shown,
                    found,
                    wanted,
                });
            }
            *content = Some(script);
        }
        Ok(())
    }
}
