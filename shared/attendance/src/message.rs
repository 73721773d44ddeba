use serde::Serialize;

use crate::{Context, EventId, Label, Report, StudentId};

/// What a watcher is told. Serialised with `type`; the [`Push`](crate::ports::Push) adapter adds `seq`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type")]
pub enum Message {
    /// Somebody was seen.
    #[serde(rename = "recognized")]
    Recognized {
        /// A student id or `Unknown`.
        student_id: Label,
        /// The distance to the nearest embedding, rounded to 4 decimals; null where nobody is enrolled.
        distance: Option<f64>,
        /// When, in Unix seconds.
        ts: u64,
        /// The event's name; that of a skipped sighting is never seen by the Attendance API.
        event_id: EventId,
        /// What became of it.
        dispatch: Report,
        /// Where the frame comes from.
        #[serde(flatten)]
        context: Context,
    },
    /// A picture was enrolled.
    #[serde(rename = "student.enrolled")]
    Enrolled {
        /// The student.
        student_id: StudentId,
        /// How many embeddings were stored.
        saved: usize,
        /// When, in Unix seconds.
        ts: u64,
    },
    /// A picture that was dropped for bulk enrolment is not enrolled.
    #[serde(rename = "student.refused")]
    Refused {
        /// Its path below `known_faces/`.
        file: String,
        /// The code of the error that `POST /enroll` would have answered.
        code: String,
        /// Its sentence.
        msg: String,
        /// When, in Unix seconds.
        ts: u64,
    },
    /// An event that was queued has ended.
    #[serde(rename = "delivery")]
    Delivery {
        /// The event.
        event_id: EventId,
        /// A student id or `Unknown`.
        student_id: String,
        /// `sent` or `dead`.
        status: crate::EventStatus,
        /// When, in Unix seconds.
        ts: u64,
    },
}
