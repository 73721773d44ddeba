use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{FaceBox, FrameSize, Label, Timestamp, gallery::rounded};

/// Names one attendance event: a UUIDv7, the same on every try to deliver it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id that sorts after those made earlier.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id in this text, or `None` where it is no UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }

    /// The last 32 of the id's random bits.
    pub(crate) fn random_bits(self) -> u32 {
        (self.0.as_u128() & u128::from(u32::MAX)) as u32
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the camera client says about where a frame comes from; passed through into event and push. Absent fields are
/// absent from the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Context {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// A context field is too long; the message names it and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be at most {} characters", Context::MAX_LENGTH)]
pub struct InvalidContext {
    /// The field's name.
    pub field: &'static str,
}

impl Context {
    /// The largest length of a field, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Returns the context unchanged.
    ///
    /// # Errors
    /// [`InvalidContext`] names the first field that is too long.
    pub fn checked(self) -> Result<Self, InvalidContext> {
        let fields = [
            ("device_id", &self.device_id),
            ("location_id", &self.location_id),
            ("class_id", &self.class_id),
            ("session_id", &self.session_id),
        ];
        for (field, value) in fields {
            if value.as_ref().is_some_and(|v| v.chars().count() > Self::MAX_LENGTH) {
                return Err(InvalidContext { field });
            }
        }
        Ok(self)
    }
}

/// Somebody was seen, and the Attendance API is to know.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// Who was seen.
    pub label: Label,
    /// The distance to the nearest embedding; `None` where nobody is enrolled.
    pub distance: Option<f32>,
    /// When.
    pub at: Timestamp,
    /// The frame's size.
    pub frame: FrameSize,
    /// Where in the frame.
    pub face_box: FaceBox,
    /// Where the frame comes from.
    pub context: Context,
}

#[derive(Serialize)]
struct Body<'a> {
    event: &'static str,
    event_id: EventId,
    student_id: &'a Label,
    distance: Option<f64>,
    ts: u64,
    frame_info: FrameSize,
    #[serde(rename = "box")]
    face_box: Sides,
    #[serde(flatten)]
    context: &'a Context,
}

#[derive(Serialize)]
struct Sides {
    top: i32,
    right: i32,
    bottom: i32,
    left: i32,
}

impl Event {
    /// The webhook's JSON body. It is stored with the event, so that every try sends, and signs, the same bytes.
    #[must_use]
    pub fn body(&self) -> String {
        let FaceBox { top, right, bottom, left } = self.face_box;
        let body = Body {
            event: "attendance.recognized",
            event_id: self.id,
            student_id: &self.label,
            distance: self.distance.map(rounded),
            ts: self.at.seconds(),
            frame_info: self.frame,
            face_box: Sides { top, right, bottom, left },
            context: &self.context,
        };
        serde_json::to_string(&body).expect("plain fields always serialise")
    }

    /// Whose quiet time this event takes: the student's, or for an unknown face the camera's. The two kinds never
    /// collide, because a student id holds no colon.
    #[must_use]
    pub fn cooldown_key(&self) -> String {
        match &self.label {
            Label::Student(id) => id.to_string(),
            Label::Unknown => format!("unknown:{}", self.context.device_id.as_deref().unwrap_or_default()),
        }
    }
}

/// One try to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The receiver's status, where it answered.
    pub http_status: Option<u16>,
    /// The first 2 KB of the receiver's answer, or why there was none, for a person.
    pub message: String,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The receiver took the event (2xx).
    Delivered,
    /// It did not; another try may succeed, not before this wait where the receiver named one (`Retry-After`).
    Failed {
        /// The wait that the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// The receiver wants no more of it (410): no further try.
    Gone,
}

/// Where a stored event goes after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It arrived.
    Sent,
    /// It is tried again at this moment.
    RetryAt(Timestamp),
    /// It is given up, visibly: a person can replay it.
    Dead,
}

/// Where a stored event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum EventStatus {
    Pending,
    Sent,
    Dead,
}

impl EventStatus {
    /// The word for it, in JSON, tables and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }

    /// The status with this word, or `None` where it is none.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Sent, Self::Dead].into_iter().find(|status| status.word() == word)
    }
}

/// A stored event with everything that was tried.
#[derive(Debug, Clone)]
pub struct EventRecord {
    /// Its name.
    pub id: EventId,
    /// Who was seen: a student id or `Unknown`.
    pub student: String,
    /// Where it stands.
    pub status: EventStatus,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// When the present round of tries began: `accepted`, or the last replay.
    pub round_started: Timestamp,
    /// When it is tried next, while pending.
    pub next_try: Option<Timestamp>,
    /// The webhook body.
    pub body: String,
    /// The tries so far, oldest first, those before a replay included.
    pub attempts: Vec<Attempt>,
    /// How many of them belong to the present round.
    pub round_attempts: u32,
}

/// That somebody is to see to an event which is due at a certain time: a queue's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wakeup {
    /// The event.
    pub event_id: EventId,
    /// When it is due, as far as the sender knew, in milliseconds since the Unix epoch.
    pub due: Timestamp,
}

/// A page of stored events, newest first.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRecord>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<EventId>,
}

/// What became of one sighting within the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ReportStatus {
    Sent,
    Failed,
    Skipped,
}

/// What became of one sighting within the request, as a value: a failed delivery never fails a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Sent, failed (it is queued) or skipped.
    pub status: ReportStatus,
    /// The receiver's status, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The receiver's answer, or why it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Report {
    /// The report of a sighting that is not sent, with the reason.
    #[must_use]
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { status: ReportStatus::Skipped, http_status: None, message: Some(reason.into()) }
    }

    /// The report of an event that is stored and was not tried within the request, with the reason.
    #[must_use]
    pub fn queued(reason: &str) -> Self {
        Self { status: ReportStatus::Failed, http_status: None, message: Some(format!("queued: {reason}")) }
    }

    /// The report of the try made within the request, after which the event went to `next`.
    #[must_use]
    pub fn of(attempt: &Attempt, next: NextStep) -> Self {
        let (status, message) = match next {
            NextStep::Sent => (ReportStatus::Sent, attempt.message.clone()),
            NextStep::RetryAt(_) => (ReportStatus::Failed, format!("queued: {}", attempt.message)),
            NextStep::Dead => (ReportStatus::Failed, format!("given up: {}", attempt.message)),
        };
        Self { status, http_status: attempt.http_status, message: Some(message) }
    }
}
