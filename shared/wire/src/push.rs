//! What the service pushes to subscribers.

use attendance::Message;
use serde::{Deserialize, Serialize};

use crate::{ContextFields, EventWord, ReportBody};

/// A push, without the `seq` that it gets when it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum PushBody {
    /// Somebody was seen.
    #[serde(rename = "recognized")]
    Recognized {
        /// A student id or `Unknown`.
        student_id: String,
        /// The distance to the nearest embedding, rounded to 4 decimals; null if nobody is enrolled.
        distance: Option<f64>,
        /// When, in Unix seconds.
        ts: u64,
        /// The event's id; the Attendance API never sees that of a skipped sighting.
        event_id: String,
        /// What became of the event.
        dispatch: ReportBody,
        /// Where the frame comes from.
        #[serde(flatten)]
        context: ContextFields,
    },
    /// A picture was enrolled.
    #[serde(rename = "student.enrolled")]
    Enrolled {
        /// The student.
        student_id: String,
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
        event_id: String,
        /// A student id or `Unknown`.
        student_id: String,
        /// `sent` or `dead`.
        status: EventWord,
        /// When, in Unix seconds.
        ts: u64,
    },
}

impl From<&Message> for PushBody {
    fn from(message: &Message) -> Self {
        match message.clone() {
            Message::Recognized { student_id, distance, ts, event_id, dispatch, context } => Self::Recognized {
                student_id: student_id.to_string(),
                distance,
                ts,
                event_id: event_id.to_string(),
                dispatch: dispatch.into(),
                context: context.into(),
            },
            Message::Enrolled { student_id, saved, ts } => {
                Self::Enrolled { student_id: student_id.to_string(), saved, ts }
            }
            Message::Refused { file, code, msg, ts } => Self::Refused { file, code, msg, ts },
            Message::Delivery { event_id, student_id, status, ts } => {
                Self::Delivery { event_id: event_id.to_string(), student_id, status: status.into(), ts }
            }
        }
    }
}

/// Returns the message's JSON object, without a `seq`: what an adapter keeps until the message has its number.
#[must_use]
pub fn json(message: &Message) -> String {
    serde_json::to_string(&PushBody::from(message)).expect("plain fields always serialise")
}

/// Returns the JSON object of a message with its `seq` as the last field, or `None` if `json` is no object.
///
/// It works on the text, because what is kept may have been written by another version of the program.
#[must_use]
pub fn with_seq(json: &str, seq: u64) -> Option<String> {
    let open = json.strip_suffix('}').filter(|open| open.len() > 1 && open.starts_with('{'))?;
    Some(format!("{open},\"seq\":{seq}}}"))
}

#[cfg(test)]
mod tests {
    use attendance::{Context, EventId, EventStatus, Label, Report, StudentId};

    use super::*;

    #[test]
    fn a_push_is_written_as_the_contract_says_and_read_back() {
        let student = StudentId::parse("siswaA").expect("an id");
        let id = EventId::parse("01920000-0000-7000-8000-000000000001").expect("an id");
        let context = Context { class_id: Some("7B".into()), ..Context::default() };
        let recognized = Message::Recognized {
            student_id: Label::Student(student.clone()),
            distance: Some(0.37),
            ts: 1_727_580_000,
            event_id: id,
            dispatch: Report::skipped("webhook_disabled"),
            context,
        };
        let refused =
            Message::Refused { file: "a/b.gif".into(), code: "unsupported_image".into(), msg: "no".into(), ts: 2 };
        let delivery =
            Message::Delivery { event_id: id, student_id: "siswaA".into(), status: EventStatus::Dead, ts: 3 };
        let cases = [
            (
                recognized,
                r#"{"type":"recognized","student_id":"siswaA","distance":0.37,"ts":1727580000,"event_id":"01920000-0000-7000-8000-000000000001","dispatch":{"status":"skipped","message":"webhook_disabled"},"class_id":"7B","seq":41}"#,
            ),
            (
                Message::Enrolled { student_id: student, saved: 2, ts: 1 },
                r#"{"type":"student.enrolled","student_id":"siswaA","saved":2,"ts":1,"seq":41}"#,
            ),
            (
                refused,
                r#"{"type":"student.refused","file":"a/b.gif","code":"unsupported_image","msg":"no","ts":2,"seq":41}"#,
            ),
            (
                delivery,
                r#"{"type":"delivery","event_id":"01920000-0000-7000-8000-000000000001","student_id":"siswaA","status":"dead","ts":3,"seq":41}"#,
            ),
        ];
        for (message, expected) in cases {
            let text = with_seq(&json(&message), 41).expect("an object");
            assert_eq!(text, expected);
            let read: PushBody = serde_json::from_str(&text).expect("a push");
            assert_eq!(read, PushBody::from(&message));
        }
    }

    #[test]
    fn only_an_object_gets_a_number() {
        for text in ["", "{}", "[]", "7", "}", "{\"a\":1"] {
            assert_eq!(with_seq(text, 1), None, "{text}");
        }
    }
}
