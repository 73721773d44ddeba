use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use attendance::ports::{Acceptance, EventStore};
use attendance::{
    Attempt, AttemptOutcome, Claim, Context, Cooldown, Entries, Event, EventId, EventStatus, Label, NextStep,
    OutboxEntry, Revision, Timestamp,
};
use tokio::sync::Barrier;

use super::Open;
use crate::{answered, delivered, failed, sighting};

const COOLDOWN: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(13);
const NO_COOLDOWN: Duration = Duration::ZERO;

/// A store, and the rules of the outbox over it.
#[derive(Clone)]
struct Store {
    port: Arc<dyn EventStore>,
    entries: Entries,
}

impl Store {
    fn open(open: &Open<dyn EventStore>) -> Self {
        let port = open();
        Self { entries: Entries::new(port.clone()), port }
    }

    async fn get(&self, id: EventId) -> Option<OutboxEntry> {
        self.port.get(id).await.expect("get")
    }

    async fn swap(&self, entry: OutboxEntry) -> Option<OutboxEntry> {
        self.port.swap(vec![entry]).await.expect("swap").pop()
    }

    async fn list(&self, status: Option<EventStatus>) -> Vec<OutboxEntry> {
        self.port.list(status, 100, None).await.expect("list").events
    }

    /// Records a try of an event, which is loaded first.
    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) {
        let entry = self.get(id).await.expect("it is there");
        self.entries.record(entry, attempt, next).await.expect("record");
    }

    async fn replay(&self, id: EventId, now: Timestamp) -> bool {
        self.entries.replay(id, now).await.expect("replay")
    }

    async fn claim_due(&self, now: Timestamp, limit: usize) -> Vec<OutboxEntry> {
        self.entries.claim_due(now, LEASE, limit).await.expect("claim")
    }

    async fn claim(&self, id: EventId, now: Timestamp) -> Claim {
        self.entries.claim(id, now, LEASE).await.expect("claim")
    }
}

