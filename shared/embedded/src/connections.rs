//! SQLite: connections, transactions, the schema, and what its errors mean.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use attendance::Timestamp;
use attendance::ports::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

/// How long a write waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle reading connections that are kept.
const IDLE_READERS: usize = 4;

/// The n-th brings a database from `user_version` n to n + 1.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql"), include_str!("migrations/0003.sql")];

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be made or read.
    #[error("{path} cannot be used as the data folder")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A later version of this program wrote the database.
    #[error(
        "{path} was written by a newer version of this program (schema {found}; this version knows {known}): \
         start the newer version, or another data folder"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest schema that is known here.
        known: usize,
    },
    /// The database does not answer or is damaged.
    #[error("the database {path} cannot be opened")]
    Database {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// The connections of one process to one database file.
pub(crate) struct Connections {
    path: PathBuf,
    // One lock for both: writers of one process queue here instead of polling SQLite's lock.
    writers: Mutex<Writers>,
    idle: Mutex<Vec<Connection>>,
}

struct Writers {
    durable: Connection,
    quick: Connection,
}

/// How a write is committed.
#[derive(Clone, Copy)]
pub(crate) enum Commit {
    /// It survives a loss of power.
    Durable,
    /// It survives the end of this process, and costs no wait for the disk.
    Quick,
}

impl Connections {
    /// Opens the database file, which is made if it does not exist, and brings it to the present schema.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        let mut durable = connect(path).map_err(store_error).map_err(failed)?;
        let found = migrate(&mut durable).map_err(store_error).map_err(failed)?;
        if found > MIGRATIONS.len() {
            return Err(OpenError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() });
        }
        let quick = connect(path).map_err(store_error).map_err(failed)?;
        quick.pragma_update(None, "synchronous", "NORMAL").map_err(store_error).map_err(failed)?;
        Ok(Self { path: path.to_owned(), writers: Mutex::new(Writers { durable, quick }), idle: Mutex::default() })
    }

    /// Returns what `work` returns, run in one write transaction that is committed if it succeeds. Blocks.
    pub(crate) fn write<T>(
        &self,
        commit: Commit,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A panic under the lock rolled its transaction back: the connections are as good as before.
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match commit {
            Commit::Durable => &mut writers.durable,
            Commit::Quick => &mut writers.quick,
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(store_error)?;
        Ok(value)
    }

    /// Returns what `work` returns, which sees one state of the database throughout. Blocks.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.path).map_err(store_error)?,
        };
        let transaction = connection.transaction().map_err(store_error)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(store_error)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        Ok(value)
    }

    /// Moves everything from the write-ahead log into the database file and empties the log, if no reader is in the way:
    /// overwritten contents do not stay in it.
    pub(crate) fn empty_log(&self) -> Result<(), StoreError> {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.durable.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(store_error)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Faces are personal data: what is deleted is overwritten.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Brings the database to the present schema, and returns the schema that it has now: a higher one than is known if a newer
/// program wrote it, which is left untouched.
fn migrate(connection: &mut Connection) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found >= MIGRATIONS.len() {
        return Ok(found);
    }
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(MIGRATIONS.len())
}

/// Runs blocking work off the async threads. It runs to its end even if the caller goes away.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::unavailable(error)),
    }
}

/// Returns what an SQLite error means to a caller: damaged if the data is not what was written, unavailable otherwise.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let damaged = match &error {
        E::SqliteFailure(failure, _) => {
            matches!(
                failure.code,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation
            )
        }
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..)
        | E::InvalidColumnType(..)
        | E::QueryReturnedNoRows
        | E::SqlInputError { .. } => true,
        _ => false,
    };
    if damaged { StoreError::damaged(error) } else { StoreError::unavailable(error) }
}

/// Returns a moment as the database keeps it.
pub(crate) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.millis()).unwrap_or(i64::MAX)
}

/// Returns the moment that [`millis`] wrote.
pub(crate) fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    u64::try_from(millis).map(Timestamp::from_millis).map_err(StoreError::damaged)
}
