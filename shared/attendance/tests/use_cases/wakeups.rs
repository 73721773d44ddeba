//! Events that are tried because somebody was woken for them, not because somebody polls.

use std::time::Duration;

use attendance::{EventId, EventStatus, NextStep, RealtimeOptions, Timestamp, Wakeup};
use attendance_testkit::{FakeEvents, FakeGallery, delivered, face, failed, picture};

use crate::deliver::{at_try, only, seen_once, told};
use crate::school::School;

/// The longest that the queue of these tests holds a wakeup back.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The only wakeup sent since this was asked last, and its wait.
fn sent(school: &School) -> (Wakeup, Duration) {
    let sent = school.wakeups.take();
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent[0]
}

async fn wake(school: &School, wakeup: Wakeup) {
    school.deliverer.wake(wakeup).await.expect("answered");
}

fn tries(school: &School) -> usize {
    school.webhook.deliveries().len()
}

/// Lets a queue run until it is empty, and returns the moments at which a wakeup arrived, with the tries made until then.
async fn run(school: &School) -> Vec<(Timestamp, usize)> {
    let mut arrivals = Vec::new();
    let mut waiting = school.wakeups.take();
    while let Some((wakeup, wait)) = waiting.pop() {
        assert!(waiting.is_empty(), "one wakeup an event");
        school.clock.advance(wait.min(LONGEST_DELAY));
        wake(school, wakeup).await;
        arrivals.push((school.now(), tries(school)));
        waiting = school.wakeups.take();
    }
    arrivals
}

#[tokio::test]
async fn a_failed_first_try_sends_one_wakeup_for_the_next() {
    let school = seen_once(School::with_receiver(|d| failed(d.at, Some(Duration::from_secs(90))))).await;
    let (event, (wakeup, wait)) = (only(&school), sent(&school));
    assert_eq!((wakeup.event_id, Some(wakeup.due)), (event.id, event.due()));
    assert_eq!(wait, Duration::from_secs(90), "the receiver's Retry-After");
    assert!(seen_once(School::new()).await.wakeups.take().is_empty(), "nothing is left to do for what was sent");
}

#[tokio::test]
async fn waits_longer_than_the_queue_holds_are_made_in_hops() {
    let school = seen_once(School::with_receiver(at_try(7))).await;
    let begun = school.now();
    let arrivals = run(&school).await;
    let event = only(&school);
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Sent, 7));
    assert_eq!(told(&school).len(), 1);
    // 5 s, 30 s, 2 min and 10 min in one go; each hour, and a fifth more at most, in five.
    let hops = arrivals.windows(2).filter(|pair| pair[0].1 == pair[1].1).count();
    assert!((2 * 4..=2 * 4 + 2).contains(&hops), "{hops} hops: {arrivals:?}");
    let took = school.now().since(begun).as_secs();
    assert!((7955..=9550).contains(&took), "the schedule, not a hop longer: {took}");
}

#[tokio::test]
async fn a_wakeup_that_comes_twice_tries_once_and_leaves_one() {
    let school = seen_once(School::with_receiver(at_try(3))).await;
    let (wakeup, wait) = sent(&school);
    school.clock.advance(wait);
    let (one, other) = tokio::join!(school.deliverer.wake(wakeup), school.deliverer.wake(wakeup));
    assert!(one.is_ok() && other.is_ok());
    wake(&school, wakeup).await;
    assert_eq!(tries(&school), 2);
    let left = school.wakeups.take();
    assert_eq!(left.iter().filter(|(left, _)| left.due > wakeup.due).count(), 1, "one for the next try: {left:?}");
    // A repeat that met the try under way waits for its end, and then sees that it is none of its business.
    for (repeat, wait) in left.iter().filter(|(left, _)| *left == wakeup) {
        assert_eq!(*wait, school.deliverer.lease());
        wake(&school, *repeat).await;
    }
    assert!(school.wakeups.take().is_empty());
    school.wait(60);
    wake(&school, left.iter().max_by_key(|(left, _)| left.due).expect("one").0).await;
    wake(&school, wakeup).await;
    assert_eq!((only(&school).status, tries(&school)), (EventStatus::Sent, 3));
    assert!(school.wakeups.take().is_empty());
}

#[tokio::test]
async fn a_wakeup_waits_while_somebody_else_tries() {
    let school = seen_once(School::with_receiver(|d| failed(d.at, None))).await;
    let (wakeup, wait) = sent(&school);
    school.clock.advance(wait);
    let lease = school.deliverer.lease();
    // Somebody who was killed in the middle.
    school.entries().claim(wakeup.event_id, school.now(), lease).await.expect("claimed");
    wake(&school, wakeup).await;
    assert_eq!((tries(&school), sent(&school)), (1, (wakeup, lease)));
    school.clock.advance(lease);
    wake(&school, wakeup).await;
    assert_eq!(tries(&school), 2);
}

