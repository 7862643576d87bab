//! Tokens, activation records and requests that are not genuine are refused, and the states follow the calendar.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod activation;
mod common;
mod fingerprint;
mod request;
mod states;
mod tokens;
