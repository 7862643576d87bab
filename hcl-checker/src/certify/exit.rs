//! Exit statuses of `hcl-checker certify`, beside 0 for passed and 2 for wrong use. They are published: `docs/certification.md`.

/// A test failed.
pub const FAILED: u8 = 1;
/// Nothing failed, and not everything ran.
pub const INCOMPLETE: u8 = 4;
/// Not a single test ran.
pub const NOTHING_RAN: u8 = 5;
/// It can go on: stopped, or the machine restarts.
pub const GOES_ON: u8 = 6;
