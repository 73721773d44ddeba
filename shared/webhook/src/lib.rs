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

use attendance::SettingError;

pub use address::Refused;
pub use client::{HttpWebhook, WebhookSettings};
pub use signature::Secrets;

/// Why the webhook cannot be set up. The messages are for the operator, and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A switch has a text that is not allowed.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The URL is none that can be called.
    #[error(
        "ATTENDANCE_WEBHOOK_URL is `{url}`; allowed is one as `https://attendance.school.example/events`: {reason}"
    )]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL names an address that is never called, or not without leave.
    #[error("ATTENDANCE_WEBHOOK_URL is `{url}`, whose address is refused: {refused}")]
    Address {
        /// The URL.
        url: String,
        /// Why.
        refused: Refused,
    },
    /// The bearer token cannot stand in a header.
    #[error("ATTENDANCE_API_KEY cannot stand in a header: allowed are visible ASCII characters")]
    ApiKey,
    /// A secret with the prefix `whsec_` is not base64 after it, or is empty.
    #[error("ATTENDANCE_HMAC_SECRET: a secret that begins with `whsec_` must go on in base64")]
    Secret,
    /// The HTTP client could not be made.
    #[error("the webhook's HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}
