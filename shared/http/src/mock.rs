use std::sync::Arc;

use attendance::{Clock, Scope};
use attendance_wire::http::MockResponse;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use serde_json::{Map, Value};
use utoipa_axum::router::UtoipaMethodRouterExt;
use utoipa_axum::routes;

use crate::error::errors;
use crate::{ApiError, Code, Group};

/// The largest JSON body.
const JSON_LIMIT: usize = 256 << 10;

pub(crate) fn documented() -> Group<Arc<dyn Clock>> {
    Group::opened_by(Scope::Events).routes(routes!(mock_webhook).layer(DefaultBodyLimit::max(JSON_LIMIT)))
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
    State(clock): State<Arc<dyn Clock>>,
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
    let token = format!("ATT-{}-{student}", clock.now().seconds());
    Ok(Json(MockResponse { ok: true, token, received }))
}
