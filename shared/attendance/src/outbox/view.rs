use std::sync::Arc;
use std::time::Duration;

use crate::ports::{EventStore, StoreError, Wakeups};
use crate::{Clock, Entries, EventId, EventPage, EventStatus, Wakeup};

/// What a person does about stored events: lists them, and has one sent again.
pub struct Outbox {
    entries: Entries,
    clock: Arc<dyn Clock>,
    wakeups: Option<Arc<dyn Wakeups>>,
}

impl Outbox {
    /// An outbox that is polled for due events.
    pub(crate) fn new(events: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        Self { entries: Entries::new(events), clock, wakeups: None }
    }

    /// The same, woken through `wakeups` instead of polled.
    pub(crate) fn waking(self, wakeups: Arc<dyn Wakeups>) -> Self {
        Self { wakeups: Some(wakeups), ..self }
    }

    /// Events newest first, as [`EventStore::list`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        self.entries.list(status, limit, cursor).await
    }

    /// Has an event sent again, in a new round of tries, and returns whether there is such an event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(&self, id: EventId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let found = self.entries.replay(id, now).await?;
        if let (true, Some(wakeups)) = (found, &self.wakeups)
            && let Err(error) = wakeups.send(Wakeup { event_id: id, due: now }, Duration::ZERO).await
        {
            tracing::warn!(event_id = %id, ?error, "could not enqueue the replay; the overdue sweep will pick it up");
        }
        Ok(found)
    }
}
