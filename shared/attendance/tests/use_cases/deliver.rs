use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use attendance::ports::{Acceptance, EventFormat, EventStore, StoreError};
use attendance::{
    AttemptOutcome, AttendanceSettings, Cooldown, Entries, Event, EventId, EventPage, EventStatus, OutboxEntry, Ports,
    RealtimeOptions, ReportStatus, Timestamp, compose,
};
use attendance_testkit::{Delivery, answered, delivered, face, failed, picture};
use serde_json::{Value, json};

use crate::school::School;

/// Enrols a student and shows him to the camera once.
pub(crate) async fn seen_once(school: School) -> School {
    school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
    school.realtime.observe(picture("frame", &[face(1, 0.0)]), RealtimeOptions::default()).await.expect("observed");
    school
}

pub(crate) fn only(school: &School) -> OutboxEntry {
    let mut events = school.events.all();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

async fn deliver_due(school: &School) -> usize {
    school.deliverer.deliver_due(100).await.expect("claimed")
}

pub(crate) fn told(school: &School) -> Vec<Value> {
    school.push.messages().into_iter().filter(|message| message["type"] == "delivery").collect()
}

/// Takes the event at the n-th try and fails before.
pub(crate) fn at_try(n: usize) -> impl Fn(&Delivery) -> attendance::Attempt + Send + Sync {
    let tries = AtomicUsize::new(0);
    move |d| if tries.fetch_add(1, Ordering::SeqCst) + 1 < n { failed(d.at, None) } else { delivered(d.at) }
}

#[tokio::test]
async fn tries_follow_the_schedule_until_one_arrives() {
    let school = seen_once(School::with_receiver(at_try(8))).await;
    for seconds in [5, 30, 120, 600, 3600, 3600, 3600] {
        let wait = only(&school).due().expect("pending").since(school.now());
        let least = Duration::from_secs(seconds);
        assert!(wait >= least && wait <= least.mul_f64(1.2), "{wait:?} for {least:?}");
        school.clock.advance(wait - Duration::from_millis(1));
        assert_eq!(deliver_due(&school).await, 0, "not before its time");
        school.clock.advance(Duration::from_millis(1));
        assert_eq!(deliver_due(&school).await, 1);
    }
    let event = only(&school);
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Sent, 8));
    let deliveries = school.webhook.deliveries();
    assert!(deliveries.iter().all(|d| d.id == event.id && d.body == event.body), "the same id and bytes on every try");
    assert!(deliveries.windows(2).all(|d| d[0].at < d[1].at), "each with its own time");
    let told_of = json!({
        "type": "delivery", "event_id": event.id.to_string(), "student_id": "siswaA", "status": "sent",
        "ts": school.now().seconds(), "seq": 3,
    });
    assert_eq!(told(&school), [told_of], "told once, at the end");
    school.wait(100_000);
    assert_eq!(deliver_due(&school).await, 0);
}

#[tokio::test]
async fn an_event_sent_within_the_request_is_not_told_again() {
    let school = seen_once(School::new()).await;
    school.wait(100);
    assert_eq!(deliver_due(&school).await, 0);
    assert!(told(&school).is_empty());
}

#[tokio::test]
async fn retry_after_only_lengthens_a_wait() {
    for (asked, least) in [(1, 5), (90, 90)] {
        let asked = Some(Duration::from_secs(asked));
        let school = seen_once(School::with_receiver(move |d| failed(d.at, asked))).await;
        let wait = only(&school).due().expect("pending").since(school.now()).as_secs();
        assert!((least..=least + 1).contains(&wait), "{wait}");
    }
}

#[tokio::test]
async fn gone_ends_the_event_at_once() {
    let tries = AtomicUsize::new(0);
    let school = seen_once(School::with_receiver(move |d| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => failed(d.at, None),
        _ => answered(d.at, 410, AttemptOutcome::Gone),
    }))
    .await;
    school.wait(6);
    assert_eq!(deliver_due(&school).await, 1);
    assert_eq!(only(&school).status, EventStatus::Dead);
    assert_eq!(told(&school)[0]["status"], "dead");
    school.wait(100_000);
    assert_eq!(deliver_due(&school).await, 0);
}

