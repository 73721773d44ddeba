use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long calls may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// An Attendance API: a real HTTP server that records its calls and gives the answer that was set.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<Inbox>>,
    serving: JoinHandle<()>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Call {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When it arrived, in Unix seconds.
    pub at: u64,
}

struct Inbox {
    calls: Vec<Call>,
    status: StatusCode,
    answer: String,
    delay: Duration,
}

impl Receiver {
    /// A receiver on a free port of this machine, which answers 200.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// A receiver at this address, which answers 200.
    pub async fn start_at(address: &str) -> Self {
        let listener = listen_at(address).await;
        let address = listener.local_addr().expect("it is bound");
        let inbox = Inbox {
            calls: Vec::new(),
            status: StatusCode::OK,
            answer: r#"{"ok":true,"token":"ATT-1"}"#.into(),
            delay: Duration::ZERO,
        };
        let state = Arc::new(Mutex::new(inbox));
        let app = Router::new().fallback(receive).with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, state, serving }
    }

    /// The URL for events.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Sets the answer from now on.
    pub fn answer(&self, status: u16, body: &str) {
        let mut inbox = self.inbox();
        inbox.status = StatusCode::from_u16(status).expect("a status");
        inbox.answer = body.into();
    }

    /// Sets how long each answer takes from now on.
    pub fn delay(&self, delay: Duration) {
        self.inbox().delay = delay;
    }

    /// Frees its address for another receiver, and keeps the calls.
    pub fn stop(&self) {
        self.serving.abort();
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.inbox().calls.clone()
    }

    /// The calls about this student so far, oldest first.
    #[must_use]
    pub fn calls_about(&self, student: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.json()["student_id"] == student).collect()
    }

    /// The calls about this student, once there are `count` of them.
    pub async fn wait_for(&self, student: &str, count: usize) -> Vec<Call> {
        let begun = tokio::time::Instant::now();
        loop {
            let calls = self.calls_about(student);
            if calls.len() >= count {
                return calls;
            }
            assert!(begun.elapsed() < PATIENCE, "{} of {count} calls about {student} came", calls.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn inbox(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.state.lock().expect("no case panics here")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Call {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event is JSON")
    }

    /// The text of a header; empty where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }
}

/// A listener at this address, once the one before is gone.
pub(crate) async fn listen_at(address: &str) -> TcpListener {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if tries == 50 => panic!("{address} cannot be listened on: {error}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn receive(State(state): State<Arc<Mutex<Inbox>>>, headers: HeaderMap, body: Bytes) -> Response {
    let (status, answer, delay) = {
        let mut inbox = state.lock().expect("no case panics here");
        inbox.calls.push(Call { headers, body, at: unix_now() });
        (inbox.status, inbox.answer.clone(), inbox.delay)
    };
    tokio::time::sleep(delay).await;
    (status, [(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
