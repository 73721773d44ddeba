use std::collections::BTreeMap;

use attendance::ports::{ScanError, StoreError};
use attendance::{EnrollError, InvalidContext, InvalidStudentId, RealtimeError, RecognizeError, Refusal, RefusalCode};
use attendance_wire::http::{Code, ErrorBody};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::response::Response as Described;
use utoipa::openapi::{Content, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// An error as the client sees it, with the cause for the log.
///
/// Becoming a response is the one place where a 5xx is logged; its body says nothing of the inside.
#[derive(Debug, thiserror::Error)]
#[error("{msg}")]
pub struct ApiError {
    code: Code,
    msg: String,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    /// Returns the error with this code. `msg` is one sentence for a person that says what is expected.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), cause: None }
    }

    /// Returns the error for a fault of ours, whose cause goes to the log alone.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let msg = "something went wrong in the service; try again, and tell its operator if this goes on";
        Self { code: Code::Internal, msg: msg.into(), cause: Some(cause.into()) }
    }

    /// The stable word.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn invalid(parameter: &str, allowed: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{parameter} must be {allowed}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { code, msg, cause } = self;
        let status = StatusCode::from_u16(code.status()).expect("a code's status is one of HTTP's");
        if code == Code::Overloaded {
            tracing::warn!("a request was turned away: overloaded");
        } else if status.is_server_error() {
            tracing::error!(%code, ?cause, "a request failed");
        }
        let saved = (code == Code::NoFace).then_some(0);
        let mut response = (status, Json(ErrorBody { ok: false, saved, msg, code })).into_response();
        let advice = match code {
            Code::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Code::UpgradeRequired => Some((header::UPGRADE, "websocket")),
            Code::Overloaded => Some((header::RETRY_AFTER, "1")),
            Code::Unavailable => Some((header::RETRY_AFTER, "5")),
            _ => None,
        };
        if let Some((name, value)) = advice {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<ScanError> for ApiError {
    fn from(error: ScanError) -> Self {
        match error.refusal() {
            Some(refusal) => refusal.into(),
            None if matches!(error, ScanError::Overloaded) => Self::new(Code::Overloaded, error.to_string()),
            None => Self::internal(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self {
                code: Code::Unavailable,
                msg: "the service's storage does not answer; nothing was half-written, try again in a moment".into(),
                cause: Some(error.into()),
            },
            StoreError::Damaged(_) => Self::internal(error),
        }
    }
}

impl From<EnrollError> for ApiError {
    fn from(error: EnrollError) -> Self {
        match (error.refusal(), error) {
            (Some(refusal), _) => refusal.into(),
            (None, EnrollError::Scan(error)) => error.into(),
            (None, EnrollError::Store(error)) => error.into(),
            (None, error) => Self::internal(error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(Refusal { code, msg }: Refusal) -> Self {
        let code = match code {
            RefusalCode::NoFace => Code::NoFace,
            RefusalCode::MultipleFaces => Code::MultipleFaces,
            RefusalCode::InvalidImage => Code::InvalidImage,
            RefusalCode::ImageTooLarge => Code::ImageTooLarge,
            RefusalCode::UnsupportedImage => Code::UnsupportedImage,
            RefusalCode::InvalidStudentId => Code::InvalidStudentId,
        };
        Self::new(code, msg)
    }
}

impl From<RecognizeError> for ApiError {
    fn from(error: RecognizeError) -> Self {
        match error {
            RecognizeError::Scan(error) => error.into(),
            RecognizeError::Store(error) => error.into(),
        }
    }
}

impl From<RealtimeError> for ApiError {
    fn from(error: RealtimeError) -> Self {
        match error {
            RealtimeError::Recognize(error) => error.into(),
            RealtimeError::Store(error) => error.into(),
        }
    }
}

impl From<InvalidStudentId> for ApiError {
    fn from(error: InvalidStudentId) -> Self {
        Self::new(Code::InvalidStudentId, error.to_string())
    }
}

impl From<InvalidContext> for ApiError {
    fn from(error: InvalidContext) -> Self {
        Self::new(Code::InvalidParameter, error.to_string())
    }
}

/// Returns the responses with these codes for the OpenAPI document, by status.
#[must_use]
pub fn described(codes: &[Code]) -> BTreeMap<String, RefOr<Described>> {
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for code in codes {
        words.entry(code.status().to_string()).or_default().push(format!("`{code}`"));
    }
    let schema = Ref::from_schema_name(ErrorBody::name());
    let describe = |words: Vec<String>| {
        let content = Content::new(Some(schema.clone()));
        utoipa::openapi::ResponseBuilder::new()
            .description(words.join(", "))
            .content("application/json", content)
            .build()
            .into()
    };
    words.into_iter().map(|(status, words)| (status, describe(words))).collect()
}

/// The codes of every route that takes a picture.
pub(crate) const PICTURE_CODES: [Code; 12] = [
    Code::InvalidImage,
    Code::InvalidForm,
    Code::Unauthorized,
    Code::RequestTimeout,
    Code::ImageTooLarge,
    Code::UnsupportedImage,
    Code::UnsupportedMediaType,
    Code::MissingField,
    Code::DuplicateField,
    Code::Internal,
    Code::Unavailable,
    Code::Overloaded,
];

/// Names the errors that a route may answer, for the OpenAPI document.
macro_rules! errors {
    ($(#[$doc:meta])* $name:ident, $($codes:expr),+) => {
        $(#[$doc])*
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                let codes: Vec<crate::Code> = [$($codes.as_slice()),+].concat();
                crate::error::described(&codes)
            }
        }
    };
}
pub(crate) use errors;

/// The schemas that [`described`] refers to.
pub(crate) fn schemas() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    vec![(ErrorBody::name().into_owned(), ErrorBody::schema()), (Code::name().into_owned(), Code::schema())]
}
