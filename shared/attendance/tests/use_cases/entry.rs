use std::time::Duration;

use attendance::{AttemptOutcome, Claim, ENDED_KEPT, EventStatus, NextStep, OutboxEntry, Timestamp};
use attendance_testkit::{answered, delivered, failed, sighting};
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(13);
const START: u64 = 1_700_000_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1000)
}

/// An entry that was accepted at 0 and whose lease has ended.
fn accepted() -> OutboxEntry {
    let mut entry = OutboxEntry::accepted(&sighting("a", at(0)), "body".into(), LEASE);
    assert_eq!((entry.status, entry.due()), (EventStatus::Pending, Some(at(0).after(LEASE))));
    entry.leased_until = Timestamp::from_millis(0);
    entry
}

fn claimed(entry: &OutboxEntry, now: Timestamp) -> Option<OutboxEntry> {
    match entry.clone().claim(now, LEASE) {
        Claim::Claimed(leased) => Some(*leased),
        Claim::Waiting { .. } | Claim::Ended => None,
    }
}

#[test]
fn a_due_entry_is_leased_and_the_lease_ends_by_itself() {
    let leased = claimed(&accepted(), at(0)).expect("it is due");
    assert_eq!((leased.next_try, leased.leased_until), (at(0), at(13)));
    let Claim::Waiting { next_try, until } = leased.clone().claim(at(12), LEASE) else { panic!("it is leased") };
    assert_eq!((next_try, until), (at(0), at(13)));
    assert_eq!(claimed(&leased, at(13)).map(|entry| entry.leased_until), Some(at(26)));
}

#[test]
fn an_attempt_moves_the_event_and_ends_the_lease() {
    for (next, status, due, ended) in [
        (NextStep::RetryAt(at(6)), EventStatus::Pending, Some(at(6)), None),
        (NextStep::Dead, EventStatus::Dead, None, Some(at(1))),
        (NextStep::Sent, EventStatus::Sent, None, Some(at(1))),
    ] {
        let mut entry = claimed(&accepted(), at(0)).expect("it is due");
        entry.record_attempt(failed(at(1), None), next);
        assert_eq!((entry.status, entry.due(), entry.ended), (status, due, ended));
        assert_eq!((entry.attempts.len(), entry.round_attempts), (1, 1));
        assert!(ended.is_none() || matches!(entry.claim(at(9999), LEASE), Claim::Ended));
    }
}

#[test]
fn an_ended_event_stays_ended_unless_it_was_given_up_and_arrived() {
    for ended in [NextStep::Sent, NextStep::Dead] {
        let mut entry = accepted();
        entry.record_attempt(failed(at(1), None), ended);
        let status = entry.status;
        for next in [NextStep::RetryAt(at(5)), NextStep::Dead] {
            entry.record_attempt(answered(at(2), 410, AttemptOutcome::Gone), next);
            assert_eq!((entry.status, entry.due(), entry.ended), (status, None, Some(at(1))));
        }
        entry.record_attempt(delivered(at(3)), NextStep::Sent);
        assert_eq!((entry.status, entry.ended, entry.attempts.len()), (EventStatus::Sent, Some(at(3)), 4));
    }
}

#[test]
fn a_replay_starts_a_round_and_keeps_a_lease_that_is_held() {
    let leased = claimed(&accepted(), at(0)).expect("it is due");
    let mut replayed = leased.clone();
    replayed.replay(at(5));
    assert_eq!((replayed.round_started, replayed.next_try, replayed.due()), (at(5), at(5), Some(at(13))));

    let mut ended = leased;
    ended.record_attempt(failed(at(1), None), NextStep::Dead);
    ended.leased_until = at(60);
    ended.replay(at(5));
    assert_eq!((ended.status, ended.ended, ended.due()), (EventStatus::Pending, None, Some(at(5))));
    assert_eq!((ended.round_attempts, ended.attempts.len()), (0, 1));
    assert_eq!(ended.accepted, at(0));
}

#[test]
fn an_attempt_from_before_a_replay_moves_the_event_only_if_it_arrived() {
    for next in [NextStep::Dead, NextStep::RetryAt(at(9999)), NextStep::Sent] {
        let mut entry = accepted();
        entry.replay(at(5));
        entry.record_attempt(failed(at(4), None), next);
        let sent = next == NextStep::Sent;
        assert_eq!(entry.status, if sent { EventStatus::Sent } else { EventStatus::Pending });
        assert_eq!(entry.due(), (!sent).then_some(at(5)));
        assert_eq!((entry.attempts.len(), entry.round_attempts), (1, 0));
    }
}

