//! The JSON of the contract: HTTP bodies, the webhook, the pushes, and what WebSocket clients send.
//!
//! Every type here is the one definition of its JSON, with its serde and OpenAPI derives. The domain's types are not
//! serialised; adapters convert them to these.

#![forbid(unsafe_code)]

pub mod client;
pub mod http;
pub mod push;
pub mod webhook;
