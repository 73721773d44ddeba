//! The Python of `docs/integration.md`, run against the service's own deliveries. Its JavaScript, which needs Node, is run by
//! `tests/browser/guide.test.js`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use attendance::ports::{EventFormat, Webhook};
use attendance::{Clock, Context, Event, EventId, FaceBox, FrameSize, Label, StudentId, SystemClock, Timestamp};
use attendance_webhook::{HttpWebhook, Secrets, WebhookSettings};
use attendance_wire::webhook::WebhookJson;
use serde_json::{Value, json};

const GUIDE: &str = include_str!("../../../docs/integration.md");
const KEY: &str = "token-of-the-school";
const SECRETS: &str = "old whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A program of the guide, killed when it is dropped.
struct Program {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Program {
    /// Starts the guide's code.
    fn start() -> Self {
        let file = "receiver.py";
        let code = GUIDE.split("```python\n").nth(1).expect("the guide has such code");
        let code = code.split("```").next().unwrap_or_default();
        assert!(code.contains(file), "it says its name");
        let folder = tempfile::TempDir::new().expect("a folder");
        std::fs::write(folder.path().join(file), code).expect("written");
        let mut command = Command::new("python3");
        command.args([file, "0"]).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("ATTENDANCE_API_KEY", KEY).env("ATTENDANCE_HMAC_SECRET", SECRETS);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("this test needs python3: {error}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it prints");
        let port = line.trim().strip_prefix("listening on ").and_then(|port| port.parse().ok());
        Self { child, port: port.unwrap_or_else(|| panic!("{line}")), _folder: folder }
    }

    /// The status and body of its answer to a delivery.
    async fn told(&self, key: &str, secrets: &str, event: &Event, at: Timestamp) -> (u16, Value) {
        let settings = WebhookSettings {
            url: format!("http://127.0.0.1:{}/attendance", self.port),
            api_key: Some(key.into()),
            secrets: Secrets::parse(secrets).expect("secrets"),
            timeout: Duration::from_secs(10),
            allow_private: true,
        };
        let attempt =
            HttpWebhook::new(settings).expect("a webhook").deliver(event.id, &WebhookJson.body(event), at).await;
        let body = serde_json::from_str(&attempt.message).unwrap_or_else(|_| panic!("{attempt:?}"));
        (attempt.http_status.expect("an answer"), body)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event() -> Event {
    Event {
        id: EventId::generate(),
        label: Label::Student(StudentId::parse("siswaA").expect("an id")),
        distance: Some(0.38),
        at: Timestamp::from_millis(1_727_580_000_000),
        frame: FrameSize { width: 640, height: 480 },
        face_box: FaceBox { top: 120, right: 260, bottom: 220, left: 160 },
        context: Context { class_id: Some("kelas 7b é".into()), ..Context::default() },
    }
}

pub(crate) async fn the_guides_python_takes_what_is_ours_and_nothing_else() {
    let program = Program::start();
    let now = SystemClock.now();
    let event = event();
    let taken = (200, json!({"ok": true, "token": "ATT-1727580000-siswaA", "student_id": "siswaA"}));
    for secrets in [SECRETS, "new old", "new whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert_eq!(program.told(KEY, secrets, &event, now).await, taken, "again and again");
    }
    let refused = |status, code: &str| (status, json!({"ok": false, "code": code}));
    assert_eq!(program.told("another", SECRETS, &event, now).await, refused(401, "unauthorized"));
    assert_eq!(program.told(KEY, "new", &event, now).await, refused(401, "invalid_signature"));
    assert_eq!(program.told(KEY, "", &event, now).await, refused(401, "invalid_signature"));
    for at in [now.millis() - 310_000, now.millis() + 310_000] {
        let at = Timestamp::from_millis(at);
        assert_eq!(program.told(KEY, SECRETS, &event, at).await, refused(400, "stale_timestamp"));
    }
}
