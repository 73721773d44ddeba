use std::sync::Arc;

use attendance::{Recognizer, Roster, Scope};
use attendance_wire::http::{PictureBody, PictureQuery, RecognizeResponse};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request, State};
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::parameters::{Parameters, roster};
use crate::upload::{FormBody, Held, Texts, read_form};
use crate::{ApiError, Code, Group, Routes, Uploads};

/// `POST /recognize`.
pub fn recognize_routes(recognizer: Arc<Recognizer>, uploads: Uploads) -> Routes {
    documented().with_state(Recognizing { recognizer, uploads }).into()
}

pub(crate) fn documented() -> Group<Recognizing> {
    Group::opened_by(Scope::Recognize).routes(routes!(recognize))
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

impl FormBody for PictureBody {
    const TEXTS: &'static [&'static str] = &["roster"];

    fn of(image: Bytes, mut texts: Texts) -> Result<Self, ApiError> {
        Ok(Self { image, roster: texts.take("roster") })
    }
}

/// A picture, and whom to look for in it.
struct Picture {
    image: Bytes,
    held: Held,
    roster: Option<Roster>,
}

impl<S: Send + Sync> FromRequest<S> for Picture
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = PictureQuery { roster: Parameters::of(request.uri())?.text("roster")? };
        let (body, held): (PictureBody, _) = read_form(request, &Uploads::from_ref(state)).await?;
        let roster = roster(query.roster.or(body.roster).as_deref())?;
        Ok(Self { image: body.image, held, roster })
    }
}

errors!(RecognizeErrors, PICTURE_CODES, [Code::InvalidParameter]);

/// Name the faces of a picture.
#[utoipa::path(
    post,
    path = "/recognize",
    tag = "faces",
    params(PictureQuery),
    request_body(content = PictureBody, content_type = "multipart/form-data"),
    responses(RecognizeErrors, (status = 200, body = RecognizeResponse, description = "the faces; none is no error")),
)]
async fn recognize(State(state): State<Recognizing>, picture: Picture) -> Result<Json<RecognizeResponse>, ApiError> {
    let Picture { image, held: _held, roster } = picture;
    Ok(Json(state.recognizer.recognize(image, roster.as_ref()).await?.into()))
}
