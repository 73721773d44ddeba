//! The JSON of the contract: HTTP bodies, the webhook, the pushes, and what WebSocket clients send.
//!
//! Every type here is the one definition of its JSON, with its serde and OpenAPI derives. The domain's types are not
//! serialised: they convert into these.

#![forbid(unsafe_code)]

pub mod client;
mod context;
pub mod http;
pub mod push;
mod report;
pub mod webhook;

pub use context::ContextFields;
pub use report::{EventWord, ReportBody, ReportWord};
