//! A small Attendance API to start from: takes the service's events, each once, and keeps them in SQLite.
//!
//! [`Gate`] decides which requests are let in, [`Notice`] is what a body says, [`Attendance`] keeps it, and [`router`] serves
//! them over HTTP. The first three know nothing of axum. The checks are written independently of the sender's code, so that a
//! mistake in signing is not mirrored here. `docs/integration.md` walks through all of it.

#![forbid(unsafe_code)]

mod attendance;
mod error;
mod export;
mod gate;
mod notice;
mod routes;

pub use crate::attendance::{Attendance, Filter, Receipt, Row};
pub use crate::error::ReceiverError;
pub use crate::gate::Gate;
pub use crate::notice::Notice;
pub use crate::routes::{Settings, router};
