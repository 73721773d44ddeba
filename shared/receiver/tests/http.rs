//! The receiver over HTTP, told by the service's own webhook.

use std::time::Duration;

use attendance::ports::{EventFormat, Webhook};
use attendance::{
    Attempt, AttemptOutcome, Clock, Context, Event, EventId, FaceBox, FrameSize, Label, StudentId, SystemClock,
    Timestamp,
};
use attendance_receiver::{Attendance, Gate, Settings, router};
use attendance_webhook::{HttpWebhook, Secrets, WebhookSettings};
use attendance_wire::webhook::WebhookJson;
use jiff::tz::TimeZone;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRETS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw another";

struct Running {
    url: String,
    client: Client,
    _data: TempDir,
}

impl Running {
    async fn start(key: Option<&str>, secrets: Option<&str>) -> Self {
        let data = TempDir::new().expect("a folder");
        let settings = Settings {
            gate: Gate::new(key, secrets).expect("a gate"),
            attendance: Attendance::open(&data.path().join("attendance.db")).expect("opened"),
            window: Duration::from_secs(300),
            zone: TimeZone::get("Asia/Jakarta").expect("a zone"),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(axum::serve(listener, router(settings)).into_future());
        Self { url, client: Client::new(), _data: data }
    }

    async fn guarded() -> Self {
        Self::start(Some("a-key"), Some(SECRETS)).await
    }

    /// The service's webhook, set to this receiver.
    fn webhook(&self, key: &str, secrets: &str) -> HttpWebhook {
        let settings = WebhookSettings {
            url: format!("{}/attendance", self.url),
            api_key: (!key.is_empty()).then(|| key.to_owned()),
            secrets: Secrets::parse(secrets).expect("secrets"),
            timeout: Duration::from_secs(5),
            allow_private: true,
        };
        HttpWebhook::new(settings).expect("a webhook")
    }

    async fn told(&self, event: &Event) -> Attempt {
        self.webhook("a-key", SECRETS).deliver(event.id, &WebhookJson.body(event), SystemClock.now()).await
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).bearer_auth("a-key").send().await.expect("answered")
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        let listed: Value = self.get(&format!("/attendance{query}")).await.json().await.expect("JSON");
        assert_eq!(listed["ok"], true, "{listed}");
        listed["attendance"].as_array().expect("rows").clone()
    }
}

/// 2024-09-29 10:20:00 in Jakarta, so many seconds later.
fn seen(student: &str, seconds: u64) -> Event {
    let context =
        Context { device_id: Some("=door".into()), class_id: Some("7b, \"the second\"".into()), ..Context::default() };
    Event {
        id: EventId::generate(),
        label: StudentId::parse(student).map_or(Label::Unknown, Label::Student),
        distance: Some(0.38),
        at: Timestamp::from_millis((1_727_580_000 + seconds) * 1000),
        frame: FrameSize { width: 640, height: 480 },
        face_box: FaceBox { top: 120, right: 260, bottom: 220, left: 160 },
        context,
    }
}

fn message(attempt: &Attempt) -> Value {
    serde_json::from_str(&attempt.message).unwrap_or_else(|_| panic!("JSON: {attempt:?}"))
}

#[tokio::test]
async fn an_event_is_taken_once_and_listed() {
    let receiver = Running::guarded().await;
    let event = seen("siswaA", 0);
    let first = receiver.told(&event).await;
    assert_eq!((first.outcome, first.http_status), (AttemptOutcome::Delivered, Some(200)), "{first:?}");
    assert_eq!(message(&first), json!({"ok": true, "token": "ATT-1727580000-siswaA", "student_id": "siswaA"}));
    let again = receiver.told(&event).await;
    let repeated = json!({"ok": true, "token": "ATT-1727580000-siswaA", "student_id": "siswaA", "repeated": true});
    assert_eq!((again.outcome, message(&again)), (AttemptOutcome::Delivered, repeated.clone()));
    assert_eq!(message(&receiver.told(&seen("siswaA", 299)).await), repeated, "another event within the window");
    let row = json!({
        "student_id": "siswaA", "timestamp": 1_727_580_000, "source": "face_recognition", "device_id": "=door",
        "class_id": "7b, \"the second\"", "distance": 0.38, "event_id": event.id.to_string(),
    });
    assert_eq!(receiver.rows("").await, [row]);
}

