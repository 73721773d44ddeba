use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::{Attempt, Event, EventId, EventPage, EventRecord, EventStatus, NextStep, Timestamp, Wakeup};

/// Whether an event may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The cooldown is taken and the event is stored as pending.
    Accepted,
    /// The last accepted event of the same key is too young; nothing was stored.
    Cooling {
        /// The rest of the quiet time.
        left: Duration,
    },
}

/// What came of the wish to try one event.
#[derive(Debug, Clone)]
pub enum Claim {
    /// It was due and is leased to the caller.
    Claimed(Box<EventRecord>),
    /// It is pending and not due before `until`: then comes its next try, or the end of somebody else's lease.
    Waiting {
        /// The time of its next try, whoever has a lease meanwhile.
        next_try: Timestamp,
        /// The later of its next try and the lease's end.
        until: Timestamp,
    },
    /// It was sent or given up, or there is no such event.
    Ended,
}

/// How long an adapter keeps an event that ended; then it forgets it, some days later at most.
pub const ENDED_KEPT: Duration = Duration::from_secs(90 * 86400);

/// Keeps accepted events until they ended, and the cooldowns: an outbox.
///
/// Every adapter guarantees:
/// - **One.** Of events with one cooldown key accepted within the cooldown, also by several processes at the same
///   instant, one is [`Acceptance::Accepted`]. The cooldown and the pending event are stored in one transaction, durably.
/// - **Leased.** A pending event is handed to one claimer at a time; the lease runs out by itself, so what a crashed
///   process held comes back.
/// - **Bounded.** An event that ended is forgotten [`ENDED_KEPT`] later; a pending one never is.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Takes the cooldown of [`Event::cooldown_key`] as of [`Event::at`] and stores the event as pending, leased to the
    /// caller for `lease`. A cooldown of zero always accepts, and so does one whose last event is later by more than the
    /// cooldown: a clock was set back.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is stored.
    async fn accept(&self, event: &Event, cooldown: Duration, lease: Duration) -> Result<Acceptance, StoreError>;

    /// Records a try and where the event goes next, and ends the lease. A try of an event that ended meanwhile is
    /// recorded and does not reopen it; one that was given up and arrived after all is sent. A try that began before a
    /// [`replay`](Self::replay) belongs to no round any more: it is recorded, and moves the event only where it arrived.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError>;

    /// Pending events whose time has come, earliest first, leased to the caller for `lease` from `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<EventRecord>, StoreError>;

    /// This event, leased to the caller for `lease` from `now` where it is pending and due at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError>;

    /// Events newest first, of one status or all, from `cursor` on (the `next` of the page before), at least one where
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

    /// Makes an event pending and due at `now`, in a new round of tries, and returns whether there is such an event. One
    /// that is leased stays leased: somebody is trying at this moment.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError>;
}

/// Wakes somebody for the next try of one event, where nobody polls the outbox.
///
/// Every adapter guarantees that a wakeup which was taken arrives at least once, but for an accident: promptness hangs on
/// it, and no event, for [`Deliverer::wake_overdue`](crate::Deliverer::wake_overdue) finds those whose wakeup was lost.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Takes a wakeup that is to arrive after `wait`, or sooner where the adapter cannot hold it for so long.
    ///
    /// # Errors
    /// [`StoreError`]; then it does not arrive, as far as one can know.
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError>;
}

/// Tells the Attendance API.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// The outcome of one try to deliver this body under this event id. Never longer than its timeout, never an error:
    /// whatever goes wrong is a value that is recorded.
    async fn deliver(&self, id: EventId, body: &str, at: Timestamp) -> Attempt;
}
