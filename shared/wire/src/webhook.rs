//! What the service posts to the Attendance API.

use attendance::ports::EventFormat;
use attendance::{Event, FaceBox, FrameSize, rounded};
use serde::{Deserialize, Serialize};

use crate::ContextFields;

/// The contract's webhook: one JSON object per event.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebhookJson;

/// What [`EventBody::event`] says.
pub const RECOGNIZED: &str = "attendance.recognized";

/// The body of an event: somebody was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventBody {
    /// [`RECOGNIZED`].
    pub event: String,
    /// The event's id, a UUIDv7.
    pub event_id: String,
    /// A student id or `Unknown`.
    pub student_id: String,
    /// The distance to the nearest embedding, rounded to 4 decimals; null if nobody is enrolled.
    pub distance: Option<f64>,
    /// When, in Unix seconds.
    pub ts: u64,
    /// The frame's size. A receiver takes an event without it.
    #[serde(default)]
    pub frame_info: FrameInfo,
    /// Where in the frame. A receiver takes an event without it.
    #[serde(rename = "box", default)]
    pub face_box: FaceSides,
    /// Where the frame comes from.
    #[serde(flatten)]
    pub context: ContextFields,
}

/// The size of a frame in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameInfo {
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

/// Where a face is, in pixels of the upright picture, origin at the top left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FaceSides {
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
    pub left: i32,
}

impl EventFormat for WebhookJson {
    fn body(&self, event: &Event) -> String {
        let FrameSize { width, height } = event.frame;
        let FaceBox { top, right, bottom, left } = event.face_box;
        let body = EventBody {
            event: RECOGNIZED.to_owned(),
            event_id: event.id.to_string(),
            student_id: event.label.to_string(),
            distance: event.distance.map(rounded),
            ts: event.at.seconds(),
            frame_info: FrameInfo { w: width, h: height },
            face_box: FaceSides { top, right, bottom, left },
            context: event.context.clone().into(),
        };
        serde_json::to_string(&body).expect("plain fields always serialise")
    }
}

#[cfg(test)]
mod tests {
    use attendance::{Context, EventId, Label, StudentId, Timestamp};

    use super::*;

    fn event(label: Label, distance: Option<f32>, context: Context) -> Event {
        Event {
            id: EventId::parse("0192f0c1-2345-7abc-8def-0123456789ab").expect("an id"),
            label,
            distance,
            at: Timestamp::from_millis(1_727_580_000_999),
            frame: FrameSize { width: 640, height: 480 },
            face_box: FaceBox { top: 120, right: 260, bottom: 220, left: -3 },
            context,
        }
    }

    #[test]
    fn the_bytes_are_those_that_receivers_have_always_got() {
        let student = Label::Student(StudentId::parse("siswaA").expect("an id"));
        let context = Context {
            device_id: Some("door \"1\"".into()),
            location_id: Some("gate".into()),
            class_id: Some("kelas 7b é".into()),
            session_id: Some("s1".into()),
        };
        let cases = [
            (
                event(student, Some(0.380_04), context),
                "{\"event\":\"attendance.recognized\",\"event_id\":\"0192f0c1-2345-7abc-8def-0123456789ab\",\
                 \"student_id\":\"siswaA\",\"distance\":0.38,\"ts\":1727580000,\"frame_info\":{\"w\":640,\"h\":480},\
                 \"box\":{\"top\":120,\"right\":260,\"bottom\":220,\"left\":-3},\"device_id\":\"door \\\"1\\\"\",\
                 \"location_id\":\"gate\",\"class_id\":\"kelas 7b é\",\"session_id\":\"s1\"}",
            ),
            (
                event(Label::Unknown, None, Context::default()),
                "{\"event\":\"attendance.recognized\",\"event_id\":\"0192f0c1-2345-7abc-8def-0123456789ab\",\
                 \"student_id\":\"Unknown\",\"distance\":null,\"ts\":1727580000,\"frame_info\":{\"w\":640,\"h\":480},\
                 \"box\":{\"top\":120,\"right\":260,\"bottom\":220,\"left\":-3}}",
            ),
        ];
        for (event, expected) in cases {
            let body = WebhookJson.body(&event);
            assert_eq!(body, expected);
            let read: EventBody = serde_json::from_str(&body).expect("a body");
            assert_eq!(serde_json::to_string(&read).expect("plain fields"), body);
        }
    }
}
