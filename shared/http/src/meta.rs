use std::sync::Arc;
use std::time::Duration;

use attendance::ports::GalleryStore;
use attendance::{Clock, Outbox, StudentId, Tolerance, rounded};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, header};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::errors;
use crate::watch::WATCH_PATH;
use crate::{ApiError, Code, Work, docs, events, web_routes};

/// The largest JSON body.
const JSON_LIMIT: usize = 256 << 10;

/// What the routes beside recognition call. No face engine is among it.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Meta {
    pub gallery: Arc<dyn GalleryStore>,
    pub outbox: Arc<Outbox>,
    pub clock: Arc<dyn Clock>,
    pub facts: Facts,
    /// Whether there is a `POST /mock/webhook`.
    pub mock_webhook: bool,
    pub work: Work,
}

/// What `/config` tells.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The largest distance that is a match.
    pub tolerance: Tolerance,
    /// Whether events are sent to an Attendance API.
    pub webhook_enabled: bool,
    /// A student's quiet time.
    pub cooldown: Duration,
    /// Where watchers connect; made from the request's `Host` where `None`.
    pub websocket_url: Option<String>,
}

/// `GET /health`, `GET /config`, `GET /students`, `DELETE /students/{student_id}`, `GET /events`, `POST /events/{event_id}/replay`,
/// `POST /mock/webhook`, `GET /openapi.json`, `GET /docs` and the [pages](web_routes); and `more`, the routes that only this
/// deployment has, which its document names too.
pub fn meta_routes(meta: Meta, more: OpenApiRouter) -> Router {
    let mock = if meta.mock_webhook { documented_mock() } else { OpenApiRouter::new() };
    let web = web_routes(meta.facts.websocket_url.as_deref());
    let routes: Router = documented().merge(events::documented()).merge(mock).with_state(meta).into();
    let (more, documented) = more.split_for_parts();
    let mut document = docs::openapi();
    document.merge(documented);
    routes.merge(docs::pages(document)).merge(web).merge(more)
}

pub(crate) fn documented() -> OpenApiRouter<Meta> {
    let students = OpenApiRouter::new().routes(routes!(list_students)).routes(routes!(remove_student));
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(config)).merge(students)
}

pub(crate) fn documented_mock() -> OpenApiRouter<Meta> {
    OpenApiRouter::new().routes(routes!(mock_webhook)).layer(DefaultBodyLimit::max(JSON_LIMIT))
}

/// That the service answers, and how much is enrolled.
#[derive(Serialize, ToSchema)]
struct HealthResponse {
    /// Always true.
    ok: bool,
    /// Embeddings.
    encodings: usize,
    /// Students.
    labels: usize,
}

errors!(HealthErrors, [Code::Internal, Code::Unavailable]);

/// Ask whether the service is well, and how much is enrolled.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    security(()),
    responses(HealthErrors, (status = 200, body = HealthResponse, description = "it is well")),
)]
async fn health(State(meta): State<Meta>) -> Result<Json<HealthResponse>, ApiError> {
    let counts = meta.gallery.counts().await?;
    Ok(Json(HealthResponse { ok: true, encodings: counts.encodings, labels: counts.labels }))
}

/// How the service is set.
#[derive(Serialize, ToSchema)]
struct ConfigResponse {
    /// The largest distance that is a match.
    tolerance: f64,
    /// Whether events are sent to an Attendance API.
    webhook_enabled: bool,
    /// A student's quiet time, in seconds.
    cooldown_seconds: u64,
    /// Where watchers connect.
    websocket_url: String,
}

errors!(ConfigErrors, [Code::Unauthorized, Code::Internal]);

/// See how the service is set.
#[utoipa::path(
    get,
    path = "/config",
    tag = "service",
    responses(ConfigErrors, (status = 200, body = ConfigResponse, description = "the settings")),
)]
async fn config(State(meta): State<Meta>, headers: HeaderMap) -> Json<ConfigResponse> {
    let Facts { tolerance, webhook_enabled, cooldown, websocket_url } = meta.facts;
    Json(ConfigResponse {
        tolerance: rounded(tolerance.distance()),
        webhook_enabled,
        cooldown_seconds: cooldown.as_secs(),
        websocket_url: websocket_url.unwrap_or_else(|| websocket_url_for(&headers)),
    })
}

