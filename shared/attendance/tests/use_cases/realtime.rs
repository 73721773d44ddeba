use std::sync::{Arc, Mutex};
use std::time::Duration;

use attendance::{
    AttemptOutcome, Context, EventStatus, RealtimeError, RealtimeOptions, RealtimeOutcome, Report, ReportStatus,
    Tolerance,
};
use attendance_testkit::{FakeEvents, FakeFace, FakeGallery, answered, delivered, face, failed, picture};
use serde_json::{Value, json};

use crate::school::{START, School};

async fn observe(school: &School, faces: &[FakeFace], options: RealtimeOptions) -> RealtimeOutcome {
    school.realtime.observe(picture("frame", faces), options).await.expect("observed")
}

async fn with_two_students(school: School) -> School {
    for (name, person) in [("siswaA", 1), ("siswaB", 2)] {
        school.enroll(name, picture(name, &[face(person, 0.0)])).await.expect("enrolled");
    }
    school
}

fn reports(outcome: &RealtimeOutcome) -> Vec<(String, Report)> {
    outcome.dispatch.iter().map(|d| (d.label.to_string(), d.report.clone())).collect()
}

fn sent() -> Report {
    Report { status: ReportStatus::Sent, http_status: Some(200), message: Some("answer 200".into()) }
}

/// What was pushed of sightings.
fn pushed(school: &School) -> Vec<Value> {
    school.push.messages().into_iter().filter(|message| message["type"] == "recognized").collect()
}

fn strangers_too(device: Option<&str>) -> RealtimeOptions {
    let context = Context { device_id: device.map(str::to_owned), ..Context::default() };
    RealtimeOptions { send_unknown: true, context, ..RealtimeOptions::default() }
}

#[tokio::test]
async fn a_known_face_is_sent_and_pushed() {
    let school = with_two_students(School::new()).await;
    let context = Context { device_id: Some("door".into()), class_id: Some("7b".into()), ..Context::default() };
    let options = RealtimeOptions { context, ..RealtimeOptions::default() };
    let outcome = observe(&school, &[face(1, 0.37)], options).await;
    assert_eq!(reports(&outcome), [("siswaA".into(), sent())]);

    let delivery = school.webhook.deliveries().pop().expect("one delivery");
    let body: Value = serde_json::from_str(&delivery.body).expect("JSON");
    let id = delivery.id.to_string();
    let expected = json!({
        "event": "attendance.recognized", "event_id": id, "student_id": "siswaA", "distance": 0.37,
        "ts": START / 1000, "frame_info": {"w": 640, "h": 480},
        "box": {"top": 0, "right": 100, "bottom": 100, "left": 0}, "device_id": "door", "class_id": "7b",
    });
    assert_eq!(body, expected, "absent context is absent");
    let message = json!({
        "type": "recognized", "student_id": "siswaA", "distance": 0.37, "ts": START / 1000, "event_id": id, "seq": 3,
        "dispatch": {"status": "sent", "http_status": 200, "message": "answer 200"},
        "device_id": "door", "class_id": "7b",
    });
    assert_eq!(pushed(&school), [message]);
    let event = school.events.all().pop().expect("one event");
    assert_eq!((event.status, event.body, event.attempts.len()), (EventStatus::Sent, delivery.body, 1));
}

#[tokio::test]
async fn the_event_is_stored_before_the_receiver_hears_of_it() {
    let events = FakeEvents::default();
    let stored = Arc::new(Mutex::new(Vec::new()));
    let (looking, seen) = (events.clone(), stored.clone());
    let school = School::over(FakeGallery::default(), events, move |delivery| {
        let known = looking.all().iter().any(|e| {
            e.id == delivery.id && e.status == EventStatus::Pending && e.body == delivery.body && e.attempts.is_empty()
        });
        seen.lock().expect("no panic").push(known);
        delivered(delivery.at)
    });
    let school = with_two_students(school).await;
    observe(&school, &[face(1, 0.0), face(2, 0.0)], RealtimeOptions::default()).await;
    assert_eq!(*stored.lock().expect("no panic"), [true, true]);
}

