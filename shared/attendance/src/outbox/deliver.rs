use std::sync::Arc;
use std::time::Duration;

use crate::ports::{Acceptance, EventFormat, EventStore, Push, StoreError, Wakeups, Webhook};
use crate::{
    Attempt, Claim, Clock, Cooldown, Entries, Event, EventId, EventStatus, Message, NextStep, OutboxEntry, Report,
    RetryPolicy, Timestamp, Wakeup,
};

/// Margin added to the webhook timeout to get the lease: how long the store may take before and after a try.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// How long after an event was due its wakeup counts as lost.
const WAKEUP_GRACE: Duration = Duration::from_secs(120);

/// Accepts events and delivers them: one try at a time, each recorded, until the event is sent or given up.
///
/// Due events are found in one of two ways. A process that stays polls by [`deliver_due`](Self::deliver_due). Elsewhere each
/// next try has a wakeup, which [`wake`](Self::wake) handles, and a schedule calls
/// [`wake_overdue`](Self::wake_overdue), which replaces lost wakeups.
pub struct Deliverer {
    webhook: Arc<dyn Webhook>,
    format: Arc<dyn EventFormat>,
    entries: Entries,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
    wakeups: Option<Arc<dyn Wakeups>>,
    policy: RetryPolicy,
    timeout: Duration,
}

impl Deliverer {
    /// A deliverer over these ports that is polled. `timeout` is the webhook's: a lease outlives it.
    pub(crate) fn new(
        webhook: Arc<dyn Webhook>,
        format: Arc<dyn EventFormat>,
        events: Arc<dyn EventStore>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
        policy: RetryPolicy,
        timeout: Duration,
    ) -> Self {
        Self { webhook, format, entries: Entries::new(events), push, clock, wakeups: None, policy, timeout }
    }

    /// The same, woken through `wakeups` instead of polled.
    pub(crate) fn waking(self, wakeups: Arc<dyn Wakeups>) -> Self {
        Self { wakeups: Some(wakeups), ..self }
    }

