//! What the service posts to the Attendance API.

use attendance::ports::EventFormat;
use attendance::{Event, FaceBox, FrameSize, rounded};
use serde::Serialize;

/// The contract's webhook: one JSON object per event.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebhookJson;

/// The body of `attendance.recognized`.
#[derive(Serialize)]
struct Recognized<'a> {
    event: &'static str,
    event_id: String,
    student_id: String,
    distance: Option<f64>,
    ts: u64,
    frame_info: Frame,
    #[serde(rename = "box")]
    face_box: Sides,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Frame {
    w: u32,
    h: u32,
}

#[derive(Serialize)]
struct Sides {
    top: i32,
    right: i32,
    bottom: i32,
    left: i32,
}

impl EventFormat for WebhookJson {
    fn body(&self, event: &Event) -> String {
        let FrameSize { width, height } = event.frame;
        let FaceBox { top, right, bottom, left } = event.face_box;
        let body = Recognized {
            event: "attendance.recognized",
            event_id: event.id.to_string(),
            student_id: event.label.to_string(),
            distance: event.distance.map(rounded),
            ts: event.at.seconds(),
            frame_info: Frame { w: width, h: height },
            face_box: Sides { top, right, bottom, left },
            device_id: event.context.device_id.as_deref(),
            location_id: event.context.location_id.as_deref(),
            class_id: event.context.class_id.as_deref(),
            session_id: event.context.session_id.as_deref(),
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
            assert_eq!(WebhookJson.body(&event), expected);
        }
    }
}
