//! Deliveries to a real receiver on this machine, which answers, breaks and dawdles as it is told.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use attendance::ports::Webhook;
use attendance::{Attempt, AttemptOutcome, Clock, EventId, SystemClock};
use attendance_webhook::{HttpWebhook, Secrets, WebhookError, WebhookSettings};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"event":"attendance.recognized","student_id":"siswaA"}"#;
const FAILED: AttemptOutcome = AttemptOutcome::Failed { retry_after: None };

/// A receiver that treats each connection as `act` says, after it has read one request.
struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start<F>(act: impl Fn(TcpStream) -> F + Send + Sync + Clone + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("a connection");
                let (seen, act) = (seen.clone(), act.clone());
                tokio::spawn(async move {
                    if let Some(request) = read_request(&mut socket).await {
                        seen.lock().expect("no test panics here").push(request);
                        act(socket).await;
                    }
                });
            }
        });
        Self { port, requests }
    }

    /// A receiver that answers every request with this text.
    async fn answering(answer: impl Into<String>) -> Self {
        let answer: Arc<str> = answer.into().into();
        Self::start(move |mut socket| {
            let answer = answer.clone();
            async move {
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
        })
        .await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics here").clone()
    }

    fn webhook(&self) -> HttpWebhook {
        HttpWebhook::new(settings(format!("http://127.0.0.1:{}/events?token=in-the-url", self.port))).expect("settings")
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= BODY.len()) {
            return Some(text);
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn settings(url: String) -> WebhookSettings {
    let secrets = Secrets::default();
    WebhookSettings { url, api_key: None, secrets, timeout: Duration::from_millis(700), allow_private: true }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn deliver(webhook: &HttpWebhook) -> Attempt {
    webhook.deliver(EventId::generate(), BODY, SystemClock.now()).await
}

fn headers_of(request: &str) -> HeaderMap {
    let head = request.split_once("\r\n\r\n").expect("a whole request").0;
    head.lines()
        .skip(1)
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        })
        .collect()
}

#[tokio::test]
async fn a_delivery_is_what_the_contract_says() {
    let receiver = Receiver::answering(response("201 Created", "", r#"{"ok":true,"token":"ATT-1-siswaA"}"#)).await;
    let mut settings = settings(format!("http://127.0.0.1:{}/events", receiver.port));
    settings.api_key = Some("a-token".into());
    settings.secrets = Secrets::parse("plain whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("secrets");
    let webhook = HttpWebhook::new(settings).expect("settings");
    let (id, at) = (EventId::generate(), SystemClock.now());
    let attempt = webhook.deliver(id, BODY, at).await;
    let message = r#"{"ok":true,"token":"ATT-1-siswaA"}"#.to_owned();
    assert_eq!(attempt, Attempt { at, outcome: AttemptOutcome::Delivered, http_status: Some(201), message });

    let request = receiver.requests().remove(0);
    assert!(request.starts_with("POST /events HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\n{BODY}")), "{request}");
    let headers = headers_of(&request);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Bearer a-token");
    assert_eq!(headers["webhook-id"], id.to_string());
    assert_eq!(headers["webhook-timestamp"], at.seconds().to_string());
    // A library that others wrote checks each of the signatures, and refuses another body and another secret.
    let encoded = standardwebhooks::Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
    let plain = standardwebhooks::Webhook::from_bytes(b"plain".to_vec()).expect("a secret");
    let other = standardwebhooks::Webhook::from_bytes(b"other".to_vec()).expect("a secret");
    encoded.verify(BODY.as_bytes(), &headers).expect("the second secret's signature");
    plain.verify(BODY.as_bytes(), &headers).expect("the first secret's signature");
    assert!(plain.verify(b"{}", &headers).is_err());
    assert!(other.verify(BODY.as_bytes(), &headers).is_err());
    // Python: hmac.new(b"plain", body, hashlib.sha256).hexdigest()
    assert_eq!(headers["x-signature"], "f93e56a2d01614351452b85c9dcd28613d852eeab19817fdbb417105f0a1dc19");
}

#[tokio::test]
async fn without_key_and_secret_neither_is_sent() {
    let receiver = Receiver::answering(response("200 OK", "", "")).await;
    let attempt = deliver(&receiver.webhook()).await;
    assert_eq!((attempt.outcome, attempt.message.as_str()), (AttemptOutcome::Delivered, ""));
    let headers = headers_of(&receiver.requests()[0]);
    for absent in ["authorization", "webhook-signature", "x-signature"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
    assert!(headers.contains_key("webhook-id") && headers.contains_key("webhook-timestamp"));
}

#[tokio::test]
async fn a_refusal_is_reported_with_its_status_body_and_wait() {
    let wait = |seconds| AttemptOutcome::Failed { retry_after: Some(Duration::from_secs(seconds)) };
    for (answer, outcome, status, message) in [
        (response("500 Oh", "", "a fault"), FAILED, 500, "a fault"),
        (response("500 Oh", "", ""), FAILED, 500, "the receiver answered 500"),
        (response("401 No", "", "who?"), FAILED, 401, "who?"),
        (response("503 Busy", "Retry-After: 30\r\n", "busy"), wait(30), 503, "busy"),
        (response("429 Slow", "Retry-After: 99999\r\n", "slow"), wait(3600), 429, "slow"),
        (response("410 Gone", "", "closed"), AttemptOutcome::Gone, 410, "closed"),
    ] {
        let attempt = deliver(&Receiver::answering(answer).await.webhook()).await;
        assert_eq!((attempt.outcome, attempt.http_status, attempt.message.as_str()), (outcome, Some(status), message));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::answering(response("200 OK", "", "")).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: http://127.0.0.1:{}/\r\n", elsewhere.port);
        let attempt = deliver(&Receiver::answering(response(status, &location, "")).await.webhook()).await;
        assert_eq!(attempt.outcome, FAILED);
        assert!(attempt.message.contains("not followed"), "{}", attempt.message);
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_silent_receiver_costs_no_more_than_the_timeout() {
    let receiver = Receiver::start(|socket| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(socket);
    })
    .await;
    let begun = Instant::now();
    let attempt = deliver(&receiver.webhook()).await;
    assert!((650..15_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!((attempt.outcome, attempt.http_status), (FAILED, None));
    assert_eq!(attempt.message, "the receiver did not answer within 0.7 s");
}

#[tokio::test]
async fn an_event_that_was_taken_before_the_connection_broke_is_not_known_to_be() {
    let receiver = Receiver::start(|socket| async move {
        socket.set_zero_linger().expect("a socket");
        drop(socket);
    })
    .await;
    let attempt = deliver(&receiver.webhook()).await;
    assert_eq!((attempt.outcome, attempt.http_status), (FAILED, None));
    assert!(attempt.message.starts_with("the connection broke before the receiver answered"), "{}", attempt.message);
    assert!(!attempt.message.contains("in-the-url"), "{}", attempt.message);
}

#[tokio::test]
async fn nobody_listening_is_told_without_the_url() {
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound").port();
    let url = format!("http://127.0.0.1:{unused}/?token=in-the-url");
    let attempt = deliver(&HttpWebhook::new(settings(url)).expect("settings")).await;
    assert_eq!((attempt.outcome, attempt.http_status), (FAILED, None));
    assert!(attempt.message.starts_with("the receiver cannot be reached"), "{}", attempt.message);
    assert!(!attempt.message.contains("in-the-url"), "{}", attempt.message);
}

#[tokio::test]
async fn a_huge_answer_is_read_to_the_limit_only() {
    let receiver = Receiver::start(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        while socket.write_all("é".repeat(32 << 10).as_bytes()).await.is_ok() {}
    })
    .await;
    let attempt = deliver(&receiver.webhook()).await;
    assert_eq!((attempt.outcome, attempt.message), (AttemptOutcome::Delivered, "é".repeat(1024)));
}

#[tokio::test]
async fn an_answer_that_is_no_text_stays_within_the_limit() {
    let receiver = Receiver::start(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n").await;
        let _ = socket.write_all(&[0xff; 4000]).await;
    })
    .await;
    let message = deliver(&receiver.webhook()).await.message;
    assert!(message.len() <= 2048 && message.starts_with('\u{fffd}'), "{} bytes", message.len());
}

#[tokio::test]
async fn a_success_that_drips_is_a_success_within_the_timeout() {
    let receiver = Receiver::start(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        while socket.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let attempt = deliver(&receiver.webhook()).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(attempt.outcome, AttemptOutcome::Delivered);
    assert!((1..20).contains(&attempt.message.len()), "{}", attempt.message);
}

#[tokio::test]
async fn a_head_that_drips_is_cut_at_the_timeout() {
    let receiver = Receiver::start(|mut socket| async move {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nX-Endless: ").await;
        while socket.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let attempt = deliver(&receiver.webhook()).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!((attempt.outcome, attempt.http_status), (FAILED, None));
}

#[tokio::test]
async fn a_name_that_leads_to_a_refused_address_is_not_called() {
    let receiver = Receiver::answering(response("200 OK", "", "")).await;
    let named = |allow_private| WebhookSettings {
        allow_private,
        ..settings(format!("http://localhost:{}/events", receiver.port))
    };
    let attempt = deliver(&HttpWebhook::new(named(false)).expect("a name is checked when it is resolved")).await;
    assert_eq!(attempt.outcome, FAILED);
    assert!(attempt.message.contains("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE"), "{}", attempt.message);
    assert_eq!(receiver.requests().len(), 0);
    let attempt = deliver(&HttpWebhook::new(named(true)).expect("settings")).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn what_cannot_be_called_stops_the_start() {
    let refusal = |url: &str| HttpWebhook::new(settings(url.into())).err().map(|error| error.to_string());
    let metadata = refusal("http://169.254.169.254/latest/meta-data").expect("refused");
    assert!(metadata.contains("never called"), "{metadata}");
    assert!(refusal("ws://a.example").expect("refused").contains("http"));
    let api_key = WebhookSettings { api_key: Some("line\nbreak".into()), ..settings("http://a.example".into()) };
    assert!(matches!(HttpWebhook::new(api_key), Err(WebhookError::ApiKey)));
}

#[tokio::test]
async fn a_dead_receiver_costs_nothing_after_a_few_tries_and_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let webhook = HttpWebhook::new(settings(format!("http://127.0.0.1:{port}/"))).expect("settings");
    for _ in 0..5 {
        assert!(deliver(&webhook).await.message.starts_with("the receiver cannot be reached"));
    }
    for _ in 0..1000 {
        let attempt = deliver(&webhook).await;
        assert_eq!((attempt.outcome, attempt.http_status), (FAILED, None));
        assert_eq!(attempt.message, "the receiver is not answering (circuit open)");
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free again");
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            if read_request(&mut socket).await.is_some() {
                let _ = socket.write_all(response("200 OK", "Connection: close\r\n", "back").as_bytes()).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(5100)).await;
    for _ in 0..3 {
        let attempt = deliver(&webhook).await;
        assert_eq!((attempt.outcome, attempt.message.as_str()), (AttemptOutcome::Delivered, "back"));
    }
}

#[tokio::test]
async fn an_error_status_never_opens_the_circuit() {
    let receiver = Receiver::answering(response("500 Oh", "", "a fault")).await;
    let webhook = receiver.webhook();
    for _ in 0..12 {
        assert_eq!(deliver(&webhook).await.http_status, Some(500));
    }
    assert_eq!(receiver.requests().len(), 12);
}
