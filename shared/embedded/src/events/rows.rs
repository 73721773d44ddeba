//! The rows of `event` and `attempt`: what an entry looks like in SQLite.

use std::time::Duration;

use attendance::ports::StoreError;
use attendance::{Attempt, AttemptOutcome, EventId, OutboxEntry, Revision};
use rusqlite::{Connection, Row, params};

use crate::connections::{millis, moment, store_error};

/// The columns of [`EventRow`].
pub(super) const COLUMNS: &str =
    "id, student, status, accepted, round_started, round_attempts, next_try, leased_until, ended, body, revision";

/// Stores a new entry.
pub(super) fn insert(db: &Connection, entry: &OutboxEntry) -> Result<(), StoreError> {
    db.prepare_cached(&format!("INSERT INTO event ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"))
        .and_then(|mut s| {
            s.execute(params![
                entry.id.to_string(),
                entry.student,
                entry.status.to_string(),
                millis(entry.accepted),
                millis(entry.round_started),
                entry.round_attempts,
                millis(entry.next_try),
                millis(entry.leased_until),
                entry.ended.map(millis),
                entry.body,
                entry.revision.to_string(),
            ])
        })
        .map_err(store_error)?;
    add_attempts(db, &entry.id.to_string(), &entry.attempts)
}

/// Replaces the entry if its stored revision is still its own, and returns it as stored.
pub(super) fn swap(db: &Connection, mut entry: OutboxEntry) -> Result<Option<OutboxEntry>, StoreError> {
    let id = entry.id.to_string();
    let seen = std::mem::replace(&mut entry.revision, Revision::generate());
    let changed = db
        .prepare_cached(
            "UPDATE event SET status = ?3, round_started = ?4, round_attempts = ?5, next_try = ?6, leased_until = ?7,
                 ended = ?8, revision = ?9
             WHERE id = ?1 AND revision = ?2",
        )
        .and_then(|mut s| {
            s.execute(params![
                id,
                seen.to_string(),
                entry.status.to_string(),
                millis(entry.round_started),
                entry.round_attempts,
                millis(entry.next_try),
                millis(entry.leased_until),
                entry.ended.map(millis),
                entry.revision.to_string(),
            ])
        })
        .map_err(store_error)?;
    if changed == 0 {
        return Ok(None);
    }
    add_attempts(db, &id, &entry.attempts)?;
    Ok(Some(entry))
}

/// Stores those of an event's attempts that are not stored yet. Attempts are only ever added.
fn add_attempts(db: &Connection, event: &str, attempts: &[Attempt]) -> Result<(), StoreError> {
    let stored: usize = db
        .prepare_cached("SELECT coalesce(max(n), 0) FROM attempt WHERE event = ?1")
        .and_then(|mut s| s.query_row([event], |row| row.get(0)))
        .map_err(store_error)?;
    for (n, attempt) in attempts.iter().enumerate().skip(stored) {
        let (outcome, retry_after) = match attempt.outcome {
            AttemptOutcome::Delivered => ("delivered", None),
            AttemptOutcome::Failed { retry_after } => ("failed", retry_after),
            AttemptOutcome::Gone => ("gone", None),
        };
        let retry_after = retry_after.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        db.prepare_cached(
            "INSERT INTO attempt (event, n, at, outcome, retry_after, http_status, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut s| {
            let (at, status, message) = (millis(attempt.at), attempt.http_status, &attempt.message);
            s.execute(params![event, n + 1, at, outcome, retry_after, status, message])
        })
        .map_err(store_error)?;
    }
    Ok(())
}

/// A row of `event`, in the order of [`COLUMNS`].
pub(super) struct EventRow {
    id: String,
    student: String,
    status: String,
    accepted: i64,
    round_started: i64,
    round_attempts: u32,
    next_try: i64,
    leased_until: i64,
    ended: Option<i64>,
    body: String,
    revision: String,
}

impl EventRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            student: row.get(1)?,
            status: row.get(2)?,
            accepted: row.get(3)?,
            round_started: row.get(4)?,
            round_attempts: row.get(5)?,
            next_try: row.get(6)?,
            leased_until: row.get(7)?,
            ended: row.get(8)?,
            body: row.get(9)?,
            revision: row.get(10)?,
        })
    }

    pub(super) fn event_id(&self) -> Result<EventId, StoreError> {
        EventId::parse(&self.id).ok_or_else(|| StoreError::damaged(format!("{} is not an event id", self.id)))
    }

    /// The entry, with its attempts.
    pub(super) fn entry(self, db: &Connection) -> Result<OutboxEntry, StoreError> {
        let damaged = |what: &str, text: &str| StoreError::damaged(format!("{text} is not {what} of an event"));
        Ok(OutboxEntry {
            id: self.event_id()?,
            status: self.status.parse().map_err(|_| damaged("the status", &self.status))?,
            accepted: moment(self.accepted)?,
            round_started: moment(self.round_started)?,
            round_attempts: self.round_attempts,
            next_try: moment(self.next_try)?,
            leased_until: moment(self.leased_until)?,
            ended: self.ended.map(moment).transpose()?,
            attempts: attempts(db, &self.id)?,
            revision: Revision::parse(&self.revision).ok_or_else(|| damaged("the revision", &self.revision))?,
            student: self.student,
            body: self.body,
        })
    }
}

/// An event's attempts, oldest first.
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
            other => return Err(StoreError::damaged(format!("{other} is not the outcome of an attempt"))),
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
