//! The `attendance` command as real processes: every case of the registry that the local server and its tools can run.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod commands;
mod durability;
mod faults;
mod guide;
mod process;
mod receiver;
mod settings;
mod sharing;
mod storm;
mod subscribers;
mod troubles;

use attendance_end_to_end::{Capability, Receiver, Target};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::process::Server;

static TURN: RwLock<()> = RwLock::const_new(());

/// Held while a case runs.
enum Turn {
    Shared(#[allow(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// A case's turn: nothing else runs beside one that measures.
async fn turn(needs: &[Capability]) -> Turn {
    if needs.contains(&Capability::Alone) { Turn::Alone(TURN.write().await) } else { Turn::Shared(TURN.read().await) }
}

/// A server of its own for one case.
struct Service {
    target: Target,
    receiver: Receiver,
    _server: Server,
}

/// The service that a case is handed.
async fn start() -> Service {
    let receiver = Receiver::start().await;
    let server = Server::start_for(&receiver);
    Service { target: server.target(), receiver, _server: server }
}

mod registered {
    attendance_end_to_end::tests!(local_server);
}
