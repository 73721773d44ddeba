//! What clocks that are set back, damage and earlier versions of the database make of the outbox.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attendance::ports::{Acceptance, EventStore};
use attendance::{
    Attempt, AttemptOutcome, Cooldown, ENDED_KEPT, Entries, EventId, EventStatus, NextStep, OutboxEntry, Timestamp,
};
use attendance_embedded::{Database, SqliteEvents};
use attendance_testkit::{delivered, failed, sighting};
use rusqlite::Connection;
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(13);
const YEAR: u64 = 365 * 86400;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

/// The outbox in a data folder.
struct Outbox {
    store: Arc<SqliteEvents>,
    entries: Entries,
}

impl Outbox {
    fn open(data: &Path) -> Self {
        let store = Database::open(data).expect("opened").events();
        Self { entries: Entries::new(store.clone()), store }
    }

    async fn accepted(&self, name: &str, when: Timestamp) -> EventId {
        let event = sighting(name, when);
        let entry = OutboxEntry::accepted(&event, "body".into(), LEASE);
        let acceptance =
            self.entries.accept(entry, &Cooldown::of(&event, Duration::from_secs(5))).await.expect("accept");
        assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
        event.id
    }

    async fn get(&self, id: EventId) -> OutboxEntry {
        self.store.get(id).await.expect("get").expect("it is there")
    }

    async fn record(&self, id: EventId, attempt: &Attempt, next: NextStep) {
        self.entries.record(self.get(id).await, attempt, next).await.expect("record");
    }

    async fn claimed(&self, now: Timestamp) -> Vec<EventId> {
        self.entries.claim_due(now, LEASE, 10).await.expect("claim").iter().map(|entry| entry.id).collect()
    }
}

#[tokio::test]
async fn an_event_from_before_the_clock_was_set_back_is_sent_now_and_tried_by_the_schedule() {
    let data = TempDir::new().expect("a folder");
    let events = Outbox::open(data.path());
    // The machine believed for a moment that it was next year.
    let tried = events.accepted("tried", at(YEAR)).await;
    let attempt = failed(at(YEAR + 1), None);
    events.record(tried, &attempt, NextStep::RetryAt(at(YEAR + 3600))).await;
    let leased = events.accepted("leased", at(YEAR)).await;
    let ordinary = events.accepted("ordinary", at(30)).await;
    assert_eq!(events.claimed(at(0)).await, [tried], "the other may be on its way at this moment");
    let record = events.get(tried).await;
    assert_eq!((record.round_started, record.round_attempts), (at(0), 0), "its day begins now");
    events.record(tried, &failed(at(1), None), NextStep::RetryAt(at(600))).await;
    assert_eq!(events.claimed(at(12)).await, [], "it waits as it should");
    assert_eq!(events.claimed(at(13)).await, [leased]);
    assert_eq!(events.claimed(at(43)).await, [leased, ordinary], "a clock that is set a little changes nothing");
}

#[tokio::test]
async fn one_damaged_event_keeps_no_other_from_being_sent() {
    let data = TempDir::new().expect("a folder");
    let events = Outbox::open(data.path());
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(events.accepted(name, at(0)).await);
    }
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    raw.execute("UPDATE event SET accepted = -1 WHERE id = ?1", [ids[1].to_string()]).expect("damaged");
    assert_eq!(events.claimed(at(60)).await, [ids[0], ids[2]]);
    // It is set aside, and found again later.
    let set_aside: i64 = raw
        .query_row("SELECT due FROM event WHERE id = ?1", [ids[1].to_string()], |row| row.get(0))
        .expect("it is kept");
    assert_eq!(set_aside, i64::try_from(at(120).millis()).expect("milliseconds"));
}

