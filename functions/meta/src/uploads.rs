//! `POST /uploads`: the client itself puts a picture larger than an invocation takes into the bucket, from where it is
//! enrolled like any other in the inbox.

use std::sync::Arc;

use attendance::ports::InboxKey;
use attendance::{BulkEntry, MAX_PICTURE_BYTES, StudentId};
use attendance_aws::S3Inbox;
use attendance_http::{ApiError, Code, described};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What is to be uploaded.
#[derive(Deserialize, ToSchema)]
struct Wanted {
    /// Whose picture it is.
    student_id: String,
    /// The object's name in the student's folder, which ends in `.jpg`, `.jpeg`, `.png` or `.webp`.
    name: String,
    /// In bytes: the signature holds for exactly so many.
    size: u64,
}

/// The request that uploads it.
#[derive(Serialize, ToSchema)]
struct Granted {
    /// Always true.
    ok: bool,
    /// Where the picture is to be sent, within 15 minutes.
    url: String,
    /// The HTTP method.
    method: String,
    /// To be sent exactly so.
    headers: BTreeMap<String, String>,
    /// Where it will lie.
    key: String,
}

pub(crate) fn documented(inbox: Arc<S3Inbox>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(upload)).with_state(inbox)
}

/// What is answered where nothing is granted.
struct UploadErrors;

impl IntoResponses for UploadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        described(&[
            Code::Unauthorized,
            Code::InvalidParameter,
            Code::InvalidStudentId,
            Code::ImageTooLarge,
            Code::Internal,
            Code::Unavailable,
        ])
    }
}

/// Ask for a request that puts one picture, larger than an invocation takes, into the bucket, from where it is enrolled.
#[utoipa::path(
    post,
    path = "/uploads",
    tag = "students",
    request_body(content = Wanted, content_type = "application/json"),
    responses(UploadErrors, (status = 200, body = Granted, description = "the request to be sent")),
)]
async fn upload(
    State(inbox): State<Arc<S3Inbox>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Granted>, ApiError> {
    let example = r#"send {"student_id": "siswaA", "name": "front.jpg", "size": 5242880} as JSON"#;
    let wanted: Option<Wanted> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let Wanted { student_id, name, size } = wanted.ok_or_else(|| ApiError::new(Code::InvalidParameter, example))?;
    let student = StudentId::parse(&student_id)?;
    let limit = MAX_PICTURE_BYTES as u64;
    if !(1..=limit).contains(&size) {
        let msg = format!("size must be from 1 to {limit}, the bytes of the picture");
        return Err(ApiError::new(if size > limit { Code::ImageTooLarge } else { Code::InvalidParameter }, msg));
    }
    let key = InboxKey::of(&student, &name);
    let content_type = match (BulkEntry::of(key.path()), name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase())) {
        (BulkEntry::Picture(_), Some(extension)) if extension == "png" => "image/png",
        (BulkEntry::Picture(_), Some(extension)) if extension == "webp" => "image/webp",
        (BulkEntry::Picture(_), _) => "image/jpeg",
        _ => {
            let msg = "name must be a plain file name that ends in .jpg, .jpeg, .png or .webp";
            return Err(ApiError::new(Code::InvalidParameter, msg));
        }
    };
    let upload = inbox.presign(&key, content_type, size).await?;
    let headers = upload.headers.into_iter().collect();
    Ok(Json(Granted { ok: true, url: upload.url, method: upload.method, headers, key: key.to_string() }))
}
