use std::sync::Arc;
use std::time::Duration;

use attendance::ports::{Acceptance, EventStore};
use attendance::{
    Attempt, Claim, Context, Cooldown, Entries, Event, EventId, EventStatus, Label, NextStep, OutboxEntry, Timestamp,
};

use crate::contract::Open;
use crate::sighting;

pub(super) const COOLDOWN: Duration = Duration::from_secs(5);
pub(super) const LEASE: Duration = Duration::from_secs(13);
pub(super) const NO_COOLDOWN: Duration = Duration::ZERO;
/// What [`accept`] returns for an event that was accepted.
pub(super) const ACCEPTED: Option<Duration> = None;

/// A store, and the rules of the outbox over it.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) port: Arc<dyn EventStore>,
    pub(super) entries: Entries,
}

impl Store {
    pub(super) fn open(open: &Open<dyn EventStore>) -> Self {
        let port = open();
        Self { entries: Entries::new(port.clone()), port }
    }

    pub(super) async fn get(&self, id: EventId) -> Option<OutboxEntry> {
        self.port.get(id).await.expect("get")
    }

    pub(super) async fn swap(&self, entry: OutboxEntry) -> Option<OutboxEntry> {
        self.port.swap(vec![entry]).await.expect("swap").pop()
    }

    pub(super) async fn list(&self, status: Option<EventStatus>) -> Vec<OutboxEntry> {
        self.port.list(status, 100, None).await.expect("list").events
    }

    /// Records a try of an event, which is loaded first.
    pub(super) async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) {
        let entry = self.get(id).await.expect("it is there");
        self.entries.record(entry, attempt, next).await.expect("record");
    }

    pub(super) async fn replay(&self, id: EventId, now: Timestamp) -> bool {
        self.entries.replay(id, now).await.expect("replay")
    }

    pub(super) async fn claim_due(&self, now: Timestamp, limit: usize) -> Vec<OutboxEntry> {
        self.entries.claim_due(now, LEASE, limit).await.expect("claim")
    }

    pub(super) async fn claim(&self, id: EventId, now: Timestamp) -> Claim {
        self.entries.claim(id, now, LEASE).await.expect("claim")
    }
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

pub(super) fn stranger(device: Option<&str>, when: Timestamp) -> Event {
    let context = Context { device_id: device.map(str::to_owned), ..Context::default() };
    Event { label: Label::Unknown, context, ..sighting("x", when) }
}

/// A body for this event. It need not be JSON, and is kept byte for byte.
pub(super) fn body(event: &Event) -> String {
    format!("{{\"event\": \"{}\",\r\n\t\"name\":\"\u{e9}\u{1F6AB}\"}} ", event.id)
}

/// The rest of the quiet time; `None` if the event was accepted.
pub(super) async fn accept(store: &Store, event: &Event, cooldown: Duration) -> Option<Duration> {
    let entry = OutboxEntry::accepted(event, body(event), LEASE);
    match store.entries.accept(entry.clone(), &Cooldown::of(event, cooldown)).await.expect("accept") {
        Acceptance::Accepted(stored) => {
            assert_eq!(*stored, entry);
            None
        }
        Acceptance::Cooling { left } => Some(left),
    }
}

pub(super) async fn accepted(store: &Store, name: &str, when: Timestamp) -> Event {
    let event = sighting(name, when);
    assert_eq!(accept(store, &event, NO_COOLDOWN).await, ACCEPTED);
    event
}

pub(super) async fn only(store: &Store) -> OutboxEntry {
    let mut events = store.list(None).await;
    assert_eq!(events.len(), 1, "one event");
    events.remove(0)
}

pub(super) async fn claim(store: &Store, now: Timestamp) -> Vec<EventId> {
    store.claim_due(now, 100).await.iter().map(|entry| entry.id).collect()
}

pub(super) fn cooling(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[track_caller]
pub(super) fn is_waiting(claim: &Claim, expected_next_try: Timestamp, expected_until: Timestamp) {
    let Claim::Waiting { next_try, until } = claim else { panic!("it was not to be had: {claim:?}") };
    assert_eq!((*next_try, *until), (expected_next_try, expected_until));
}
