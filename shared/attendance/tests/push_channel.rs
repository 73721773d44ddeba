//! A second channel beside the WebSocket's subscribers is one file: an implementation of `Push`, and its place in the list
//! that `FanOut` is made of.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{EnrollmentOrigin, Push, StoreError, Subscribers};
use attendance::{AttendanceSettings, Enroller, FanOut, Message, Ports, StudentId, compose};
use attendance_testkit::{FakeClock, FakeEngine, FakeEvents, FakeGallery, FakePush, face, picture};
use attendance_wire::webhook::WebhookJson;
use serde_json::{Value, json};

/// A broker that keeps the last message of each topic, as MQTT does with retained messages.
#[derive(Default)]
struct FakeBroker {
    topics: Mutex<Vec<(String, String)>>,
}

impl FakeBroker {
    fn retained(&self, topic: &str) -> Option<Value> {
        let topics = self.topics.lock().expect("no test panics here");
        let (_, payload) = topics.iter().find(|(name, _)| name == topic)?;
        Some(serde_json::from_str(payload).expect("JSON"))
    }
}

#[async_trait]
impl Push for FakeBroker {
    async fn publish(&self, message: &Message) -> Result<(), StoreError> {
        let payload = attendance_wire::push::json(message);
        let kind: Value = serde_json::from_str(&payload).map_err(StoreError::damaged)?;
        let topic = format!("attendance/{}", kind["type"].as_str().unwrap_or_default());
        let mut topics = self.topics.lock().expect("no test panics here");
        topics.retain(|(name, _)| *name != topic);
        topics.push((topic, payload));
        Ok(())
    }
}

fn enroller(channels: Vec<Arc<dyn Push>>) -> Arc<Enroller> {
    let ports = Ports {
        gallery: Arc::new(FakeGallery::default()),
        events: Arc::new(FakeEvents::default()),
        push: Arc::new(FanOut::new(channels)),
        format: Arc::new(WebhookJson),
        webhook: None,
        wakeups: None,
        clock: Arc::new(FakeClock::at(1_727_580_000_000)),
    };
    compose(ports, AttendanceSettings::default()).with_engine(Arc::new(FakeEngine::default())).enroller
}

async fn enroll(enroller: &Enroller, student: &str) {
    let student = StudentId::parse(student).expect("a valid id");
    let photo = picture(student.as_str(), &[face(0, 0.0)]);
    enroller.enroll(&student, photo, EnrollmentOrigin::Direct).await.expect("enrolled");
}

#[tokio::test]
async fn a_use_case_tells_every_channel() {
    let (push, broker) = (FakePush::default(), Arc::new(FakeBroker::default()));
    let mut subscription = push.subscribe(None).await.expect("subscribed");
    let enroller = enroller(vec![Arc::new(push), broker.clone()]);
    enroll(&enroller, "siswaA").await;
    let expected = json!({"type": "student.enrolled", "student_id": "siswaA", "saved": 1, "ts": 1_727_580_000});
    assert_eq!(broker.retained("attendance/student.enrolled"), Some(expected.clone()));
    let pushed = tokio::time::timeout(Duration::from_secs(5), subscription.recv()).await.expect("in time");
    let mut pushed: Value = serde_json::from_str(&pushed.expect("a message")).expect("JSON");
    assert_eq!(pushed.as_object_mut().and_then(|fields| fields.remove("seq")), Some(1.into()));
    assert_eq!(pushed, expected);
}

#[tokio::test]
async fn a_channel_that_fails_stops_no_other() {
    for failing in [0, 1] {
        let (push, broker) = (FakePush::default(), Arc::new(FakeBroker::default()));
        push.set_down(true);
        let mut channels: Vec<Arc<dyn Push>> = vec![broker.clone(), broker.clone()];
        channels.insert(failing, Arc::new(push));
        let message = Message::Enrolled { student_id: StudentId::parse("a").expect("an id"), saved: 1, ts: 1 };
        let outcome = FanOut::new(channels.clone()).publish(&message).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "the caller is told");
        assert!(broker.retained("attendance/student.enrolled").is_some());
        // Nor does it stop a use case.
        enroll(&enroller(channels), "siswaA").await;
        assert_eq!(broker.retained("attendance/student.enrolled").expect("a message")["student_id"], "siswaA");
    }
}