#[tokio::test]
async fn a_wrong_bearer_and_a_wrong_signature_are_refused_and_a_new_secret_beside_the_old_is_not() {
    let receiver = Running::guarded().await;
    for (key, secrets, status, code) in [
        ("", SECRETS, 401, "unauthorized"),
        ("b-key", SECRETS, 401, "unauthorized"),
        ("a-key", "wrong", 401, "invalid_signature"),
        ("a-key", "", 401, "invalid_signature"),
        ("a-key", "new whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 200, ""),
    ] {
        let event = seen("siswaA", 0);
        let attempt =
            receiver.webhook(key, secrets).deliver(event.id, &WebhookJson.body(&event), SystemClock.now()).await;
        assert_eq!(attempt.http_status, Some(status), "{attempt:?}");
        assert_eq!(message(&attempt)["code"].as_str().unwrap_or_default(), code);
        assert_eq!(message(&attempt)["ok"], status == 200);
    }
    assert_eq!(receiver.rows("").await.len(), 1, "what is refused is not stored");
}

#[tokio::test]
async fn an_old_and_a_future_timestamp_are_refused_and_an_old_event_is_not() {
    let receiver = Running::guarded().await;
    let webhook = receiver.webhook("a-key", SECRETS);
    let event = seen("siswaA", 0);
    let now = SystemClock.now().millis();
    for at in [now - 310_000, now + 310_000] {
        let attempt = webhook.deliver(event.id, &WebhookJson.body(&event), Timestamp::from_millis(at)).await;
        assert_eq!(attempt.http_status, Some(400), "{attempt:?}");
        assert_eq!(message(&attempt)["code"], "stale_timestamp");
    }
    assert_eq!(receiver.told(&event).await.http_status, Some(200), "seen years ago, sent now");
}

#[tokio::test]
async fn a_replayed_body_counts_no_second_time() {
    let receiver = Running::start(Some("a-key"), Some("another")).await;
    let event = seen("siswaA", 0);
    let attempt =
        receiver.webhook("a-key", "another").deliver(event.id, &WebhookJson.body(&event), SystemClock.now()).await;
    assert_eq!(attempt.http_status, Some(200));
    // Whoever overheard it has the body and its X-Signature, which does not cover the headers.
    let mac: String = {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"another").expect("a key");
        mac.update(WebhookJson.body(&event).as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let replay = async |id: String| {
        let request = receiver.client.post(format!("{}/", receiver.url)).bearer_auth("a-key");
        let timestamp = SystemClock.now().seconds() + 60;
        let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp);
        let response =
            request.header("x-signature", &mac).body(WebhookJson.body(&event)).send().await.expect("answered");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    let (status, body) = replay(event.id.to_string()).await;
    assert_eq!((status, &body["repeated"]), (200, &json!(true)), "{body}");
    let (status, body) = replay(EventId::generate().to_string()).await;
    assert_eq!((status, &body["code"]), (422, &json!("invalid_event")), "{body}");
    assert_eq!(receiver.rows("").await.len(), 1);
}

#[tokio::test]
async fn every_error_has_one_shape() {
    let receiver = Running::start(None, None).await;
    let post = |body: Vec<u8>| {
        let request = receiver.client.post(format!("{}/attendance", receiver.url)).body(body);
        request.header("webhook-id", "x").header("webhook-timestamp", SystemClock.now().seconds())
    };
    let client = &receiver.client;
    let url = |path: &str| format!("{}{path}", receiver.url);
    for (request, status, code) in [
        (post(b"{}".to_vec()), 422, "invalid_event"),
        (post(vec![b' '; 70 << 10]), 413, "body_too_large"),
        (client.post(url("/")).body("{}"), 400, "missing_header"),
        (client.get(url("/")), 405, "method_not_allowed"),
        (client.get(url("/elsewhere")), 404, "not_found"),
        (client.get(url("/attendance?limit=0")), 422, "invalid_parameter"),
        (client.get(url("/attendance?date=today")), 422, "invalid_parameter"),
        (client.get(url("/attendance?day=2024-09-29")), 422, "invalid_parameter"),
        (client.get(url("/attendance.csv?limit=5")), 422, "invalid_parameter"),
    ] {
        let response = request.send().await.expect("answered");
        assert_eq!(response.status().as_u16(), status);
        let body: Value = response.json().await.expect("JSON");
        assert_eq!((&body["ok"], &body["code"]), (&json!(false), &json!(code)), "{body}");
        assert!(body["msg"].as_str().is_some_and(|msg| !msg.is_empty()));
    }
}

#[tokio::test]
async fn attendance_is_listed_and_exported_to_those_with_the_key() {
    let receiver = Running::guarded().await;
    for event in [seen("siswaA", 0), seen("siswaB", 60), seen("siswaA", 86400), seen("", 60)] {
        assert_eq!(receiver.told(&event).await.http_status, Some(200));
    }
    assert_eq!(receiver.rows("").await.len(), 4);
    assert_eq!(receiver.rows("?limit=2").await.len(), 2);
    assert_eq!(receiver.rows("?date=2024-09-29").await.len(), 3);
    let row = receiver.rows("?date=2024-09-30&student_id=siswaA").await;
    assert_eq!((row.len(), &row[0]["timestamp"]), (1, &json!(1_727_666_400)));
    for path in ["/attendance", "/attendance.csv"] {
        let response = receiver.client.get(format!("{}{path}", receiver.url)).send().await.expect("answered");
        assert_eq!(response.status(), 401, "{path}");
    }

    let response = receiver.get("/attendance.csv?student_id=siswaA").await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    let text = response.text().await.expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "student_id,timestamp,source,device_id,class_id,distance,event_id");
    let row = "siswaA,2024-09-29T10:20:00+07:00,face_recognition,'=door,\"7b, \"\"the second\"\"\",0.38,";
    assert!(lines[1].starts_with(row), "{}", lines[1]);
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn an_export_larger_than_a_chunk_is_whole() {
    let receiver = Running::guarded().await;
    let webhook = receiver.webhook("a-key", SECRETS);
    for n in 0..400 {
        let event = seen(&format!("siswa{n}"), n);
        assert_eq!(
            webhook.deliver(event.id, &WebhookJson.body(&event), SystemClock.now()).await.http_status,
            Some(200)
        );
    }
    let text = receiver.get("/attendance.csv").await.text().await.expect("text");
    assert!(text.len() > 40_000, "{}", text.len());
    let students: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    let expected: Vec<String> = (0..400).map(|n| format!("siswa{n}")).collect();
    assert_eq!(students, expected);
}
