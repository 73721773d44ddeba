//! The service over fakes, forms to send to it, and answers to look at.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{FaceEngine, Purpose, ScanError, Webhook};
use attendance::{AttendanceSettings, ModelId, Ports, Scan, compose};
use attendance_http::{Access, AccessSettings, App, Origins, Settings, Uploads, Work, router};
use attendance_testkit::{FakeClock, FakeEngine, FakeEvents, FakeGallery, FakePush, FakeWebhook, delivered};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

/// The moment that every test begins at, in seconds.
pub(crate) const NOW: u64 = 1_727_580_000;

/// The fake engine, and bytes that bring about every other way a scan can end.
struct Engine(FakeEngine);

#[async_trait]
impl FaceEngine for Engine {
    fn model(&self) -> &ModelId {
        self.0.model()
    }

    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError> {
        match &photo[..] {
            b"heic" => Err(ScanError::Unsupported { format: "HEIC" }),
            b"many pixels" => {
                Err(ScanError::TooManyPixels { width: 10_000, height: 10_000, megapixels: 50, side: 30_000 })
            }
            b"fault" => Err(ScanError::Internal("a secret of the inside".into())),
            b"panic" => panic!("a scan that panics"),
            slow if slow.starts_with(b"slow ") => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.0.scan(photo.slice(5..), purpose).await
            }
            _ => self.0.scan(photo, purpose).await,
        }
    }
}

/// The service and the fakes behind it.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) gallery: FakeGallery,
    pub(crate) events: FakeEvents,
    pub(crate) push: FakePush,
    pub(crate) webhook: Arc<FakeWebhook>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) work: Work,
}

/// What a test may want otherwise.
pub(crate) struct Wishes {
    pub(crate) keys: &'static str,
    pub(crate) origins: &'static str,
    pub(crate) uploads: Uploads,
    pub(crate) webhook: Option<FakeWebhook>,
    pub(crate) websocket_url: Option<String>,
    pub(crate) mock_webhook: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            keys: "",
            origins: "*",
            uploads: Uploads::new(1 << 20, 8 << 20, Duration::from_secs(5)),
            webhook: Some(FakeWebhook::new(|delivery| delivered(delivery.at))),
            websocket_url: Some("ws://127.0.0.1:8000/ws/recognitions".into()),
            mock_webhook: true,
        }
    }
}

impl Service {
    pub(crate) fn new(wishes: Wishes) -> Self {
        let clock = Arc::new(FakeClock::at(NOW * 1000));
        let (gallery, events, push) = (FakeGallery::default(), FakeEvents::default(), FakePush::default());
        let enabled = wishes.webhook.is_some();
        let webhook = Arc::new(wishes.webhook.unwrap_or_else(|| FakeWebhook::new(|delivery| delivered(delivery.at))));
        let told = Arc::new(push.clone());
        let ports = Ports {
            gallery: Arc::new(gallery.clone()),
            events: Arc::new(events.clone()),
            push: told.clone(),
            webhook: enabled.then(|| webhook.clone() as Arc<dyn Webhook>),
            clock: clock.clone(),
            ..attendance_testkit::ports()
        };
        let use_cases = compose(ports, AttendanceSettings::default());
        let faces = use_cases.with_engine(Arc::new(Engine(FakeEngine::default())));
        let app = App { use_cases, faces, subscribers: Some(told) };
        let settings = Settings {
            access: AccessSettings {
                keys: Access::parse(wishes.keys).expect("keys"),
                origins: Origins::parse(wishes.origins).expect("origins"),
            },
            uploads: wishes.uploads,
            websocket_url: wishes.websocket_url,
            mock_webhook: wishes.mock_webhook,
        };
        let work = Work::default();
        Self { router: router(app, settings, work.clone()), gallery, events, push, webhook, clock, work }
    }

    /// The answer to a request.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body in memory");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn enroll(&self, student: &str, image: impl AsRef<[u8]>) -> Answer {
        self.ask(Form::new().text("student_id", student).image(image).to("/enroll")).await
    }

    pub(crate) async fn post_image(&self, path: &str, image: impl AsRef<[u8]>) -> Answer {
        self.ask(Form::new().image(image).to(path)).await
    }

    /// Serves on a free port, and returns the address, as in `127.0.0.1:4711`.
    pub(crate) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

pub(crate) fn service() -> Service {
    Service::new(Wishes::default())
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.json()
    }

    /// Checks that this is the contract's error of this status and code, and returns its sentence.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(body["ok"], false);
        let msg = body["msg"].as_str().expect("a sentence").to_owned();
        assert!(msg.len() > 10, "{msg:?}");
        assert_eq!(body.as_object().map(|fields| fields.len()), Some(3), "{body}");
        msg
    }
}

/// A `multipart/form-data` body.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

pub(crate) const BOUNDARY: &str = "a-boundary-of-this-test";

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn text(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.part(&format!("name=\"{name}\""), value.as_ref())
    }

    pub(crate) fn image(self, bytes: impl AsRef<[u8]>) -> Self {
        self.part("name=\"image\"; filename=\"photo.jpg\"\r\nContent-Type: image/jpeg", bytes.as_ref())
    }

    fn part(mut self, head: &str, value: &[u8]) -> Self {
        self.0.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        self.0.extend(value);
        self.0.extend(b"\r\n");
        self
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }

    pub(crate) fn to(self, path: &str) -> Request<Body> {
        form_request(path, self.bytes())
    }
}

pub(crate) fn form_request(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body.into())
        .expect("a request")
}
