//! Choices -> plan -> steps, from an answer file or by asking.
//!
//! Data flows one way: an answer file or an interview gives [`choices::Choices`]; [`plan::build`] decides everything
//! from them, the facts, the verdict and the release, without touching anything; [`laydown`] does what the plan says.

pub mod after;
pub mod answer_source;
pub mod answers;
pub mod choices;
pub mod cli;
pub mod consoles;
pub mod exit;
mod guarded;
pub mod hardware_check;
pub mod host_files;
pub mod installed;
pub mod interview;
pub mod laydown;
pub mod license_check;
pub mod live;
pub mod live_network;
mod live_words;
pub mod load_line;
pub mod plan;
pub mod release_source;
pub mod run_dir;
pub mod selector;
pub mod session;
pub mod tui;
pub mod upgrade;
pub mod values;
pub mod webhook;
