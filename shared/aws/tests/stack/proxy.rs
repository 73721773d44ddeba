//! A proxy between the clients and the stack that counts calls and injects what local stacks never do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;
use tokio::net::TcpListener;

use crate::storage::stack;

/// What happens to one call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is answered with this error without reaching the stack.
    Error { kind: &'static str, body: serde_json::Value },
    /// It reaches the stack, and its answer is lost.
    LostAnswer,
}

impl Fault {
    /// A transaction that another one was in the way of.
    pub(crate) fn conflict() -> Self {
        Self::cancelled("TransactionConflict")
    }

    /// A transaction that was cancelled for this reason.
    pub(crate) fn cancelled(reason: &'static str) -> Self {
        let body =
            json!({"message": "Transaction cancelled", "CancellationReasons": [{"Code": reason}, {"Code": "None"}]});
        Self::Error { kind: "TransactionCanceledException", body }
    }

    /// Too many calls.
    pub(crate) fn throttled() -> Self {
        Self::Error { kind: "ThrottlingException", body: json!({"message": "Rate exceeded"}) }
    }
}

type Plan = Box<dyn Fn(&str, usize) -> Option<Fault> + Send + Sync>;

/// The proxy, listening.
pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    stack: String,
    client: reqwest::Client,
    plan: Mutex<Plan>,
    calls: Mutex<BTreeMap<String, usize>>,
}

impl Proxy {
    /// A proxy without faults.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            stack: stack(),
            client: reqwest::Client::new(),
            plan: Mutex::new(Box::new(|_, _| None)),
            calls: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let routes = Router::new().fallback(forward).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    /// From now on `plan` decides on every call, by its name and by how many of that name came before.
    pub(crate) fn inject(&self, plan: impl Fn(&str, usize) -> Option<Fault> + Send + Sync + 'static) {
        self.shared.calls.lock().expect("no panic").clear();
        *self.shared.plan.lock().expect("no panic") = Box::new(plan);
    }

    /// The calls since the last time this was asked, by name: a DynamoDB operation, or an S3 method.
    pub(crate) fn take_calls(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.shared.calls.lock().expect("no panic"))
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let name = match target.and_then(|target| target.rsplit_once('.')) {
        Some((_, operation)) => operation.to_owned(),
        None => format!("S3 {}", parts.method),
    };
    let before = {
        let mut calls = shared.calls.lock().expect("no panic");
        let count = calls.entry(name.clone()).or_default();
        *count += 1;
        *count - 1
    };
    let fault = shared.plan.lock().expect("no panic")(&name, before);
    if let Some(Fault::Error { kind, mut body }) = fault {
        body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{kind}").into();
        let answer = Response::builder().status(400).header("content-type", "application/x-amz-json-1.0");
        return answer.body(Body::from(body.to_string())).expect("a response");
    }
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut forwarded = shared.client.request(parts.method, format!("{}{path}", shared.stack)).body(body);
    for (header, value) in &parts.headers {
        if !["host", "content-length", "transfer-encoding", "connection"].contains(&header.as_str()) {
            forwarded = forwarded.header(header, value);
        }
    }
    let answer = forwarded.send().await.expect("the stack answers");
    if matches!(fault, Some(Fault::LostAnswer)) {
        drop(answer);
        let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("lost"))]);
        let lost = Response::builder().status(200).header("content-length", "1000");
        return lost.body(Body::from_stream(broken)).expect("a response");
    }
    let mut response = Response::builder().status(answer.status());
    for (header, value) in answer.headers() {
        if !["transfer-encoding", "connection"].contains(&header.as_str()) {
            response = response.header(header, value);
        }
    }
    let bytes = answer.bytes().await.expect("the stack's answer");
    response.body(Body::from(bytes)).expect("a response")
}
