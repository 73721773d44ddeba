use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::export::csv;
use crate::{Attendance, Filter, Gate, Notice, Receipt, ReceiverError, Row};

/// The largest body in bytes; an event has less than 2 KiB.
pub(crate) const BODY_LIMIT: usize = 64 << 10;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Rows of a list if the caller does not say how many, and at most.
const ROWS: usize = 100;
const MOST_ROWS: usize = 1000;

/// What the routes need.
pub struct Settings {
    /// Which requests are let in.
    pub gate: Gate,
    /// Where attendance is kept.
    pub attendance: Attendance,
    /// How far apart two sightings of a student are to count as two.
    pub window: Duration,
    /// The time zone of dates.
    pub zone: TimeZone,
}

#[derive(Clone)]
struct Receiver {
    gate: Arc<Gate>,
    attendance: Arc<Attendance>,
    window: Duration,
    zone: TimeZone,
}

/// The routes: `POST /attendance` and `POST /` take events, `GET /attendance` and `GET /attendance.csv` list them.
pub fn router(settings: Settings) -> Router {
    let Settings { gate, attendance, window, zone } = settings;
    Router::new()
        .route("/", post(take))
        .route("/attendance", post(take).get(list))
        .route("/attendance.csv", get(export))
        .fallback(async || ReceiverError::NotFound)
        .method_not_allowed_fallback(async || ReceiverError::MethodNotAllowed)
        .with_state(Receiver { gate: Arc::new(gate), attendance: Arc::new(attendance), window, zone })
}

/// What a taken event is answered with.
#[derive(Serialize)]
struct Taken {
    ok: bool,
    #[serde(flatten)]
    receipt: Receipt,
}

async fn take(State(receiver): State<Receiver>, request: Request) -> Result<Json<Taken>, ReceiverError> {
    let (parts, body) = request.into_parts();
    // A body that comes without the key is not read.
    receiver.gate.check_bearer(&parts.headers)?;
    let body = read(body).await?;
    let id = receiver.gate.check_delivery(&parts.headers, &body, now())?;
    let notice = Notice::parse(&body, id)?;
    let Receiver { attendance, window, .. } = receiver;
    // Who was seen where belongs into the database, not into the log.
    let event_id = notice.event_id;
    let receipt = blocking(move || attendance.take(&notice, window)).await?;
    tracing::info!(%event_id, repeated = receipt.repeated, "taken");
    Ok(Json(Taken { ok: true, receipt }))
}

async fn read(body: Body) -> Result<Bytes, ReceiverError> {
    match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok(body),
        // A connection that broke reads no answer.
        Ok(Err(_)) => Err(ReceiverError::BodyTooLarge),
        Err(_) => Err(ReceiverError::BodyTooSlow),
    }
}

/// Which attendance is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    student_id: Option<String>,
    date: Option<String>,
    limit: Option<String>,
}

impl Asked {
    fn filter(&self, zone: &TimeZone) -> Result<Filter, ReceiverError> {
        let between = self.date.as_deref().map(|text| day(text, zone)).transpose()?;
        Ok(Filter { student_id: self.student_id.clone(), between })
    }

    fn limit(&self) -> Result<usize, ReceiverError> {
        let limit = self.limit.as_deref().map_or(Some(ROWS), |text| text.parse().ok());
        let allowed = "a whole number from 1 to 1000";
        limit
            .filter(|limit| (1..=MOST_ROWS).contains(limit))
            .ok_or(ReceiverError::InvalidParameter { name: "limit", allowed })
    }
}

/// The Unix seconds at which a day begins and ends, in this zone.
fn day(text: &str, zone: &TimeZone) -> Result<(i64, i64), ReceiverError> {
    let bounds = |date: Date| {
        let start = date.to_zoned(zone.clone()).ok()?;
        let end = date.tomorrow().ok()?.to_zoned(zone.clone()).ok()?;
        Some((start.timestamp().as_second(), end.timestamp().as_second()))
    };
    let date = Date::strptime("%Y-%m-%d", text).ok();
    date.and_then(bounds).ok_or(ReceiverError::InvalidParameter { name: "date", allowed: "a day as in 2026-07-31" })
}

/// What is listed.
#[derive(Serialize)]
struct Listed {
    ok: bool,
    attendance: Vec<Row>,
}

type AskedFor = Result<Query<Asked>, QueryRejection>;

fn asked(query: AskedFor) -> Result<Asked, ReceiverError> {
    let allowed = "student_id, date and limit, each once";
    query.map(|Query(asked)| asked).map_err(|_| ReceiverError::InvalidParameter { name: "the query", allowed })
}

async fn list(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    query: AskedFor,
) -> Result<Json<Listed>, ReceiverError> {
    receiver.gate.check_bearer(&headers)?;
    let asked = asked(query)?;
    let (filter, limit) = (asked.filter(&receiver.zone)?, asked.limit()?);
    let attendance = blocking(move || receiver.attendance.list(&filter, limit)).await?;
    Ok(Json(Listed { ok: true, attendance }))
}

async fn export(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    query: AskedFor,
) -> Result<Response, ReceiverError> {
    receiver.gate.check_bearer(&headers)?;
    let asked = asked(query)?;
    if asked.limit.is_some() {
        return Err(ReceiverError::InvalidParameter { name: "limit", allowed: "absent: an export has every row" });
    }
    let filter = asked.filter(&receiver.zone)?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"attendance.csv\""),
    ];
    Ok((headers, csv(receiver.attendance, filter, receiver.zone)).into_response())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Runs blocking work off the async threads, to its end even if the client goes away.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReceiverError> + Send + 'static,
) -> Result<T, ReceiverError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_where_the_school_is() {
        let zone = |name| TimeZone::get(name).expect("a zone");
        assert_eq!(day("2024-09-29", &TimeZone::UTC).expect("a day"), (1_727_568_000, 1_727_654_400));
        assert_eq!(day("2024-09-29", &zone("Asia/Jakarta")).expect("a day").0, 1_727_568_000 - 7 * 3600);
        let (start, end) = day("2024-10-27", &zone("Europe/Berlin")).expect("a day");
        assert_eq!(end - start, 25 * 3600, "the night in which the clock is set back");
        for wrong in ["", "2024-9", "29.09.2024", "2024-02-30", "2024-09-29T00:00", "today"] {
            assert!(day(wrong, &TimeZone::UTC).is_err(), "{wrong}");
        }
    }
}
