//! The terminal UI: the same choices as an answer file gives, by asking, on every console at once.
//!
//! [`app`] is plain data and what keys and messages do to it; [`draw`] shows it on any backend of ratatui; [`effects`] is
//! what it causes and learns, on the machine ([`real`]) or in a [`simulation`]; [`drive`] puts them on consoles.

pub mod app;
pub mod console;
pub mod decode;
pub mod draft;
pub mod draw;
pub mod drive;
pub mod effects;
pub mod field;
pub mod gate;
pub mod key;
pub mod network_draft;
pub mod network_test;
pub mod page;
pub mod real;
pub mod run_view;
pub mod screens;
pub mod simulation;
pub mod text;
pub mod theme;
