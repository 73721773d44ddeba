//! What the operating system tells and allows a server.

use std::net::IpAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Returns the addresses by which other machines can reach this one.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().filter(|i| !i.is_loopback() && !i.is_link_local()).map(if_addrs::Interface::ip).collect()
}

/// Returns on the next SIGTERM or SIGINT.
///
/// # Panics
/// If the process may not listen for SIGTERM.
pub async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Raises this process's limit of open files to what the system allows and returns it, or `None` if there is no limit.
/// Every watcher is an open file. The usual limit of 1024 is low for the sake of programs that use `select`, and this one
/// does not.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, ?limit, "the limit of open files stays as it is");
            limit.current
        }
    }
}
