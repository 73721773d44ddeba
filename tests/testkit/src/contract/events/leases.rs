//! Leased: who may try an event, and when.

use std::collections::HashSet;
use std::sync::Arc;

use attendance::ports::EventStore;
use attendance::{Claim, EventId, NextStep};
use tokio::sync::Barrier;

use super::store::{LEASE, Store, accepted, at, body, claim, is_waiting};
use crate::contract::Open;
use crate::{delivered, failed};

pub(super) async fn a_lease_runs_out_by_itself(open: Open<dyn EventStore>) {
    let (one, other) = (Store::open(&open), Store::open(&open));
    let event = accepted(&one, "a", at(0)).await;
    assert!(claim(&other, at(12)).await.is_empty(), "who accepted it is trying");
    assert_eq!(claim(&other, at(13)).await, [event.id], "who accepted it crashed");
    assert!(claim(&one, at(25)).await.is_empty());
    assert_eq!(claim(&one, at(26)).await, [event.id], "who claimed it crashed too");
}

pub(super) async fn one_claimer_gets_an_event(open: Open<dyn EventStore>) {
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

pub(super) async fn the_earliest_are_claimed_first(open: Open<dyn EventStore>) {
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

pub(super) async fn an_event_is_claimed_by_its_id_when_it_is_due(open: Open<dyn EventStore>) {
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

pub(super) async fn one_of_many_claims_an_event_by_its_id(open: Open<dyn EventStore>) {
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
