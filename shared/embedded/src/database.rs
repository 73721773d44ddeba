//! A data folder and the adapters that work on it.

use std::path::Path;
use std::sync::Arc;

use crate::connections::{Connections, OpenError};
use crate::events::SqliteEvents;
use crate::folder::FaceFolder;
use crate::gallery::{self, SqliteGallery};
use crate::hub::Hub;

/// An open data folder and its adapters. Cloning is cheap and gives the same connections.
#[derive(Clone)]
pub struct Database {
    gallery: Arc<SqliteGallery>,
    events: Arc<SqliteEvents>,
    hub: Arc<Hub>,
}

impl Database {
    /// Opens the data folder, which is made if it does not exist, brings the database to the present schema, and removes
    /// what unfinished enrolments left. Blocks the calling thread; several processes may open one folder.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let path = data.join("attendance.db");
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let folder = FaceFolder::open(data).map_err(|(path, source)| OpenError::Folder { path, source })?;
        // Alone: two first starts at once would collide on switching to WAL, and the sweep must not see half an enrolment.
        let alone = folder.lock_exclusive().map_err(failed)?;
        let connections = Arc::new(Connections::open(&path)?);
        gallery::sweep(&connections, &folder).map_err(failed)?;
        drop(alone);
        Ok(Self {
            gallery: Arc::new(SqliteGallery::new(connections.clone(), folder)),
            events: Arc::new(SqliteEvents::new(connections.clone())),
            hub: Arc::new(Hub::new(connections)),
        })
    }

    /// Returns the store of who is enrolled.
    #[must_use]
    pub fn gallery(&self) -> Arc<SqliteGallery> {
        self.gallery.clone()
    }

    /// Returns the outbox and the cooldowns.
    #[must_use]
    pub fn events(&self) -> Arc<SqliteEvents> {
        self.events.clone()
    }

    /// Returns the subscribers of this process.
    #[must_use]
    pub fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }
}