#[tokio::test]
async fn a_store_that_fails_costs_no_wakeup() {
    let events = FakeEvents::default();
    let (down, gallery) = (events.clone(), FakeGallery::default());
    let school = School::over(gallery, events, move |d| {
        down.set_down(true);
        delivered(d.at)
    });
    let school = seen_once(school).await;
    let (wakeup, wait) = sent(&school);
    assert_eq!(wait, school.deliverer.lease(), "the try was not recorded: again when the lease ends");
    school.clock.advance(wait);
    assert!(school.deliverer.wake(wakeup).await.is_err(), "the queue has to repeat it");
    school.events.set_down(false);
    wake(&school, wakeup).await;
    let (again, wait) = sent(&school);
    assert_eq!((tries(&school), wait), (2, school.deliverer.lease()), "not recorded either");
    school.events.set_down(false);
    assert_eq!(only(&school).status, EventStatus::Pending);
    school.clock.advance(wait);
    school.entries().record(only(&school), &delivered(school.now()), NextStep::Sent).await.expect("recorded");
    wake(&school, again).await;
    assert_eq!(tries(&school), 2, "what ended is not tried");
    assert!(school.wakeups.take().is_empty());
}

#[tokio::test]
async fn a_queue_that_fails_has_the_wakeup_repeated() {
    let school = seen_once(School::with_receiver(at_try(3))).await;
    let (wakeup, wait) = sent(&school);
    school.clock.advance(wait);
    school.wakeups.set_down(true);
    assert!(school.deliverer.wake(wakeup).await.is_err());
    school.wakeups.set_down(false);
    assert_eq!(tries(&school), 2);
    school.wait(60);
    wake(&school, wakeup).await;
    assert_eq!((only(&school).status, tries(&school)), (EventStatus::Sent, 3));
}

#[tokio::test]
async fn what_nobody_was_woken_for_is_found_when_it_is_overdue() {
    let school = School::with_receiver(at_try(2));
    school.wakeups.set_down(true);
    let school = seen_once(school).await;
    school.wakeups.set_down(false);
    let due = only(&school).due().expect("pending");
    school.clock.advance(due.since(school.now()) + Duration::from_secs(119));
    assert_eq!(school.deliverer.wake_overdue(10).await.expect("looked"), 0, "its wakeup may be about to arrive");
    school.wait(1);
    assert_eq!(school.deliverer.wake_overdue(10).await.expect("looked"), 1);
    let (wakeup, wait) = sent(&school);
    assert_eq!((wakeup.event_id, wait, tries(&school)), (only(&school).id, Duration::ZERO, 1), "woken for, not tried");
    assert_eq!(school.deliverer.wake_overdue(10).await.expect("looked"), 0, "not once a minute");
    school.wait(120);
    assert_eq!(school.deliverer.wake_overdue(10).await.expect("looked"), 1, "lost again");
    let (second, _) = sent(&school);
    for wakeup in [wakeup, second, wakeup] {
        wake(&school, wakeup).await;
    }
    assert_eq!((only(&school).status, tries(&school)), (EventStatus::Sent, 2));
    assert!(school.wakeups.take().is_empty());
}

#[tokio::test]
async fn overdue_events_are_woken_for_up_to_the_limit() {
    let school = School::with_receiver(|d| failed(d.at, None));
    for person in 0..3 {
        school.enroll(&format!("siswa{person}"), picture("a", &[face(person, 0.0)])).await.expect("enrolled");
    }
    let faces: Vec<_> = (0..3).map(|person| face(person, 0.0)).collect();
    school.realtime.observe(picture("frame", &faces), RealtimeOptions::default()).await.expect("observed");
    assert_eq!(school.wakeups.take().len(), 3);
    school.wait(300);
    assert_eq!(school.deliverer.wake_overdue(2).await.expect("looked"), 2);
    school.wakeups.set_down(true);
    assert!(school.deliverer.wake_overdue(2).await.is_err(), "that is somebody's alarm");
    school.wakeups.set_down(false);
    school.wait(120);
    assert_eq!(school.deliverer.wake_overdue(10).await.expect("looked"), 3);
    assert_eq!(school.wakeups.take().len(), 5);
}

#[tokio::test]
async fn a_replay_wakes_at_once() {
    let school = seen_once(School::new()).await;
    let outbox = &school.outbox;
    let event = only(&school).id;
    assert!(outbox.replay(event).await.expect("replayed"));
    let (wakeup, wait) = sent(&school);
    assert_eq!((wakeup.event_id, wait), (event, Duration::ZERO));
    wake(&school, wakeup).await;
    assert_eq!((only(&school).status, tries(&school)), (EventStatus::Sent, 2));
    school.wakeups.set_down(true);
    assert!(outbox.replay(event).await.expect("replayed"), "it is found when it is overdue");
    assert_eq!(only(&school).status, EventStatus::Pending);
    assert!(!outbox.replay(EventId::generate()).await.expect("looked"));
}
