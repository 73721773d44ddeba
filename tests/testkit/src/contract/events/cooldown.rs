//! One: the cooldown, and what is stored with it.

use std::sync::Arc;
use std::time::Duration;

use attendance::ports::EventStore;
use attendance::{EventStatus, Timestamp};
use tokio::sync::Barrier;

use super::store::{
    ACCEPTED, COOLDOWN, LEASE, NO_COOLDOWN, Store, accept, accepted, at, body, cooling, only, stranger,
};
use crate::contract::Open;
use crate::sighting;

pub(super) async fn a_cooldown_holds_for_its_time_and_key(open: Open<dyn EventStore>) {
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

pub(super) async fn one_of_many_at_the_same_instant_is_accepted(open: Open<dyn EventStore>) {
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

pub(super) async fn a_clock_that_was_set_back_silences_nobody(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    assert_eq!(accept(&store, &sighting("a", at(3600)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&store, &sighting("a", at(3598)), COOLDOWN).await, cooling(5), "a request that was overtaken");
    assert_eq!(accept(&store, &sighting("a", at(0)), COOLDOWN).await, ACCEPTED);
    assert_eq!(accept(&store, &sighting("a", at(1)), COOLDOWN).await, cooling(4));
}

pub(super) async fn an_accepted_event_is_stored_with_its_body(open: Open<dyn EventStore>) {
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

pub(super) async fn what_is_refused_leaves_no_event(open: Open<dyn EventStore>) {
    let store = Store::open(&open);
    accept(&store, &sighting("a", at(0)), COOLDOWN).await;
    accept(&store, &sighting("a", at(1)), COOLDOWN).await;
    assert_eq!(only(&store).await.accepted, at(0));
}
