//! Pushes in numbers: bursts, many subscribers, long absences.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attendance::ports::{Push, Subscribers, Subscription};
use attendance::{Message, StudentId};
use attendance_embedded::{Database, Hub, KEPT_MESSAGES, SUBSCRIBER_BOUND};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::timeout;

fn hub(data: &Path) -> Arc<Hub> {
    Database::open(data).expect("the data folder opens").hub()
}

async fn publish(hub: &Hub, n: u64) {
    let student_id = StudentId::parse("siswaA").expect("a valid id");
    hub.publish(&Message::Enrolled { student_id, saved: 1, ts: n }).await.expect("published");
}

/// Messages written by another process, faster than it could publish them one by one.
fn burst(data: &Path, count: u64) {
    let mut raw = Connection::open(data.join("attendance.db")).expect("opened");
    let transaction = raw.transaction().expect("begun");
    for n in 0..count {
        transaction.execute("INSERT INTO message (json) VALUES (?1)", [format!("{{\"n\":{n}}}")]).expect("inserted");
    }
    transaction.commit().expect("committed");
}

async fn seq(subscription: &mut Subscription) -> Option<u64> {
    let text = timeout(Duration::from_secs(10), subscription.recv()).await.expect("in time")?;
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["seq"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_from_another_process_drops_nobody_who_reads() {
    let data = TempDir::new().expect("a folder");
    let hub = hub(data.path());
    let mut subscribers = Vec::new();
    for _ in 0..10 {
        subscribers.push(hub.subscribe(None).await.expect("subscribed"));
    }
    burst(data.path(), 2000);
    // A message of our own in the middle of it is number 2001.
    let publishing = tokio::spawn(async move { publish(&hub, 0).await });
    let reading: Vec<_> = subscribers
        .into_iter()
        .map(|mut subscriber| {
            tokio::spawn(async move {
                for expected in 1..=2001 {
                    assert_eq!(seq(&mut subscriber).await, Some(expected));
                }
            })
        })
        .collect();
    for task in reading {
        task.await.expect("nobody was dropped");
    }
    publishing.await.expect("published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_latest_messages_are_kept() {
    let data = TempDir::new().expect("a folder");
    let hub = hub(data.path());
    burst(data.path(), KEPT_MESSAGES + 500);
    publish(&hub, 0).await;
    let raw = Connection::open(data.path().join("attendance.db")).expect("opened");
    let kept: u64 = raw.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).expect("counted");
    assert_eq!(kept, KEPT_MESSAGES);
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribed");
    for expected in 502..=KEPT_MESSAGES + 501 {
        assert_eq!(seq(&mut subscriber).await, Some(expected), "all that are kept, from the oldest");
    }
    // Numbers go on even where nothing is kept.
    raw.execute("DELETE FROM message", []).expect("deleted");
    publish(&hub, 0).await;
    assert_eq!(seq(&mut subscriber).await, Some(KEPT_MESSAGES + 502));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_catches_up_too_slowly_ends_before_a_gap() {
    let data = TempDir::new().expect("a folder");
    let hub = hub(data.path());
    burst(data.path(), 1000);
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribed");
    for expected in 1..=10 {
        assert_eq!(seq(&mut subscriber).await, Some(expected));
    }
    // While it dawdles, what it has not seen falls out of what is kept.
    burst(data.path(), KEPT_MESSAGES + 1000);
    publish(&hub, 0).await;
    let mut last = 10;
    while let Some(next) = seq(&mut subscriber).await {
        assert_eq!(next, last + 1, "no gap");
        last = next;
    }
    assert!(last < 1000, "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_cost_a_publisher_little() {
    const MESSAGES: u64 = 200;
    let data = TempDir::new().expect("a folder");
    let hub = hub(data.path());
    let mut subscribers = Vec::new();
    for n in 0..1000 {
        let mut subscriber = hub.subscribe(None).await.expect("subscribed");
        // Every tenth never reads.
        subscribers.push(tokio::spawn(async move {
            if n % 10 == 0 {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            for expected in 1..=MESSAGES {
                assert_eq!(seq(&mut subscriber).await, Some(expected));
            }
        }));
    }
    assert!(MESSAGES < SUBSCRIBER_BOUND as u64, "nobody is too slow here");
    let mut slowest = Duration::ZERO;
    let started = Instant::now();
    for n in 0..MESSAGES {
        let began = Instant::now();
        publish(&hub, n).await;
        slowest = slowest.max(began.elapsed());
    }
    let mean = started.elapsed() / MESSAGES as u32;
    println!("a thousand subscribers: {mean:?} a message, the slowest {slowest:?}");
    assert!(mean < Duration::from_millis(50), "{mean:?}");
    for (n, subscriber) in subscribers.into_iter().enumerate() {
        if n % 10 == 0 {
            subscriber.abort();
        } else {
            subscriber.await.expect("every message, in order");
        }
    }
}
