use std::sync::Arc;

use attendance::{Context, Dispatch, Realtime, RealtimeOptions, Report, ReportStatus};
use axum::extract::{FromRef, FromRequest, Request, State};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{PICTURE_CODES, errors};
use crate::parameters::{Parameters, min_conf, roster, switch};
use crate::recognize::FaceResult;
use crate::upload::{Form, Photo};
use crate::{ApiError, Code, Uploads, Work};

/// `POST /recognize/realtime`.
pub fn realtime_routes(realtime: Arc<Realtime>, uploads: Uploads, work: Work) -> Router {
    documented().with_state(Observing { realtime, uploads, work }).into()
}

pub(crate) fn documented() -> OpenApiRouter<Observing> {
    OpenApiRouter::new().routes(routes!(observe))
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

/// A camera's frame and what to do with it.
struct Frame {
    photo: Photo,
    options: RealtimeOptions,
}

impl<S: Send + Sync> FromRequest<S> for Frame
where
    Uploads: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = Parameters::of(request.uri())?;
        let dispatch_within = min_conf(query.one("min_conf")?)?;
        let send_unknown = switch("send_unknown", query.one("send_unknown")?)?;
        let names = ["device_id", "location_id", "class_id", "session_id", "roster"];
        let form = Form::read(request, &Uploads::from_ref(state), &names).await?;
        // The query wins over the form: a camera's URL is set by whoever installed it.
        let field = |name| Ok::<_, ApiError>(query.one(name)?.or_else(|| form.text(name)).map(str::to_owned));
        let context = Context {
            device_id: field("device_id")?,
            location_id: field("location_id")?,
            class_id: field("class_id")?,
            session_id: field("session_id")?,
        };
        let roster = roster(field("roster")?.as_deref())?;
        let options = RealtimeOptions { dispatch_within, send_unknown, roster, context: context.checked()? };
        Ok(Self { photo: form.photo, options })
    }
}

/// How a frame is dispatched.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query in the OpenAPI document")]
struct FrameParameters {
    /// The largest distance that this call dispatches; absent or 0: the service's tolerance. It only tightens:
    /// `results` keep their labels, and a known face that is farther is listed and not dispatched.
    #[param(minimum = 0, nullable = false)]
    min_conf: Option<f64>,
    /// Whether unknown faces are dispatched, as the student `Unknown`.
    #[param(nullable = false)]
    send_unknown: Option<bool>,
    /// Whom to look for, ids separated by commas: everybody else is unknown. Also a form field; the query wins.
    #[param(nullable = false)]
    roster: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    device_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    location_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    class_id: Option<String>,
    /// Passed through into event and push. Also a form field; the query wins.
    #[param(max_length = 128, nullable = false)]
    session_id: Option<String>,
}

/// A camera's frame.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct FrameBody {
    /// JPEG, PNG or WebP.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    image: Vec<u8>,
    /// Whom to look for, ids separated by commas: everybody else is unknown.
    #[schema(nullable = false)]
    roster: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    device_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    location_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    class_id: Option<String>,
    /// Passed through into event and push.
    #[schema(max_length = 128, nullable = false)]
    session_id: Option<String>,
}

/// What became of one face.
#[derive(Serialize, ToSchema)]
struct DispatchResult {
    /// The student id, or `Unknown`.
    label: String,
    #[schema(value_type = ReportBody)]
    report: Report,
}

impl From<Dispatch> for DispatchResult {
    fn from(Dispatch { label, report }: Dispatch) -> Self {
        Self { label: label.to_string(), report }
    }
}

/// What became of the event: `sent`, `failed` (stored, and tried again) or `skipped`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the domain's report in the OpenAPI document")]
struct ReportBody {
    #[schema(value_type = ReportWord)]
    status: ReportStatus,
    /// The Attendance API's status, where it answered.
    #[schema(nullable = false)]
    http_status: Option<u16>,
    /// The first 2 KB of its answer, or why the event was not sent.
    #[schema(nullable = false)]
    message: Option<String>,
}

/// What became of an event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the domain's status in the OpenAPI document")]
enum ReportWord {
    Sent,
    Failed,
    Skipped,
}

/// Everybody in a frame, and who was told.
#[derive(Serialize, ToSchema)]
struct RealtimeResponse {
    /// Always true.
    ok: bool,
    /// The faces, most confident detection first.
    results: Vec<FaceResult>,
    /// The faces worth telling, in the order of `results`, with what became of each.
    dispatch: Vec<DispatchResult>,
    /// Whether events are sent to an Attendance API.
    webhook_enabled: bool,
}

errors!(RealtimeErrors, PICTURE_CODES, [Code::InvalidParameter]);

/// Name the faces of a camera's frame, and tell the Attendance API and the watchers.
#[utoipa::path(
    post,
    path = "/recognize/realtime",
    tag = "faces",
    params(FrameParameters),
    request_body(content = FrameBody, content_type = "multipart/form-data"),
    responses(RealtimeErrors, (status = 200, body = RealtimeResponse, description = "the faces, and who was told")),
)]
async fn observe(State(state): State<Observing>, frame: Frame) -> Result<Json<RealtimeResponse>, ApiError> {
    let Observing { realtime, work, .. } = state;
    let Frame { photo: Photo { bytes, held }, options } = frame;
    let webhook_enabled = realtime.webhook_enabled();
    let outcome = work
        .in_full(async move {
            let _held = held;
            realtime.observe(bytes, options).await
        })
        .await??;
    let results = outcome.recognition.sightings.iter().map(FaceResult::from).collect();
    let dispatch = outcome.dispatch.into_iter().map(DispatchResult::from).collect();
    Ok(Json(RealtimeResponse { ok: true, results, dispatch, webhook_enabled }))
}
