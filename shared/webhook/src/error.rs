use attendance::SettingError;

use crate::address::Refused;

/// Why the webhook cannot be set up. The messages are for the operator, and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A switch has an unexpected value.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The URL cannot be called.
    #[error(
        "ATTENDANCE_WEBHOOK_URL is `{url}`; expected a URL such as `https://attendance.school.example/events`: {reason}"
    )]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL names an address that is never called, or only if private addresses are allowed.
    #[error("ATTENDANCE_WEBHOOK_URL is `{url}`, whose address is refused: {refused}")]
    Address {
        /// The URL.
        url: String,
        /// Why.
        refused: Refused,
    },
    /// The bearer token is not a valid header value.
    #[error("ATTENDANCE_API_KEY cannot be sent in a header; expected visible ASCII characters")]
    ApiKey,
    /// A secret that starts with `whsec_` is empty or not base64 after that.
    #[error("ATTENDANCE_HMAC_SECRET: expected base64 after `whsec_`")]
    Secret,
    /// The HTTP client could not be made.
    #[error("could not make the webhook's HTTP client")]
    Client(#[source] reqwest::Error),
}
