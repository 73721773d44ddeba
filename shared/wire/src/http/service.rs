use attendance::ports::GalleryCounts;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// That the service answers, and how much is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthResponse {
    /// Always true.
    pub ok: bool,
    /// Embeddings.
    pub encodings: usize,
    /// Students.
    pub labels: usize,
}

impl From<GalleryCounts> for HealthResponse {
    fn from(GalleryCounts { encodings, labels }: GalleryCounts) -> Self {
        Self { ok: true, encodings, labels }
    }
}

/// How the service is set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConfigResponse {
    /// The largest distance that is a match.
    pub tolerance: f64,
    /// Whether events are sent to an Attendance API.
    pub webhook_enabled: bool,
    /// A student's quiet time, in seconds.
    pub cooldown_seconds: u64,
    /// Where subscribers connect.
    pub websocket_url: String,
}

/// What an Attendance API answers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MockResponse {
    /// Always true.
    pub ok: bool,
    /// `ATT-<ts>-<student_id>`.
    pub token: String,
    /// What was sent.
    pub received: Map<String, Value>,
}