#[tokio::test]
async fn a_second_event_within_the_cooldown_is_skipped_and_pushed() {
    let school = with_two_students(School::new()).await;
    let faces = [face(1, 0.1)];
    let see = || observe(&school, &faces, RealtimeOptions::default());
    assert_eq!(reports(&see().await), [("siswaA".into(), sent())]);
    school.clock.advance(Duration::from_millis(2500));
    let skipped =
        Report { status: ReportStatus::Skipped, http_status: None, message: Some("cooldown_active (3s left)".into()) };
    assert_eq!(reports(&see().await), [("siswaA".into(), skipped)]);
    let messages = pushed(&school);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1]["dispatch"], json!({"status": "skipped", "message": "cooldown_active (3s left)"}));
    assert_ne!(messages[0]["event_id"], messages[1]["event_id"]);
    school.clock.advance(Duration::from_millis(2499));
    let left = see().await.dispatch[0].report.message.clone();
    assert_eq!(left.as_deref(), Some("cooldown_active (1s left)"), "never 0 seconds left");
    school.clock.advance(Duration::from_millis(1));
    assert_eq!(reports(&see().await), [("siswaA".into(), sent())]);
    assert_eq!(school.webhook.deliveries().len(), 2);
    assert_eq!(school.events.all().len(), 2, "what is skipped is no event");
}

#[tokio::test]
async fn one_cooldown_holds_over_two_processes() {
    let here = with_two_students(School::new()).await;
    let there = School::over(here.gallery.clone(), here.events.clone(), |d| delivered(d.at));
    let faces = [face(1, 0.0)];
    let (one, other) = tokio::join!(
        observe(&here, &faces, RealtimeOptions::default()),
        observe(&there, &faces, RealtimeOptions::default()),
    );
    let sent = [one, other].iter().filter(|o| o.dispatch[0].report.status == ReportStatus::Sent).count();
    assert_eq!((sent, here.events.all().len()), (1, 1));
    assert_eq!(here.webhook.deliveries().len() + there.webhook.deliveries().len(), 1);
}

#[tokio::test]
async fn two_faces_of_one_student_are_one_event_the_first() {
    let school = with_two_students(School::new()).await;
    let outcome = observe(&school, &[face(1, 0.3), face(1, 0.1)], RealtimeOptions::default()).await;
    let statuses: Vec<_> = outcome.dispatch.iter().map(|d| d.report.status).collect();
    assert_eq!(statuses, [ReportStatus::Sent, ReportStatus::Skipped]);
    assert_eq!(school.webhook.deliveries().len(), 1);
    assert!(school.webhook.deliveries()[0].body.contains("\"distance\":0.3,"));
}

#[tokio::test]
async fn without_a_webhook_sightings_are_pushed_and_take_no_cooldown() {
    let school = with_two_students(School::new().without_webhook()).await;
    for _ in 0..2 {
        let outcome = observe(&school, &[face(1, 0.0)], RealtimeOptions::default()).await;
        assert_eq!(reports(&outcome), [("siswaA".into(), Report::skipped("webhook_disabled"))]);
    }
    assert!(school.events.all().is_empty());
    assert_eq!(pushed(&school).len(), 2);
    assert!(!school.realtime.webhook_enabled());
    // The same storage with a webhook: the cooldown is free.
    let enabled = School::over(school.gallery.clone(), school.events.clone(), |d| delivered(d.at));
    assert_eq!(reports(&observe(&enabled, &[face(1, 0.0)], RealtimeOptions::default()).await)[0].1, sent());
}

#[tokio::test]
async fn dispatch_within_only_tightens() {
    let school = with_two_students(School::new()).await;
    for (limit, offset, dispatched) in [(0.2, 0.3, false), (0.3, 0.3, true), (0.9, 0.3, true), (0.9, 0.5, false)] {
        let options = RealtimeOptions { dispatch_within: Tolerance::new(limit), ..RealtimeOptions::default() };
        let outcome = observe(&school, &[face(1, offset)], options).await;
        assert_eq!(outcome.dispatch.len(), usize::from(dispatched), "{offset} within {limit}");
        let label = outcome.recognition.sightings[0].label.to_string();
        assert_eq!(label, if offset <= 0.45 { "siswaA" } else { "Unknown" }, "results keep their labels");
        school.wait(60);
    }
}

