mod rows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, EventStore, StoreError};
use attendance::{Cooldown, ENDED_KEPT, EventId, EventPage, EventStatus, OutboxEntry, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::connections::{Commit, Connections, blocking, millis, moment, store_error};
use rows::{COLUMNS, EventRow, insert, swap};

/// How many ended events are deleted at a time: each costs a write of its own, and other writers wait meanwhile.
const DELETED_AT_ONCE: usize = 100;

/// How long a damaged event is set aside. It would otherwise be found, and logged, twice a second.
const SET_ASIDE: Duration = Duration::from_secs(60);

/// Events due at ?1, at most ?2.
fn due_query() -> String {
    // Without the hint SQLite takes the index of the status, and would read every pending event at every poll.
    format!(
        "SELECT {COLUMNS} FROM event INDEXED BY event_due WHERE status = 'pending' AND due <= ?1 ORDER BY due, id LIMIT ?2"
    )
}

/// Pending events whose round started after ?1, at most ?2.
fn ahead_query() -> String {
    format!(
        "SELECT {COLUMNS} FROM event INDEXED BY event_round WHERE status = 'pending' AND round_started > ?1 LIMIT ?2"
    )
}

/// Ids of events that ended before ?1, at most ?2.
const FORGOTTEN_IDS: &str = "SELECT id FROM event INDEXED BY event_ended WHERE ended < ?1 LIMIT ?2";

/// A page of events starting at id ?1, at most ?2, of the status ?3 or of all.
fn page_query(of_status: bool) -> String {
    let status = if of_status { "status = ?3" } else { "?3 IS NULL" };
    format!("SELECT {COLUMNS} FROM event WHERE {status} AND id <= ?1 ORDER BY id DESC LIMIT ?2")
}

/// The entries of the outbox and the cooldowns, in SQLite.
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
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        let cooldown = cooldown.clone();
        self.run(move |connections| {
            connections.write(Commit::Durable, |db| {
                if let Some(left) = last_accepted(db, &cooldown.key)?.and_then(|last| cooldown.left(last)) {
                    return Ok(Acceptance::Cooling { left });
                }
                take(db, &cooldown)?;
                insert(db, &entry)?;
                Ok(Acceptance::Accepted(Box::new(entry)))
            })
        })
        .await
    }

    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        self.run(move |connections| {
            connections.write(Commit::Durable, |db| {
                let mut stored = Vec::with_capacity(entries.len());
                for entry in entries {
                    stored.extend(swap(db, entry)?);
                }
                Ok(stored)
            })
        })
        .await
    }

    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError> {
        self.run(move |connections| {
            connections.read(|db| {
                db.prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE id = ?1"))
                    .and_then(|mut s| s.query_row([id.to_string()], EventRow::read).optional())
                    .map_err(store_error)?
                    .map(|row| row.entry(db))
                    .transpose()
            })
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.run(move |connections| {
            let mut damaged = Vec::new();
            let (entries, forgotten) = connections.read(|db| {
                let mut entries = found(db, &due_query(), now, limit, &mut damaged)?;
                let latest = OutboxEntry::latest_round_start(now);
                entries.extend(found(db, &ahead_query(), latest, limit - entries.len(), &mut damaged)?);
                Ok((entries, forgotten(db, now)?))
            })?;
            // Most often there is neither, and no write lock is taken.
            if !damaged.is_empty() || !forgotten.is_empty() {
                connections.write(Commit::Quick, |db| {
                    set_aside(db, &damaged, now)?;
                    delete(db, &forgotten, now.before(ENDED_KEPT))
                })?;
            }
            Ok(entries)
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
                let status = status.map(|status| status.to_string());
                let mut statement = db.prepare_cached(&page_query(status.is_some())).map_err(store_error)?;
                let rows = statement
                    .query_map(params![from, count(limit).saturating_add(1), status], EventRow::read)
                    .map_err(store_error)?;
                let mut page = EventPage::default();
                for (n, row) in rows.enumerate() {
                    let row = row.map_err(store_error)?;
                    if n == limit {
                        page.next = Some(row.event_id()?);
                    } else {
                        page.events.push(row.entry(db)?);
                    }
                }
                Ok(page)
            })
        })
        .await
    }
}

/// When the last event of this cooldown key was accepted.
fn last_accepted(db: &Connection, key: &str) -> Result<Option<Timestamp>, StoreError> {
    let last: Option<i64> = db
        .prepare_cached("SELECT at FROM cooldown WHERE key = ?1")
        .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
        .map_err(store_error)?;
    last.map(moment).transpose()
}

/// Takes the cooldown, and deletes those that have long been over.
fn take(db: &Connection, cooldown: &Cooldown) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO cooldown (key, at, until) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![cooldown.key, millis(cooldown.at), millis(cooldown.until())]))
        .map_err(store_error)?;
    db.prepare_cached("DELETE FROM cooldown WHERE until < ?1")
        .and_then(|mut s| s.execute([millis(cooldown.at.before(Cooldown::KEPT))]))
        .map_err(store_error)?;
    Ok(())
}

/// The entries that a query of a moment and a limit finds. The ids of damaged ones are added to `damaged`: they keep no
/// other from being sent.
fn found(
    db: &Connection,
    query: &str,
    than: Timestamp,
    limit: usize,
    damaged: &mut Vec<String>,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let mut statement = db.prepare_cached(query).map_err(store_error)?;
    let mut rows = statement.query(params![millis(than), count(limit)]).map_err(store_error)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        match EventRow::read(row).map_err(store_error).and_then(|row| row.entry(db)) {
            Ok(entry) => entries.push(entry),
            Err(StoreError::Damaged(cause)) => {
                let id: String = row.get(0).map_err(store_error)?;
                tracing::error!(id, %cause, "a stored event is damaged");
                damaged.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// Lets damaged events wait.
fn set_aside(db: &Connection, events: &[String], now: Timestamp) -> Result<(), StoreError> {
    let mut update = db
        .prepare_cached("UPDATE event SET leased_until = ?2, round_started = min(round_started, ?3) WHERE id = ?1")
        .map_err(store_error)?;
    for id in events {
        update.execute(params![id, millis(now.after(SET_ASIDE)), millis(now)]).map_err(store_error)?;
    }
    Ok(())
}

/// Ids of events that ended so long ago that they are deleted, a bounded number at a time.
fn forgotten(db: &Connection, now: Timestamp) -> Result<Vec<String>, StoreError> {
    db.prepare_cached(FORGOTTEN_IDS)
        .and_then(|mut s| {
            let parameters = params![millis(now.before(ENDED_KEPT)), count(DELETED_AT_ONCE)];
            s.query_map(parameters, |row| row.get(0)).and_then(Iterator::collect)
        })
        .map_err(store_error)
}

/// Deletes those of these events, with their attempts, that ended before this moment and have not been replayed meanwhile.
fn delete(db: &Connection, events: &[String], ended_before: Timestamp) -> Result<(), StoreError> {
    let mut delete = db.prepare_cached("DELETE FROM event WHERE id = ?1 AND ended < ?2").map_err(store_error)?;
    for id in events {
        delete.execute(params![id, millis(ended_before)]).map_err(store_error)?;
    }
    Ok(())
}

/// A number of rows as SQLite takes it.
fn count(limit: usize) -> i64 {
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
            (due_query(), "event_due (due<?)"),
            (FORGOTTEN_IDS.to_owned(), "event_ended (ended<?)"),
            (ahead_query(), "event_round (round_started>?)"),
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
