//! Facts and verdicts of whole machines, read from trees that the tests make.

mod constraints;
mod facts;
mod hostile;
mod hostile_program;
mod json_schema;
mod program;
mod samples;
mod schemas;
mod tree;
mod unread;
mod verdicts;