/// What every [`EventStore`] guarantees, by itself and under [`Entries`].
pub async fn event_store(fresh: impl AsyncFn() -> Open<dyn EventStore>) {
    a_cooldown_holds_for_its_time_and_key(fresh().await).await;
    one_of_many_at_the_same_instant_is_accepted(fresh().await).await;
    a_clock_that_was_set_back_silences_nobody(fresh().await).await;
    an_accepted_event_is_stored_with_its_body(fresh().await).await;
    what_is_refused_leaves_no_event(fresh().await).await;
    a_lease_runs_out_by_itself(fresh().await).await;
    one_claimer_gets_an_event(fresh().await).await;
    the_earliest_are_claimed_first(fresh().await).await;
    an_event_is_claimed_by_its_id_when_it_is_due(fresh().await).await;
    one_of_many_claims_an_event_by_its_id(fresh().await).await;
    a_failed_try_waits_and_ends_the_lease(fresh().await).await;
    an_ended_event_is_not_reopened(fresh().await).await;
    every_kind_of_try_is_kept(fresh().await).await;
    a_replay_begins_a_new_round(fresh().await).await;
    a_try_from_before_a_replay_does_not_undo_it(fresh().await).await;
    pages_hold_every_event_once(fresh().await).await;
    what_is_swapped_is_what_is_found(fresh().await).await;
    of_changes_from_one_state_one_is_stored(fresh().await).await;
    changes_side_by_side_are_all_made(fresh().await).await;
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn stranger(device: Option<&str>, when: Timestamp) -> Event {
    let context = Context { device_id: device.map(str::to_owned), ..Context::default() };
    Event { label: Label::Unknown, context, ..sighting("x", when) }
}

/// The event's body: it need not be JSON, and is kept byte for byte.
fn body(event: &Event) -> String {
    format!("{{\"event\": \"{}\",\r\n\t\"name\":\"\u{e9}\u{1F6AB}\"}} ", event.id)
}

/// The rest of the quiet time; `None` if the event was accepted.
async fn accept(store: &Store, event: &Event, cooldown: Duration) -> Option<Duration> {
    let entry = OutboxEntry::accepted(event, body(event), LEASE);
    match store.entries.accept(entry.clone(), &Cooldown::of(event, cooldown)).await.expect("accept") {
        Acceptance::Accepted(stored) => {
            assert_eq!(*stored, entry);
            None
        }
        Acceptance::Cooling { left } => Some(left),
    }
}

const ACCEPTED: Option<Duration> = None;

async fn accepted(store: &Store, name: &str, when: Timestamp) -> Event {
    let event = sighting(name, when);
    assert_eq!(accept(store, &event, NO_COOLDOWN).await, ACCEPTED);
    event
}

async fn only(store: &Store) -> OutboxEntry {
    let mut events = store.list(None).await;
    assert_eq!(events.len(), 1, "one event");
    events.remove(0)
}

async fn claim(store: &Store, now: Timestamp) -> Vec<EventId> {
    store.claim_due(now, 100).await.iter().map(|entry| entry.id).collect()
}

fn cooling(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

async fn a_cooldown_holds_for_its_time_and_key(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    assert_eq!(accept(&one, &sighting("a", at(0)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&other, &sighting("a", at(2)), COOLDOWN).await, cooling(3));
    assert_eq!(accept(&other, &sighting("b", at(2)), COOLDOWN).await, ACCEPTED, "another student's is his own");
    assert_eq!(accept(&one, &sighting("a", at(4)), COOLDOWN).await, cooling(1), "what was refused takes no cooldown");
    assert_eq!(accept(&one, &sighting("a", at(5)), COOLDOWN).await, ACCEPTED, "over after exactly its time");
    assert_eq!(accept(&one, &sighting("a", at(6)), Duration::from_secs(1)).await, ACCEPTED, "as the caller has it");
    assert_eq!(accept(&one, &sighting("a", at(6)), NO_COOLDOWN).await, ACCEPTED, "zero turns it off");

    assert_eq!(accept(&one, &stranger(Some("door"), at(0)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&one, &stranger(Some("door"), at(1)), COOLDOWN).await, cooling(4), "strangers share a camera's");
    assert_eq!(accept(&one, &stranger(Some("gate"), at(1)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&one, &stranger(None, at(1)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&one, &sighting("door", at(1)), COOLDOWN).await, ACCEPTED, "a student called as a camera");
}

async fn one_of_many_at_the_same_instant_is_accepted(open: Open<dyn EventStore>) {
    const AT_ONCE: usize = 8;
    let handles = [Store::open(&open), Store::open(&open)];
    for round in 0..20 {
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let (store, barrier) = (handles[n % 2].clone(), barrier.clone());
                tokio::spawn(async move {
                    // Clocks of two processes differ a little, and requests overtake each other.
                    let event = sighting("a", Timestamp::from_millis(at(round * 60).millis() + (n as u64 * 7) % 50));
                    barrier.wait().await;
                    accept(&store, &event, COOLDOWN).await
                })
            })
            .collect();
        let mut accepted = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                None => accepted += 1,
                Some(left) => assert!(left <= COOLDOWN && left > Duration::from_secs(4), "{left:?}"),
            }
        }
        assert_eq!(accepted, 1, "one of {AT_ONCE}");
    }
    assert_eq!(handles[0].list(None).await.len(), 20);
}

async fn a_clock_that_was_set_back_silences_nobody(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    assert_eq!(accept(&store, &sighting("a", at(3600)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&store, &sighting("a", at(3598)), COOLDOWN).await, cooling(5), "a request that was overtaken");
    assert_eq!(accept(&store, &sighting("a", at(0)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&store, &sighting("a", at(1)), COOLDOWN).await, cooling(4));
}

async fn an_accepted_event_is_stored_with_its_body(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    let event = accepted(&one, "a", at(0)).await;
    let record = only(&other).await;
    assert_eq!(other.get(event.id).await.as_ref(), Some(&record));
    assert_eq!(record.id, event.id);
    assert_eq!(record.student, "a");
    assert_eq!(record.status, EventStatus::Pending);
    assert_eq!(record.body, body(&event), "byte for byte: it is signed");
    assert_eq!((record.accepted, record.round_started), (at(0), at(0)));
    assert_eq!((record.attempts.len(), record.round_attempts), (0, 0));
    assert_eq!(record.due(), Some(at(0).after(LEASE)), "nobody else tries before the lease ends");
}

async fn what_is_refused_leaves_no_event(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    accept(&store, &sighting("a", at(0)), COOLDOWN).await;
    accept(&store, &sighting("a", at(1)), COOLDOWN).await;
    assert_eq!(only(&store).await.accepted, at(0));
}

async fn a_lease_runs_out_by_itself(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    let event = accepted(&one, "a", at(0)).await;
    assert!(claim(&other, at(12)).await.is_empty(), "who accepted it is trying");
    assert_eq!(claim(&other, at(13)).await, [event.id], "who accepted it crashed");
    assert!(claim(&one, at(25)).await.is_empty());
    assert_eq!(claim(&one, at(26)).await, [event.id], "who claimed it crashed too");
}

async fn one_claimer_gets_an_event(open: Open<dyn EventStore>) {
    let handles = [Store::open(&open), Store::open(&open)];
    let mut expected = HashSet::new();
    for n in 0..40 {
        expected.insert(accepted(&handles[0], &format!("s{n}"), at(0)).await.id);
    }
    let barrier = Arc::new(Barrier::new(8));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, barrier) = (handles[n % 2].clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                store.claim_due(at(60), 10).await
            })
        })
        .collect();
    let mut claimed = HashSet::new();
    for task in tasks {
        let records = task.await.expect("no panic");
        assert!(records.len() <= 10, "no more than asked for");
        for record in records {
            assert_eq!(record.due(), Some(at(60).after(LEASE)));
            assert!(claimed.insert(record.id), "no event has two claimers");
        }
    }
    assert_eq!(claimed, expected, "none was left");
}

