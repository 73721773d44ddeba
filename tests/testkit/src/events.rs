use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, Claim, EventStore, StoreError};
use attendance::{
    Attempt, Context, Event, EventId, EventPage, EventRecord, EventStatus, FaceBox, FrameSize, Label, NextStep,
    StudentId, Timestamp,
};

/// The outbox and the cooldowns, in memory. A clone is another handle onto the same storage.
#[derive(Debug, Clone, Default)]
pub struct FakeEvents(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cooldowns: HashMap<String, Timestamp>,
    events: BTreeMap<EventId, Stored>,
    down: bool,
}

#[derive(Debug)]
struct Stored {
    record: EventRecord,
    next_try: Timestamp,
    leased_until: Timestamp,
}

impl Stored {
    fn due(&self) -> Timestamp {
        self.next_try.max(self.leased_until)
    }

    fn seen(&self) -> EventRecord {
        let next_try = (self.record.status == EventStatus::Pending).then(|| self.due());
        EventRecord { next_try, ..self.record.clone() }
    }
}

impl FakeEvents {
    /// Makes the store answer, or not.
    pub fn set_down(&self, down: bool) {
        self.0.lock().expect("no test panics here").down = down;
    }

    /// Every event, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<EventRecord> {
        self.0.lock().expect("no test panics here").events.values().map(Stored::seen).collect()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock().expect("no test panics here");
        if state.down { Err(StoreError::unavailable("the fake outbox is down")) } else { Ok(state) }
    }
}

/// The event that this student was seen then.
#[must_use]
pub fn sighting(student: &str, at: Timestamp) -> Event {
    Event {
        id: EventId::generate(),
        label: Label::Student(StudentId::parse(student).expect("a valid id")),
        distance: Some(0.37),
        at,
        frame: FrameSize { width: 640, height: 480 },
        face_box: FaceBox { top: 1, right: 4, bottom: 3, left: 2 },
        context: Context::default(),
    }
}

#[async_trait]
impl EventStore for FakeEvents {
    async fn accept(&self, event: &Event, cooldown: Duration, lease: Duration) -> Result<Acceptance, StoreError> {
        let mut state = self.state()?;
        if let Some(last) = state.cooldowns.get(&event.cooldown_key()) {
            let apart = event.at.since(*last).max(last.since(event.at));
            if apart < cooldown {
                return Ok(Acceptance::Cooling { left: cooldown - event.at.since(*last) });
            }
        }
        state.cooldowns.insert(event.cooldown_key(), event.at);
        let record = EventRecord {
            id: event.id,
            student: event.label.to_string(),
            status: EventStatus::Pending,
            accepted: event.at,
            round_started: event.at,
            next_try: None,
            body: event.body(),
            attempts: Vec::new(),
            round_attempts: 0,
        };
        let stored = Stored { record, next_try: event.at, leased_until: event.at.after(lease) };
        state.events.insert(event.id, stored);
        Ok(Acceptance::Accepted)
    }

    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) -> Result<(), StoreError> {
        let mut state = self.state()?;
        let event = state.events.get_mut(&id).ok_or_else(|| StoreError::damaged("there is no such event"))?;
        event.record.attempts.push(attempt.clone());
        let of_this_round = attempt.at >= event.record.round_started;
        event.record.round_attempts += u32::from(of_this_round);
        event.leased_until = Timestamp::from_millis(0);
        let pending = event.record.status == EventStatus::Pending && of_this_round;
        match next {
            NextStep::Sent => event.record.status = EventStatus::Sent,
            NextStep::Dead if pending => event.record.status = EventStatus::Dead,
            NextStep::RetryAt(at) if pending => event.next_try = at,
            NextStep::Dead | NextStep::RetryAt(_) => {}
        }
        Ok(())
    }

    async fn claim_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let mut state = self.state()?;
        let mut due: Vec<&mut Stored> = state
            .events
            .values_mut()
            .filter(|event| event.record.status == EventStatus::Pending && event.due() <= now)
            .collect();
        due.sort_by_key(|event| event.due());
        due.truncate(limit);
        Ok(due
            .into_iter()
            .map(|event| {
                event.leased_until = now.after(lease);
                event.seen()
            })
            .collect())
    }

    async fn claim(&self, id: EventId, now: Timestamp, lease: Duration) -> Result<Claim, StoreError> {
        let mut state = self.state()?;
        let event = state.events.get_mut(&id).filter(|event| event.record.status == EventStatus::Pending);
        let Some(event) = event else { return Ok(Claim::Ended) };
        if event.due() > now {
            return Ok(Claim::Waiting { next_try: event.next_try, until: event.due() });
        }
        event.leased_until = now.after(lease);
        Ok(Claim::Claimed(Box::new(event.seen())))
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        let state = self.state()?;
        let mut found = state
            .events
            .values()
            .rev()
            .filter(|event| cursor.is_none_or(|cursor| event.record.id <= cursor))
            .filter(|event| status.is_none_or(|status| event.record.status == status));
        let events = found.by_ref().take(limit.max(1)).map(Stored::seen).collect();
        let next = found.next().map(|event| event.record.id);
        Ok(EventPage { events, next })
    }

    async fn replay(&self, id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state()?;
        let Some(event) = state.events.get_mut(&id) else { return Ok(false) };
        if event.record.status != EventStatus::Pending {
            event.leased_until = Timestamp::from_millis(0);
        }
        event.record.status = EventStatus::Pending;
        event.record.round_started = now;
        event.record.round_attempts = 0;
        event.next_try = now;
        Ok(true)
    }
}
