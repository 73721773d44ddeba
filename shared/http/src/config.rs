use std::time::Duration;

use attendance::{Scope, Tolerance, rounded};
use attendance_wire::http::ConfigResponse;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use utoipa_axum::routes;

use crate::error::errors;
use crate::subscribe::SUBSCRIBE_PATH;
use crate::{Code, Group};

/// What `/config` tells.
#[derive(Debug, Clone)]
pub struct PublicConfig {
    /// The largest distance that is a match.
    pub tolerance: Tolerance,
    /// Whether events are sent to an Attendance API.
    pub webhook_enabled: bool,
    /// A student's quiet time.
    pub cooldown: Duration,
    /// Where subscribers connect; made from the request's `Host` if `None`.
    pub websocket_url: Option<String>,
}

pub(crate) fn documented() -> Group<PublicConfig> {
    Group::opened_by(Scope::Recognize).routes(routes!(config))
}

errors!(ConfigErrors, [Code::Unauthorized, Code::Internal]);

/// See how the service is set.
#[utoipa::path(
    get,
    path = "/config",
    tag = "service",
    responses(ConfigErrors, (status = 200, body = ConfigResponse, description = "the settings")),
)]
async fn config(State(config): State<PublicConfig>, headers: HeaderMap) -> Json<ConfigResponse> {
    let PublicConfig { tolerance, webhook_enabled, cooldown, websocket_url } = config;
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
    format!("{}://{host}{SUBSCRIBE_PATH}", if secure { "wss" } else { "ws" })
}
