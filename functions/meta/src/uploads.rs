//! `POST /uploads`: a picture larger than an invocation takes is put into the bucket by the client himself, and takes
//! the bulk path from there.

use attendance::{BulkEntry, StudentId};
use attendance_aws::Inbox;
use attendance_http::{ApiError, Code};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest picture that is enrolled, in bytes.
const LIMIT: u64 = 20 << 20;

/// What is to be uploaded.
#[derive(Deserialize)]
struct Wanted {
    student_id: String,
    /// The object's name in the student's folder.
    name: String,
    /// In bytes: the signature holds for exactly so many.
    size: u64,
}

/// The request that uploads it.
#[derive(Serialize)]
struct Granted {
    ok: bool,
    url: String,
    method: String,
    /// To be sent exactly so.
    headers: BTreeMap<String, String>,
    /// Where it will lie.
    key: String,
}

pub(crate) fn routes(inbox: Inbox) -> Router {
    Router::new().route("/uploads", post(upload)).with_state(inbox)
}

async fn upload(State(inbox): State<Inbox>, body: Result<Bytes, BytesRejection>) -> Result<Json<Granted>, ApiError> {
    let example = r#"send {"student_id": "siswaA", "name": "front.jpg", "size": 5242880} as JSON"#;
    let wanted: Option<Wanted> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let Wanted { student_id, name, size } = wanted.ok_or_else(|| ApiError::new(Code::InvalidParameter, example))?;
    let student = StudentId::parse(&student_id)?;
    if !(1..=LIMIT).contains(&size) {
        let msg = format!("size must be from 1 to {LIMIT}, the bytes of the picture");
        return Err(ApiError::new(if size > LIMIT { Code::ImageTooLarge } else { Code::InvalidParameter }, msg));
    }
    let path = format!("{student}/{name}");
    let content_type = match (BulkEntry::of(&path), name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase())) {
        (BulkEntry::Picture(_), Some(extension)) if extension == "png" => "image/png",
        (BulkEntry::Picture(_), Some(extension)) if extension == "webp" => "image/webp",
        (BulkEntry::Picture(_), _) => "image/jpeg",
        _ => {
            let msg = "name must be a plain file name that ends in .jpg, .jpeg, .png or .webp";
            return Err(ApiError::new(Code::InvalidParameter, msg));
        }
    };
    let upload = inbox.presign(&student, &name, content_type, size).await?;
    let key = format!("{}{path}", Inbox::FOLDER);
    let headers = upload.headers.into_iter().collect();
    Ok(Json(Granted { ok: true, url: upload.url, method: upload.method, headers, key }))
}
