//! From a frame to the Attendance API and the subscribers.

use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::receiver::unix_now;
use crate::target::{fresh, image};
use crate::{API_KEY, COOLDOWN_SECONDS, Receiver, Target, pictures};

/// More than the cooldown.
const QUIET: Duration = Duration::from_millis(COOLDOWN_SECONDS * 1000 + 300);

fn report(answer: &crate::Answer) -> &Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["dispatch"].as_array().map(Vec::len), Some(1), "{answer:?}");
    &answer.body["dispatch"][0]["report"]
}

/// One frame: the answer, the signed webhook and the push say the same, context included.
pub async fn a_sighting_is_answered_sent_and_pushed(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    receiver.answer(200, r#"{"ok":true,"token":"ATT-7"}"#);
    let student = target.enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    let mut subscriber = target.subscribe(None).await;
    let frame = pictures::photograph("obama2.jpg");
    let form = Form::new().part("image", image(&frame)).text("class_id", "7B").text("session_id", "ünit 3");
    let answer = target.post("/recognize/realtime?device_id=cam-1&location_id=gate%20north", form).await;

    assert_eq!(
        report(&answer),
        &json!({"status": "sent", "http_status": 200, "message": r#"{"ok":true,"token":"ATT-7"}"#})
    );
    let fields: Vec<&String> = answer.body.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["dispatch", "ok", "results", "webhook_enabled"]);
    assert_eq!((&answer.body["ok"], &answer.body["webhook_enabled"]), (&json!(true), &json!(true)));
    assert_eq!(answer.body["dispatch"][0]["label"], student);
    let face = &answer.body["results"][0];
    assert_eq!(face["label"], student);

    let calls = receiver.calls_about(&student);
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("authorization"), format!("Bearer {API_KEY}"));
    call.is_signed();
    let event = call.json();
    let event_id = event["event_id"].as_str().expect("an id");
    assert_eq!(uuid::Uuid::parse_str(event_id).expect("a UUID").get_version_num(), 7);
    assert_eq!(call.header("webhook-id"), event_id);
    let sent: u64 = call.header("webhook-timestamp").parse().expect("Unix seconds");
    let ts = event["ts"].as_u64().expect("Unix seconds");
    assert!(sent.abs_diff(call.at) <= 2 && ts.abs_diff(unix_now()) < 30, "{sent}, {ts}, now {}", call.at);
    let sides = &face["box"];
    let expected = json!({
        "event": "attendance.recognized",
        "event_id": event_id,
        "student_id": student,
        "distance": face["distance"],
        "ts": ts,
        "frame_info": {"w": 626, "h": 1200},
        "box": {"top": sides[0], "right": sides[1], "bottom": sides[2], "left": sides[3]},
        "device_id": "cam-1", "location_id": "gate north", "class_id": "7B", "session_id": "ünit 3",
    });
    assert_eq!(event, expected);

    let mut push = subscriber.next_of("recognized").await;
    let seq = push.as_object_mut().expect("an object").remove("seq").expect("a seq");
    assert!(seq.as_u64().is_some_and(|seq| seq > 0));
    let expected = json!({
        "type": "recognized",
        "student_id": student,
        "distance": face["distance"],
        "ts": ts,
        "event_id": event_id,
        "dispatch": report(&answer),
        "device_id": "cam-1", "location_id": "gate north", "class_id": "7B", "session_id": "ünit 3",
    });
    assert_eq!(push, expected);
}

/// A student who stays in view is reported once per cooldown; the pushes go on.
pub async fn a_student_is_told_once_per_quiet_time(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    let frame = pictures::obama(1);
    // In the same instant: one event, whoever wins.
    let (a, b) = tokio::join!(target.realtime("", &frame), target.realtime("", &frame));
    let mut statuses = [report(&a)["status"].clone(), report(&b)["status"].clone()];
    statuses.sort_by_key(Value::to_string);
    assert_eq!(statuses, ["sent", "skipped"], "{a:?} {b:?}");
    let third = target.realtime("", &frame).await;
    assert_eq!(report(&third)["status"], "skipped");
    let message = report(&third)["message"].as_str().expect("a reason");
    let left: u64 = message
        .strip_prefix("cooldown_active (")
        .and_then(|rest| rest.strip_suffix("s left)"))
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_else(|| panic!("{message}"));
    assert!((1..=COOLDOWN_SECONDS).contains(&left), "{message}");
    assert!(report(&third)["http_status"].is_null());
    for _ in 0..3 {
        assert_eq!(subscriber.next_of("recognized").await["student_id"], student, "skipped ones are pushed too");
    }
    tokio::time::sleep(QUIET).await;
    assert_eq!(report(&target.realtime("", &frame).await)["status"], "sent");
    let calls = receiver.calls_about(&student);
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
}

/// `min_conf` only tightens what is dispatched; the results keep their labels.
pub async fn min_conf_tightens_what_is_dispatched(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    let student = target.enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    let frame = pictures::photograph("obama2.jpg");
    let strict = target.realtime("?min_conf=0.2", &frame).await;
    assert_eq!((strict.status, &strict.body["dispatch"]), (200, &json!([])), "{strict:?}");
    assert_eq!(strict.body["results"][0]["label"], student);
    assert_eq!(receiver.calls_about(&student).len(), 0);
    for (query, status) in [("?min_conf=9", "sent"), ("?min_conf=0", "skipped"), ("?min_conf=0.4499", "skipped")] {
        assert_eq!(report(&target.realtime(query, &frame).await)["status"], status, "{query}");
    }
    target.remove(&student).await;
    let loose = target.realtime("?min_conf=9", &frame).await;
    assert_eq!(loose.body["results"][0]["label"], "Unknown", "it never widens");
    assert_eq!(loose.body["dispatch"], json!([]));
}

/// Strangers are reported on request; they share one cooldown per camera.
pub async fn strangers_are_told_on_request(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    let mut subscriber = target.subscribe(None).await;
    let (gate, yard) = (fresh("gate"), fresh("yard"));
    let frame = pictures::obama(1);
    let silent = target.realtime(&format!("?device_id={gate}"), &frame).await;
    assert_eq!((&silent.body["dispatch"], &silent.body["results"][0]["label"]), (&json!([]), &json!("Unknown")));
    subscriber.gets_nothing_for(Duration::from_millis(600)).await;
    let first = target.realtime(&format!("?send_unknown=true&device_id={gate}"), &frame).await;
    assert_eq!((&first.body["dispatch"][0]["label"], &report(&first)["status"]), (&json!("Unknown"), &json!("sent")));
    let push = subscriber.next_of("recognized").await;
    assert_eq!((&push["student_id"], &push["distance"]), (&json!("Unknown"), &Value::Null), "nobody is enrolled");
    let calls = receiver.calls_about("Unknown");
    let event = calls.iter().map(crate::Call::json).find(|event| event["device_id"] == gate).expect("it came");
    assert_eq!(event["distance"], Value::Null);
    let again = target.realtime(&format!("?send_unknown=true&device_id={gate}"), &pictures::biden(1)).await;
    assert_eq!(report(&again)["status"], "skipped", "one quiet time per camera");
    let other = target.realtime(&format!("?send_unknown=true&device_id={yard}"), &frame).await;
    assert_eq!(report(&other)["status"], "sent", "another camera has its own");
    target.enroll_new("biden", &pictures::biden(0)).await;
    let far = target.realtime(&format!("?send_unknown=true&device_id={}", fresh("hall")), &frame).await;
    let distance = far.body["results"][0]["distance"].as_f64();
    assert!(distance.is_some_and(|d| d > 0.45), "{far:?}");
}

/// An event that cannot be delivered is kept, sent again under its id, and its end is pushed.
pub async fn a_failed_delivery_is_sent_again(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    receiver.answer(500, "not now");
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    let failed = target.realtime("", &pictures::obama(1)).await;
    assert_eq!(
        (&report(&failed)["status"], &report(&failed)["http_status"]),
        (&json!("failed"), &json!(500)),
        "{failed:?}"
    );
    let message = report(&failed)["message"].as_str().expect("a reason");
    assert!(message.starts_with("queued: "), "{message}");
    assert_eq!(&subscriber.next_of("recognized").await["dispatch"], report(&failed));
    let skipped = target.realtime("", &pictures::obama(2)).await;
    assert_eq!(report(&skipped)["status"], "skipped", "what is stored took the cooldown");

    receiver.answer(200, "{}");
    let delivery = subscriber.next_of("delivery").await;
    let calls = receiver.wait_for(&student, 2).await;
    let event = calls[0].json();
    let fields: Vec<&String> = delivery.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["event_id", "seq", "status", "student_id", "ts", "type"]);
    assert_eq!((&delivery["event_id"], &delivery["student_id"]), (&event["event_id"], &json!(student)));
    assert_eq!(delivery["status"], "sent");
    for call in &calls {
        call.is_signed();
        assert_eq!(call.header("webhook-id"), event["event_id"], "the same on every try");
        assert_eq!(call.body, calls[0].body, "the same bytes on every try");
        let sent: u64 = call.header("webhook-timestamp").parse().expect("Unix seconds");
        assert!(sent.abs_diff(call.at) <= 2, "the time of this try");
    }
    let tries = calls.len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(receiver.calls_about(&student).len(), tries, "what was delivered is not sent again");
}

