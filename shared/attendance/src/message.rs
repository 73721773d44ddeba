use crate::{Context, EventId, EventStatus, Label, Report, StudentId};

/// What subscribers are told. `shared/wire` says how it looks as JSON.
#[derive(Debug, Clone)]
pub enum Message {
    /// Somebody was seen.
    Recognized {
        /// Who.
        student_id: Label,
        /// The distance to the nearest embedding, rounded to 4 decimals; `None` if nobody is enrolled.
        distance: Option<f64>,
        /// When, in Unix seconds.
        ts: u64,
        /// The event's id; the Attendance API never sees that of a skipped sighting.
        event_id: EventId,
        /// What became of the event.
        dispatch: Report,
        /// Where the frame comes from.
        context: Context,
    },
    /// A picture was enrolled.
    Enrolled {
        /// The student.
        student_id: StudentId,
        /// How many embeddings were stored.
        saved: usize,
        /// When, in Unix seconds.
        ts: u64,
    },
    /// A picture that was dropped for bulk enrolment is not enrolled.
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
    Delivery {
        /// The event.
        event_id: EventId,
        /// A student id or `Unknown`.
        student_id: String,
        /// Sent or dead.
        status: EventStatus,
        /// When, in Unix seconds.
        ts: u64,
    },
}
