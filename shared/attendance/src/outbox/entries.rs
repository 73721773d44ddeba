use std::sync::Arc;
use std::time::Duration;

use crate::ports::{Acceptance, EventStore, StoreError};
use crate::{Attempt, Claim, Cooldown, EventId, EventPage, EventStatus, NextStep, OutboxEntry, Timestamp};

/// How often a change is applied to what others have left meanwhile. Each failure means that somebody else's change was
/// stored, and hardly anybody but the holder of the lease and a person who replays changes one event.
const MAX_ROUNDS: usize = 32;

/// The entries of an outbox. Every change loads an entry, applies a rule of [`OutboxEntry`] and stores the result, unless
/// somebody else has changed the entry meanwhile; then the rule is applied to what they left.
#[derive(Clone)]
pub struct Entries {
    store: Arc<dyn EventStore>,
}

impl Entries {
    /// The entries in this store.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store }
    }

    /// Stores the entry of a new event, unless its cooldown keeps it from being accepted.
    ///
    /// # Errors
    /// [`StoreError`]; then neither the entry nor the cooldown is stored.
    pub async fn accept(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        self.store.insert(entry, cooldown).await
    }

    /// Records an attempt and where the event goes next, by [`OutboxEntry::record_attempt`], and returns the entry as stored.
    /// `entry` is as the caller loaded it; a stale one costs another round trip.
    ///
    /// # Errors
    /// [`StoreError`], also if the event no longer exists.
    pub async fn record(
        &self,
        entry: OutboxEntry,
        attempt: &Attempt,
        next: NextStep,
    ) -> Result<OutboxEntry, StoreError> {
        let (id, now) = (entry.id, attempt.at);
        let record = |entry: &mut OutboxEntry| entry.record_attempt(attempt.clone(), next);
        let recorded = self.change(entry, now, record).await?;
        recorded.ok_or_else(|| StoreError::damaged(format!("there is no event {id}")))
    }

    /// Makes an event due at `now`, by [`OutboxEntry::replay`], and returns whether there is such an event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        let Some(entry) = self.load(id, now).await? else { return Ok(false) };
        Ok(self.change(entry, now, |entry| entry.replay(now)).await?.is_some())
    }

    /// Leases one event for `lease` from `now`, if it is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let Some(entry) = self.store.get(id).await? else { return Ok(Claim::Ended) };
            match entry.claim(now, lease) {
                Claim::Claimed(leased) => {
                    if let Some(stored) = self.swap(*leased).await? {
                        return Ok(Claim::Claimed(Box::new(stored)));
                    }
                }
                refused => return Ok(refused),
            }
        }
        Err(contended())
    }

    /// Pending events that are due at `now`, earliest first, leased to the caller for `lease`. Those from the future start a
    /// new round first.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was claimed.
    pub async fn claim_due(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut claimed = Vec::new();
        // Others may have been faster with everything that was found; then there may be more.
        for _ in 0..MAX_ROUNDS {
            if claimed.len() >= limit {
                break;
            }
            match self.claim_once(now, lease, limit - claimed.len()).await {
                Ok(Some(leased)) => claimed.extend(leased),
                Ok(None) => break,
                // What is claimed already must be tried.
                Err(error) if !claimed.is_empty() => {
                    tracing::error!(?error, "could not claim more due events; they stay due");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(claimed)
    }

    /// One look at what is due: the entries that could be leased, or `None` if nothing is due.
    async fn claim_once(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: usize,
    ) -> Result<Option<Vec<OutboxEntry>>, StoreError> {
        let mut found = self.store.due(now, limit).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let restarted: Vec<_> = found
            .extract_if(.., |entry| entry.is_from_the_future(now))
            .map(|mut entry| {
                entry.restart(now, lease);
                entry
            })
            .collect();
        self.swap_each(restarted).await?;
        let claims = found.into_iter().filter_map(|entry| match entry.claim(now, lease) {
            Claim::Claimed(leased) => Some(*leased),
            Claim::Waiting { .. } | Claim::Ended => None,
        });
        self.swap_each(claims.collect()).await.map(Some)
    }

    /// Entries newest first, as [`EventStore::list`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        self.store.list(status, limit, cursor).await
    }

    /// Changes an entry and returns it as stored, or `None` if there is no such event.
    async fn change(
        &self,
        mut entry: OutboxEntry,
        now: Timestamp,
        change: impl Fn(&mut OutboxEntry) + Send + Sync,
    ) -> Result<Option<OutboxEntry>, StoreError> {
        let id = entry.id;
        for _ in 0..MAX_ROUNDS {
            change(&mut entry);
            if let Some(stored) = self.swap(entry).await? {
                return Ok(Some(stored));
            }
            match self.load(id, now).await? {
                Some(current) => entry = current,
                None => return Ok(None),
            }
        }
        Err(contended())
    }

    async fn load(&self, id: EventId, now: Timestamp) -> Result<Option<OutboxEntry>, StoreError> {
        Ok(self.store.get(id).await?.filter(|entry| !entry.is_forgotten(now)))
    }

    async fn swap(&self, entry: OutboxEntry) -> Result<Option<OutboxEntry>, StoreError> {
        Ok(self.swap_each(vec![entry]).await?.pop())
    }

    async fn swap_each(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        if entries.is_empty() { Ok(entries) } else { self.store.swap(entries).await }
    }
}

fn contended() -> StoreError {
    StoreError::unavailable("others kept changing the same event")
}