#[tokio::test]
async fn a_receiver_that_stays_down_makes_the_event_dead_and_a_replay_revives_it() {
    let school = seen_once(School::with_receiver(at_try(31))).await;
    let accepted = school.now();
    while let Some(next) = only(&school).due() {
        school.clock.advance(next.since(school.now()));
        assert_eq!(deliver_due(&school).await, 1);
    }
    let dead = only(&school);
    assert_eq!(dead.status, EventStatus::Dead);
    let lived = school.now().since(accepted).as_secs();
    assert!((82_000..=86_400).contains(&lived), "given up where the next try would come after a day: {lived}");
    assert_eq!(told(&school).last().expect("told")["status"], "dead");
    let tries = dead.attempts.len();
    assert!((23..=28).contains(&tries), "{tries}");

    assert!(school.entries().replay(dead.id, school.now()).await.expect("replayed"));
    for wait in [0, 6, 36, 144] {
        // The waits begin anew, and so does the day.
        school.wait(wait);
        assert_eq!(deliver_due(&school).await, 1, "after {wait}");
        assert_ne!(only(&school).status, EventStatus::Dead);
    }
    while only(&school).status == EventStatus::Pending {
        school.wait(3600 * 2);
        assert_eq!(deliver_due(&school).await, 1);
    }
    assert_eq!((only(&school).status, only(&school).attempts.len()), (EventStatus::Sent, 31));
}

#[tokio::test]
async fn an_outcome_that_was_not_recorded_is_sent_again_after_the_lease() {
    let events = attendance_testkit::FakeEvents::default();
    let down = events.clone();
    let first = Arc::new(AtomicUsize::new(0));
    let school = School::over(attendance_testkit::FakeGallery::default(), events, move |d| {
        // The store fails between try and record, twice.
        down.set_down(first.fetch_add(1, Ordering::SeqCst) < 2);
        delivered(d.at)
    });
    let school = seen_once(school).await;
    school.events.set_down(false);
    assert_eq!(only(&school).status, EventStatus::Pending);
    school.wait(12);
    assert_eq!(deliver_due(&school).await, 0, "the lease still runs: timeout and ten seconds");
    school.wait(1);
    assert_eq!(deliver_due(&school).await, 1);
    assert!(told(&school).is_empty(), "nobody is told what is not recorded");
    school.events.set_down(false);
    school.wait(13);
    assert_eq!(deliver_due(&school).await, 1);
    assert_eq!(only(&school).status, EventStatus::Sent);
    assert_eq!(told(&school).len(), 1);
    let ids: Vec<_> = school.webhook.deliveries().iter().map(|d| d.id).collect();
    assert_eq!(ids, [only(&school).id; 3], "the receiver can tell that it is the same event");
}

#[tokio::test]
async fn two_processes_never_try_the_same_event_side_by_side() {
    let here = seen_once(School::with_receiver(|d| failed(d.at, None))).await;
    let there = School::over(here.gallery.clone(), here.events.clone(), |d| failed(d.at, None));
    here.wait(60);
    there.wait(60);
    let (one, other) = tokio::join!(here.deliverer.deliver_due(10), there.deliverer.deliver_due(10));
    assert_eq!(one.expect("claimed") + other.expect("claimed"), 1);
}

#[tokio::test]
async fn at_most_the_limit_is_tried() {
    let school = School::with_receiver(|d| failed(d.at, None));
    for person in 0..5 {
        let name = format!("siswa{person}");
        school.enroll(&name, picture("a", &[face(person, 0.0)])).await.expect("enrolled");
    }
    let faces: Vec<_> = (0..5).map(|person| face(person, 0.0)).collect();
    school.realtime.observe(picture("frame", &faces), RealtimeOptions::default()).await.expect("observed");
    school.wait(10);
    assert_eq!(school.deliverer.deliver_due(3).await.expect("claimed"), 3);
    assert_eq!(school.deliverer.deliver_due(3).await.expect("claimed"), 2);
    school.events.set_down(true);
    assert!(school.deliverer.deliver_due(3).await.is_err());
}

/// An outbox that takes its time: the clock moves while it works.
struct SlowEvents {
    events: attendance_testkit::FakeEvents,
    clock: Arc<attendance_testkit::FakeClock>,
    takes: Duration,
}

#[async_trait::async_trait]
impl EventStore for SlowEvents {
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        self.clock.advance(self.takes);
        self.events.insert(entry, cooldown).await
    }

    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        self.events.swap(entries).await
    }

    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError> {
        self.clock.advance(self.takes);
        self.events.get(id).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.clock.advance(self.takes);
        self.events.due(now, limit).await
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        self.events.list(status, limit, cursor).await
    }
}

