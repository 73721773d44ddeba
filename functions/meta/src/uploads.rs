//! `POST /uploads`: the client itself puts a picture larger than an invocation takes into the bucket, from where it is
//! enrolled like any other in the inbox.

use std::sync::Arc;

use attendance::ports::InboxKey;
use attendance::{BulkEntry, MAX_PICTURE_BYTES, Scope, StudentId};
use attendance_aws::S3Inbox;
use attendance_http::{ApiError, Code, Group, described};
use attendance_wire::http::{UploadGrant, UploadRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};
use utoipa_axum::routes;

pub(crate) fn documented(inbox: Arc<S3Inbox>) -> Group {
    Group::opened_by(Scope::Enroll).routes(routes!(upload)).with_state(inbox)
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
    request_body(content = UploadRequest, content_type = "application/json"),
    responses(UploadErrors, (status = 200, body = UploadGrant, description = "the request to be sent")),
)]
async fn upload(
    State(inbox): State<Arc<S3Inbox>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<UploadGrant>, ApiError> {
    let example = r#"send {"student_id": "siswaA", "name": "front.jpg", "size": 5242880} as JSON"#;
    let asked: Option<UploadRequest> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let UploadRequest { student_id, name, size } =
        asked.ok_or_else(|| ApiError::new(Code::InvalidParameter, example))?;
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
    Ok(Json(UploadGrant { ok: true, url: upload.url, method: upload.method, headers, key: key.to_string() }))
}