async fn the_earliest_are_claimed_first(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    let mut ids = Vec::new();
    for n in 0..4 {
        let event = accepted(&store, &format!("s{n}"), at(0)).await;
        // Due in the opposite order.
        let next = NextStep::RetryAt(at(100 - 10 * n));
        store.record(event.id, &failed(at(0), None), next).await;
        ids.insert(0, event.id);
    }
    let first = store.claim_due(at(95), 2).await;
    assert_eq!(first.iter().map(|r| r.id).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(first[0].attempts, [failed(at(0), None)], "a claimed event comes with its tries");
    assert_eq!(claim(&store, at(95)).await, ids[2..3], "the last is not due");
    assert!(store.claim_due(at(95), usize::MAX).await.is_empty());
}

#[track_caller]
fn is_waiting(claim: &Claim, expected_next_try: Timestamp, expected_until: Timestamp) {
    let Claim::Waiting { next_try, until } = claim else { panic!("it was not to be had: {claim:?}") };
    assert_eq!((*next_try, *until), (expected_next_try, expected_until));
}

async fn an_event_is_claimed_by_its_id_when_it_is_due(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    assert!(matches!(one.claim(EventId::generate(), at(0)).await, Claim::Ended), "there is no such event");
    let event = accepted(&one, "a", at(0)).await;
    accepted(&one, "b", at(0)).await;
    is_waiting(&other.claim(event.id, at(12)).await, at(0), at(13));
    let Claim::Claimed(record) = other.claim(event.id, at(13)).await else { panic!("the lease ran out") };
    assert_eq!((record.id, record.body.clone(), record.due()), (event.id, body(&event), Some(at(26))));
    is_waiting(&one.claim(event.id, at(13)).await, at(0), at(26));
    assert!(claim(&one, at(13)).await.iter().all(|id| *id != event.id), "nor is it to be had another way");

    one.record(event.id, &failed(at(14), None), NextStep::RetryAt(at(20))).await;
    is_waiting(&one.claim(event.id, at(19)).await, at(20), at(20));
    let Claim::Claimed(record) = one.claim(event.id, at(20)).await else { panic!("it is due") };
    assert_eq!((record.attempts.len(), record.round_attempts), (1, 1));
    one.replay(event.id, at(21)).await;
    is_waiting(&one.claim(event.id, at(22)).await, at(21), at(33));
    one.record(event.id, &failed(at(22), None), NextStep::Dead).await;
    assert!(matches!(one.claim(event.id, at(9999)).await, Claim::Ended));
    one.replay(event.id, at(10_000)).await;
    assert!(matches!(one.claim(event.id, at(10_000)).await, Claim::Claimed(_)), "a replay opens it again");
    one.record(event.id, &delivered(at(10_001)), NextStep::Sent).await;
    assert!(matches!(one.claim(event.id, at(19_999)).await, Claim::Ended));
}

async fn one_of_many_claims_an_event_by_its_id(open: Open<dyn EventStore>) {
    const AT_ONCE: usize = 8;
    let handles = [Store::open(&open), Store::open(&open)];
    for round in 0..5 {
        let event = accepted(&handles[0], &format!("s{round}"), at(0)).await;
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let (store, barrier) = (handles[n % 2].clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.claim(event.id, at(60)).await
                })
            })
            .collect();
        let mut claimed = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                Claim::Claimed(record) => claimed += usize::from(record.id == event.id),
                other => is_waiting(&other, at(0), at(60).after(LEASE)),
            }
        }
        assert_eq!(claimed, 1, "one of {AT_ONCE}");
    }
}

