use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::{Attempt, Cooldown, Event, EventId, EventPage, EventStatus, OutboxEntry, Timestamp, Wakeup};

/// Whether an event may go out.
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// The cooldown is taken and the event is stored as this entry.
    Accepted(Box<OutboxEntry>),
    /// The last accepted event of the same key is too recent; nothing was stored.
    Cooling {
        /// The rest of the quiet time.
        left: Duration,
    },
}

/// Stores the entries of the outbox, and the cooldowns. It loads, compares and stores; the rules are
/// [`OutboxEntry`]'s and [`Cooldown`]'s, and [`Entries`](crate::Entries) applies them.
///
/// Every adapter guarantees, and over it [`Entries`](crate::Entries):
/// - **One.** Of events with one cooldown key accepted within the cooldown, also by several processes at the same
///   instant, one is [`Acceptance::Accepted`]. The cooldown and the pending entry are stored in one transaction, durably.
/// - **Leased.** Of changes made from one state of an entry, one is stored: so a pending event is leased to one claimer at
///   a time. The lease runs out by itself, so what a crashed process held comes back.
/// - **Bounded.** An event that ended is deleted [`ENDED_KEPT`](crate::ENDED_KEPT) later, or some days after that; a
///   pending one never is.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Stores the entry and takes the cooldown, unless [`Cooldown::left`] of the last accepted event of the same key says how
    /// long it is still quiet.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is stored.
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError>;

    /// Replaces each of these entries whose stored revision is still its own, under a new revision, durably. Returns those
    /// that were replaced, as stored and in the order given. An entry is never stored twice because an answer was lost.
    ///
    /// # Errors
    /// [`StoreError`] if none was replaced.
    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError>;

    /// The entry of this event, including what was stored before this call; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError>;

    /// At most `limit` entries whose [`due`](OutboxEntry::due) is not after `now`, earliest first. A damaged entry is logged
    /// and keeps no other from being found. An adapter whose clock can be set back adds entries
    /// [from the future](OutboxEntry::is_from_the_future).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError>;

    /// Entries newest first, of one status or all, starting at `cursor` (the `next` of the previous page). At least one if
    /// there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError>;
}

/// Wakes a process for the next try of one event, where nothing polls the outbox.
///
/// Every adapter guarantees that a wakeup it accepted arrives at least once, barring accidents. Only promptness depends on
/// it: [`Deliverer::wake_overdue`](crate::Deliverer::wake_overdue) finds events whose wakeup was lost.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Accepts a wakeup that is to arrive after `wait`, or sooner if the adapter cannot hold it for so long.
    ///
    /// # Errors
    /// [`StoreError`]; then, as far as can be known, it does not arrive.
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError>;
}

/// Renders the events that are sent.
pub trait EventFormat: Send + Sync {
    /// The event as JSON. It is called once per event, when the event is accepted; every try sends what it returned then.
    fn body(&self, event: &Event) -> String;
}

/// Tells the Attendance API.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// The outcome of one try to deliver this body under this event id. It never takes longer than its timeout and never
    /// fails: whatever goes wrong is a value that is recorded.
    async fn deliver(&self, id: EventId, body: &str, at: Timestamp) -> Attempt;
}