/// The WebSocket's address as the client that sent these headers reaches this server.
pub(crate) fn websocket_url_for(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or("localhost");
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    format!("{}://{host}{WATCH_PATH}", if secure { "wss" } else { "ws" })
}

/// A student who is enrolled.
#[derive(Serialize, ToSchema)]
struct StudentItem {
    student_id: String,
    /// How many embeddings are stored.
    embeddings: usize,
}

/// Everybody who is enrolled.
#[derive(Serialize, ToSchema)]
struct StudentsResponse {
    /// Always true.
    ok: bool,
    /// By id.
    students: Vec<StudentItem>,
}

errors!(StudentsErrors, [Code::Unauthorized, Code::Internal, Code::Unavailable]);

/// List who is enrolled.
#[utoipa::path(
    get,
    path = "/students",
    tag = "students",
    responses(StudentsErrors, (status = 200, body = StudentsResponse, description = "everybody")),
)]
async fn list_students(State(meta): State<Meta>) -> Result<Json<StudentsResponse>, ApiError> {
    let students = meta.gallery.students().await?.into_iter();
    let item = |(student, embeddings): (StudentId, usize)| StudentItem { student_id: student.to_string(), embeddings };
    Ok(Json(StudentsResponse { ok: true, students: students.map(item).collect() }))
}

/// What was removed.
#[derive(Serialize, ToSchema)]
struct RemoveResponse {
    /// Always true.
    ok: bool,
    /// How many embeddings were removed; 0 for a student who was not enrolled.
    removed: usize,
}

errors!(RemoveErrors, [Code::Unauthorized, Code::InvalidStudentId, Code::Internal, Code::Unavailable]);

/// Erase a student: the embeddings, crops and pictures are gone when this answers.
#[utoipa::path(
    delete,
    path = "/students/{student_id}",
    tag = "students",
    params(("student_id" = String, Path, description = "the student")),
    responses(RemoveErrors, (status = 200, body = RemoveResponse, description = "gone")),
)]
async fn remove_student(
    State(meta): State<Meta>,
    student: Result<Path<String>, PathRejection>,
) -> Result<Json<RemoveResponse>, ApiError> {
    // What is no text is no student id either.
    let student = StudentId::parse(&student.map(|Path(text)| text).unwrap_or_default())?;
    let removed = meta.work.in_full(async move { meta.gallery.remove(&student).await }).await??;
    Ok(Json(RemoveResponse { ok: true, removed }))
}

/// What an Attendance API answers.
#[derive(Serialize, ToSchema)]
struct MockResponse {
    /// Always true.
    ok: bool,
    /// `ATT-<ts>-<student_id>`.
    token: String,
    /// What was sent.
    received: Map<String, Value>,
}

errors!(MockErrors, [Code::Unauthorized, Code::BodyTooLarge, Code::InvalidParameter, Code::Internal]);

/// Answer as an Attendance API would, to try the webhook without one.
#[utoipa::path(
    post,
    path = "/mock/webhook",
    tag = "service",
    request_body(content = Object, content_type = "application/json", description = "any JSON object"),
    responses(MockErrors, (status = 200, body = MockResponse, description = "taken")),
)]
async fn mock_webhook(
    State(meta): State<Meta>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<MockResponse>, ApiError> {
    let body = body.map_err(|_| {
        ApiError::new(
            Code::BodyTooLarge,
            format!("the body is too large; at most {} KiB are allowed", JSON_LIMIT >> 10),
        )
    })?;
    let received: Map<String, Value> =
        serde_json::from_slice(&body).map_err(|_| ApiError::invalid("the body", "a JSON object"))?;
    let student = match received.get("student_id") {
        Some(Value::String(student)) => student.clone(),
        Some(other) => other.to_string(),
        None => "unknown".into(),
    };
    let token = format!("ATT-{}-{student}", meta.clock.now().seconds());
    Ok(Json(MockResponse { ok: true, token, received }))
}
