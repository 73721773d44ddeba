use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, Claim, ENDED_KEPT, EventStore, StoreError};
use attendance::{Attempt, AttemptOutcome, Event, EventId, EventPage, EventRecord, EventStatus, NextStep, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::{Commit, Connections, blocking, millis, moment, store_error};

/// How long a cooldown that ended is kept: much longer than two processes' settings may differ.
const COOLDOWN_KEPT: Duration = Duration::from_secs(86400);

/// How far ahead of the clock an event may begin: clocks are corrected by a little all the time.
const AHEAD: Duration = Duration::from_secs(60);

const COLUMNS: &str = "id, student, status, accepted, round_started, round_attempts, due, body";

// Left to itself SQLite takes the index of the status, and would read every pending event at every look.
const DUE: &str = "SELECT due FROM event INDEXED BY event_due WHERE status = 'pending' AND due <= ?1 LIMIT 1";

const DUE_IDS: &str = "SELECT id FROM event INDEXED BY event_due WHERE status = 'pending' AND due <= ?1
                       ORDER BY due, id LIMIT ?2";

const AHEAD_OF_US: &str =
    "SELECT round_started FROM event INDEXED BY event_round WHERE status = 'pending' AND round_started > ?1 LIMIT 1";

// A lease that was taken by the other clock may still be somebody's; it ends as one that is taken now.
const BEGIN_ANEW: &str = "UPDATE event INDEXED BY event_round
                          SET round_started = ?2, round_attempts = 0, next_try = ?2, leased_until = min(leased_until, ?3)
                          WHERE status = 'pending' AND round_started > ?1";

const FORGOTTEN_IDS: &str = "SELECT id FROM event INDEXED BY event_ended WHERE ended < ?1 LIMIT ?2";

/// How many events are forgotten at a time: each costs a write of its own, and others wait meanwhile.
const FORGOTTEN_AT_ONCE: usize = 100;

/// The query for a page of events, from ?1 on, at most ?2, of the status ?3 or of all.
fn page_query(of_status: bool) -> String {
    let status = if of_status { "status = ?3" } else { "?3 IS NULL" };
    format!("SELECT {COLUMNS} FROM event WHERE {status} AND id <= ?1 ORDER BY id DESC LIMIT ?2")
}

/// The outbox and the cooldowns, in SQLite.
pub struct SqliteEvents {
    connections: Arc<Connections>,
}

impl SqliteEvents {
    pub(crate) fn new(connections: Arc<Connections>) -> Self {
        Self { connections }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connections) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connections = self.connections.clone();
        blocking(move || work(&connections)).await
    }
}

#[async_trait]
impl EventStore for SqliteEvents {
    async fn accept(&self, event: &Event, cooldown: Duration, lease: Duration) -> Result<Acceptance, StoreError> {
        let (id, student, body, key, at) =
            (event.id, event.label.to_string(), event.body(), event.cooldown_key(), event.at);
        self.run(move |connections| {
            connections.write(Commit::Durable, |db| {
                if let Some(left) = cooling(db, &key, at, cooldown)? {
                    return Ok(Acceptance::Cooling { left });
                }
                let until = millis(at.after(cooldown));
                db.prepare_cached("INSERT OR REPLACE INTO cooldown (key, at, until) VALUES (?1, ?2, ?3)")
                    .and_then(|mut s| s.execute(params![key, millis(at), until]))
                    .map_err(store_error)?;
                let forgotten = millis(at).saturating_sub(COOLDOWN_KEPT.as_millis() as i64);
                db.prepare_cached("DELETE FROM cooldown WHERE until < ?1")
                    .and_then(|mut s| s.execute([forgotten]))
                    .map_err(store_error)?;
                db.prepare_cached(
                    "INSERT INTO event
                     (id, student, status, accepted, round_started, round_attempts, next_try, leased_until, body)
                     VALUES (?1, ?2, 'pending', ?3, ?3, 0, ?3, ?4, ?5)",
                )
                .and_then(|mut s| {
                    s.execute(params![id.to_string(), student, millis(at), millis(at.after(lease)), body])
                })
                .map_err(store_error)?;
                Ok(Acceptance::Accepted)
            })
        })
        .await
    }

    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError> {
        let attempt = attempt.clone();
        self.run(move |connections| connections.write(Commit::Durable, |db| record(db, id, &attempt, next))).await
    }

