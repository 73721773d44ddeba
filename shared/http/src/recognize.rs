use std::sync::Arc;

use attendance::{FaceBox, Recognizer, Roster, Sighting, rounded};
use axum::extract::{FromRef, FromRequest, Request, State};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::parameters::{Parameters, roster};
use crate::upload::{Form, Photo};
use crate::{ApiError, Code, Uploads};

/// `POST /recognize`.
pub fn recognize_routes(recognizer: Arc<Recognizer>, uploads: Uploads) -> Router {
    documented().with_state(Recognizing { recognizer, uploads }).into()
}

pub(crate) fn documented() -> OpenApiRouter<Recognizing> {
    OpenApiRouter::new().routes(routes!(recognize))
}

#[derive(Clone)]
pub(crate) struct Recognizing {
    recognizer: Arc<Recognizer>,
    uploads: Uploads,
}

impl FromRef<Recognizing> for Uploads {
    fn from_ref(state: &Recognizing) -> Self {
        state.uploads.clone()
    }
}

/// A picture, and whom to look for in it.
struct Picture {
    photo: Photo,
    roster: Option<Roster>,
}

impl<S: Send + Sync> FromRequest<S> for Picture
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Parameters::of(request.uri())?;
        let form = Form::read(request, &Uploads::from_ref(state), &["roster"]).await?;
        let roster = roster(query.one("roster")?.or_else(|| form.text("roster")))?;
        Ok(Self { photo: form.photo, roster })
    }
}

/// Whom to look for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query in the OpenAPI document")]
struct PictureParameters {
    /// Whom to look for, ids separated by commas: everybody else is unknown, and distances are those to them. Also a form field;
    /// the query wins.
    #[param(nullable = false)]
    roster: Option<String>,
}

/// A picture.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct PictureBody {
    /// JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    image: Vec<u8>,
}

/// One face and who it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaceResult {
    /// `[top, right, bottom, left]` in pixels of the upright picture, origin at the top left.
    #[serde(rename = "box")]
    #[schema(value_type = [i32; 4], example = json!([120, 260, 220, 160]))]
    face_box: FaceBox,
    /// The student id, or `Unknown`.
    label: String,
    /// The Euclidean distance to the nearest embedding of anyone, rounded to 4 decimals; null where nobody is enrolled.
    #[schema(required)]
    distance: Option<f64>,
}

impl From<&Sighting> for FaceResult {
    fn from(sighting: &Sighting) -> Self {
        Self {
            face_box: sighting.face_box,
            label: sighting.label.to_string(),
            distance: sighting.distance.map(rounded),
        }
    }
}

/// Everybody in a picture.
#[derive(Serialize, ToSchema)]
struct RecognizeResponse {
    /// Always true.
    ok: bool,
    /// The faces, most confident detection first.
    results: Vec<FaceResult>,
}

errors!(RecognizeErrors, PICTURE_CODES, [Code::InvalidParameter]);

/// Name the faces of a picture.
#[utoipa::path(
    post,
    path = "/recognize",
    tag = "faces",
    params(PictureParameters),
    request_body(content = PictureBody, content_type = "multipart/form-data"),
    responses(RecognizeErrors, (status = 200, body = RecognizeResponse, description = "the faces; none is no error")),
)]
async fn recognize(State(state): State<Recognizing>, picture: Picture) -> Result<Json<RecognizeResponse>, ApiError> {
    let Picture { photo: Photo { bytes, held: _held }, roster } = picture;
    let recognition = state.recognizer.recognize(bytes, roster.as_ref()).await?;
    Ok(Json(RecognizeResponse { ok: true, results: recognition.sightings.iter().map(FaceResult::from).collect() }))
}
