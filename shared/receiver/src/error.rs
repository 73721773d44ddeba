use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request is not served, or the receiver does not start. The messages are for whoever sent the request.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReceiverError {
    #[error("send `Authorization: Bearer <key>` with the key that this receiver was started with")]
    WrongBearer,
    #[error("the header {0} is missing or not readable")]
    Header(&'static str),
    #[error("webhook-timestamp is {0} s from this receiver's clock; at most {max} s are allowed", max = crate::gate::TOLERANCE)]
    Stale(u64),
    #[error(
        "no signature of this request fits: sign the exact body bytes with a secret that this receiver was started with"
    )]
    WrongSignature,
    #[error("the body is no attendance event: {0}")]
    InvalidEvent(String),
    #[error("{name} must be {allowed}")]
    InvalidParameter { name: &'static str, allowed: &'static str },
    #[error("the body is larger than {} KiB", crate::routes::BODY_LIMIT >> 10)]
    BodyTooLarge,
    #[error("the body did not arrive in time")]
    BodyTooSlow,
    #[error("there is no such path; POST /attendance takes events, GET /attendance and GET /attendance.csv list them")]
    NotFound,
    #[error("this path does not take this method; the header Allow says which it takes")]
    MethodNotAllowed,
    #[error("the event could not be stored or read; send the request again")]
    Store(#[from] rusqlite::Error),
    #[error("a secret that begins with `whsec_` must go on in base64")]
    InvalidSecret,
}

/// What every error answers.
#[derive(Serialize)]
struct Body {
    ok: bool,
    msg: String,
    code: &'static str,
}

impl ReceiverError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::WrongBearer => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Header(_) => (StatusCode::BAD_REQUEST, "missing_header"),
            Self::Stale(_) => (StatusCode::BAD_REQUEST, "stale_timestamp"),
            Self::WrongSignature => (StatusCode::UNAUTHORIZED, "invalid_signature"),
            Self::InvalidEvent(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_event"),
            Self::InvalidParameter { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::InvalidSecret => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for ReceiverError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        match &self {
            Self::Store(error) => tracing::error!(%error, "the database does not do its work"),
            refused => tracing::warn!(code, "{refused}"),
        }
        let body = Body { ok: false, msg: self.to_string(), code };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
