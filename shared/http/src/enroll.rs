use std::sync::Arc;

use attendance::ports::EnrollmentOrigin;
use attendance::{Enroller, Scope, StudentId};
use attendance_wire::http::{EnrollAnswer, EnrollBody, EnrollResponse};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request, State};
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::upload::{FormBody, Held, Texts, read_form};
use crate::{ApiError, Code, Group, Routes, Uploads, Work};

/// `POST /enroll`.
pub fn enroll_routes(enroller: Arc<Enroller>, uploads: Uploads, work: Work) -> Routes {
    documented().with_state(Enrolling { enroller, uploads, work }).into()
}

pub(crate) fn documented() -> Group<Enrolling> {
    Group::opened_by(Scope::Enroll).routes(routes!(enroll))
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

impl FormBody for EnrollBody {
    const TEXTS: &'static [&'static str] = &["student_id"];

    fn of(image: Bytes, mut texts: Texts) -> Result<Self, ApiError> {
        Ok(Self { student_id: texts.required("student_id")?, image })
    }
}

/// A photograph of a student.
struct Photograph {
    student: StudentId,
    image: Bytes,
    held: Held,
}

impl<S: Send + Sync> FromRequest<S> for Photograph
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (body, held): (EnrollBody, _) = read_form(request, &Uploads::from_ref(state)).await?;
        Ok(Self { student: StudentId::parse(&body.student_id)?, image: body.image, held })
    }
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
async fn enroll(State(state): State<Enrolling>, photograph: Photograph) -> Result<Json<EnrollResponse>, ApiError> {
    let Enrolling { enroller, work, .. } = state;
    let Photograph { student, image, held } = photograph;
    let receipt = work
        .in_full(async move {
            let _held = held;
            enroller.enroll(&student, image, EnrollmentOrigin::Direct).await
        })
        .await??;
    Ok(Json(receipt.into()))
}
