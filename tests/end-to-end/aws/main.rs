//! The service on a local AWS stack: every case of the registry that the deployed functions can run.
//!
//! `cargo xtask test --only aws` deploys it and runs this; the addresses are in the environment.

mod alarms;
mod bulk;
mod containers;
mod delivery;
mod letters;
mod raw;
mod stack;
mod subscribers;

use attendance_end_to_end::Capability;
use tokio::sync::{Mutex, MutexGuard};

use crate::stack::Stack;

static TURN: Mutex<()> = Mutex::const_new(());

/// A case's turn: all cases use the one service, and each has it for itself.
async fn turn(_needs: &[Capability]) -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// The service that a case is handed.
async fn start() -> Stack {
    Stack::ready().await
}

mod registered {
    attendance_end_to_end::tests!(stack);
}
