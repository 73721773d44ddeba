//! WebSocket clients on real sockets.

use std::time::{Duration, Instant};

use attendance::Message as Told;
use attendance::ports::Push;
use attendance::{Context, EventId, Label, Report, StudentId};
use attendance_testkit::{face, picture};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::setup::{Service, Wishes, service};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(address: &str, query: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{address}/ws/recognitions{query}")).await.expect("it opens");
        Self(socket)
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("it is taken");
    }

    async fn next(&mut self) -> Message {
        let next = timeout(Duration::from_secs(5), self.0.next()).await.expect("a message in time");
        next.expect("the connection is open").expect("a message")
    }

    async fn json(&mut self) -> Value {
        let Message::Text(text) = self.next().await else { panic!("not a text") };
        serde_json::from_str(&text).expect("JSON")
    }

    /// The code and reason of the close that comes next, after any texts.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("it says why");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

async fn tell(service: &Service, saved: usize) {
    let student_id = StudentId::parse("siswaA").expect("an id");
    service.push.publish(&Told::Enrolled { student_id, saved, ts: 1 }).await.expect("the fake works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_sees_enrolments_and_recognitions_in_order() {
    let service = service();
    let address = service.listen().await;
    let mut client = Client::connect(&address, "").await;
    service.enroll("siswaA", picture("a", &[face(0, 0.0)])).await.ok();
    service.post_image("/recognize/realtime?class_id=7B", picture("f", &[face(0, 0.3)])).await.ok();
    let enrolled = client.json().await;
    assert_eq!(
        enrolled,
        json!({"type": "student.enrolled", "student_id": "siswaA", "saved": 1, "ts": 1_727_580_000, "seq": 1})
    );
    let seen = client.json().await;
    assert_eq!((&seen["type"], &seen["student_id"], &seen["seq"]), (&json!("recognized"), &json!("siswaA"), &json!(2)));
    assert_eq!((&seen["distance"], &seen["class_id"]), (&json!(0.3), &json!("7B")));
    assert_eq!(seen["dispatch"], json!({"status": "sent", "http_status": 200, "message": "answer 200"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_answered_and_other_texts_are_ignored() {
    let service = service();
    let address = service.listen().await;
    let mut client = Client::connect(&address, "").await;
    for ignored in ["hello", "", "{}", "[]", r#"{"action":"dance"}"#, r#"{"action":"resume"}"#, r#"{"action":7}"#] {
        client.send(ignored).await;
    }
    client.0.send(Message::binary(vec![1, 2, 3])).await.expect("it is taken");
    client.send(r#"{"action":"ping"}"#).await;
    assert_eq!(client.json().await, json!({"type": "pong"}));
    tell(&service, 5).await;
    assert_eq!(client.json().await["saved"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_what_it_missed() {
    let service = service();
    let address = service.listen().await;
    for n in 1..=5 {
        tell(&service, n).await;
    }
    let mut client = Client::connect(&address, "?since=3").await;
    assert_eq!((client.json().await["seq"].clone(), client.json().await["seq"].clone()), (json!(4), json!(5)));
    client.send(r#"{"action":"resume","since":2}"#).await;
    for expected in 3..=5 {
        assert_eq!(client.json().await["seq"], expected);
    }
    tell(&service, 6).await;
    assert_eq!(client.json().await["seq"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_was_cut_off_is_told_to_come_again() {
    let service = service();
    let address = service.listen().await;
    let mut client = Client::connect(&address, "").await;
    // Faster than the server's task can take them, so that the fake's bound is reached.
    for n in 0..100_000 {
        tell(&service, n).await;
    }
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1013);
    assert!(reason.contains("since"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_ends_the_connection() {
    let service = service();
    let address = service.listen().await;
    let mut client = Client::connect(&address, "").await;
    client.send(&"x".repeat(4096)).await;
    client.send(r#"{"action":"ping"}"#).await;
    assert_eq!(client.json().await, json!({"type": "pong"}));
    client.send(&"x".repeat(5000)).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_are_told_when_the_server_stops() {
    let service = service();
    let address = service.listen().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(&address, "").await);
    }
    assert!(service.work.stop(Duration::from_secs(5)).await, "every connection ends");
    for client in &mut clients {
        assert_eq!(client.closed().await.0, 1001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_subscribers_see_every_message_in_order() {
    let service = service();
    let address = service.listen().await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(Client::connect(&address, "").await);
    }
    for n in 1..=20 {
        tell(&service, n).await;
    }
    for client in &mut clients {
        for n in 1..=20 {
            assert_eq!(client.json().await["seq"], n);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_reads_delays_nobody_and_is_dropped() {
    let service = service();
    let address = service.listen().await;
    let _deaf = Client::connect(&address, "").await;
    // 25 MB are more than the sockets' buffers hold and less than the fake keeps for a subscriber: the server's write hangs.
    let begun = Instant::now();
    let context = Context { device_id: Some("x".repeat(128 << 10)), ..Context::default() };
    for n in 0..200 {
        let message = Told::Recognized {
            student_id: Label::Unknown,
            distance: None,
            ts: n,
            event_id: EventId::generate(),
            dispatch: Report::skipped("webhook_disabled"),
            context: context.clone(),
        };
        service.push.publish(&message).await.expect("the fake works");
    }
    let mut other = Client::connect(&address, "").await;
    tell(&service, 7).await;
    assert_eq!(other.json().await["saved"], 7);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(!service.work.stop(Duration::from_secs(1)).await, "the write hangs");
    // The write's ten seconds, and some for a busy machine.
    assert!(service.work.stop(Duration::from_secs(20)).await, "the deaf client's connection ends");
}

async fn refusal(address: &str, query: &str) -> (u16, Value) {
    match connect_async(format!("ws://{address}/ws/recognitions{query}")).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().expect("a body");
            (response.status().as_u16(), serde_json::from_slice(&body).expect("JSON"))
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_needs_a_key_and_may_send_it_by_query() {
    let service = Service::new(Wishes { keys: "s3cret+key", ..Wishes::default() });
    let address = service.listen().await;
    for query in ["", "?key=", "?key=wrong", "?key=s3cret%2Bkey&key=s3cret%2Bkey"] {
        let (status, body) = refusal(&address, query).await;
        assert_eq!((status, &body["code"]), (401, &json!("unauthorized")), "{query}");
    }
    let mut client = Client::connect(&address, "?key=s3cret%2Bkey").await;
    client.send(r#"{"action":"ping"}"#).await;
    assert_eq!(client.json().await, json!({"type": "pong"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_cannot_be_served_is_told_before_it_is_connected() {
    let service = service();
    let address = service.listen().await;
    for query in ["?since=abc", "?since=-1", "?since=1.5"] {
        let (status, body) = refusal(&address, query).await;
        assert_eq!((status, &body["code"]), (422, &json!("invalid_parameter")), "{query}");
    }
    let answer = service.get("/ws/recognitions").await;
    answer.refused(426, "upgrade_required");
    assert_eq!(answer.headers["upgrade"], "websocket");
}
