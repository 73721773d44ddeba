//! The `attendance` command as real processes: the shared cases against the local server, and what only a local server
//! and its tools promise.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod commands;
mod durability;
mod faults;
mod process;
mod service;
mod settings;
mod sharing;
mod watchers;
