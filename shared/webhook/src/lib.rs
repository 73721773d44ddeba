//! Outbound delivery: one try to tell the Attendance API, signed and bounded.
//!
//! [`HttpWebhook`] implements [`attendance::ports::Webhook`]. It follows no redirect, uses no proxy, connects to no refused
//! address, reads at most the start of the answer, and takes no longer than its timeout. A receiver that does not answer is
//! left alone for a while, so that it costs requests nothing.

#![forbid(unsafe_code)]

mod address;
mod breaker;
mod client;
mod error;
mod signature;

pub use address::Refused;
pub use client::{HttpWebhook, WebhookSettings};
pub use error::WebhookError;
pub use signature::Secrets;