    async fn claim_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.run(move |connections| {
            let ahead = millis(now.after(AHEAD));
            let ended_before = millis(now.before(ENDED_KEPT));
            // Most often nothing is due: that is found out without taking the write lock.
            let (due, begun_ahead, forgotten) = connections.read(|db| {
                let is_any =
                    |query, than: i64| db.prepare_cached(query).and_then(|mut s| s.exists([than])).map_err(store_error);
                let forgotten = ids(db, FORGOTTEN_IDS, ended_before, FORGOTTEN_AT_ONCE)?;
                Ok((is_any(DUE, millis(now))?, is_any(AHEAD_OF_US, ahead)?, forgotten))
            })?;
            if !forgotten.is_empty() {
                connections.write(Commit::Quick, |db| forget(db, &forgotten, ended_before))?;
            }
            if !due && !begun_ahead {
                return Ok(Vec::new());
            }
            connections.write(Commit::Durable, |db| {
                if begun_ahead {
                    // The clock was set back, by a year perhaps: they must not wait until it has caught up.
                    db.execute(BEGIN_ANEW, params![ahead, millis(now), millis(now.after(lease))])
                        .map_err(store_error)?;
                }
                let mut claimed = Vec::new();
                for id in &ids(db, DUE_IDS, millis(now), limit)? {
                    match lend(db, id, now.after(lease)) {
                        Ok(record) => claimed.push(record),
                        // One that nobody can read must not keep the others from being sent.
                        Err(StoreError::Damaged(cause)) => tracing::error!(id, %cause, "a stored event is damaged"),
                        Err(error) => return Err(error),
                    }
                }
                Ok(claimed)
            })
        })
        .await
    }

    async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError> {
        self.run(move |connections| {
            connections.write(Commit::Durable, |db| {
                let id = id.to_string();
                let times = db
                    .prepare_cached("SELECT next_try, due FROM event WHERE id = ?1 AND status = 'pending'")
                    .and_then(|mut s| s.query_row([&id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
                    .map_err(store_error)?;
                let Some((next_try, due)) = times else { return Ok(Claim::Ended) };
                let (next_try, until) = (moment(next_try)?, moment(due)?);
                if until > now {
                    return Ok(Claim::Waiting { next_try, until });
                }
                Ok(Claim::Claimed(Box::new(lend(db, &id, now.after(lease))?)))
            })
        })
        .await
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        let limit = limit.max(1);
        self.run(move |connections| {
            connections.read(|db| {
                // Ids are hex: a tilde comes after all of them.
                let from = cursor.map_or_else(|| "~".to_owned(), |id| id.to_string());
                let mut statement = db.prepare_cached(&page_query(status.is_some())).map_err(store_error)?;
                let rows = statement
                    .query_map(
                        params![from, rows(limit).saturating_add(1), status.map(EventStatus::word)],
                        RawEvent::read,
                    )
                    .map_err(store_error)?;
                let mut events = Vec::new();
                let mut next = None;
                for (n, row) in rows.enumerate() {
                    let raw = row.map_err(store_error)?;
                    if n == limit {
                        next = Some(raw.event_id()?);
                    } else {
                        events.push(raw.with_attempts(db)?);
                    }
                }
                Ok(EventPage { events, next })
            })
        })
        .await
    }

    async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        self.run(move |connections| {
            connections.write(Commit::Durable, |db| {
                // A lease stays: whoever has it is trying at this moment.
                let changed = db
                    .prepare_cached(
                        "UPDATE event SET status = 'pending', ended = NULL, round_started = ?2, round_attempts = 0, next_try = ?2,
                             leased_until = iif(status = 'pending', leased_until, 0)
                         WHERE id = ?1",
                    )
                    .and_then(|mut s| s.execute(params![id.to_string(), millis(now)]))
                    .map_err(store_error)?;
                Ok(changed == 1)
            })
        })
        .await
    }
}

/// The rest of the key's quiet time at `at`, where it is still quiet.
fn cooling(db: &Connection, key: &str, at: Timestamp, cooldown: Duration) -> Result<Option<Duration>, StoreError> {
    let last: Option<i64> = db
        .prepare_cached("SELECT at FROM cooldown WHERE key = ?1")
        .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
        .map_err(store_error)?;
    let Some(last) = last.map(moment).transpose()? else { return Ok(None) };
    // Requests overtake each other, so the last may be a little later than this one. If it is later by more than the
    // cooldown, the clock was set back, and nobody is to stay quiet until it has caught up.
    let apart = at.since(last).max(last.since(at));
    Ok((apart < cooldown).then(|| cooldown.saturating_sub(at.since(last))))
}

/// The ids that a query of `than` and a limit finds.
fn ids(db: &Connection, query: &str, than: i64, limit: usize) -> Result<Vec<String>, StoreError> {
    db.prepare_cached(query)
        .and_then(|mut s| s.query_map(params![than, rows(limit)], |row| row.get(0)).and_then(Iterator::collect))
        .map_err(store_error)
}

/// The event, leased from now on.
fn lend(db: &Connection, id: &str, until: Timestamp) -> Result<EventRecord, StoreError> {
    db.prepare_cached(&format!("UPDATE event SET leased_until = ?2 WHERE id = ?1 RETURNING {COLUMNS}"))
        .and_then(|mut s| s.query_row(params![id, millis(until)], RawEvent::read))
        .map_err(store_error)?
        .with_attempts(db)
}

/// Removes those of these events, with their tries, that ended before this moment and were not replayed meanwhile.
fn forget(db: &Connection, events: &[String], ended_before: i64) -> Result<(), StoreError> {
    let mut delete = db.prepare_cached("DELETE FROM event WHERE id = ?1 AND ended < ?2").map_err(store_error)?;
    for id in events {
        delete.execute(params![id, ended_before]).map_err(store_error)?;
    }
    Ok(())
}

fn record(db: &Connection, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError> {
    let id = id.to_string();
    let (status, next_try) = match next {
        NextStep::Sent => (EventStatus::Sent, None),
        NextStep::Dead => (EventStatus::Dead, None),
        NextStep::RetryAt(at) => (EventStatus::Pending, Some(millis(at))),
    };
    // An event that ended stays ended, but one that was given up and arrived after all is sent. A try from before a replay
    // moves nothing unless it arrived: the replay's own round is still to come.
    let changed = db
        .prepare_cached(
            "UPDATE event SET
                 round_attempts = round_attempts + (?4 >= round_started),
                 leased_until = 0,
                 next_try = iif(status = 'pending' AND ?4 >= round_started, coalesce(?3, next_try), next_try),
                 status = iif((status = 'pending' AND ?4 >= round_started) OR ?2 = 'sent', ?2, status),
                 ended = iif(((status = 'pending' AND ?4 >= round_started) OR ?2 = 'sent') AND ?2 <> 'pending', ?4, ended)
             WHERE id = ?1",
        )
        .and_then(|mut s| s.execute(params![id, status.word(), next_try, millis(attempt.at)]))
        .map_err(store_error)?;
    if changed == 0 {
        return Err(StoreError::damaged(format!("there is no event {id}")));
    }
    let (outcome, retry_after) = match attempt.outcome {
        AttemptOutcome::Delivered => ("delivered", None),
        AttemptOutcome::Failed { retry_after } => ("failed", retry_after),
        AttemptOutcome::Gone => ("gone", None),
    };
    let retry_after = retry_after.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    db.prepare_cached(
        "INSERT INTO attempt (event, n, at, outcome, retry_after, http_status, message)
         VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE event = ?1), ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut s| {
        s.execute(params![id, millis(attempt.at), outcome, retry_after, attempt.http_status, attempt.message])
    })
    .map_err(store_error)?;
    Ok(())
}

/// A row of `event`, in the order of [`COLUMNS`].
struct RawEvent {
    id: String,
    student: String,
    status: String,
    accepted: i64,
    round_started: i64,
    round_attempts: u32,
    due: i64,
    body: String,
}

impl RawEvent {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            student: row.get(1)?,
            status: row.get(2)?,
            accepted: row.get(3)?,
            round_started: row.get(4)?,
            round_attempts: row.get(5)?,
            due: row.get(6)?,
            body: row.get(7)?,
        })
    }

    fn event_id(&self) -> Result<EventId, StoreError> {
        EventId::parse(&self.id).ok_or_else(|| StoreError::damaged(format!("{} is no event id", self.id)))
    }

    fn with_attempts(self, db: &Connection) -> Result<EventRecord, StoreError> {
        let id = self.event_id()?;
        let unknown = || StoreError::damaged(format!("{} is no status of an event", self.status));
        let status = EventStatus::of_word(&self.status).ok_or_else(unknown)?;
        Ok(EventRecord {
            id,
            attempts: attempts(db, &self.id)?,
            student: self.student,
            status,
            accepted: moment(self.accepted)?,
            round_started: moment(self.round_started)?,
            next_try: (status == EventStatus::Pending).then(|| moment(self.due)).transpose()?,
            body: self.body,
            round_attempts: self.round_attempts,
        })
    }
}

