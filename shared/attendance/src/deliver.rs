use std::sync::Arc;
use std::time::Duration;

use crate::ports::{Claim, EventStore, Push, StoreError, Wakeups, Webhook};
use crate::{
    Attempt, Clock, EventId, EventRecord, EventStatus, Message, NextStep, Report, RetryPolicy, Timestamp, Wakeup,
};

/// What a lease is longer than a try.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// How long after its time an event's wakeup counts as lost.
const WAKEUP_GRACE: Duration = Duration::from_secs(120);

/// Carries accepted events to their end: one try at a time, each recorded.
///
/// What is due is found in one of two ways. A process that stays polls by [`deliver_due`](Self::deliver_due). Where none
/// does, a wakeup is sent for each next try, [`wake`](Self::wake) does what it asks for, and
/// [`wake_overdue`](Self::wake_overdue), by the clock, sends again those that were lost.
pub struct Deliverer {
    webhook: Arc<dyn Webhook>,
    events: Arc<dyn EventStore>,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
    wakeups: Option<Arc<dyn Wakeups>>,
    policy: RetryPolicy,
    timeout: Duration,
}

impl Deliverer {
    /// A deliverer over these ports, which somebody polls. `timeout` is the webhook's: a lease outlives it.
    #[must_use]
    pub fn new(
        webhook: Arc<dyn Webhook>,
        events: Arc<dyn EventStore>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
        policy: RetryPolicy,
        timeout: Duration,
    ) -> Self {
        Self { webhook, events, push, clock, wakeups: None, policy, timeout }
    }

    /// The same, woken by these instead of polled.
    #[must_use]
    pub fn waking(self, wakeups: Arc<dyn Wakeups>) -> Self {
        Self { wakeups: Some(wakeups), ..self }
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
        let leased_until = accepted.after(self.lease());
        let (report, due) = if self.is_leased(accepted) {
            let (attempt, next) = self.attempt(id, body, 1, accepted).await;
            (Report::of(&attempt, next), self.record(id, &attempt, next, leased_until).await)
        } else {
            (Report::queued("it was stored too late to be sent at once"), Some(leased_until))
        };
        if let Some(due) = due
            && let Err(error) = self.wake_at(id, due).await
        {
            tracing::error!(event_id = %id, ?error, "nobody could be woken for an event; it is found when it is overdue");
        }
        report
    }

    /// Tries every event whose time has come, at most `limit` of them and side by side, and returns how many those were.
    ///
    /// # Errors
    /// [`StoreError`] where they could not be claimed.
    pub async fn deliver_due(&self, limit: usize) -> Result<usize, StoreError> {
        let claimed = self.clock.now();
        let due = self.events.claim_due(claimed, self.lease(), limit).await?;
        let count = due.len();
        futures_util::future::join_all(due.iter().map(|record| self.retry(record, claimed))).await;
        Ok(count)
    }

    /// Does what a wakeup asks for: tries the event once where it is due; waits on where it is not, which is how a wait
    /// gets longer than a queue can hold a message; and nothing where the event ended.
    ///
    /// # Errors
    /// [`StoreError`] where the event could not be claimed or nobody woken for its next try: the wakeup has to come again.
    pub async fn wake(&self, wakeup: Wakeup) -> Result<(), StoreError> {
        let (id, now) = (wakeup.event_id, self.clock.now());
        match self.events.claim(id, now, self.lease()).await? {
            Claim::Claimed(record) => match self.retry(&record, now).await {
                Some(due) => self.wake_at(id, due).await,
                None => Ok(()),
            },
            // It was tried since, and whoever did so has sent a wakeup of his own. A second chain of them would follow the
            // event to its end.
            Claim::Waiting { next_try, .. } if next_try > wakeup.due => Ok(()),
            Claim::Waiting { until, .. } => self.send(wakeup, until).await,
            Claim::Ended => Ok(()),
        }
    }

    /// Sends a new wakeup for pending events that should have been tried two minutes ago, at most `limit` of them, and
    /// returns how many those were. None is tried here.
    ///
    /// # Errors
    /// [`StoreError`] where they could not be claimed, or a wakeup could not be sent: then it is, two minutes later.
    pub async fn wake_overdue(&self, limit: usize) -> Result<usize, StoreError> {
        let now = self.clock.now();
        // Leased from back then until now: everybody may try them at once, and they are not overdue again for a while,
        // however many wakeups wait before theirs.
        let overdue = self.events.claim_due(now.before(WAKEUP_GRACE), WAKEUP_GRACE, limit).await?;
        let sent = futures_util::future::join_all(overdue.iter().map(|record| self.wake_at(record.id, now))).await;
        sent.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(overdue.len())
    }

    /// Tries an event that was claimed at `claimed`, and returns when it is due again, where it is.
    async fn retry(&self, record: &EventRecord, claimed: Timestamp) -> Option<Timestamp> {
        let leased_until = claimed.after(self.lease());
        if !self.is_leased(claimed) {
            tracing::warn!(event_id = %record.id, "an event was claimed too slowly to be tried; it comes back");
            return Some(leased_until);
        }
        let tries = record.round_attempts + 1;
        let (attempt, next) = self.attempt(record.id, &record.body, tries, record.round_started).await;
        // What is not recorded has not ended: it will be sent again, and the watchers are told then.
        let due = self.record(record.id, &attempt, next, leased_until).await;
        if due.is_none() {
            let status = if next == NextStep::Sent { EventStatus::Sent } else { EventStatus::Dead };
            self.tell(record, status).await;
        }
        due
    }

    /// Records a try, and returns when the event is due again: at the end of its lease where it could not be recorded.
    async fn record(
        &self,
        id: EventId,
        attempt: &Attempt,
        next: NextStep,
        leased_until: Timestamp,
    ) -> Option<Timestamp> {
        if next != NextStep::Sent {
            let (status, answer) = (attempt.http_status, &*attempt.message);
            tracing::warn!(event_id = %id, status, answer, given_up = next == NextStep::Dead, "the receiver did not take an event");
        }
        match (self.events.record(id, attempt, next).await, next) {
            (Ok(()), NextStep::RetryAt(at)) => Some(at),
            (Ok(()), NextStep::Sent | NextStep::Dead) => None,
            (Err(error), _) => {
                tracing::error!(event_id = %id, ?error, "a delivery could not be recorded; it will be sent again");
                Some(leased_until)
            }
        }
    }

    async fn tell(&self, record: &EventRecord, status: EventStatus) {
        let ts = self.clock.now().seconds();
        let message = Message::Delivery { event_id: record.id, student_id: record.student.clone(), status, ts };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(event_id = %record.id, ?error, "watchers were not told of a delivery");
        }
    }

    /// Sees to it that the event is looked at when it is due. Nothing where the outbox is polled.
    async fn wake_at(&self, id: EventId, due: Timestamp) -> Result<(), StoreError> {
        self.send(Wakeup { event_id: id, due }, due).await
    }

    async fn send(&self, wakeup: Wakeup, at: Timestamp) -> Result<(), StoreError> {
        match &self.wakeups {
            Some(wakeups) => wakeups.send(wakeup, at.since(self.clock.now())).await,
            None => Ok(()),
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
