//! The port by itself: pages, and entries that are replaced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use attendance::ports::EventStore;
use attendance::{AttemptOutcome, EventId, EventStatus, NextStep, OutboxEntry, Revision};
use tokio::sync::Barrier;

use super::store::{Store, accepted, at, only};
use crate::contract::Open;
use crate::{answered, delivered, failed};

pub(super) async fn pages_hold_every_event_once(open: Open<dyn EventStore>) {
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

pub(super) async fn what_is_swapped_is_what_is_found(open: Open<dyn EventStore>) {
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

pub(super) async fn of_changes_from_one_state_one_is_stored(open: Open<dyn EventStore>) {
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

pub(super) async fn changes_side_by_side_are_all_made(open: Open<dyn EventStore>) {
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