async fn a_failed_try_waits_and_ends_the_lease(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    let event = accepted(&store, "a", at(0)).await;
    let attempt = failed(at(1), Some(Duration::from_millis(2500)));
    store.record(event.id, &attempt, NextStep::RetryAt(at(6))).await;
    let record = only(&store).await;
    assert_eq!(record.status, EventStatus::Pending);
    assert_eq!(record.due(), Some(at(6)), "the lease is over: what counts is the wait");
    assert_eq!((record.attempts.as_slice(), record.round_attempts), ([attempt].as_slice(), 1));
    assert!(claim(&store, at(5)).await.is_empty());
    assert_eq!(claim(&store, at(6)).await, [event.id]);
    store.record(event.id, &delivered(at(6)), NextStep::Sent).await;
    let record = only(&store).await;
    assert_eq!((record.status, record.due(), record.attempts.len()), (EventStatus::Sent, None, 2));
    assert!(claim(&store, at(9999)).await.is_empty(), "what ended is not tried again");
}

async fn an_ended_event_is_not_reopened(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    let event = accepted(&store, "a", at(0)).await;
    store.record(event.id, &delivered(at(1)), NextStep::Sent).await;
    // The lease had run out and somebody else tried as well.
    for next in [NextStep::RetryAt(at(2)), NextStep::Dead] {
        store.record(event.id, &failed(at(1), None), next).await;
        let record = only(&store).await;
        assert_eq!((record.status, record.due()), (EventStatus::Sent, None));
    }
    assert_eq!(only(&store).await.attempts.len(), 3, "the tries are recorded all the same");
    assert!(claim(&store, at(9999)).await.is_empty());

    let store = Store::open(&open);
    let dead = accepted(&store, "b", at(0)).await;
    store.record(dead.id, &failed(at(1), None), NextStep::Dead).await;
    store.record(dead.id, &failed(at(1), None), NextStep::RetryAt(at(2))).await;
    assert!(claim(&store, at(9999)).await.is_empty());
    store.record(dead.id, &delivered(at(1)), NextStep::Sent).await;
    let sent = store.list(Some(EventStatus::Sent)).await;
    assert_eq!(sent.len(), 2, "what was given up and arrived after all is sent");
}