#[tokio::test]
async fn an_unknown_face_is_told_only_where_wanted() {
    let school = with_two_students(School::new()).await;
    let outcome = observe(&school, &[face(9, 0.0)], RealtimeOptions::default()).await;
    assert_eq!((outcome.recognition.sightings.len(), outcome.dispatch.len()), (1, 0));
    assert!(pushed(&school).is_empty());
    let outcome = observe(&school, &[face(9, 0.0)], strangers_too(None)).await;
    assert_eq!(reports(&outcome), [("Unknown".into(), sent())]);
    assert!(school.webhook.deliveries()[0].body.contains("\"student_id\":\"Unknown\""));
    assert_eq!(pushed(&school)[0]["student_id"], "Unknown");
}

#[tokio::test]
async fn an_unknown_face_in_an_empty_gallery_has_no_distance() {
    let school = School::new();
    observe(&school, &[face(9, 0.0)], strangers_too(None)).await;
    assert_eq!(pushed(&school)[0]["distance"], Value::Null);
    assert!(school.webhook.deliveries()[0].body.contains("\"distance\":null"));
}

#[tokio::test]
async fn unknown_faces_share_one_cooldown_a_camera() {
    let school = School::new();
    let status = async |device| {
        let outcome = observe(&school, &[face(9, 0.0)], strangers_too(device)).await;
        outcome.dispatch[0].report.status
    };
    assert_eq!(status(Some("door")).await, ReportStatus::Sent);
    assert_eq!(status(Some("door")).await, ReportStatus::Skipped);
    assert_eq!(status(Some("gate")).await, ReportStatus::Sent);
    assert_eq!(status(None).await, ReportStatus::Sent);
    assert_eq!(status(None).await, ReportStatus::Skipped);
}

#[tokio::test]
async fn a_failed_delivery_is_reported_and_queued() {
    let school = with_two_students(School::with_receiver(|d| failed(d.at, None))).await;
    let outcome = observe(&school, &[face(1, 0.0)], RealtimeOptions::default()).await;
    let report =
        Report { status: ReportStatus::Failed, http_status: Some(503), message: Some("queued: answer 503".into()) };
    assert_eq!(reports(&outcome), [("siswaA".into(), report)]);
    assert_eq!(pushed(&school)[0]["dispatch"]["status"], "failed");
    let event = school.events.all().pop().expect("stored");
    let next = event.due().expect("tried again").since(school.now());
    assert_eq!(event.status, EventStatus::Pending);
    assert!(next >= Duration::from_secs(5) && next <= Duration::from_secs(6), "{next:?}");
}

#[tokio::test]
async fn what_is_not_tried_again_is_not_called_queued() {
    let attempt = answered(attendance::Timestamp::from_millis(START), 410, AttemptOutcome::Gone);
    let message = format!("given up: {}", attempt.message);
    let school = with_two_students(School::with_receiver(move |_| attempt.clone())).await;
    let outcome = observe(&school, &[face(1, 0.0)], RealtimeOptions::default()).await;
    assert_eq!(outcome.dispatch[0].report.status, ReportStatus::Failed);
    assert_eq!(outcome.dispatch[0].report.message, Some(message));
    assert_eq!(school.events.all()[0].status, EventStatus::Dead);
}

#[tokio::test]
async fn a_push_that_is_down_fails_no_request() {
    let school = with_two_students(School::new()).await;
    school.push.set_down(true);
    let outcome = observe(&school, &[face(1, 0.0)], RealtimeOptions::default()).await;
    assert_eq!(reports(&outcome), [("siswaA".into(), sent())]);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_not_sent() {
    let school = with_two_students(School::new()).await;
    school.events.set_down(true);
    let frame = picture("frame", &[face(1, 0.0)]);
    let error = school.realtime.observe(frame, RealtimeOptions::default()).await.expect_err("the outbox is down");
    assert!(matches!(error, RealtimeError::Store(_)), "{error:?}");
    assert!(school.webhook.deliveries().is_empty());
    school.events.set_down(false);
    assert_eq!(reports(&observe(&school, &[face(1, 0.0)], RealtimeOptions::default()).await)[0].1, sent());
}

#[tokio::test]
async fn one_frame_of_several_people_keeps_their_order() {
    let school = with_two_students(School::new()).await;
    let faces = [face(2, 0.0), face(9, 0.0), face(1, 0.0)];
    let outcome = observe(&school, &faces, strangers_too(None)).await;
    let labels: Vec<_> = outcome.dispatch.iter().map(|d| d.label.to_string()).collect();
    assert_eq!(labels, ["siswaB", "Unknown", "siswaA"]);
    assert_eq!(outcome.recognition.sightings.len(), 3);
}
