//! The routes beside recognition.

use attendance_testkit::{FakeWebhook, face, failed, picture};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::setup::{NOW, Service, Wishes, service};

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).expect("a request")
}

#[tokio::test]
async fn health_counts_and_config_tells() {
    let service = service();
    service.enroll("siswaA", picture("1", &[face(0, 0.0)])).await.ok();
    service.enroll("siswaA", picture("2", &[face(0, 0.1)])).await.ok();
    service.enroll("siswaB", picture("3", &[face(1, 0.0)])).await.ok();
    assert_eq!(service.get("/health").await.ok(), json!({"ok": true, "encodings": 3, "labels": 2}));
    let expected = json!({
        "tolerance": 0.45,
        "webhook_enabled": true,
        "cooldown_seconds": 5,
        "websocket_url": "ws://127.0.0.1:8000/ws/recognitions",
    });
    assert_eq!(service.get("/config").await.ok(), expected);
}

#[tokio::test]
async fn the_websocket_url_follows_the_host_where_it_is_not_set() {
    let service = Service::new(Wishes { websocket_url: None, ..Wishes::default() });
    let with = |proto: Option<&str>| {
        let mut request = Request::get("/config").header("host", "faces.school.example");
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        request.body(Body::empty()).expect("a request")
    };
    let url = service.ask(with(None)).await.ok()["websocket_url"].clone();
    assert_eq!(url, "ws://faces.school.example/ws/recognitions");
    let url = service.ask(with(Some("https"))).await.ok()["websocket_url"].clone();
    assert_eq!(url, "wss://faces.school.example/ws/recognitions");
}

#[tokio::test]
async fn a_removed_student_is_gone() {
    let service = service();
    service.enroll("siswaA", picture("1", &[face(0, 0.0)])).await.ok();
    service.enroll("siswaA", picture("2", &[face(0, 0.1)])).await.ok();
    let listed = service.get("/students").await.ok();
    assert_eq!(listed, json!({"ok": true, "students": [{"student_id": "siswaA", "embeddings": 2}]}));
    let removed = service.ask(request("DELETE", "/students/siswaA", "")).await.ok();
    assert_eq!(removed, json!({"ok": true, "removed": 2}));
    assert_eq!(service.get("/students").await.ok(), json!({"ok": true, "students": []}));
    let removed = service.ask(request("DELETE", "/students/siswaA", "")).await.ok();
    assert_eq!(removed, json!({"ok": true, "removed": 0}));
    let answer = service.post_image("/recognize", picture("x", &[face(0, 0.0)])).await.ok();
    assert_eq!(answer["results"][0]["distance"], Value::Null);
    for wrong in ["Unknown", "..%2Fx", "a%20b", "%FF", ".x"] {
        let path = format!("/students/{wrong}");
        service.ask(request("DELETE", &path, "")).await.refused(422, "invalid_student_id");
    }
    service.gallery.set_down(true);
    service.ask(request("DELETE", "/students/siswaA", "")).await.refused(503, "unavailable");
}

#[tokio::test]
async fn the_mock_webhook_answers_like_an_attendance_api() {
    let service = service();
    let body = json!({"student_id": "siswaA", "event": "attendance.recognized", "deep": {"er": [1, null]}});
    let answer = service.ask(request("POST", "/mock/webhook", body.to_string())).await.ok();
    assert_eq!(answer, json!({"ok": true, "token": format!("ATT-{NOW}-siswaA"), "received": body}));
    let answer = service.ask(request("POST", "/mock/webhook", "{}")).await.ok();
    assert_eq!(answer["token"], format!("ATT-{NOW}-unknown"));
    for wrong in ["", "[1]", "\"text\"", "null", "{\"a\":", "{} {}"] {
        service.ask(request("POST", "/mock/webhook", wrong)).await.refused(422, "invalid_parameter");
    }
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(300 << 10));
    service.ask(request("POST", "/mock/webhook", large)).await.refused(413, "body_too_large");
    let without = Service::new(Wishes { mock_webhook: false, ..Wishes::default() });
    without.ask(request("POST", "/mock/webhook", "{}")).await.refused(404, "not_found");
}

#[tokio::test]
async fn events_are_listed_by_page_and_replayed() {
    let webhook = FakeWebhook::new(|delivery| failed(delivery.at, None));
    let service = Service::new(Wishes { webhook: Some(webhook), ..Wishes::default() });
    for (n, student) in ["siswaA", "siswaB", "siswaC"].into_iter().enumerate() {
        service.enroll(student, picture(student, &[face(n, 0.0)])).await.ok();
        service.post_image("/recognize/realtime", picture("f", &[face(n, 0.0)])).await.ok();
    }
    let first = service.get("/events?limit=2&status=pending").await.ok();
    let students = |page: &Value| -> Vec<String> {
        let events = page["events"].as_array().expect("a list");
        events.iter().map(|event| event["student_id"].as_str().expect("a student").to_owned()).collect()
    };
    assert_eq!(students(&first), ["siswaC", "siswaB"]);
    let event = &first["events"][0];
    assert_eq!((&event["status"], &event["ts"]), (&json!("pending"), &json!(NOW)));
    assert!(event["next_try"].as_u64().is_some_and(|at| at >= NOW + 5), "{event}");
    assert_eq!(event["payload"]["event_id"], event["event_id"]);
    let attempt = json!({"ts": NOW, "ok": false, "http_status": 503, "message": "answer 503"});
    assert_eq!(event["attempts"], json!([attempt]));
    let cursor = first["next"].as_str().expect("there is another page");
    let second = service.get(&format!("/events?limit=2&cursor={cursor}")).await.ok();
    assert_eq!((students(&second), &second["next"]), (vec!["siswaA".to_owned()], &Value::Null));
    assert_eq!(service.get("/events?status=sent").await.ok(), json!({"ok": true, "events": [], "next": null}));

    let id = event["event_id"].as_str().expect("an id");
    let answer = service.ask(request("POST", &format!("/events/{id}/replay"), "")).await.ok();
    assert_eq!(answer, json!({"ok": true, "event_id": id, "status": "pending"}));
    let listed = service.get("/events?limit=1").await.ok();
    assert_eq!(listed["events"][0]["next_try"], NOW);
    let missing = "/events/01920000-0000-7000-8000-000000000000/replay";
    service.ask(request("POST", missing, "")).await.refused(404, "not_found");
    service.ask(request("POST", "/events/17/replay", "")).await.refused(422, "invalid_parameter");
    for query in ["status=lost", "limit=0", "limit=101", "limit=x", "limit=-1", "cursor=abc"] {
        service.get(&format!("/events?{query}")).await.refused(422, "invalid_parameter");
    }
    service.get("/events?limit=1&limit=2").await.refused(422, "duplicate_field");
    service.events.set_down(true);
    service.get("/events").await.refused(503, "unavailable");
    service.ask(request("POST", &format!("/events/{id}/replay"), "")).await.refused(503, "unavailable");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let service = service();
    for path in ["/nowhere", "/web/nothing.js", "/students/", "/students/a/b", "/docs/nothing.js", "/ws"] {
        service.get(path).await.refused(404, "not_found");
    }
    for (method, path, allowed) in
        [("GET", "/enroll", "POST"), ("POST", "/health", "GET,HEAD"), ("PUT", "/students/a", "DELETE")]
    {
        let answer = service.ask(request(method, path, "")).await;
        answer.refused(405, "method_not_allowed");
        assert_eq!(answer.headers["allow"], allowed);
    }
}
