use std::sync::Arc;

use attendance::{Context, Realtime, RealtimeOptions, Scope};
use attendance_wire::http::{FrameBody, FrameQuery, RealtimeResponse};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request, State};
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::parameters::{Parameters, min_conf, roster, switch, within};
use crate::upload::{FormBody, Held, Texts, read_form};
use crate::{ApiError, Code, Group, Routes, Uploads, Work};

/// `POST /recognize/realtime`.
pub fn realtime_routes(realtime: Arc<Realtime>, uploads: Uploads, work: Work) -> Routes {
    documented().with_state(Observing { realtime, uploads, work }).into()
}

pub(crate) fn documented() -> Group<Observing> {
    Group::opened_by(Scope::Recognize).routes(routes!(observe))
}

#[derive(Clone)]
pub(crate) struct Observing {
    realtime: Arc<Realtime>,
    uploads: Uploads,
    work: Work,
}

impl FromRef<Observing> for Uploads {
    fn from_ref(state: &Observing) -> Self {
        state.uploads.clone()
    }
}

fn frame_query(query: &Parameters) -> Result<FrameQuery, ApiError> {
    Ok(FrameQuery {
        min_conf: query.one("min_conf")?.map(min_conf).transpose()?,
        send_unknown: query.one("send_unknown")?.map(|text| switch("send_unknown", text)).transpose()?,
        roster: query.text("roster")?,
        device_id: query.text("device_id")?,
        location_id: query.text("location_id")?,
        class_id: query.text("class_id")?,
        session_id: query.text("session_id")?,
    })
}

impl FormBody for FrameBody {
    const TEXTS: &'static [&'static str] = &["device_id", "location_id", "class_id", "session_id", "roster"];

    fn of(image: Bytes, mut texts: Texts) -> Result<Self, ApiError> {
        Ok(Self {
            image,
            roster: texts.take("roster"),
            device_id: texts.take("device_id"),
            location_id: texts.take("location_id"),
            class_id: texts.take("class_id"),
            session_id: texts.take("session_id"),
        })
    }
}

/// A camera's frame and what to do with it.
struct Frame {
    image: Bytes,
    held: Held,
    options: RealtimeOptions,
}

impl<S: Send + Sync> FromRequest<S> for Frame
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = frame_query(&Parameters::of(request.uri())?)?;
        let (body, held): (FrameBody, _) = read_form(request, &Uploads::from_ref(state)).await?;
        // The query wins over the form: a camera's URL is set by whoever installed it.
        let context = Context {
            device_id: query.device_id.or(body.device_id),
            location_id: query.location_id.or(body.location_id),
            class_id: query.class_id.or(body.class_id),
            session_id: query.session_id.or(body.session_id),
        };
        let options = RealtimeOptions {
            dispatch_within: query.min_conf.and_then(within),
            send_unknown: query.send_unknown.unwrap_or(false),
            roster: roster(query.roster.or(body.roster).as_deref())?,
            context: context.checked()?,
        };
        Ok(Self { image: body.image, held, options })
    }
}

errors!(RealtimeErrors, PICTURE_CODES, [Code::InvalidParameter]);

/// Name the faces of a camera's frame, and tell the Attendance API and the subscribers.
#[utoipa::path(
    post,
    path = "/recognize/realtime",
    tag = "faces",
    params(FrameQuery),
    request_body(content = FrameBody, content_type = "multipart/form-data"),
    responses(RealtimeErrors, (status = 200, body = RealtimeResponse, description = "the faces, and who was told")),
)]
async fn observe(State(state): State<Observing>, frame: Frame) -> Result<Json<RealtimeResponse>, ApiError> {
    let Observing { realtime, work, .. } = state;
    let Frame { image, held, options } = frame;
    let webhook_enabled = realtime.webhook_enabled();
    let outcome = work
        .in_full(async move {
            let _held = held;
            realtime.observe(image, options).await
        })
        .await??;
    Ok(Json(RealtimeResponse::new(outcome, webhook_enabled)))
}