#[test]
fn an_entry_from_the_future_starts_anew_and_waits_for_a_lease_no_longer_than_one() {
    let mut entry = accepted();
    entry.record_attempt(failed(at(1), None), NextStep::RetryAt(at(3600)));
    assert!(!entry.is_from_the_future(at(0)));
    let past = Timestamp::from_millis(START - 60_000);
    assert!(!entry.is_from_the_future(past), "clocks are corrected by a minute");
    let past = past.before(Duration::from_millis(1));
    assert!(entry.is_from_the_future(past));
    let mut free = entry.clone();
    free.restart(past, LEASE);
    assert_eq!((free.round_started, free.round_attempts, free.due()), (past, 0, Some(past)));
    assert_eq!(free.attempts.len(), 1);
    entry.leased_until = at(13);
    entry.restart(past, LEASE);
    assert_eq!(entry.due(), Some(past.after(LEASE)), "somebody may be trying at this moment");
    assert!(!entry.is_from_the_future(past));
    entry.record_attempt(failed(past, None), NextStep::Dead);
    assert!(!entry.is_from_the_future(past.before(Duration::from_secs(86400))), "an ended one waits for nothing");
}

#[test]
fn an_ended_event_is_forgotten_after_its_time_and_a_pending_one_never() {
    let mut entry = accepted();
    let later = at(1).after(ENDED_KEPT);
    assert!(!entry.is_forgotten(later));
    entry.record_attempt(delivered(at(1)), NextStep::Sent);
    assert!(!entry.is_forgotten(later.before(Duration::from_millis(1))));
    assert!(entry.is_forgotten(later));
    entry.replay(later);
    assert!(!entry.is_forgotten(later));
}

/// What may happen to an entry.
#[derive(Debug, Clone, Copy)]
enum Step {
    Claim,
    Record { started: u64, next: NextStep },
    Replay,
    Restart,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let next = prop_oneof![
        Just(NextStep::Sent),
        Just(NextStep::Dead),
        (0u64..200).prop_map(|seconds| NextStep::RetryAt(at(seconds)))
    ];
    let step = prop_oneof![
        4 => Just(Step::Claim),
        4 => (0u64..200, next).prop_map(|(started, next)| Step::Record { started, next }),
        1 => Just(Step::Replay),
        1 => Just(Step::Restart),
    ];
    (0u64..200, step)
}

proptest! {
    #[test]
    fn whatever_happens_an_entry_keeps_its_promises(steps in prop::collection::vec(step(), 0..40)) {
        let mut entry = accepted();
        let mut recorded = 0;
        for (now, step) in steps {
            let (now, before) = (at(now), entry.clone());
            match step {
                Step::Claim => match entry.clone().claim(now, LEASE) {
                    Claim::Claimed(leased) => {
                        prop_assert!(before.due().is_some_and(|due| due <= now), "only what is due is claimed");
                        prop_assert!(matches!(leased.clone().claim(now, LEASE), Claim::Waiting { .. }), "once");
                        entry = *leased;
                    }
                    Claim::Waiting { next_try, until } => {
                        prop_assert!(until > now && next_try <= until && before.due() == Some(until));
                    }
                    Claim::Ended => prop_assert_ne!(before.status, EventStatus::Pending),
                },
                Step::Record { started, next } => {
                    entry.record_attempt(failed(at(started), None), next);
                    recorded += 1;
                    if before.status == EventStatus::Sent {
                        prop_assert_eq!(entry.status, EventStatus::Sent, "only a replay reopens it");
                    }
                    if before.status == EventStatus::Dead {
                        prop_assert_ne!(entry.status, EventStatus::Pending, "only a replay reopens it");
                    }
                    prop_assert_eq!(entry.leased_until, Timestamp::from_millis(0));
                }
                Step::Replay => {
                    entry.replay(now);
                    prop_assert_eq!((entry.round_started, entry.round_attempts), (now, 0));
                    prop_assert!(entry.due().is_some_and(|due| due >= now));
                }
                Step::Restart if entry.is_from_the_future(now) => {
                    entry.restart(now, LEASE);
                    prop_assert!(entry.due().is_some_and(|due| due >= now && due <= now.after(LEASE)));
                }
                Step::Restart => {}
            }
            // No event ends silently, and every attempt is kept.
            prop_assert_eq!(entry.status == EventStatus::Pending, entry.ended.is_none());
            prop_assert_eq!(entry.due().is_some(), entry.ended.is_none());
            prop_assert_eq!(entry.attempts.len(), recorded);
            prop_assert!(entry.round_attempts as usize <= recorded);
            prop_assert_eq!((&entry.body, entry.accepted, entry.id), (&before.body, before.accepted, before.id));
        }
    }
}