fn attempts(db: &Connection, event: &str) -> Result<Vec<Attempt>, StoreError> {
    let mut statement = db
        .prepare_cached(
            "SELECT at, outcome, retry_after, http_status, message FROM attempt WHERE event = ?1 ORDER BY n",
        )
        .map_err(store_error)?;
    let mut rows = statement.query([event]).map_err(store_error)?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        let outcome: String = row.get(1).map_err(store_error)?;
        let retry_after: Option<i64> = row.get(2).map_err(store_error)?;
        let outcome = match outcome.as_str() {
            "delivered" => AttemptOutcome::Delivered,
            "gone" => AttemptOutcome::Gone,
            "failed" => AttemptOutcome::Failed {
                retry_after: retry_after
                    .map(|wait| u64::try_from(wait).map(Duration::from_millis).map_err(StoreError::damaged))
                    .transpose()?,
            },
            other => return Err(StoreError::damaged(format!("{other} is no outcome of a try"))),
        };
        attempts.push(Attempt {
            at: moment(row.get(0).map_err(store_error)?)?,
            outcome,
            http_status: row.get(3).map_err(store_error)?,
            message: row.get(4).map_err(store_error)?,
        });
    }
    Ok(attempts)
}

/// A number of rows as SQLite takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_of_the_outbox_sorts_or_scans() {
        let data = tempfile::TempDir::new().expect("a folder");
        crate::Database::open(data.path()).expect("the data folder opens");
        let db = Connection::open(data.path().join("attendance.db")).expect("opened");
        for (query, index) in [
            (DUE.to_owned(), "event_due (due<?)"),
            (DUE_IDS.to_owned(), "event_due (due<?)"),
            (FORGOTTEN_IDS.to_owned(), "event_ended (ended<?)"),
            (AHEAD_OF_US.to_owned(), "event_round (round_started>?)"),
            (BEGIN_ANEW.to_owned(), "event_round (round_started>?)"),
            (page_query(true), "event_status (status=? AND id<?)"),
            (page_query(false), "PRIMARY KEY (id<?)"),
        ] {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("prepared");
            let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
                .and_then(Iterator::collect)
                .expect("a plan");
            assert_eq!(plan.len(), 1, "one step: {plan:?}");
            assert!(plan[0].starts_with("SEARCH") && plan[0].contains(index), "{query}: {plan:?}");
        }
    }
}
