//! Outbound delivery: one try to tell the Attendance API, signed and bounded.
//!
//! [`HttpWebhook`] implements [`attendance::ports::Webhook`]. It follows no redirect, asks no proxy, connects to no
//! address that is refused, reads a little of the answer, and takes no longer than its timeout. A receiver that does not
//! answer is left alone for a while, so that it costs the requests nothing.

#![forbid(unsafe_code)]

mod address;
mod breaker;
mod client;
mod signature;

pub use address::Refused;
pub use client::{HttpWebhook, WebhookSettings};
pub use signature::Secrets;

/// Why the webhook cannot be set up. The messages are for the operator, and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is none that can be called.
    #[error("the webhook's URL must be as in `https://attendance.school.example/events`: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The URL names an address that is never called, or not without leave.
    #[error("the webhook's address is refused: {0}")]
    Address(Refused),
    /// The bearer token cannot stand in a header.
    #[error("the webhook's API key must be visible ASCII characters")]
    ApiKey,
    /// A secret with the prefix `whsec_` is not base64 after it, or is empty.
    #[error("a webhook secret that begins with `whsec_` must go on in base64")]
    Secret,
    /// The HTTP client could not be made.
    #[error("the webhook's HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}
