//! The plain interview: numbered questions on the console that it runs on, for whoever booted without answers.

mod disk_question;
mod existing_question;
mod network_questions;
mod prompt;
mod questions;
mod secure_boot_question;

pub use prompt::{Prompt, PromptError, Terminal};
pub use questions::{Asked, CONSENT, CONSENT_NOTHING_LOST, SHORTEST_PASSWORD, ask};