#[tokio::test]
async fn an_event_whose_lease_may_be_over_is_left_to_the_next_claim() {
    for (seconds, tries) in [(10, 1), (11, 0)] {
        let school = School::new();
        school.enroll("siswaA", picture("a", &[face(1, 0.0)])).await.expect("enrolled");
        let takes = Duration::from_secs(seconds);
        let slow = SlowEvents { events: school.events.clone(), clock: school.clock.clone(), takes };
        let ports = Ports { events: Arc::new(slow), wakeups: None, ..school.ports.clone() };
        let use_cases = compose(ports, AttendanceSettings::default());
        let realtime = use_cases.with_engine(school.engine.clone()).realtime;
        let deliverer = use_cases.deliverer.expect("there is a webhook");
        let outcome = realtime.observe(picture("frame", &[face(1, 0.0)]), RealtimeOptions::default()).await;
        let report = &outcome.expect("observed").dispatch[0].report;
        assert_eq!(school.webhook.deliveries().len(), tries, "within the request, after {seconds} s");
        if tries == 0 {
            let message = report.message.as_deref().unwrap_or_default();
            assert!(report.status == ReportStatus::Failed && message.starts_with("queued: "), "{report:?}");
            school.wait(60);
            assert_eq!(deliverer.deliver_due(10).await.expect("claimed"), 1);
            assert_eq!(school.webhook.deliveries().len(), 0, "claimed too slowly as well");
            school.wait(60);
            assert_eq!(deliver_due(&school).await, 1, "a store that has recovered");
        }
        assert_eq!(only(&school).status, EventStatus::Sent);
        assert_eq!(school.webhook.deliveries().len(), 1, "once");
    }
}

#[tokio::test]
async fn a_replay_during_a_try_has_a_round_of_its_own() {
    let events = attendance_testkit::FakeEvents::default();
    let (replayed, tries) = (Entries::new(Arc::new(events.clone())), AtomicUsize::new(0));
    // A person replays the event while the receiver thinks about its last try.
    let school = School::over(attendance_testkit::FakeGallery::default(), events, move |d| {
        if tries.fetch_add(1, Ordering::SeqCst) == 1 {
            let later = d.at.after(Duration::from_millis(100));
            let replaying = replayed.replay(d.id, later);
            assert!(futures_util::FutureExt::now_or_never(replaying).expect("at once").expect("replayed"));
            return answered(d.at, 410, AttemptOutcome::Gone);
        }
        failed(d.at, None)
    });
    let school = seen_once(school).await;
    school.wait(6);
    assert_eq!(deliver_due(&school).await, 1);
    let event = only(&school);
    assert_eq!((event.status, event.round_attempts, event.attempts.len()), (EventStatus::Pending, 0, 2));
    school.wait(1);
    assert_eq!(deliver_due(&school).await, 1, "the replay's own try");
    let wait = only(&school).due().expect("pending").since(school.now()).as_secs();
    assert!((5..=6).contains(&wait), "the waits begin anew: {wait}");
}

/// A format of a later version of the program.
struct LaterFormat;

impl EventFormat for LaterFormat {
    fn body(&self, event: &Event) -> String {
        json!({"version": 2, "id": event.id.to_string()}).to_string()
    }
}

#[tokio::test]
async fn every_try_and_replay_sends_the_stored_bytes_also_after_the_format_changed() {
    let school = seen_once(School::with_receiver(at_try(3))).await;
    let entry = only(&school);
    // The next version of the program, over the same storage.
    let ports = Ports { format: Arc::new(LaterFormat), wakeups: None, ..school.ports.clone() };
    let use_cases = compose(ports, AttendanceSettings::default());
    let realtime = use_cases.with_engine(school.engine.clone()).realtime;
    let deliverer = use_cases.deliverer.expect("there is a webhook");
    for _ in 0..2 {
        school.wait(60);
        assert_eq!(deliverer.deliver_due(10).await.expect("claimed"), 1);
    }
    assert_eq!(only(&school).status, EventStatus::Sent);
    assert!(school.entries().replay(entry.id, school.now()).await.expect("replayed"));
    assert_eq!(deliverer.deliver_due(10).await.expect("claimed"), 1);
    let sent = school.webhook.deliveries();
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|delivery| delivery.body == entry.body && delivery.body.contains("attendance.recognized")));

    // What is accepted from now on is rendered by the new one.
    school.wait(60);
    realtime.observe(picture("frame", &[face(1, 0.0)]), RealtimeOptions::default()).await.expect("observed");
    let latest = school.webhook.deliveries().pop().expect("sent");
    assert_eq!(
        latest.body,
        LaterFormat.body(&Event { id: latest.id, ..attendance_testkit::sighting("siswaA", latest.at) })
    );
}
