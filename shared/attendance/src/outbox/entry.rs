use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::{Attempt, Event, EventId, EventStatus, NextStep, Timestamp};

/// How long an ended event is kept. Adapters delete it then, or some days later.
pub const ENDED_KEPT: Duration = Duration::from_secs(90 * 86400);

/// How far ahead of the clock a round may have started. Clocks are corrected by small amounts all the time.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Identifies one stored state of an entry; every write makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(Uuid);

impl Revision {
    /// A revision that no other write has.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The revision in this text, or `None` if it is not a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An accepted event as the outbox stores it, with every attempt to deliver it.
///
/// Its methods are the rules of the outbox. They read no clock and no store, so they are the same over every adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// The event's id.
    pub id: EventId,
    /// Who was seen: a student id or `Unknown`.
    pub student: String,
    /// Where it stands.
    pub status: EventStatus,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// When the current round of tries started: `accepted`, or the last replay.
    pub round_started: Timestamp,
    /// How many attempts belong to the current round.
    pub round_attempts: u32,
    /// When the next try is due, ignoring the lease. It means nothing once the event has ended.
    pub next_try: Timestamp,
    /// Until when one process alone may try it; zero if nobody holds a lease.
    pub leased_until: Timestamp,
    /// When it was sent or given up; `None` while it is pending.
    pub ended: Option<Timestamp>,
    /// The webhook body. It is rendered once, so that every try sends and signs the same bytes.
    pub body: String,
    /// The attempts so far, oldest first, including those before a replay.
    pub attempts: Vec<Attempt>,
    /// The stored state this entry was loaded from.
    pub revision: Revision,
}

/// The answer to a claim on one event.
#[derive(Debug, Clone)]
pub enum Claim {
    /// It was due and is now leased to the caller.
    Claimed(Box<OutboxEntry>),
    /// It is pending and not due before `until`.
    Waiting {
        /// When its next try is due, ignoring the lease.
        next_try: Timestamp,
        /// The later of `next_try` and the end of somebody else's lease.
        until: Timestamp,
    },
    /// It was sent or given up, or there is no such event.
    Ended,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// The entries.
    pub events: Vec<OutboxEntry>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<EventId>,
}

impl OutboxEntry {
    /// The entry of an event that is accepted now, leased for `lease` to whoever makes the first try.
    #[must_use]
    pub fn accepted(event: &Event, body: String, lease: Duration) -> Self {
        Self {
            id: event.id,
            student: event.label.to_string(),
            status: EventStatus::Pending,
            accepted: event.at,
            round_started: event.at,
            round_attempts: 0,
            next_try: event.at,
            leased_until: event.at.after(lease),
            ended: None,
            body,
            attempts: Vec::new(),
            revision: Revision::generate(),
        }
    }

    /// When it can be claimed: the later of its next try and the end of its lease; `None` once it has ended.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        (self.status == EventStatus::Pending).then(|| self.next_try.max(self.leased_until))
    }

    /// Claims the entry for a try that starts at `now`: leases it for `lease` if it is due.
    #[must_use]
    pub fn claim(mut self, now: Timestamp, lease: Duration) -> Claim {
        match self.due() {
            None => Claim::Ended,
            Some(until) if until > now => Claim::Waiting { next_try: self.next_try, until },
            Some(_) => {
                self.leased_until = now.after(lease);
                Claim::Claimed(Box::new(self))
            }
        }
    }

    /// Adds an attempt, moves the event to `next` and ends the lease.
    ///
    /// An event that has ended stays ended, except that one which was given up and arrived after all is sent. An attempt that
    /// started before a [`replay`](Self::replay) belongs to no round: it moves the event only if it arrived.
    pub fn record_attempt(&mut self, attempt: Attempt, next: NextStep) {
        let at = attempt.at;
        let in_round = at >= self.round_started;
        let moves = in_round && self.status == EventStatus::Pending;
        self.round_attempts += u32::from(in_round);
        self.leased_until = Timestamp::from_millis(0);
        match next {
            NextStep::Sent => self.end(EventStatus::Sent, at),
            NextStep::Dead if moves => self.end(EventStatus::Dead, at),
            NextStep::RetryAt(retry) if moves => self.next_try = retry,
            NextStep::Dead | NextStep::RetryAt(_) => {}
        }
        self.attempts.push(attempt);
    }

    fn end(&mut self, status: EventStatus, at: Timestamp) {
        self.status = status;
        self.ended = Some(at);
    }

    /// Makes the event pending and due at `now`, in a new round of tries. A lease on a pending event stays: its holder is
    /// trying at this moment.
    pub fn replay(&mut self, now: Timestamp) {
        if self.status != EventStatus::Pending {
            self.leased_until = Timestamp::from_millis(0);
        }
        self.status = EventStatus::Pending;
        self.ended = None;
        self.start_round(now);
    }

    fn start_round(&mut self, now: Timestamp) {
        self.round_started = now;
        self.round_attempts = 0;
        self.next_try = now;
    }

    /// Rounds of pending events that started after this moment were started by a clock that has since been set back.
    #[must_use]
    pub fn latest_round_start(now: Timestamp) -> Timestamp {
        now.after(CLOCK_TOLERANCE)
    }

    /// Whether it is pending and its round started in the future. It would otherwise wait until the clock has caught up, by a
    /// year perhaps.
    #[must_use]
    pub fn is_from_the_future(&self, now: Timestamp) -> bool {
        self.status == EventStatus::Pending && self.round_started > Self::latest_round_start(now)
    }

    /// Starts a new round at `now` for an entry from the future. A lease that the other clock gave may still be held; it ends
    /// as one given now.
    pub fn restart(&mut self, now: Timestamp, lease: Duration) {
        self.leased_until = self.leased_until.min(now.after(lease));
        self.start_round(now);
    }

    /// Whether it ended so long ago that it counts as deleted, even if the adapter has not deleted it yet.
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.ended.is_some_and(|ended| ended.after(ENDED_KEPT) <= now)
    }
}
