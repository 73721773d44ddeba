use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params, params};
use serde::Serialize;

use crate::{Notice, ReceiverError};

/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS attendance (
        event_id TEXT PRIMARY KEY,
        student_id TEXT NOT NULL,
        -- When the student was seen, in Unix seconds.
        timestamp INTEGER NOT NULL,
        source TEXT NOT NULL,
        device_id TEXT,
        class_id TEXT,
        distance REAL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS attendance_student ON attendance (student_id, timestamp);
    CREATE INDEX IF NOT EXISTS attendance_timestamp ON attendance (timestamp, event_id);";

/// What reported the attendance. A school adds other sources: a card reader, a teacher.
const SOURCE: &str = "face_recognition";

/// The attendance of a school, in an SQLite file.
pub struct Attendance {
    path: PathBuf,
    writer: Mutex<Connection>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// `ATT-<timestamp>-<student_id>` of the row that stands for the event.
    pub token: String,
    /// Whose row.
    pub student_id: String,
    /// Whether the row was there before: the event came again, or the student was seen a moment earlier or later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// One attendance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Row {
    pub student_id: String,
    /// When the student was seen, in Unix seconds.
    pub timestamp: i64,
    pub source: String,
    pub device_id: Option<String>,
    pub class_id: Option<String>,
    pub distance: Option<f64>,
    pub event_id: String,
}

/// Which attendance to list. The default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one student.
    pub student_id: Option<String>,
    /// From the first of these Unix seconds on, up to but without the second.
    pub between: Option<(i64, i64)>,
}