#[tokio::test]
async fn what_ended_is_forgotten_after_its_time_and_what_is_pending_never() {
    const ENDED: u64 = 150;
    let data = TempDir::new().expect("a folder");
    let events = Outbox::open(data.path());
    let mut ended = Vec::new();
    for n in 0..ENDED {
        let id = events.accepted(&format!("s{n}"), at(0)).await;
        let (attempt, next) =
            if n % 2 == 0 { (delivered(at(n)), NextStep::Sent) } else { (failed(at(n), None), NextStep::Dead) };
        events.record(id, &attempt, next).await;
        ended.push(id);
    }
    let replayed = ended[0];
    assert!(events.entries.replay(replayed, at(ENDED)).await.expect("replay"));
    let waiting = events.accepted("waiting", at(0)).await;
    let later = at(9).after(ENDED_KEPT);
    for id in [replayed, waiting] {
        events.record(id, &failed(at(ENDED), None), NextStep::RetryAt(later.after(LEASE))).await;
    }
    let left = async |now| {
        // What a server does twice a second.
        for _ in 0..3 {
            events.claimed(now).await;
        }
        events
            .store
            .list(None, 500, None)
            .await
            .expect("list")
            .events
            .into_iter()
            .map(|event| event.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(left(at(1).after(ENDED_KEPT)).await.len(), 151, "on the day itself it is there");
    assert_eq!(left(later).await.len(), 151 - 8, "s1 to s8 ended longer ago");
    let left = left(at(ENDED).after(ENDED_KEPT)).await;
    assert_eq!(left, [waiting, replayed], "a hundred at a time, until all are gone");
    let db = Connection::open(data.path().join("attendance.db")).expect("opened");
    let tries: usize = db.query_row("SELECT count(*) FROM attempt", [], |row| row.get(0)).expect("counted");
    assert_eq!(tries, 3, "their tries too");
}

#[tokio::test]
async fn the_outbox_of_an_earlier_version_is_taken_over() {
    let data = TempDir::new().expect("a folder");
    let db = Connection::open(data.path().join("attendance.db")).expect("opened");
    db.execute_batch(include_str!("../src/migrations/0001.sql")).expect("the first schema");
    // Written by the version before.
    db.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO event (id, student, status, accepted, round_started, round_attempts, next_try, leased_until, ended, body)
         VALUES ('0192f0c1-2345-7abc-8def-000000000001', 'a', 'pending', 1700000000000, 1700000000000, 2, 1700000030000, 0,
                 NULL, '{\"event\":1}'),
                ('0192f0c1-2345-7abc-8def-000000000002', 'b', 'dead', 1700000000000, 1700000000000, 1, 1700000000000, 0,
                 1700000001000, '{\"event\":2}'),
                ('0192f0c1-2345-7abc-8def-000000000003', 'Unknown', 'sent', 1700000000000, 1700000000000, 1, 1700000000000, 0,
                 1700000001000, '{\"event\":3}');
         INSERT INTO attempt (event, n, at, outcome, retry_after, http_status, message)
         VALUES ('0192f0c1-2345-7abc-8def-000000000001', 1, 1700000000001, 'failed', NULL, NULL, 'no answer'),
                ('0192f0c1-2345-7abc-8def-000000000001', 2, 1700000005000, 'failed', 25000, 503, 'later'),
                ('0192f0c1-2345-7abc-8def-000000000002', 1, 1700000001000, 'gone', NULL, 410, 'gone'),
                ('0192f0c1-2345-7abc-8def-000000000003', 1, 1700000001000, 'delivered', NULL, 200, '{}');
         INSERT INTO cooldown (key, at, until) VALUES ('a', 1700000000000, 1700000005000);",
    )
    .expect("an outbox");
    drop(db);
    let id = |n| EventId::parse(&format!("0192f0c1-2345-7abc-8def-00000000000{n}")).expect("an id");
    let events = Outbox::open(data.path());
    let entry = events.get(id(1)).await;
    assert_eq!((entry.due(), entry.round_attempts, &*entry.body), (Some(at(30)), 2, "{\"event\":1}"));
    let waits: Vec<_> = entry.attempts.iter().map(|attempt| attempt.outcome).collect();
    let failed_with = |retry_after| AttemptOutcome::Failed { retry_after };
    assert_eq!(waits, [failed_with(None), failed_with(Some(Duration::from_secs(25)))]);
    assert_eq!((events.get(id(2)).await.ended, events.get(id(3)).await.status), (Some(at(1)), EventStatus::Sent));

    let again = sighting("a", at(2));
    let entry = OutboxEntry::accepted(&again, "body".into(), LEASE);
    let acceptance = events.entries.accept(entry, &Cooldown::of(&again, Duration::from_secs(5))).await.expect("accept");
    assert_eq!(acceptance, Acceptance::Cooling { left: Duration::from_secs(3) });
    assert_eq!(events.claimed(at(30)).await, [id(1)]);
    events.record(id(1), &delivered(at(31)), NextStep::Sent).await;
    assert!(events.entries.replay(id(2), at(32)).await.expect("replay"));
    assert_eq!(events.claimed(at(32)).await, [id(2)]);
    events.record(id(2), &failed(at(33), None), NextStep::RetryAt(at(60))).await;
    let kept: Vec<_> = [1, 2, 3].into_iter().map(id).collect();
    let mut listed = events.store.list(None, 10, None).await.expect("list").events;
    listed.reverse();
    assert_eq!(listed.iter().map(|entry| entry.id).collect::<Vec<_>>(), kept);
    assert_eq!(listed.iter().map(|entry| entry.attempts.len()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(listed.iter().map(|entry| entry.due()).collect::<Vec<_>>(), [None, Some(at(60)), None]);
}