    /// How long an event is leased for one try: the webhook timeout, and the time that the store may take before and after it.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.timeout + STORE_PATIENCE
    }

    /// Whether a try that starts now ends before a lease taken at `since` does. If the store was very slow, or this machine
    /// slept, somebody else may be trying.
    fn is_leased(&self, since: Timestamp) -> bool {
        self.clock.now().since(since) <= STORE_PATIENCE
    }

    /// Takes the event's cooldown and stores the event with its body, leased to the caller for the first try.
    ///
    /// # Errors
    /// [`StoreError`]; then neither the event nor the cooldown is stored.
    pub async fn accept(&self, event: &Event, cooldown: Duration) -> Result<Acceptance, StoreError> {
        let entry = OutboxEntry::accepted(event, self.format.body(event), self.lease());
        self.entries.accept(entry, &Cooldown::of(event, cooldown)).await
    }

    /// Makes the first try of an event that was just accepted, and returns how it went. The caller tells the subscribers. If the
    /// outcome cannot be recorded the event stays pending, and is sent again with the same id when its lease ends.
    pub async fn first_try(&self, entry: OutboxEntry) -> Report {
        let (id, leased_until) = (entry.id, entry.leased_until);
        let (report, due) = if self.is_leased(entry.accepted) {
            let (attempt, next) = self.attempt(&entry).await;
            (Report::of(&attempt, next), self.record(entry, &attempt, next).await)
        } else {
            (Report::queued("it was stored too late to be sent at once"), Some(leased_until))
        };
        if let Some(due) = due
            && let Err(error) = self.wake_at(id, due).await
        {
            tracing::error!(event_id = %id, ?error, "could not enqueue the retry; the overdue sweep will pick it up");
        }
        report
    }

    /// Tries every due event, at most `limit` of them and side by side, and returns how many those were.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be claimed.
    pub async fn deliver_due(&self, limit: usize) -> Result<usize, StoreError> {
        let claimed = self.clock.now();
        let due = self.entries.claim_due(claimed, self.lease(), limit).await?;
        let count = due.len();
        futures_util::future::join_all(due.into_iter().map(|entry| self.retry(entry, claimed))).await;
        Ok(count)
    }

    /// Handles a wakeup: tries the event once if it is due; sends the wakeup on if it is not, which is how a wait gets longer
    /// than a queue can hold a message; does nothing if the event has ended.
    ///
    /// # Errors
    /// [`StoreError`] if the event could not be claimed or its next wakeup not sent: this wakeup must then arrive again.
    pub async fn wake(&self, wakeup: Wakeup) -> Result<(), StoreError> {
        let (id, now) = (wakeup.event_id, self.clock.now());
        match self.entries.claim(id, now, self.lease()).await? {
            Claim::Claimed(entry) => match self.retry(*entry, now).await {
                Some(due) => self.wake_at(id, due).await,
                None => Ok(()),
            },
            // It has been tried since, and whoever did so has sent another wakeup. A second chain of them would follow the
            // event to its end.
            Claim::Waiting { next_try, .. } if next_try > wakeup.due => Ok(()),
            Claim::Waiting { until, .. } => self.send(wakeup, until).await,
            Claim::Ended => Ok(()),
        }
    }

    /// Sends a new wakeup for pending events that should have been tried two minutes ago, at most `limit` of them, and
    /// returns how many those were. It tries none itself.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be claimed, or a wakeup could not be sent: it is sent two minutes later.
    pub async fn wake_overdue(&self, limit: usize) -> Result<usize, StoreError> {
        let now = self.clock.now();
        // Leased from two minutes ago until now: everybody may try them at once, and they are not overdue again for two
        // minutes, however many wakeups are queued before theirs.
        let overdue = self.entries.claim_due(now.before(WAKEUP_GRACE), WAKEUP_GRACE, limit).await?;
        let sent = futures_util::future::join_all(overdue.iter().map(|entry| self.wake_at(entry.id, now))).await;
        sent.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(overdue.len())
    }

    /// Tries an event that was claimed at `claimed`, and returns when it is due again, if it is.
    async fn retry(&self, entry: OutboxEntry, claimed: Timestamp) -> Option<Timestamp> {
        let (id, student) = (entry.id, entry.student.clone());
        if !self.is_leased(claimed) {
            tracing::warn!(event_id = %id, "claiming took too long to try the event now; it stays due");
            return Some(entry.leased_until);
        }
        let (attempt, next) = self.attempt(&entry).await;
        // An event whose end is not recorded has not ended: it will be sent again, and the subscribers are told then.
        let due = self.record(entry, &attempt, next).await;
        if due.is_none() {
            let status = if next == NextStep::Sent { EventStatus::Sent } else { EventStatus::Dead };
            self.tell(id, student, status).await;
        }
        due
    }

    /// Records a try, and returns when the event is due again: at the end of its lease if the try could not be recorded.
    async fn record(&self, entry: OutboxEntry, attempt: &Attempt, next: NextStep) -> Option<Timestamp> {
        let (id, leased_until) = (entry.id, entry.leased_until);
        if next != NextStep::Sent {
            let (status, answer) = (attempt.http_status, &*attempt.message);
            tracing::warn!(event_id = %id, status, answer, given_up = next == NextStep::Dead, "the receiver did not accept an event");
        }
        match (self.entries.record(entry, attempt, next).await, next) {
            (Ok(_), NextStep::RetryAt(at)) => Some(at),
            (Ok(_), NextStep::Sent | NextStep::Dead) => None,
            (Err(error), _) => {
                tracing::error!(event_id = %id, ?error, "could not record a delivery; the event will be sent again");
                Some(leased_until)
            }
        }
    }

    async fn tell(&self, event_id: EventId, student_id: String, status: EventStatus) {
        let message = Message::Delivery { event_id, student_id, status, ts: self.clock.now().seconds() };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(%event_id, ?error, "could not tell the subscribers of a delivery");
        }
    }

    /// Makes sure that the event is looked at when it is due. Does nothing if the outbox is polled.
    async fn wake_at(&self, id: EventId, due: Timestamp) -> Result<(), StoreError> {
        self.send(Wakeup { event_id: id, due }, due).await
    }

    async fn send(&self, wakeup: Wakeup, at: Timestamp) -> Result<(), StoreError> {
        match &self.wakeups {
            Some(wakeups) => wakeups.send(wakeup, at.since(self.clock.now())).await,
            None => Ok(()),
        }
    }

    /// Makes the next try of the entry's round.
    async fn attempt(&self, entry: &OutboxEntry) -> (Attempt, NextStep) {
        let (id, tries) = (entry.id, entry.round_attempts + 1);
        let attempt = self.webhook.deliver(id, &entry.body, self.clock.now()).await;
        let next = self.policy.next_step(&attempt, tries, entry.round_started, self.clock.now(), jitter(id, tries));
        if next == NextStep::Dead {
            tracing::error!(event_id = %id, tries, message = attempt.message, "gave up on an event; replay it when the receiver works again");
        }
        (attempt, next)
    }
}

/// A number from 0 to 1, spread over events and tries: the id's random end, moved by the golden ratio at each try.
fn jitter(id: EventId, tries: u32) -> f64 {
    (f64::from(id.random_bits()) / f64::from(u32::MAX) + f64::from(tries) * 0.618_033_988_749_895).fract()
}
