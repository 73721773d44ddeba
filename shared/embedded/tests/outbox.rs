//! What clocks that are set, and damage, make of the outbox.

use std::time::Duration;

use attendance::ports::{Acceptance, ENDED_KEPT, EventStore};
use attendance::{Context, Event, EventId, FaceBox, FrameSize, Label, NextStep, StudentId, Timestamp};
use attendance_embedded::Database;
use attendance_testkit::{delivered, failed};
use rusqlite::Connection;
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(13);
const YEAR: u64 = 365 * 86400;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

async fn accepted(events: &dyn EventStore, name: &str, when: Timestamp) -> EventId {
    let event = Event {
        id: EventId::generate(),
        label: Label::Student(StudentId::parse(name).expect("an id")),
        distance: Some(0.3),
        at: when,
        frame: FrameSize { width: 640, height: 480 },
        face_box: FaceBox { top: 1, right: 4, bottom: 3, left: 2 },
        context: Context::default(),
    };
    let acceptance = events.accept(&event, Duration::from_secs(5), LEASE).await.expect("accept");
    assert_eq!(acceptance, Acceptance::Accepted);
    event.id
}

async fn claimed(events: &dyn EventStore, now: Timestamp) -> Vec<EventId> {
    events.claim_due(now, LEASE, 10).await.expect("claim").iter().map(|record| record.id).collect()
}

#[tokio::test]
async fn an_event_from_before_the_clock_was_set_back_is_sent_now_and_tried_by_the_schedule() {
    let data = TempDir::new().expect("a folder");
    let events = Database::open(data.path()).expect("opened").events();
    // The machine believed for a moment that it was next year.
    let tried = accepted(&*events, "tried", at(YEAR)).await;
    let attempt = failed(at(YEAR + 1), None);
    events.record(tried, &attempt, NextStep::RetryAt(at(YEAR + 3600))).await.expect("record");
    let leased = accepted(&*events, "leased", at(YEAR)).await;
    let ordinary = accepted(&*events, "ordinary", at(30)).await;
    assert_eq!(claimed(&*events, at(0)).await, [tried], "the other may be on its way at this moment");
    let record = events.list(None, 10, None).await.expect("list").events.into_iter().find(|e| e.id == tried);
    let record = record.expect("it is there");
    assert_eq!((record.round_started, record.round_attempts), (at(0), 0), "its day begins now");
    events.record(tried, &failed(at(1), None), NextStep::RetryAt(at(600))).await.expect("record");
    assert_eq!(claimed(&*events, at(12)).await, [], "it waits as it should");
    assert_eq!(claimed(&*events, at(13)).await, [leased]);
    assert_eq!(claimed(&*events, at(43)).await, [leased, ordinary], "a clock that is set a little changes nothing");
}

#[tokio::test]
async fn one_damaged_event_keeps_no_other_from_being_sent() {
    let data = TempDir::new().expect("a folder");
    let events = Database::open(data.path()).expect("opened").events();
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(accepted(&*events, name, at(0)).await);
    }
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    raw.execute("UPDATE event SET accepted = -1 WHERE id = ?1", [ids[1].to_string()]).expect("damaged");
    assert_eq!(claimed(&*events, at(60)).await, [ids[0], ids[2]]);
}

#[tokio::test]
async fn what_ended_is_forgotten_after_its_time_and_what_is_pending_never() {
    const ENDED: u64 = 150;
    let data = TempDir::new().expect("a folder");
    let events = Database::open(data.path()).expect("opened").events();
    let mut ended = Vec::new();
    for n in 0..ENDED {
        let id = accepted(&*events, &format!("s{n}"), at(0)).await;
        let (attempt, next) =
            if n % 2 == 0 { (delivered(at(n)), NextStep::Sent) } else { (failed(at(n), None), NextStep::Dead) };
        events.record(id, &attempt, next).await.expect("record");
        ended.push(id);
    }
    let replayed = ended[0];
    assert!(events.replay(replayed, at(ENDED)).await.expect("replay"));
    let waiting = accepted(&*events, "waiting", at(0)).await;
    let later = at(9).after(ENDED_KEPT);
    for id in [replayed, waiting] {
        events.record(id, &failed(at(ENDED), None), NextStep::RetryAt(later.after(LEASE))).await.expect("record");
    }
    let left = async |now| {
        // What a server does twice a second.
        for _ in 0..3 {
            claimed(&*events, now).await;
        }
        events.list(None, 500, None).await.expect("list").events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(left(at(1).after(ENDED_KEPT)).await.len(), 151, "on the day itself it is there");
    assert_eq!(left(later).await.len(), 151 - 8, "s1 to s8 ended longer ago");
    let left = left(at(ENDED).after(ENDED_KEPT)).await;
    assert_eq!(left, [waiting, replayed], "a hundred at a time, until all are gone");
    let db = Connection::open(data.path().join("attendance.db")).expect("opened");
    let tries: usize = db.query_row("SELECT count(*) FROM attempt", [], |row| row.get(0)).expect("counted");
    assert_eq!(tries, 3, "their tries too");
}
