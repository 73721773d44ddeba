use attendance::{EventStatus, Report, ReportStatus};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};
use utoipa::ToSchema;

/// What became of the event: `sent`, `failed` (stored, and tried again) or `skipped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportBody {
    #[allow(missing_docs)]
    pub status: ReportWord,
    /// The Attendance API's status, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub http_status: Option<u16>,
    /// The first 2 KB of its answer, or why the event was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

impl From<Report> for ReportBody {
    fn from(Report { status, http_status, message }: Report) -> Self {
        Self { status: status.into(), http_status, message }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[allow(missing_docs)]
pub enum ReportWord {
    Sent,
    Failed,
    Skipped,
}

impl From<ReportStatus> for ReportWord {
    fn from(status: ReportStatus) -> Self {
        match status {
            ReportStatus::Sent => Self::Sent,
            ReportStatus::Failed => Self::Failed,
            ReportStatus::Skipped => Self::Skipped,
        }
    }
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, ToSchema)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[allow(missing_docs)]
pub enum EventWord {
    Pending,
    Sent,
    Dead,
}

impl From<EventStatus> for EventWord {
    fn from(status: EventStatus) -> Self {
        match status {
            EventStatus::Pending => Self::Pending,
            EventStatus::Sent => Self::Sent,
            EventStatus::Dead => Self::Dead,
        }
    }
}

impl From<EventWord> for EventStatus {
    fn from(word: EventWord) -> Self {
        match word {
            EventWord::Pending => Self::Pending,
            EventWord::Sent => Self::Sent,
            EventWord::Dead => Self::Dead,
        }
    }
}