/// A receiver that does not answer costs a frame no more than the timeout, and loses nothing.
pub async fn a_silent_receiver_costs_the_timeout(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    receiver.delay(Duration::from_secs(30));
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    let begun = std::time::Instant::now();
    let failed = target.realtime("", &pictures::obama(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(report(&failed)["status"], "failed");
    assert!(report(&failed)["http_status"].is_null(), "{failed:?}");
    assert!(report(&failed)["message"].as_str().is_some_and(|m| m.starts_with("queued: ")), "{failed:?}");
    receiver.delay(Duration::ZERO);
    let delivery = subscriber.next_of("delivery").await;
    assert_eq!((&delivery["student_id"], &delivery["status"]), (&json!(student), &json!("sent")));
}

/// The receiver's answer is passed on, up to the contract's limit.
pub async fn a_long_answer_is_cut(target: &Target, receiver: &Receiver) {
    target.forget_everybody().await;
    receiver.answer(202, &"é".repeat(40_000));
    target.enroll_new("obama", &pictures::obama(0)).await;
    let answer = target.realtime("", &pictures::obama(1)).await;
    assert_eq!((&report(&answer)["status"], &report(&answer)["http_status"]), (&json!("sent"), &json!(202)));
    let message = report(&answer)["message"].as_str().expect("a message");
    assert!((1500..=2048).contains(&message.len()) && message.starts_with("éé"), "{} bytes", message.len());
    receiver.answer(200, "{}");
}
