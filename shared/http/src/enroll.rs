use std::sync::Arc;

use attendance::ports::EnrollmentOrigin;
use attendance::{Enroller, StudentId};
use axum::extract::{FromRef, FromRequest, Request, State};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::upload::{Form, Photo};
use crate::{ApiError, Code, Uploads, Work};

/// `POST /enroll`.
pub fn enroll_routes(enroller: Arc<Enroller>, uploads: Uploads, work: Work) -> Router {
    documented().with_state(Enrolling { enroller, uploads, work }).into()
}

pub(crate) fn documented() -> OpenApiRouter<Enrolling> {
    OpenApiRouter::new().routes(routes!(enroll))
}

#[derive(Clone)]
pub(crate) struct Enrolling {
    enroller: Arc<Enroller>,
    uploads: Uploads,
    work: Work,
}

impl FromRef<Enrolling> for Uploads {
    fn from_ref(state: &Enrolling) -> Self {
        state.uploads.clone()
    }
}

/// A photograph of a student.
struct EnrollForm {
    student: StudentId,
    photo: Photo,
}

impl<S: Send + Sync> FromRequest<S> for EnrollForm
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let form = Form::read(request, &Uploads::from_ref(state), &["student_id"]).await?;
        Ok(Self { student: StudentId::parse(form.required("student_id")?)?, photo: form.photo })
    }
}

/// A photograph of a student.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct EnrollBody {
    /// 1 to 64 ASCII letters, digits, `.`, `_`, `-`, not starting with a dot; not `unknown`.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    student_id: String,
    /// JPEG, PNG or WebP that shows the student alone.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    image: Vec<u8>,
}

/// What was enrolled.
#[derive(Serialize, ToSchema)]
struct EnrollResponse {
    /// Whether anything is stored for this picture.
    ok: bool,
    /// Embeddings stored for this picture, now or when it was first sent.
    saved: usize,
    /// One sentence for a person.
    msg: String,
}

errors!(EnrollErrors, PICTURE_CODES, [Code::InvalidStudentId, Code::MultipleFaces]);

/// Enrol a student by a photograph.
///
/// The same bytes for the same student are stored once: a repeat answers as the first did. A picture without a face
/// answers 200 with `ok: false` and the code `no_face`.
#[utoipa::path(
    post,
    path = "/enroll",
    tag = "faces",
    request_body(content = EnrollBody, content_type = "multipart/form-data"),
    responses(EnrollErrors, (status = 200, body = inline(EnrollAnswer), description = "stored, or `no_face`")),
)]
async fn enroll(State(state): State<Enrolling>, form: EnrollForm) -> Result<Json<EnrollResponse>, ApiError> {
    let Enrolling { enroller, work, .. } = state;
    let EnrollForm { student, photo: Photo { bytes, held } } = form;
    let receipt = work
        .in_full(async move {
            let _held = held;
            enroller.enroll(&student, bytes, EnrollmentOrigin::Direct).await
        })
        .await??;
    let faces = if receipt.saved == 1 { "face is" } else { "faces are" };
    let msg = format!("{} {faces} stored for {} from this picture", receipt.saved, receipt.student);
    Ok(Json(EnrollResponse { ok: receipt.saved > 0, saved: receipt.saved, msg }))
}

/// Stored, or no face found.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the response in the OpenAPI document")]
enum EnrollAnswer {
    Stored(EnrollResponse),
    NoFace(crate::error::ErrorBody),
}