async fn every_kind_of_try_is_kept(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    let event = accepted(&one, "a", at(0)).await;
    let mut attempts = vec![
        failed(at(1), None),
        failed(at(2), Some(Duration::from_secs(90))),
        answered(at(3), 410, AttemptOutcome::Gone),
        delivered(at(4)),
    ];
    attempts[0].http_status = None;
    attempts[0].message = "the receiver said \"no\"\n\u{1F6AB}".into();
    for attempt in &attempts {
        one.record(event.id, attempt, NextStep::RetryAt(at(5))).await;
    }
    assert_eq!(only(&other).await.attempts, attempts, "oldest first");
    let unknown = OutboxEntry { id: EventId::generate(), ..only(&one).await };
    assert!(one.entries.record(unknown, &attempts[0], NextStep::Sent).await.is_err(), "there is no such event");
}

async fn a_replay_begins_a_new_round(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    assert!(!store.replay(EventId::generate(), at(0)).await, "there is no such event");
    for (n, ended) in [NextStep::Dead, NextStep::Sent].into_iter().enumerate() {
        let event = accepted(&store, &format!("s{n}"), at(0)).await;
        for _ in 0..2 {
            store.record(event.id, &failed(at(1), None), NextStep::RetryAt(at(2))).await;
        }
        store.record(event.id, &failed(at(2), None), ended).await;
        assert!(store.replay(event.id, at(1000)).await);
        assert!(claim(&store, at(999)).await.is_empty());
        let record = store.claim_due(at(1000), 10).await.pop().expect("due at once");
        assert_eq!((record.id, record.status), (event.id, EventStatus::Pending));
        assert_eq!((record.accepted, record.round_started), (at(0), at(1000)));
        assert_eq!((record.attempts.len(), record.round_attempts), (3, 0), "the old tries stay, and are not counted");
        // A replay beside a try does not make it two.
        assert!(store.replay(event.id, at(1001)).await);
        assert!(claim(&store, at(1002)).await.is_empty(), "the lease holds");
        store.record(event.id, &failed(at(1003), None), NextStep::RetryAt(at(9999))).await;
        assert_eq!(store.list(None).await[0].round_attempts, 1);
    }
}

async fn a_try_from_before_a_replay_does_not_undo_it(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    for (n, next) in [NextStep::Dead, NextStep::RetryAt(at(9999)), NextStep::Sent].into_iter().enumerate() {
        let event = accepted(&store, &format!("s{n}"), at(0)).await;
        // The try began before the replay, and ended after it.
        assert!(store.replay(event.id, at(2)).await);
        let attempt = if next == NextStep::Sent { delivered(at(1)) } else { failed(at(1), None) };
        store.record(event.id, &attempt, next).await;
        let claimed = store.claim_due(at(3), 10).await;
        if next == NextStep::Sent {
            assert!(claimed.is_empty(), "it arrived");
        } else {
            assert_eq!(claimed.iter().map(|r| (r.id, r.round_attempts)).collect::<Vec<_>>(), [(event.id, 0)]);
            assert_eq!(claimed[0].attempts.len(), 1, "the try is recorded");
        }
    }
}

async fn pages_hold_every_event_once(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    assert!(store.port.list(None, 10, None).await.expect("list").next.is_none());
    let mut ids = Vec::new();
    for n in 0..7 {
        let event = accepted(&store, &format!("s{n}"), at(n)).await;
        ids.insert(0, event.id);
        if n % 2 == 0 {
            store.record(event.id, &failed(at(n), None), NextStep::Dead).await;
        }
    }
    let dead: Vec<EventId> = ids.iter().copied().step_by(2).collect();
    let pending: Vec<EventId> = ids.iter().copied().skip(1).step_by(2).collect();
    let cases = [(None, ids), (Some(EventStatus::Dead), dead), (Some(EventStatus::Pending), pending)];
    for (status, expected) in cases {
        for limit in [1, 2, 3, 7, 100] {
            let mut listed = Vec::new();
            let mut cursor = None;
            loop {
                let page = store.port.list(status, limit, cursor).await.expect("list");
                assert!(page.events.len() <= limit);
                assert!(page.events.iter().all(|event| status.is_none_or(|status| event.status == status)));
                listed.extend(page.events.iter().map(|event| event.id));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                assert_eq!(page.events.len(), limit, "a page before the last is full");
            }
            assert_eq!(listed, expected, "newest first, by pages of {limit}");
        }
    }
    assert!(store.list(Some(EventStatus::Sent)).await.is_empty());
}

