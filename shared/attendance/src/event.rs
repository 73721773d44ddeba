use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::{FaceBox, FrameSize, Label, Timestamp};

/// Identifies one attendance event: a UUIDv7, the same on every try to deliver it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id, which sorts after those made earlier.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id in this text, or `None` if it is not a UUID.
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

/// Where a frame comes from, as the camera client says; passed through into event and push. Absent fields are absent from
/// the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Context {
    pub device_id: Option<String>,
    pub location_id: Option<String>,
    pub class_id: Option<String>,
    pub session_id: Option<String>,
}

/// A context field is too long. The message names the field and the limit.
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

/// Somebody was seen, which the Attendance API is to be told.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Who was seen.
    pub label: Label,
    /// The distance to the nearest embedding; `None` if nobody is enrolled.
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

impl Event {
    /// The key of the cooldown that this event takes: the student's, or for an unknown face the camera's. The two kinds
    /// never collide, because a student id contains no colon.
    #[must_use]
    pub fn cooldown_key(&self) -> String {
        match &self.label {
            Label::Student(id) => id.to_string(),
            Label::Unknown => format!("unknown:{}", self.context.device_id.as_deref().unwrap_or_default()),
        }
    }
}

/// One try to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it started.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The receiver's HTTP status, if it answered.
    pub http_status: Option<u16>,
    /// The first 2 KB of the receiver's answer, or why there was none, for a person to read.
    pub message: String,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The receiver took the event (2xx).
    Delivered,
    /// It did not. Another try may succeed, but not before this wait if the receiver named one (`Retry-After`).
    Failed {
        /// The wait that the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// The receiver does not want it any more (410): no further try.
    Gone,
}

/// What happens to a stored event after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It arrived.
    Sent,
    /// It is tried again at this time.
    RetryAt(Timestamp),
    /// It is given up, visibly: a person can replay it.
    Dead,
}

/// Where a stored event stands. It displays as, and parses from, the lower-case word used in JSON, tables and on the command
/// line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "lowercase")]
#[allow(missing_docs)]
pub enum EventStatus {
    Pending,
    Sent,
    Dead,
}

/// The request to try an event that is due at a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wakeup {
    /// The event.
    pub event_id: EventId,
    /// When it is due, as far as the sender knew.
    pub due: Timestamp,
}

/// What became of one sighting within the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ReportStatus {
    Sent,
    Failed,
    Skipped,
}

/// What became of one sighting within the request. A failed delivery is a value here and never fails the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Sent, failed (it is queued) or skipped.
    pub status: ReportStatus,
    /// The receiver's HTTP status, if it answered.
    pub http_status: Option<u16>,
    /// The receiver's answer, or why it was not sent.
    pub message: Option<String>,
}

impl Report {
    /// The report of a sighting that is not sent, and why.
    #[must_use]
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { status: ReportStatus::Skipped, http_status: None, message: Some(reason.into()) }
    }

    /// The report of an event that is stored and was not tried within the request, and why.
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