impl Attendance {
    /// Returns the attendance in this file, which is made if there is none. Blocks; several processes may open one file.
    ///
    /// # Errors
    /// [`ReceiverError::Store`].
    pub fn open(path: &Path) -> Result<Self, ReceiverError> {
        let writer = connect(path)?;
        writer.execute_batch(SCHEMA)?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer) })
    }

    /// Stores what the notice says, durably, and returns the receipt.
    ///
    /// Notices with the same event id are stored once, and so are a student's sightings less than `window` apart. Sightings
    /// are compared by when they were, so that the result does not depend on when and in which order they arrive. Blocks.
    ///
    /// # Errors
    /// [`ReceiverError::Store`]; then nothing was stored.
    pub fn take(&self, notice: &Notice, window: Duration) -> Result<Receipt, ReceiverError> {
        // A panic under the lock rolled its transaction back.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let ts = i64::try_from(notice.ts).unwrap_or(i64::MAX);
        if let Some(receipt) = standing(&transaction, notice, ts, window)? {
            return Ok(receipt);
        }
        transaction
            .prepare_cached(
                "INSERT INTO attendance (event_id, student_id, timestamp, source, device_id, class_id, distance)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                notice.event_id.to_string(),
                notice.student_id,
                ts,
                SOURCE,
                notice.device_id,
                notice.class_id,
                notice.distance
            ])?;
        transaction.commit()?;
        Ok(receipt(ts, notice.student_id.clone(), false))
    }

    /// Returns the newest rows that pass the filter, at most `limit`. Blocks.
    ///
    /// # Errors
    /// [`ReceiverError::Store`].
    pub fn list(&self, filter: &Filter, limit: usize) -> Result<Vec<Row>, ReceiverError> {
        let mut rows = Vec::new();
        self.each(filter, limit, true, |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    /// Calls `with` on every row that passes the filter, oldest first, until it returns false. Blocks; what is
    /// stored meanwhile may be missing.
    ///
    /// # Errors
    /// [`ReceiverError::Store`].
    pub fn visit(&self, filter: &Filter, with: impl FnMut(Row) -> bool) -> Result<(), ReceiverError> {
        self.each(filter, usize::MAX, false, with)
    }

    fn each(
        &self,
        filter: &Filter,
        limit: usize,
        newest_first: bool,
        mut with: impl FnMut(Row) -> bool,
    ) -> Result<(), ReceiverError> {
        // A connection of its own, so that a long export holds up no event.
        let reader = connect(&self.path)?;
        let student = if filter.student_id.is_some() { "student_id = :student" } else { ":student IS NULL" };
        let order = if newest_first { "DESC" } else { "ASC" };
        let (from, to) = filter.between.unwrap_or((i64::MIN, i64::MAX));
        let mut statement = reader.prepare(&format!(
            "SELECT student_id, timestamp, source, device_id, class_id, distance, event_id FROM attendance
             WHERE {student} AND timestamp >= :from AND timestamp < :to
             ORDER BY timestamp {order}, event_id {order} LIMIT :limit"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement
            .query(named_params! { ":student": filter.student_id, ":from": from, ":to": to, ":limit": limit })?;
        while let Some(row) = rows.next()? {
            let row = Row {
                student_id: row.get(0)?,
                timestamp: row.get(1)?,
                source: row.get(2)?,
                device_id: row.get(3)?,
                class_id: row.get(4)?,
                distance: row.get(5)?,
                event_id: row.get(6)?,
            };
            if !with(row) {
                break;
            }
        }
        Ok(())
    }
}

/// The receipt of the row that stands for the notice already, if there is one.
fn standing(db: &Connection, notice: &Notice, ts: i64, window: Duration) -> Result<Option<Receipt>, ReceiverError> {
    let same: Option<(i64, String)> = db
        .prepare_cached("SELECT timestamp, student_id FROM attendance WHERE event_id = ?1")?
        .query_row([notice.event_id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((timestamp, student_id)) = same {
        return Ok(Some(receipt(timestamp, student_id, true)));
    }
    if !notice.is_known() {
        return Ok(None);
    }
    let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    let near: Option<i64> = db
        .prepare_cached(
            "SELECT timestamp FROM attendance WHERE student_id = ?1 AND timestamp > ?2 AND timestamp < ?3 LIMIT 1",
        )?
        .query_row(params![notice.student_id, ts.saturating_sub(window), ts.saturating_add(window)], |row| row.get(0))
        .optional()?;
    Ok(near.map(|timestamp| receipt(timestamp, notice.student_id.clone(), true)))
}

fn receipt(timestamp: i64, student_id: String, repeated: bool) -> Receipt {
    Receipt { token: format!("ATT-{timestamp}-{student_id}"), student_id, repeated }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What was answered survives a loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use attendance::EventId;
    use tempfile::TempDir;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);

    fn fresh() -> (TempDir, Attendance) {
        let folder = TempDir::new().expect("a folder");
        let attendance = Attendance::open(&folder.path().join("a.db")).expect("opened");
        (folder, attendance)
    }

    fn notice(student: &str, ts: u64) -> Notice {
        Notice {
            event_id: EventId::generate(),
            student_id: student.into(),
            ts,
            distance: Some(0.38),
            device_id: Some("door".into()),
            class_id: None,
        }
    }

    fn all(attendance: &Attendance) -> Vec<Row> {
        attendance.list(&Filter::default(), 1000).expect("listed")
    }

    #[test]
    fn an_event_is_stored_and_outlives_the_process() {
        let (folder, attendance) = fresh();
        let notice = notice("a", 1000);
        let receipt = attendance.take(&notice, WINDOW).expect("taken");
        assert_eq!(receipt, Receipt { token: "ATT-1000-a".into(), student_id: "a".into(), repeated: false });
        drop(attendance);
        let again = Attendance::open(&folder.path().join("a.db")).expect("opened");
        let row = Row {
            student_id: "a".into(),
            timestamp: 1000,
            source: "face_recognition".into(),
            device_id: Some("door".into()),
            class_id: None,
            distance: Some(0.38),
            event_id: notice.event_id.to_string(),
        };
        assert_eq!(all(&again), [row]);
    }

    #[test]
    fn an_event_that_comes_again_is_stored_once_and_answered_alike() {
        let (_folder, attendance) = fresh();
        let notice = notice("a", 1000);
        let first = attendance.take(&notice, Duration::ZERO).expect("taken");
        let second = attendance.take(&notice, Duration::ZERO).expect("taken");
        assert_eq!(second, Receipt { repeated: true, ..first });
        assert_eq!(all(&attendance).len(), 1);
    }

    #[test]
    fn a_student_counts_once_within_the_window_in_any_order() {
        for times in [[1000, 1299, 1300], [1300, 1001, 1000]] {
            let (_folder, attendance) = fresh();
            let repeated: Vec<bool> =
                times.iter().map(|ts| attendance.take(&notice("a", *ts), WINDOW).expect("taken").repeated).collect();
            assert_eq!(repeated, [false, true, false], "{times:?}");
            assert!(!attendance.take(&notice("b", 1000), WINDOW).expect("taken").repeated, "others are others");
        }
    }

    #[test]
    fn without_a_window_every_event_counts_and_so_does_every_stranger() {
        let (_folder, attendance) = fresh();
        for _ in 0..2 {
            assert!(!attendance.take(&notice("a", 1000), Duration::ZERO).expect("taken").repeated);
            assert!(!attendance.take(&notice("Unknown", 1000), WINDOW).expect("taken").repeated);
        }
    }

    #[test]
    fn one_of_many_at_once_is_stored() {
        let (folder, attendance) = fresh();
        let other = Attendance::open(&folder.path().join("a.db")).expect("a second process");
        let handles = [Arc::new(attendance), Arc::new(other)];
        let same = notice("a", 1000);
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let (attendance, mut notice) = (handles[n % 2].clone(), same.clone());
                if n >= 8 {
                    notice.event_id = EventId::generate();
                }
                std::thread::spawn(move || attendance.take(&notice, WINDOW).expect("taken").repeated)
            })
            .collect();
        let new = threads.into_iter().map(|t| t.join().expect("no panic")).filter(|r| !r).count();
        assert_eq!((new, all(&handles[0]).len()), (1, 1));
    }

    #[test]
    fn lists_are_filtered_newest_first_and_exports_oldest_first() {
        let (_folder, attendance) = fresh();
        for (student, ts) in [("a", 1000), ("b", 2000), ("a", 3000), ("a", 4000)] {
            attendance.take(&notice(student, ts), WINDOW).expect("taken");
        }
        let times = |student: Option<&str>, between, limit| -> Vec<i64> {
            let filter = Filter { student_id: student.map(str::to_owned), between };
            attendance.list(&filter, limit).expect("listed").iter().map(|row| row.timestamp).collect()
        };
        assert_eq!(times(None, None, 10), [4000, 3000, 2000, 1000]);
        assert_eq!(times(None, None, 2), [4000, 3000]);
        assert_eq!(times(Some("a"), None, 10), [4000, 3000, 1000]);
        assert_eq!(times(Some("a"), Some((1000, 4000)), 10), [3000, 1000]);
        assert_eq!(times(Some("c"), None, 10), [0; 0]);
        let mut visited = Vec::new();
        let take = |row: Row| {
            visited.push(row.timestamp);
            visited.len() < 3
        };
        attendance.visit(&Filter::default(), take).expect("visited");
        assert_eq!(visited, [1000, 2000, 3000]);
    }
}
