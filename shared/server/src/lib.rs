//! Carries a router on one machine: connections within limits, TLS, and a stop that finishes what has begun.
//!
//! [`Server`] is all of it. It knows nothing of the service: the service's router and the receiver's are served alike.

#![forbid(unsafe_code)]

mod connections;
mod machine;
mod server;
mod tls;

pub use machine::{addresses, stop_signal};
pub use server::Server;
pub use tls::{Identity, TlsError};
