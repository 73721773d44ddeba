use std::sync::Arc;
use std::time::Duration;

use crate::ports::{EventStore, Push, StoreError, Webhook};
use crate::{Attempt, Clock, EventId, EventRecord, EventStatus, Message, NextStep, Report, RetryPolicy, Timestamp};

/// What a lease is longer than a try.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// Carries accepted events to their end: one try at a time, each recorded.
pub struct Deliverer {
    webhook: Arc<dyn Webhook>,
    events: Arc<dyn EventStore>,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
    timeout: Duration,
}

impl Deliverer {
    /// A deliverer over these ports. `timeout` is the webhook's: a lease outlives it.
    #[must_use]
    pub fn new(
        webhook: Arc<dyn Webhook>,
        events: Arc<dyn EventStore>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
        policy: RetryPolicy,
        timeout: Duration,
    ) -> Self {
        Self { webhook, events, push, clock, policy, timeout }
    }

    /// How long an event is leased for one try: the try, and the time that the store may take before and after it.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.timeout + STORE_PATIENCE
    }

    /// Whether a try that begins now ends before a lease does that was taken at `since`. Where the store was very slow, or this
    /// machine slept, somebody else may be trying.
    fn is_leased(&self, since: Timestamp) -> bool {
        self.clock.now().since(since) <= STORE_PATIENCE
    }

    /// Makes the first try of an event that was accepted just now, and returns how it went. The caller tells the
    /// watchers. Where the outcome cannot be recorded the event stays pending, and is sent again with the same id when
    /// its lease ends.
    pub async fn first_try(&self, id: EventId, body: &str, accepted: Timestamp) -> Report {
        if !self.is_leased(accepted) {
            return Report::queued("it was stored too late to be sent at once");
        }
        let (attempt, next) = self.attempt(id, body, 1, accepted).await;
        if let Err(error) = self.events.record(id, &attempt, next).await {
            tracing::error!(event_id = %id, ?error, "a delivery could not be recorded; it will be sent again");
        }
        Report::of(&attempt, next)
    }

    /// Tries every event whose time has come, at most `limit` of them and side by side, and returns how many those were.
    ///
    /// # Errors
    /// [`StoreError`] where they could not be claimed.
    pub async fn deliver_due(&self, limit: usize) -> Result<usize, StoreError> {
        let claimed = self.clock.now();
        let due = self.events.claim_due(claimed, self.lease(), limit).await?;
        let count = due.len();
        futures_util::future::join_all(due.into_iter().map(|record| self.retry(record, claimed))).await;
        Ok(count)
    }

    async fn retry(&self, record: EventRecord, claimed: Timestamp) {
        if !self.is_leased(claimed) {
            tracing::warn!(event_id = %record.id, "an event was claimed too slowly to be tried; it comes back");
            return;
        }
        let tries = record.round_attempts + 1;
        let (attempt, next) = self.attempt(record.id, &record.body, tries, record.round_started).await;
        // What is not recorded has not ended: it will be sent again, and the watchers are told then.
        if let Err(error) = self.events.record(record.id, &attempt, next).await {
            tracing::error!(event_id = %record.id, ?error, "a delivery could not be recorded; it will be sent again");
            return;
        }
        let status = match next {
            NextStep::Sent => EventStatus::Sent,
            NextStep::Dead => EventStatus::Dead,
            NextStep::RetryAt(_) => return,
        };
        let ts = self.clock.now().seconds();
        let message = Message::Delivery { event_id: record.id, student_id: record.student, status, ts };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(event_id = %record.id, ?error, "watchers were not told of a delivery");
        }
    }

    async fn attempt(&self, id: EventId, body: &str, tries: u32, round_started: Timestamp) -> (Attempt, NextStep) {
        let attempt = self.webhook.deliver(id, body, self.clock.now()).await;
        let next = self.policy.next_step(&attempt, tries, round_started, self.clock.now(), jitter(id, tries));
        if next == NextStep::Dead {
            tracing::error!(event_id = %id, tries, message = attempt.message, "an event is given up; replay it when the receiver is well");
        }
        (attempt, next)
    }
}

/// From 0 to 1, spread over events and tries: the id's random end, moved by the golden ratio at each try.
fn jitter(id: EventId, tries: u32) -> f64 {
    (f64::from(id.random_bits()) / f64::from(u32::MAX) + f64::from(tries) * 0.618_033_988_749_895).fract()
}
