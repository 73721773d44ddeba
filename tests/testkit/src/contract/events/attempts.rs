//! What attempts and replays do to an event.

use std::time::Duration;

use attendance::ports::EventStore;
use attendance::{AttemptOutcome, EventId, EventStatus, NextStep, OutboxEntry};

use super::store::{Store, accepted, at, claim, only};
use crate::contract::Open;
use crate::{answered, delivered, failed};

pub(super) async fn a_failed_try_waits_and_ends_the_lease(open: Open<dyn EventStore>) {
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

pub(super) async fn an_ended_event_is_not_reopened(open: Open<dyn EventStore>) {
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

pub(super) async fn every_kind_of_try_is_kept(open: Open<dyn EventStore>) {
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

pub(super) async fn a_replay_begins_a_new_round(open: Open<dyn EventStore>) {
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

pub(super) async fn a_try_from_before_a_replay_does_not_undo_it(open: Open<dyn EventStore>) {
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
