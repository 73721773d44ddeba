//! Enrolment and recognition.

use std::time::Duration;

use attendance::AttemptOutcome;
use attendance_testkit::{FakeWebhook, answered, face, failed, picture};
use serde_json::{Value, json};

use crate::setup::{Form, NOW, Service, Wishes, form_request, service};

#[tokio::test]
async fn an_enrolled_student_is_recognized_by_the_next_request() {
    let service = service();
    let answer = service.enroll("siswaA", picture("one", &[face(0, 0.0)])).await.ok();
    assert_eq!((&answer["ok"], &answer["saved"]), (&json!(true), &json!(1)));
    assert!(answer["msg"].as_str().is_some_and(|msg| msg.contains("siswaA")), "{answer}");
    let answer = service.post_image("/recognize", picture("two", &[face(0, 0.123_456), face(1, 0.5)])).await.ok();
    let expected = json!({"ok": true, "results": [
        {"box": [0, 100, 100, 0], "label": "siswaA", "distance": 0.1235},
        {"box": [0, 110, 100, 10], "label": "Unknown", "distance": 1.5},
    ]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn nobody_enrolled_is_a_distance_of_null_and_no_face_is_no_result() {
    let service = service();
    let answer = service.post_image("/recognize", picture("x", &[face(0, 0.0)])).await.ok();
    assert_eq!(answer["results"], json!([{"box": [0, 100, 100, 0], "label": "Unknown", "distance": null}]));
    assert_eq!(service.post_image("/recognize", picture("x", &[])).await.ok(), json!({"ok": true, "results": []}));
}

#[tokio::test]
async fn the_same_picture_twice_is_stored_once_and_answers_the_same() {
    let service = service();
    let first = service.enroll("siswaA", picture("one", &[face(0, 0.0)])).await.ok();
    let second = service.enroll("siswaA", picture("one", &[face(0, 0.0)])).await.ok();
    assert_eq!(first, second);
    assert_eq!(service.get("/health").await.ok(), json!({"ok": true, "encodings": 1, "labels": 1}));
}

#[tokio::test]
async fn an_enrolment_without_a_face_is_a_200_that_says_so() {
    let answer = service().enroll("siswaA", picture("empty", &[])).await.ok();
    assert_eq!((&answer["ok"], &answer["saved"], &answer["code"]), (&json!(false), &json!(0), &json!("no_face")));
    assert!(answer["msg"].as_str().is_some_and(|msg| msg.contains("80 pixels")), "{answer}");
}

#[tokio::test]
async fn an_enrolment_with_two_faces_is_refused() {
    let msg =
        service().enroll("siswaA", picture("both", &[face(0, 0.0), face(1, 0.0)])).await.refused(422, "multiple_faces");
    assert!(msg.contains("2 faces"), "{msg}");
}

#[tokio::test]
async fn student_ids_are_checked() {
    let service = service();
    let long = "a".repeat(65);
    let longer = "a".repeat(5000);
    for student in ["../x", &long, &longer, "two words", "😀", "Unknown", "unknown", "", ".hidden", "a/b"] {
        let msg = service.enroll(student, picture("x", &[face(0, 0.0)])).await.refused(422, "invalid_student_id");
        assert!(msg.starts_with("student_id must"), "{msg}");
    }
    let form = Form::new().text("student_id", [0xff, 0xfe]).image(picture("x", &[face(0, 0.0)]));
    service.ask(form.to("/enroll")).await.refused(422, "invalid_student_id");
    assert_eq!(service.get("/health").await.ok()["labels"], 0);
}

#[tokio::test]
async fn every_way_a_scan_can_fail_has_its_code() {
    let service = service();
    for path in ["/recognize", "/recognize/realtime"] {
        service.post_image(path, "no picture").await.refused(400, "invalid_image");
        service.post_image(path, "").await.refused(400, "invalid_image");
        let msg = service.post_image(path, "heic").await.refused(415, "unsupported_image");
        assert!(msg.contains("HEIC") && msg.contains("JPEG"), "{msg}");
        let msg = service.post_image(path, "many pixels").await.refused(413, "image_too_large");
        assert!(msg.contains("50 megapixels"), "{msg}");
        let answer = service.post_image(path, "busy").await;
        answer.refused(503, "overloaded");
        assert_eq!(answer.headers["retry-after"], "1");
        for fault in ["fault", "panic"] {
            let msg = service.post_image(path, fault).await.refused(500, "internal");
            assert!(!msg.contains("secret") && !msg.contains("panic"), "{msg}");
        }
    }
    service.enroll("siswaA", "no picture").await.refused(400, "invalid_image");
    service.enroll("siswaA", "heic").await.refused(415, "unsupported_image");
    service.enroll("siswaA", "panic").await.refused(500, "internal");
    service.enroll("siswaA", picture("still well", &[face(0, 0.0)])).await.ok();
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let service = service();
    service.gallery.set_down(true);
    let picture = picture("x", &[face(0, 0.0)]);
    let answers = [
        service.enroll("siswaA", &picture).await,
        service.post_image("/recognize", &picture).await,
        service.post_image("/recognize/realtime", &picture).await,
        service.get("/health").await,
    ];
    for answer in answers {
        let msg = answer.refused(503, "unavailable");
        assert!(!msg.contains("fake"), "{msg}");
        assert_eq!(answer.headers["retry-after"], "5");
    }
    service.gallery.set_down(false);
    service.enroll("siswaA", &picture).await.ok();
    service.events.set_down(true);
    service.post_image("/recognize/realtime", &picture).await.refused(503, "unavailable");
}

async fn with_students() -> Service {
    let service = service();
    service.enroll("siswaA", picture("a", &[face(0, 0.0)])).await.ok();
    service
}

#[tokio::test]
async fn a_known_face_is_sent_once_and_then_cools_down() {
    let service = with_students().await;
    let frame = picture("frame", &[face(0, 0.3), face(1, 0.0)]);
    let answer = service.post_image("/recognize/realtime", &frame).await.ok();
    let report = json!({"status": "sent", "http_status": 200, "message": "answer 200"});
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["webhook_enabled"], true);
    assert_eq!(answer["dispatch"], json!([{"label": "siswaA", "report": report}]));
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(2));
    let answer = service.post_image("/recognize/realtime", &frame).await.ok();
    let report = json!({"status": "skipped", "message": "cooldown_active (5s left)"});
    assert_eq!(answer["dispatch"], json!([{"label": "siswaA", "report": report}]));
    let sent = service.webhook.deliveries();
    assert_eq!(sent.len(), 1);
    let body: Value = serde_json::from_str(&sent[0].body).expect("JSON");
    assert_eq!((&body["student_id"], &body["distance"], &body["ts"]), (&json!("siswaA"), &json!(0.3), &json!(NOW)));
    service.clock.advance(Duration::from_secs(5));
    service.post_image("/recognize/realtime", &frame).await.ok();
    assert_eq!(service.webhook.deliveries().len(), 2);
}

#[tokio::test]
async fn what_the_receiver_does_is_reported_and_never_fails_the_request() {
    let cases = [
        (FakeWebhook::new(|delivery| failed(delivery.at, None)), 503, "queued: answer 503"),
        (FakeWebhook::new(|delivery| answered(delivery.at, 410, AttemptOutcome::Gone)), 410, "answer 410"),
    ];
    for (webhook, status, message) in cases {
        let service = Service::new(Wishes { webhook: Some(webhook), ..Wishes::default() });
        service.enroll("siswaA", picture("a", &[face(0, 0.0)])).await.ok();
        let answer = service.post_image("/recognize/realtime", picture("f", &[face(0, 0.0)])).await.ok();
        let report = &answer["dispatch"][0]["report"];
        assert_eq!((&report["status"], &report["http_status"]), (&json!("failed"), &json!(status)));
        assert!(report["message"].as_str().is_some_and(|text| text.ends_with(message)), "{report}");
    }
}

#[tokio::test]
async fn without_a_webhook_sightings_are_skipped_and_pushed() {
    let service = Service::new(Wishes { webhook: None, ..Wishes::default() });
    service.enroll("siswaA", picture("a", &[face(0, 0.0)])).await.ok();
    for _ in 0..2 {
        let answer = service.post_image("/recognize/realtime", picture("f", &[face(0, 0.0)])).await.ok();
        let report = json!({"status": "skipped", "message": "webhook_disabled"});
        assert_eq!(answer["dispatch"], json!([{"label": "siswaA", "report": report}]));
        assert_eq!(answer["webhook_enabled"], false);
    }
    let kinds: Vec<Value> = service.push.messages().into_iter().map(|message| message["type"].clone()).collect();
    assert_eq!(kinds, ["student.enrolled", "recognized", "recognized"]);
}

#[tokio::test]
async fn min_conf_only_tightens() {
    let service = with_students().await;
    let frame = picture("frame", &[face(0, 0.3)]);
    let answer = service.post_image("/recognize/realtime?min_conf=0.2", &frame).await.ok();
    assert_eq!(answer["results"][0]["label"], "siswaA");
    assert_eq!(answer["dispatch"], json!([]));
    for wide in ["0.3001", "0", "0.0", "9"] {
        service.clock.advance(Duration::from_secs(5));
        let answer = service.post_image(&format!("/recognize/realtime?min_conf={wide}"), &frame).await.ok();
        assert_eq!(answer["dispatch"][0]["report"]["status"], "sent", "{wide}");
    }
    service.clock.advance(Duration::from_secs(5));
    let far = picture("far", &[face(0, 0.5)]);
    let answer = service.post_image("/recognize/realtime?min_conf=9", far).await.ok();
    assert_eq!((&answer["results"][0]["label"], &answer["dispatch"]), (&json!("Unknown"), &json!([])));
}

#[tokio::test]
async fn parameters_that_do_not_parse_are_refused() {
    let service = with_students().await;
    let frame = picture("frame", &[face(0, 0.3)]);
    for query in ["min_conf=abc", "min_conf=-1", "min_conf=NaN", "min_conf=inf", "min_conf=", "send_unknown=maybe"] {
        let path = format!("/recognize/realtime?{query}");
        service.post_image(&path, &frame).await.refused(422, "invalid_parameter");
    }
    let path = "/recognize/realtime?min_conf=0.1&min_conf=0.9";
    service.post_image(path, &frame).await.refused(422, "duplicate_field");
    let path = format!("/recognize/realtime?device_id={}", "x".repeat(129));
    let msg = service.post_image(&path, &frame).await.refused(422, "invalid_parameter");
    assert!(msg.contains("device_id") && msg.contains("128"), "{msg}");
    assert_eq!(service.webhook.deliveries().len(), 0);
    service.post_image("/recognize/realtime?unheard_of=1", &frame).await.ok();
}

#[tokio::test]
async fn unknown_faces_are_sent_on_request_only() {
    let service = with_students().await;
    let stranger = picture("stranger", &[face(5, 0.0)]);
    for off in ["", "?send_unknown=false", "?send_unknown=0"] {
        let answer = service.post_image(&format!("/recognize/realtime{off}"), &stranger).await.ok();
        assert_eq!(answer["dispatch"], json!([]), "{off:?}");
    }
    for (device, on) in ["true", "1", "True"].into_iter().enumerate() {
        let path = format!("/recognize/realtime?send_unknown={on}&device_id={device}");
        let answer = service.post_image(&path, &stranger).await.ok();
        assert_eq!(answer["dispatch"][0]["label"], "Unknown");
        assert_eq!(answer["dispatch"][0]["report"]["status"], "sent", "{on:?}");
    }
    let body: Value = serde_json::from_str(&service.webhook.deliveries()[0].body).expect("JSON");
    assert_eq!((&body["student_id"], &body["device_id"]), (&json!("Unknown"), &json!("0")));
}

#[tokio::test]
async fn context_comes_by_query_or_form_and_the_query_wins() {
    let service = with_students().await;
    let form = Form::new()
        .text("class_id", "7B")
        .text("device_id", "from the form")
        .image(picture("frame", &[face(0, 0.0)]))
        .text("colour", "ignored");
    let path = "/recognize/realtime?device_id=door%201&session_id=s";
    service.ask(form.to(path)).await.ok();
    let body: Value = serde_json::from_str(&service.webhook.deliveries()[0].body).expect("JSON");
    let context = (&body["device_id"], &body["class_id"], &body["session_id"], body.get("location_id"));
    assert_eq!(context, (&json!("door 1"), &json!("7B"), &json!("s"), None));
    let pushed = service.push.messages().pop().expect("a push");
    assert_eq!((&pushed["device_id"], &pushed["class_id"]), (&json!("door 1"), &json!("7B")));
}

#[tokio::test]
async fn a_roster_says_whom_to_look_for() {
    let service = with_students().await;
    let frame = || picture("frame", &[face(0, 0.1)]);
    let everybody = service.post_image("/recognize", frame()).await.ok()["results"][0].clone();
    let label = everybody["label"].as_str().expect("a label").to_owned();
    assert_ne!(label, "Unknown");
    let with_him = service.post_image(&format!("/recognize?roster=nobody-else,{label}"), frame()).await.ok();
    assert_eq!(with_him["results"][0], everybody);
    let without = service.post_image("/recognize?roster=nobody-else", frame()).await.ok();
    assert_eq!(
        (&without["results"][0]["label"], &without["results"][0]["distance"]),
        (&json!("Unknown"), &Value::Null)
    );
    // By a field of the form too; then nobody is told of him.
    let form = Form::new().text("roster", "nobody-else").image(frame());
    let answer = service.ask(form.to("/recognize/realtime")).await.ok();
    assert_eq!((&answer["results"][0]["label"], &answer["dispatch"]), (&json!("Unknown"), &json!([])));
    let long = Form::new().text("roster", "a,".repeat(40_000)).image(frame()).to("/recognize");
    assert!(service.ask(long).await.refused(422, "invalid_parameter").contains("64 KiB"));
    for wrong in ["", "..", "a;b", "a,,b", "unknown"] {
        for path in ["/recognize", "/recognize/realtime"] {
            let msg = service.post_image(&format!("{path}?roster={wrong}"), frame()).await;
            assert!(msg.refused(422, "invalid_parameter").contains("roster"), "{wrong}");
        }
    }
}

#[tokio::test]
async fn forms_that_are_not_as_they_should_be() {
    let service = service();
    let photo = picture("x", &[face(0, 0.0)]);
    let once = || Form::new().text("student_id", "siswaA").image(&photo);
    service.ask(once().image(&photo).to("/enroll")).await.refused(422, "duplicate_field");
    service.ask(once().text("student_id", "siswaB").to("/enroll")).await.refused(422, "duplicate_field");
    let msg = service.ask(Form::new().image(&photo).to("/enroll")).await.refused(422, "missing_field");
    assert!(msg.contains("student_id"), "{msg}");
    let msg = service.ask(Form::new().text("student_id", "a").to("/enroll")).await.refused(422, "missing_field");
    assert!(msg.contains("image"), "{msg}");
    for path in ["/enroll", "/recognize", "/recognize/realtime"] {
        service.ask(form_request(path, "")).await.refused(422, "missing_field");
        service.ask(Form::new().to(path)).await.refused(422, "missing_field");
        service.ask(form_request(path, "this is no form")).await.refused(400, "invalid_form");
        let whole = once().bytes();
        let mut inside_image = whole.clone();
        inside_image.truncate(whole.len() - 40);
        service.ask(form_request(path, inside_image)).await.refused(400, "invalid_image");
        let inside_head = whole[..60].to_vec();
        service.ask(form_request(path, inside_head)).await.refused(400, "invalid_form");
        for content_type in ["", "application/json", "multipart/form-data", "image/jpeg"] {
            let mut request = form_request(path, whole.clone());
            request.headers_mut().insert("content-type", content_type.parse().expect("a header"));
            service.ask(request).await.refused(415, "unsupported_media_type");
        }
        let mut request = form_request(path, whole);
        request.headers_mut().remove("content-type");
        service.ask(request).await.refused(415, "unsupported_media_type");
    }
    assert_eq!(service.get("/health").await.ok()["encodings"], 0);
}
