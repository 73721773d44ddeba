use attendance::{EventId, StudentId};
use attendance_wire::webhook::{EventBody, RECOGNIZED};

use crate::ReceiverError;

/// The `student_id` of a face that matches nobody who is enrolled.
const UNKNOWN: &str = "Unknown";

/// What an event's body says, as far as attendance goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The event's id: the same on every try and replay.
    pub event_id: EventId,
    /// A student id, or `Unknown`.
    pub student_id: String,
    /// When the student was seen, in Unix seconds.
    pub ts: u64,
    /// The distance to the nearest embedding.
    pub distance: Option<f64>,
    /// The camera.
    pub device_id: Option<String>,
    /// The class.
    pub class_id: Option<String>,
}

impl Notice {
    /// Returns what the body says, if it is the event that the header `webhook-id` names.
    ///
    /// # Errors
    /// [`ReceiverError::InvalidEvent`].
    pub fn parse(body: &[u8], webhook_id: &str) -> Result<Self, ReceiverError> {
        let wrong = |reason: &str| ReceiverError::InvalidEvent(reason.to_owned());
        let body: EventBody = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
        if body.event != RECOGNIZED {
            return Err(wrong("`event` must be `attendance.recognized`"));
        }
        let event_id = EventId::parse(&body.event_id).ok_or_else(|| wrong("`event_id` must be a UUID"))?;
        if body.event_id != webhook_id {
            return Err(wrong("`event_id` differs from the header webhook-id"));
        }
        if body.student_id != UNKNOWN {
            StudentId::parse(&body.student_id).map_err(|error| wrong(&format!("`student_id`: {error}")))?;
        }
        if i64::try_from(body.ts).is_err() {
            return Err(wrong("`ts` must be Unix seconds"));
        }
        let EventBody { student_id, ts, distance, context, .. } = body;
        Ok(Self { event_id, student_id, ts, distance, device_id: context.device_id, class_id: context.class_id })
    }

    /// Whether somebody enrolled was seen. Unknown faces are many people.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.student_id != UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use attendance::ports::EventFormat;
    use attendance::{Context, Event, FaceBox, FrameSize, Label, Timestamp};
    use attendance_wire::webhook::WebhookJson;

    use super::*;

    fn event(label: Label) -> Event {
        Event {
            id: EventId::generate(),
            label,
            distance: Some(0.38),
            at: Timestamp::from_millis(1_727_580_000_123),
            frame: FrameSize { width: 640, height: 480 },
            face_box: FaceBox { top: 120, right: 260, bottom: 220, left: 160 },
            context: Context { device_id: Some("door \"1\"".into()), ..Context::default() },
        }
    }

    #[test]
    fn what_the_service_sends_is_understood() {
        let event = event(Label::Student(StudentId::parse("siswaA").expect("an id")));
        let notice = Notice::parse(WebhookJson.body(&event).as_bytes(), &event.id.to_string()).expect("parsed");
        let expected = Notice {
            event_id: event.id,
            student_id: "siswaA".into(),
            ts: 1_727_580_000,
            distance: Some(0.38),
            device_id: Some("door \"1\"".into()),
            class_id: None,
        };
        assert_eq!(notice, expected);
        assert!(notice.is_known());
    }

    #[test]
    fn an_unknown_face_without_a_distance_is_understood() {
        let event = Event { distance: None, ..event(Label::Unknown) };
        let notice = Notice::parse(WebhookJson.body(&event).as_bytes(), &event.id.to_string()).expect("parsed");
        assert_eq!((notice.distance, notice.is_known()), (None, false));
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let id = "0193571e-9a3c-7a10-8000-000000000001";
        let body = |changes: &[(&str, serde_json::Value)]| {
            let mut body = serde_json::json!({
                "event": "attendance.recognized", "event_id": id, "student_id": "a", "ts": 1, "distance": null,
            });
            changes.iter().for_each(|(name, value)| body[*name] = value.clone());
            body.to_string()
        };
        Notice::parse(body(&[]).as_bytes(), id).expect("the smallest event");
        let cases = [
            ("no json".to_owned(), "expected"),
            (body(&[("event", "attendance.left".into())]), "attendance.recognized"),
            (body(&[("event_id", "x".into())]), "UUID"),
            (body(&[("event_id", "0193571e-9a3c-7a10-8000-000000000002".into())]), "webhook-id"),
            (body(&[("student_id", "../a".into())]), "student_id"),
            (body(&[("student_id", "unknown".into())]), "student_id"),
            (body(&[("ts", u64::MAX.into())]), "Unix seconds"),
            (body(&[("ts", "1".into())]), "invalid type"),
        ];
        for (body, reason) in cases {
            let error = Notice::parse(body.as_bytes(), id).expect_err(&body).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
