use attendance::{Attempt, AttemptOutcome, EventId, EventStatus, OutboxEntry, Timestamp};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::errors;
use crate::parameters::Parameters;
use crate::{ApiError, Code, Meta};

/// Events a page, where the caller does not say, and at most.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 100;
/// Bytes of JSON a page, beyond which it ends early: an invocation of AWS answers 6 MB at most.
const PAGE_BYTES: usize = 4 << 20;

pub(crate) fn documented() -> OpenApiRouter<Meta> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(replay))
}

/// Which events to list.
struct Listing {
    status: Option<EventStatus>,
    limit: usize,
    cursor: Option<EventId>,
}

impl<S: Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Parameters::of(&parts.uri)?;
        let invalid = || ApiError::invalid("status", "`pending`, `sent` or `dead`");
        let status = query.one("status")?.map(|word| word.parse().map_err(|_| invalid())).transpose()?;
        let limit = query.one("limit")?.map_or(Some(PAGE), |text| text.parse().ok());
        let limit = limit
            .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
            .ok_or_else(|| ApiError::invalid("limit", format!("a whole number from 1 to {LARGEST_PAGE}")))?;
        let cursor = query.one("cursor")?;
        let cursor = cursor
            .map(|text| EventId::parse(text).ok_or_else(|| ApiError::invalid("cursor", "the `next` of a page before")))
            .transpose()?;
        Ok(Self { status, limit, cursor })
    }
}

/// Which events to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query in the OpenAPI document")]
struct ListingParameters {
    /// Only those that stand here.
    #[param(inline, nullable = false)]
    status: Option<EventWord>,
    /// Events a page, 50 where absent. A page whose events are large has fewer.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// Where an event stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the domain's status in the OpenAPI document")]
enum EventWord {
    Pending,
    Sent,
    Dead,
}

/// One try to deliver an event.
#[derive(Serialize, ToSchema)]
struct AttemptItem {
    /// When it began, in Unix seconds.
    ts: u64,
    /// Whether the receiver took the event.
    ok: bool,
    /// The receiver's status, where it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    http_status: Option<u16>,
    /// The first 2 KB of the receiver's answer, or why there was none.
    message: String,
}

impl From<Attempt> for AttemptItem {
    fn from(Attempt { at, outcome, http_status, message }: Attempt) -> Self {
        Self { ts: at.seconds(), ok: outcome == AttemptOutcome::Delivered, http_status, message }
    }
}

/// A stored event with everything that was tried.
#[derive(Serialize, ToSchema)]
struct EventItem {
    event_id: String,
    /// The student id, or `Unknown`.
    student_id: String,
    #[schema(value_type = EventWord)]
    status: EventStatus,
    /// When it was accepted, in Unix seconds.
    ts: u64,
    /// When it is tried next, in Unix seconds, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_try: Option<u64>,
    /// The webhook's body.
    #[schema(value_type = Object)]
    payload: Value,
    /// The tries so far, oldest first.
    attempts: Vec<AttemptItem>,
}

impl From<OutboxEntry> for EventItem {
    fn from(entry: OutboxEntry) -> Self {
        Self {
            event_id: entry.id.to_string(),
            next_try: entry.due().map(Timestamp::seconds),
            student_id: entry.student,
            status: entry.status,
            ts: entry.accepted.seconds(),
            payload: serde_json::from_str(&entry.body).unwrap_or(Value::String(entry.body)),
            attempts: entry.attempts.into_iter().map(AttemptItem::from).collect(),
        }
    }
}

/// A page of stored events.
#[derive(Serialize, ToSchema)]
struct EventsResponse {
    /// Always true.
    ok: bool,
    /// Newest first.
    events: Vec<EventItem>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

errors!(
    ListErrors,
    [Code::Unauthorized, Code::InvalidParameter, Code::DuplicateField, Code::Internal, Code::Unavailable]
);

/// List stored events, newest first.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(ListingParameters),
    responses(ListErrors, (status = 200, body = EventsResponse, description = "a page of events")),
)]
async fn list(State(meta): State<Meta>, listing: Listing) -> Result<Json<EventsResponse>, ApiError> {
    let Listing { status, limit, cursor } = listing;
    let page = meta.outbox.list(status, limit, cursor).await?;
    let mut next = page.next.map(|id| id.to_string());
    let (mut events, mut bytes) = (Vec::new(), 0);
    for event in page.events.into_iter().map(EventItem::from) {
        bytes += serde_json::to_vec(&event).map_or(0, |json| json.len());
        if bytes > PAGE_BYTES && !events.is_empty() {
            next = Some(event.event_id);
            break;
        }
        events.push(event);
    }
    Ok(Json(EventsResponse { ok: true, events, next }))
}

/// An event is pending again.
#[derive(Serialize, ToSchema)]
struct ReplayResponse {
    /// Always true.
    ok: bool,
    event_id: String,
    /// `pending`: it is tried in a moment.
    #[schema(value_type = EventWord)]
    status: EventStatus,
}

errors!(ReplayErrors, [Code::Unauthorized, Code::NotFound, Code::InvalidParameter, Code::Internal, Code::Unavailable]);

/// Send an event again, with the same id, in a new round of tries.
#[utoipa::path(
    post,
    path = "/events/{event_id}/replay",
    tag = "events",
    params(("event_id" = String, Path, description = "the event")),
    responses(ReplayErrors, (status = 200, body = ReplayResponse, description = "pending again")),
)]
async fn replay(
    State(meta): State<Meta>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ReplayResponse>, ApiError> {
    let id = id.ok().and_then(|Path(text)| EventId::parse(&text));
    let id = id.ok_or_else(|| ApiError::invalid("event_id", "a UUID, as GET /events lists it"))?;
    if !meta.outbox.replay(id).await? {
        return Err(ApiError::new(Code::NotFound, "there is no such event; GET /events lists those that exist"));
    }
    Ok(Json(ReplayResponse { ok: true, event_id: id.to_string(), status: EventStatus::Pending }))
}
