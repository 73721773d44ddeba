use std::sync::Arc;

use attendance::{EventId, EventStatus, Outbox, Scope};
use attendance_wire::EventWord;
use attendance_wire::http::{EventItem, EventsQuery, EventsResponse, ReplayResponse};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use utoipa_axum::routes;

use crate::error::errors;
use crate::parameters::Parameters;
use crate::{ApiError, Code, Group};

/// Events a page, unless the caller says how many, and at most.
const PAGE: usize = 50;
const LARGEST_PAGE: usize = 100;
/// Bytes of JSON a page, beyond which it ends early: an invocation of AWS answers 6 MB at most.
const PAGE_BYTES: usize = 4 << 20;

pub(crate) fn documented() -> Group<Arc<Outbox>> {
    Group::opened_by(Scope::Events).routes(routes!(list)).routes(routes!(replay))
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
        let query = events_query(&Parameters::of(&parts.uri)?)?;
        let invalid = || ApiError::invalid("cursor", "the `next` of a page before");
        let cursor = query.cursor.map(|text| EventId::parse(&text).ok_or_else(invalid)).transpose()?;
        Ok(Self { status: query.status.map(EventStatus::from), limit: query.limit.unwrap_or(PAGE), cursor })
    }
}

fn events_query(query: &Parameters) -> Result<EventsQuery, ApiError> {
    let word =
        |text: &str| text.parse::<EventWord>().map_err(|_| ApiError::invalid("status", "`pending`, `sent` or `dead`"));
    let number = |text: &str| {
        let limit = text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
        limit.ok_or_else(|| ApiError::invalid("limit", format!("a whole number from 1 to {LARGEST_PAGE}")))
    };
    Ok(EventsQuery {
        status: query.one("status")?.map(word).transpose()?,
        limit: query.one("limit")?.map(number).transpose()?,
        cursor: query.text("cursor")?,
    })
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
    params(EventsQuery),
    responses(ListErrors, (status = 200, body = EventsResponse, description = "a page of events")),
)]
async fn list(State(outbox): State<Arc<Outbox>>, listing: Listing) -> Result<Json<EventsResponse>, ApiError> {
    let Listing { status, limit, cursor } = listing;
    let page = outbox.list(status, limit, cursor).await?;
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
    State(outbox): State<Arc<Outbox>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ReplayResponse>, ApiError> {
    let id = id.ok().and_then(|Path(text)| EventId::parse(&text));
    let id = id.ok_or_else(|| ApiError::invalid("event_id", "a UUID, as GET /events lists it"))?;
    if !outbox.replay(id).await? {
        return Err(ApiError::new(Code::NotFound, "there is no such event; GET /events lists those that exist"));
    }
    Ok(Json(ReplayResponse { ok: true, event_id: id.to_string(), status: EventWord::Pending }))
}
