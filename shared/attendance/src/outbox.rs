use std::sync::Arc;
use std::time::Duration;

use crate::ports::{EventStore, StoreError, Wakeups};
use crate::{Clock, EventId, EventPage, EventStatus, Wakeup};

/// What a person does about stored events: looks at them, and has one sent again.
pub struct Outbox {
    events: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    wakeups: Option<Arc<dyn Wakeups>>,
}

impl Outbox {
    /// An outbox that somebody polls for what is due.
    #[must_use]
    pub fn new(events: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        Self { events, clock, wakeups: None }
    }

    /// The same, where whoever delivers has to be woken.
    #[must_use]
    pub fn waking(self, wakeups: Arc<dyn Wakeups>) -> Self {
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
        self.events.list(status, limit, cursor).await
    }

    /// Has an event sent again, in a new round of tries, and returns whether there is such an event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(&self, id: EventId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let found = self.events.replay(id, now).await?;
        if let (true, Some(wakeups)) = (found, &self.wakeups)
            && let Err(error) = wakeups.send(Wakeup { event_id: id, due: now }, Duration::ZERO).await
        {
            tracing::warn!(event_id = %id, ?error, "nobody could be woken for a replay; it is found when it is overdue");
        }
        Ok(found)
    }
}