async fn what_is_swapped_is_what_is_found(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    let event = accepted(&one, "a", at(0)).await;
    accepted(&one, "b", at(5)).await;
    assert!(other.get(EventId::generate()).await.is_none());
    let mut entry = one.get(event.id).await.expect("it is there");
    let mut revisions = HashSet::from([entry.revision.to_string()]);
    let steps: [&dyn Fn(&mut OutboxEntry); 5] = [
        &|entry| entry.leased_until = at(30),
        &|entry| entry.record_attempt(failed(at(20), Some(Duration::from_millis(1500))), NextStep::RetryAt(at(40))),
        &|entry| entry.record_attempt(answered(at(40), 410, AttemptOutcome::Gone), NextStep::Dead),
        &|entry| entry.replay(at(50)),
        &|entry| entry.record_attempt(delivered(at(51)), NextStep::Sent),
    ];
    for step in steps {
        step(&mut entry);
        let stored = one.swap(entry.clone()).await.expect("nobody else changes it");
        assert!(revisions.insert(stored.revision.to_string()), "every write has its own revision");
        assert_eq!(OutboxEntry { revision: entry.revision, ..stored.clone() }, entry);
        assert_eq!(other.get(event.id).await.as_ref(), Some(&stored));
        let due: Vec<_> = other.port.due(at(60), 10).await.expect("due").into_iter().map(|entry| entry.id).collect();
        assert_eq!(due.contains(&event.id), stored.due().is_some());
        assert_eq!(other.list(Some(stored.status)).await.iter().filter(|entry| entry.id == event.id).count(), 1);
        entry = stored;
    }
    assert!(one.swap(OutboxEntry { id: EventId::generate(), ..entry }).await.is_none(), "there is no such event");
    assert_eq!(one.list(None).await.len(), 2);
}

async fn of_changes_from_one_state_one_is_stored(open: Open<dyn EventStore>) {
    const AT_ONCE: usize = 8;
    let handles = [Store::open(&open), Store::open(&open)];
    for round in 0..5 {
        let event = accepted(&handles[0], &format!("s{round}"), at(0)).await;
        let loaded = handles[0].get(event.id).await.expect("it is there");
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let (store, barrier, mut entry) = (handles[n % 2].clone(), barrier.clone(), loaded.clone());
                entry.record_attempt(failed(at(n as u64), None), NextStep::RetryAt(at(100 + n as u64)));
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.swap(entry).await
                })
            })
            .collect();
        let mut stored = Vec::new();
        for task in tasks {
            stored.extend(task.await.expect("no panic"));
        }
        assert_eq!(stored.len(), 1, "one of {AT_ONCE}");
        assert_eq!(handles[1].get(event.id).await, stored.pop());
        let stale = OutboxEntry { revision: Revision::generate(), ..loaded };
        assert!(handles[1].swap(stale).await.is_none());
    }
}

async fn changes_side_by_side_are_all_made(open: Open<dyn EventStore>) {
    const AT_ONCE: usize = 6;
    let handles = [Store::open(&open), Store::open(&open)];
    let event = accepted(&handles[0], "a", at(0)).await;
    let loaded = handles[0].get(event.id).await.expect("it is there");
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let (store, barrier, entry) = (handles[n % 2].clone(), barrier.clone(), loaded.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let (attempt, next) = (failed(at(10 + n as u64), None), NextStep::RetryAt(at(100)));
                // All but one of them are stale, however they come.
                store.entries.record(entry, &attempt, next).await.expect("record");
                assert!(store.replay(event.id, at(5)).await);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let entry = only(&handles[0]).await;
    let attempts: HashSet<_> = entry.attempts.iter().map(|attempt| attempt.at.seconds()).collect();
    assert_eq!((entry.attempts.len(), attempts.len()), (AT_ONCE, AT_ONCE), "no try is lost or kept twice");
    assert_eq!((entry.status, entry.round_started), (EventStatus::Pending, at(5)));
}
