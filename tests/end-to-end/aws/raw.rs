//! The events as AWS hands them over, through the real programs: `cargo lambda` plays the Lambda service, and nothing is
//! between the event's JSON and the function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use attendance_end_to_end::{ACCESS_KEYS, pictures};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::stack::{Stack, output, variable};

/// The functions' programs, whose names `cargo lambda` needs, and the folders of their packages.
const FUNCTIONS: [(&str, &str); 7] = [
    ("attendance-enroll", "Enroll"),
    ("attendance-recognize", "Recognize"),
    ("attendance-realtime", "Realtime"),
    ("attendance-meta", "Meta"),
    ("attendance-connect", "Connect"),
    ("attendance-disconnect", "Disconnect"),
    ("attendance-bulk-enroll", "BulkEnroll"),
];

/// The connection in the recorded WebSocket events.
const CONNECTION: &str = "L0SM9cOFvHcCIhw=";

/// How often the functions called DynamoDB and S3, by operation or method.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// The functions, waiting for events; ended on drop.
struct Functions {
    port: u16,
    calls: Calls,
    bucket: String,
    processes: Vec<Child>,
}

impl Drop for Functions {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The address of a proxy that passes every call on to the stack and counts it.
async fn passing_on(calls: Calls) -> String {
    async fn pass_on(State((calls, client)): State<(Calls, reqwest::Client)>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let name = match target.and_then(|target| target.rsplit_once('.')) {
            Some((_, operation)) => operation.to_owned(),
            None => format!("S3 {}", parts.method),
        };
        *calls.lock().expect("no panic").entry(name).or_default() += 1;
        let url = format!("{}{}", variable("ATTENDANCE_TEST_STACK"), parts.uri);
        let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
        let mut headers = parts.headers;
        headers.remove("content-length");
        headers.remove("transfer-encoding");
        let answer = client.request(parts.method, url).headers(headers).body(body).send().await.expect("an answer");
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
            response = response.header(name, value);
        }
        response.body(Body::from(answer.bytes().await.expect("a body"))).expect("a response")
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let routes = Router::new().fallback(pass_on).with_state((calls, client));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

impl Functions {
    /// The functions on the deployed table, with a bucket of their own that notifies nobody.
    async fn start(stack: &Stack) -> Self {
        let calls = Calls::default();
        let endpoint = passing_on(calls.clone()).await;
        let bucket = format!("raw-events-{}", std::process::id());
        stack.make_bucket(&bucket).await;
        // Below the ports of outgoing connections, so that none of them takes it meanwhile.
        let port = (28_000..32_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let port = port.expect("a free port");
        let mut watch = cargo_lambda("watch");
        watch.args(["--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        let mut functions = Self { port, calls, bucket, processes: vec![start(&mut watch)] };
        stack.until("cargo lambda listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        let push = format!("{}/_aws/execute-api/{}/live", variable("ATTENDANCE_TEST_STACK"), output("WebSocketApiId"));
        for (name, package) in FUNCTIONS {
            let mut function =
                Command::new(Path::new(&variable("ATTENDANCE_TEST_FUNCTIONS")).join(package).join("bootstrap"));
            function
                .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{port}/.rt/{name}"))
                .env("AWS_LAMBDA_FUNCTION_NAME", name)
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
                .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
                .env("AWS_ENDPOINT_URL", &endpoint)
                .env("ATTENDANCE_TABLE", output("TableName"))
                .env("ATTENDANCE_BUCKET", &functions.bucket)
                .env("ATTENDANCE_ACCESS_KEY", ACCESS_KEYS.join(" "))
                .env("ATTENDANCE_WEBHOOK_URL", format!("http://{}/events", variable("ATTENDANCE_TEST_RECEIVER")))
                .env("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE", "true")
                .env("EVENT_COOLDOWN_SECONDS", "0")
                .env("ATTENDANCE_DELIVERY_QUEUE", output("DeliveryQueue"))
                .env("ATTENDANCE_PUSH_ENDPOINT", &push);
            functions.processes.push(start(&mut function));
        }
        functions
    }

    /// The function's answer to this event, or the text of its error.
    async fn invoke(&self, function: &str, event: &Path) -> Result<Value, String> {
        let mut invoke = cargo_lambda("invoke");
        invoke.args(["--invoke-address", "127.0.0.1", "--invoke-port", &self.port.to_string()]);
        invoke.arg(format!("attendance-{function}"));
        invoke.arg("--data-file").arg(event);
        let answer = tokio::task::spawn_blocking(move || invoke.output()).await.expect("no panic");
        let answer = answer.expect("cargo lambda starts");
        let (told, failed) = (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
        if answer.status.success() {
            Ok(serde_json::from_str(&told).expect("JSON"))
        } else {
            Err(format!("{told}{failed}"))
        }
    }

    /// The HTTP answer's status and body.
    async fn http(&self, function: &str, event: &str) -> (u64, Value) {
        let answer = self.invoke(function, &recorded(event)).await.expect("an answer");
        let body = answer["body"].as_str().expect("a body");
        (answer["statusCode"].as_u64().expect("a status"), serde_json::from_str(body).expect("JSON"))
    }

    fn take_calls(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.calls.lock().expect("no panic"))
    }
}

fn cargo_lambda(command: &str) -> Command {
    let mut cargo_lambda = Command::new(variable("ATTENDANCE_TEST_CARGO_LAMBDA"));
    cargo_lambda.args(["lambda", command]);
    cargo_lambda
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts")
}

/// The recorded event of this name.
fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"))
}

pub(crate) async fn http_events_are_answered() {
    let stack = Stack::ready().await;
    let functions = Functions::start(&stack).await;
    let (status, body) = functions.http("enroll", "http-enroll-base64").await;
    assert_eq!((status, &body["ok"], &body["saved"]), (200, &json!(true), &json!(1)), "{body}");
    assert_eq!(functions.http("meta", "http-health").await, (200, json!({"ok": true, "encodings": 1, "labels": 1})));
    let (status, body) = functions.http("recognize", "http-recognize-base64").await;
    assert_eq!((status, &body["results"][0]["label"]), (200, &json!("raw-event")), "{body}");
    functions.take_calls();
    assert_eq!(functions.http("recognize", "http-recognize-base64").await, (status, body));
    assert_eq!(functions.take_calls(), [("BatchGetItem".to_owned(), 1)].into(), "what a warm request costs");
    let (status, body) = functions.http("realtime", "http-realtime-base64").await;
    assert_eq!((status, &body["dispatch"][0]["label"]), (200, &json!("raw-event")), "{body}");
    functions.take_calls();
    let (_, body) = functions.http("realtime", "http-realtime-base64").await;
    assert_eq!(body["dispatch"][0]["report"]["status"], "sent", "{body}");
    let calls = [
        ("BatchGetItem", 1),       // the gallery's versions
        ("TransactWriteItems", 1), // the cooldown and the event
        ("PutItem", 2),            // the event with its try, swapped for what was accepted; the push, kept
        ("UpdateItem", 1),         // the push's number
        ("Query", 1),              // the subscribers
    ];
    let calls: BTreeMap<_, _> = calls.map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(functions.take_calls(), calls, "what a warm request with one event costs");

    let (status, body) = functions.http("enroll", "http-enroll-without-image").await;
    assert_eq!((status, &body["code"]), (422, &json!("missing_field")));
    let (status, body) = functions.http("recognize", "http-recognize-without-key").await;
    assert_eq!((status, &body["code"]), (401, &json!("unauthorized")));
    let (status, body) = functions.http("meta", "http-uploads").await;
    assert_eq!((status, &body["key"]), (200, &json!("known_faces/raw-event/front.jpg")), "{body}");
    let removed = functions.http("meta", "http-remove-student").await;
    assert_eq!(removed, (200, json!({"ok": true, "removed": 1})));
    assert_eq!(functions.http("meta", "http-health").await.1["encodings"], 0);
}

pub(crate) async fn websocket_events_are_answered() {
    let stack = Stack::ready().await;
    let functions = Functions::start(&stack).await;
    let status = async |function: &str, event: &Path| {
        functions.invoke(function, event).await.expect("an answer")["statusCode"].as_u64().expect("a status")
    };
    let subscribed = async |connection: &str| {
        let key = json!({"pk": {"S": "connections"}, "sk": {"S": connection}});
        stack.table("GetItem", json!({"Key": key, "ConsistentRead": true})).await.get("Item").is_some()
    };
    assert_eq!(status("connect", &recorded("websocket-connect-without-key")).await, 401);
    assert!(!subscribed(CONNECTION).await);
    assert_eq!(status("connect", &recorded("websocket-connect")).await, 200);
    assert!(subscribed(CONNECTION).await);
    assert_eq!(status("disconnect", &recorded("websocket-default-nonsense")).await, 200);
    assert!(subscribed(CONNECTION).await);
    assert_eq!(status("disconnect", &recorded("websocket-disconnect")).await, 200);
    assert!(!subscribed(CONNECTION).await);

    // A ping is answered to its sender: the recorded ping, sent by a subscriber that is connected.
    let before = stack.connections().await;
    let mut subscriber = stack.target.subscribe(None).await;
    let id = stack.connections().await.into_iter().find(|id| !before.contains(id)).expect("a new subscriber");
    let ping = std::fs::read_to_string(recorded("websocket-default-ping")).expect("recorded");
    assert!(ping.contains(CONNECTION));
    let from_him = std::env::temp_dir().join(format!("ping-{}.json", std::process::id()));
    std::fs::write(&from_him, ping.replace(CONNECTION, &id)).expect("written");
    assert_eq!(status("disconnect", &from_him).await, 200);
    assert_eq!(subscriber.next().await, json!({"type": "pong"}));
    std::fs::remove_file(from_him).expect("removed");
}

pub(crate) async fn bucket_events_are_settled() {
    let stack = Stack::ready().await;
    let functions = Functions::start(&stack).await;
    let bulk = async |event: &str| functions.invoke("bulk-enroll", &recorded(event)).await;
    let in_bucket = |key: &str| format!("{}/{key}", functions.bucket);
    let keys = ["known_faces/raw-event/1.jpg", "known_faces/raw-event/a%20b%2Bc%20(1)~%20%C3%A9.JPG"];
    for (key, picture) in keys.iter().zip([pictures::obama(0), pictures::obama(1)]) {
        stack.put_at(&in_bucket(key), &picture).await;
    }
    for (event, encodings) in [
        ("s3-test", 0),
        ("s3-created-folder", 0),
        ("s3-created-plain", 1),
        ("s3-created-awkward", 2),
        ("s3-created-awkward", 2),
        // A removal is notified although the object is there.
        ("s3-removed-plain", 2),
    ] {
        bulk(event).await.unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(stack.encodings().await, encodings, "after {event}");
    }
    for (key, event, encodings) in [(keys[1], "s3-removed-awkward", 1), (keys[0], "s3-removed-plain", 0)] {
        stack.delete_at(&in_bucket(key)).await;
        bulk(event).await.unwrap_or_else(|error| panic!("{event}: {error}"));
        assert_eq!(stack.encodings().await, encodings, "after {event}");
    }
    let failed = bulk("s3-created-unreadable").await.expect_err("it comes again");
    assert!(failed.contains("readable key"), "{failed}");
}
