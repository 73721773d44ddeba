//! The `attendance` command as real processes: the shared cases against the local server, and the promises that only the
//! local server and its tools make.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod commands;
mod durability;
mod faults;
mod process;
mod service;
mod settings;
mod sharing;
mod subscribers;
