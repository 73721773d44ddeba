//! The contract as its clients meet it: cases over real HTTP, a real WebSocket and a real webhook receiver.
//!
//! The registry lists every case with what it needs. Most take a [`Target`], which holds the addresses of a running service
//! and does not depend on how it runs: the same cases run against the local server and against a deployed stack. The service must
//! have been started with [`environment`], and nobody else may use it meanwhile.

#![forbid(unsafe_code)]

pub mod cases;
pub mod pictures;
mod raw;
mod receiver;
mod registry;
mod signature;
mod storm;
mod subscriber;
mod target;

pub use raw::{RawAnswer, flood, send_raw};
pub use receiver::{Call, Receiver};
pub use registry::{Capability, LOCAL_SERVER, STACK};
pub use storm::{Fault, Proxy};
pub use subscriber::Subscriber;
pub use target::{Answer, Target};

/// The keys that open a service under test.
pub const ACCESS_KEYS: [&str; 2] = ["first-key-of-two", "second-key-of-two"];
/// The bearer token it sends to the receiver.
pub const API_KEY: &str = "token-of-the-attendance-api";
/// A signing secret that is its own bytes.
pub const PLAIN_SECRET: &str = "a-plain-secret";
/// A signing secret in base64, as Standard Webhooks writes them.
pub const ENCODED_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A student's quiet time, in seconds.
pub const COOLDOWN_SECONDS: u64 = 3;
/// How long the service waits for the receiver.
pub const WEBHOOK_TIMEOUT_SECONDS: u64 = 1;

/// The variables that a service under test is started with, so that its events come to this receiver.
#[must_use]
pub fn environment(receiver: &Receiver) -> Vec<(&'static str, String)> {
    vec![
        ("ATTENDANCE_ACCESS_KEY", ACCESS_KEYS.join(" ")),
        ("ATTENDANCE_WEBHOOK_URL", receiver.url()),
        ("ATTENDANCE_API_KEY", API_KEY.into()),
        ("ATTENDANCE_HMAC_SECRET", format!("{PLAIN_SECRET} {ENCODED_SECRET}")),
        ("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE", "true".into()),
        ("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", WEBHOOK_TIMEOUT_SECONDS.to_string()),
        ("ATTENDANCE_RETRY_SCHEDULE", "1s".into()),
        ("EVENT_COOLDOWN_SECONDS", COOLDOWN_SECONDS.to_string()),
    ]
}
