use attendance::{Attempt, AttemptOutcome, OutboxEntry, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::EventWord;

/// Which events to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only those that stand here.
    #[param(inline, nullable = false)]
    pub status: Option<EventWord>,
    /// Events a page, 50 where absent. A page whose events are large has fewer.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
}

/// One try to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AttemptItem {
    /// When it began, in Unix seconds.
    pub ts: u64,
    /// Whether the receiver took the event.
    pub ok: bool,
    /// The receiver's status, where it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub http_status: Option<u16>,
    /// The first 2 KB of the receiver's answer, or why there was none.
    pub message: String,
}

impl From<Attempt> for AttemptItem {
    fn from(Attempt { at, outcome, http_status, message }: Attempt) -> Self {
        Self { ts: at.seconds(), ok: outcome == AttemptOutcome::Delivered, http_status, message }
    }
}

/// A stored event with everything that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventItem {
    #[allow(missing_docs)]
    pub event_id: String,
    /// The student id, or `Unknown`.
    pub student_id: String,
    #[allow(missing_docs)]
    pub status: EventWord,
    /// When it was accepted, in Unix seconds.
    pub ts: u64,
    /// When it is tried next, in Unix seconds, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_try: Option<u64>,
    /// The webhook's body.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// The tries so far, oldest first.
    pub attempts: Vec<AttemptItem>,
}

impl From<OutboxEntry> for EventItem {
    fn from(entry: OutboxEntry) -> Self {
        Self {
            event_id: entry.id.to_string(),
            next_try: entry.due().map(Timestamp::seconds),
            student_id: entry.student,
            status: entry.status.into(),
            ts: entry.accepted.seconds(),
            payload: serde_json::from_str(&entry.body).unwrap_or(Value::String(entry.body)),
            attempts: entry.attempts.into_iter().map(AttemptItem::from).collect(),
        }
    }
}

/// A page of stored events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventsResponse {
    /// Always true.
    pub ok: bool,
    /// Newest first.
    pub events: Vec<EventItem>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// An event is pending again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReplayResponse {
    /// Always true.
    pub ok: bool,
    #[allow(missing_docs)]
    pub event_id: String,
    /// `pending`: it is tried in a moment.
    pub status: EventWord,
}
