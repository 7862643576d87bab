//! Facts about a machine, the Hardware Compatibility List, the verdict.
//!
//! [`facts::Facts`] are read from the running system or a captured tree, [`list::List`] holds the reviewed rules, and
//! [`verdict::judge`] puts both together without touching anything. [`modalias`] alone needs no other crate and is
//! all that is left without the feature `check`.

#[cfg(feature = "certify")]
pub mod certify;
#[cfg(feature = "check")]
pub mod date;
#[cfg(feature = "check")]
pub mod drivers;
#[cfg(feature = "check")]
pub mod facts;
#[cfg(feature = "check")]
pub mod fleet;
#[cfg(feature = "check")]
mod hex;
#[cfg(feature = "check")]
mod json_text;
#[cfg(feature = "check")]
pub mod known;
#[cfg(feature = "check")]
pub mod list;
pub mod modalias;
#[cfg(feature = "check")]
mod pci_names;
#[cfg(feature = "certify")]
pub mod report;
#[cfg(feature = "check")]
pub mod root;
#[cfg(feature = "check")]
pub mod schema;
#[cfg(feature = "check")]
pub mod site;
#[cfg(all(test, feature = "check"))]
mod testing;
#[cfg(feature = "check")]
pub mod text;
#[cfg(feature = "check")]
pub mod verdict;

#[cfg(feature = "check")]
pub use {facts::Facts, known::Known, root::Root};
