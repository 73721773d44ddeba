//! The service about itself, and the mock receiver.

use reqwest::Method;
use serde_json::{Value, json};

use crate::receiver::unix_now;
use crate::{Answer, COOLDOWN_SECONDS, Target};

/// `/health` and `/config` have the contract's fields and no others.
pub async fn health_and_config_tell_how_it_is(target: &Target) {
    target.forget_everybody().await;
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 0, "labels": 0}));
    let config = target.get("/config").await;
    let expected = json!({
        "tolerance": 0.45,
        "webhook_enabled": true,
        "cooldown_seconds": COOLDOWN_SECONDS,
        "websocket_url": target.ws(),
    });
    assert_eq!((config.status, config.body), (200, expected));
}

/// The document is OpenAPI 3.1 and knows every route of the contract.
pub async fn the_document_names_every_route(target: &Target) {
    let document = target.get("/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    assert!(document.body["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", document.body["openapi"]);
    for (path, method) in [
        ("/enroll", "post"),
        ("/recognize", "post"),
        ("/recognize/realtime", "post"),
        ("/health", "get"),
        ("/config", "get"),
        ("/mock/webhook", "post"),
        ("/students", "get"),
        ("/students/{student_id}", "delete"),
    ] {
        assert!(document.body["paths"][path][method]["responses"]["200"].is_object(), "{method} {path}");
    }
    let uploads = target.request(Method::POST, "/uploads").body("{}").send().await.expect("an answer").status() != 404;
    assert_eq!(document.body["paths"]["/uploads"].is_object(), uploads, "a route is documented where it exists");
}

/// The page is there, and everything that it loads comes from the service.
pub async fn the_page_loads_from_here_alone(target: &Target) {
    let response = target.request(Method::GET, "/docs").send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let page = response.text().await.expect("a page");
    let files: Vec<&str> =
        page.split(['"', '\'']).filter(|word| [".js", ".css", ".png"].iter().any(|end| word.ends_with(end))).collect();
    assert!(files.len() >= 3, "{page}");
    for file in files {
        assert!(!file.contains("//"), "{file} comes from elsewhere");
        let path = if file.starts_with('/') { file.to_owned() } else { format!("/{file}") };
        let response = target.with_key(None).request(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{file}");
        assert!(!response.bytes().await.expect("a file").is_empty());
    }
}

/// The mock receiver answers as an Attendance API would.
pub async fn the_mock_receiver_answers_with_a_token(target: &Target) {
    let payload = json!({"event": "attendance.recognized", "student_id": "siswaA", "nested": {"a": [1, null]}});
    let answer = Answer::of(target.request(Method::POST, "/mock/webhook").json(&payload)).await;
    assert_eq!((answer.status, &answer.body["ok"], &answer.body["received"]), (200, &json!(true), &payload));
    let token = answer.body["token"].as_str().expect("a token");
    let parts: Vec<&str> = token.splitn(3, '-').collect();
    assert_eq!((parts[0], parts[2]), ("ATT", "siswaA"), "{token}");
    let ts: u64 = parts[1].parse().expect("a time");
    assert!(unix_now().abs_diff(ts) < 30, "{token}");
    for body in [json!([1]), json!("text"), Value::Null] {
        Answer::of(target.request(Method::POST, "/mock/webhook").json(&body)).await.is_error(422, "invalid_parameter");
    }
    Answer::of(target.request(Method::POST, "/mock/webhook").body("{")).await.is_error(422, "invalid_parameter");
}
