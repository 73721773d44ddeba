//! No event lost, none counted twice: servers and receivers that are killed, and everything that can happen to a webhook
//! on its way.

mod guide;
#[path = "../local/process.rs"]
#[allow(dead_code, reason = "shared with the other local tests; each uses a part")]
mod process;
mod receiver;
mod storm;
mod troubles;

/// Held by every test: one must not slow down what another measures.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
