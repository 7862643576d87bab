//! Facts and verdicts of whole machines, read from trees that the tests make.

mod constraints;
mod facts;
mod hostile;
mod program;
mod samples;
mod tree;
mod verdicts;
