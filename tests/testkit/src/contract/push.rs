use std::sync::Arc;
use std::time::Duration;

use attendance::ports::Subscription;
use attendance::{Message, StudentId};
use serde_json::Value;
use tokio::time::timeout;

use super::{Open, SubscribedPush};

/// Longer than any adapter takes to bring a message from one handle to another.
const PATIENCE: Duration = Duration::from_secs(10);

type Hub = Arc<dyn SubscribedPush>;

/// What every [`Push`](attendance::ports::Push) with [`Subscribers`](attendance::ports::Subscribers) guarantees.
pub async fn push(fresh: impl AsyncFn() -> Open<dyn SubscribedPush>) {
    every_subscriber_gets_every_message_in_order(fresh().await).await;
    a_subscriber_that_comes_back_gets_what_was_missed(fresh().await).await;
    a_long_absence_is_made_up_for(fresh().await).await;
    coming_back_amid_messages_leaves_no_gap(fresh().await).await;
    a_slow_subscriber_delays_nobody_and_is_dropped(fresh().await).await;
    other_handles_messages_arrive_in_order(fresh().await).await;
    numbers_go_on_after_a_restart(fresh().await).await;
}

async fn publish(hub: &Hub, n: u64) {
    let student_id = StudentId::parse("siswaA").expect("a valid id");
    let message = Message::Enrolled { student_id, saved: 1, ts: n };
    timeout(PATIENCE, hub.publish(&message)).await.expect("publishing waits for nobody").expect("publish");
}

async fn next(subscription: &mut Subscription) -> Option<Value> {
    let text = timeout(PATIENCE, subscription.recv()).await.expect("a message or the end, in time")?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// The next message's `seq` and its `ts`, by which these tests tell messages apart.
async fn next_pair(subscription: &mut Subscription) -> (u64, u64) {
    let value = next(subscription).await.expect("a message");
    (value["seq"].as_u64().expect("seq"), value["ts"].as_u64().expect("ts"))
}

async fn every_subscriber_gets_every_message_in_order(open: Open<dyn SubscribedPush>) {
    let hub = open();
    publish(&hub, 0).await;
    let mut subscribers = Vec::new();
    for _ in 0..3 {
        subscribers.push(hub.subscribe(None).await.expect("subscribe"));
    }
    for n in 1..=20 {
        publish(&hub, n).await;
    }
    for subscriber in &mut subscribers {
        let first = next(subscriber).await.expect("a message");
        assert_eq!(first["type"], "student.enrolled");
        assert_eq!(first["student_id"], "siswaA");
        assert_eq!(first["ts"], 1, "what came before is not for a subscription from now on");
        let seq = first["seq"].as_u64().expect("seq");
        for n in 2..=20 {
            assert_eq!(next_pair(subscriber).await, (seq + n - 1, n));
        }
    }
}

async fn a_subscriber_that_comes_back_gets_what_was_missed(open: Open<dyn SubscribedPush>) {
    let hub = open();
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribe");
    for n in 1..=10 {
        publish(&hub, n).await;
    }
    let mut seqs = Vec::new();
    for n in 1..=10 {
        let (seq, ts) = next_pair(&mut subscriber).await;
        assert_eq!(ts, n);
        seqs.push(seq);
    }
    for missed_from in [0, 4, 9] {
        let mut back = hub.subscribe(Some(seqs[missed_from])).await.expect("subscribe");
        for seq in &seqs[missed_from + 1..] {
            assert_eq!(next_pair(&mut back).await.0, *seq);
        }
        assert!(back.try_recv().is_err(), "no more than that");
    }
    let mut stranger = hub.subscribe(Some(u64::MAX)).await.expect("subscribe");
    publish(&hub, 11).await;
    assert_eq!(next_pair(&mut stranger).await.1, 11, "a number that was never given means from now on");
}

async fn a_long_absence_is_made_up_for(open: Open<dyn SubscribedPush>) {
    let hub = open();
    for n in 1..=1000 {
        publish(&hub, n).await;
    }
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribe");
    let first = next_pair(&mut subscriber).await;
    assert_eq!(first.1, 1);
    let live = {
        let hub = hub.clone();
        tokio::spawn(async move {
            for n in 1001..=1100 {
                publish(&hub, n).await;
            }
        })
    };
    for n in 2..=1100 {
        assert_eq!(next_pair(&mut subscriber).await, (first.0 + n - 1, n));
    }
    live.await.expect("no panic");
}

async fn coming_back_amid_messages_leaves_no_gap(open: Open<dyn SubscribedPush>) {
    const LAST: u64 = 600;
    let hub = open();
    publish(&hub, 1).await;
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribe");
    let first = next_pair(&mut subscriber).await.0;
    let publisher = {
        let hub = hub.clone();
        tokio::spawn(async move {
            for n in 2..=LAST {
                publish(&hub, n).await;
            }
        })
    };
    let mut seen = 1;
    while seen < LAST {
        // Reads a few messages, leaves or is dropped as too slow, and comes back with the last number it saw.
        for _ in 0..7.min(LAST - seen) {
            let Some(value) = next(&mut subscriber).await else { break };
            seen += 1;
            assert_eq!(value["seq"], first + seen - 1);
            assert_eq!(value["ts"], seen);
        }
        subscriber = hub.subscribe(Some(first + seen - 1)).await.expect("subscribe");
    }
    publisher.await.expect("no panic");
}

async fn a_slow_subscriber_delays_nobody_and_is_dropped(open: Open<dyn SubscribedPush>) {
    const MESSAGES: u64 = 2000;
    let hub = open();
    let mut slow = hub.subscribe(None).await.expect("subscribe");
    let mut good = hub.subscribe(None).await.expect("subscribe");
    let mut gone = hub.subscribe(None).await.expect("subscribe");
    gone.close();
    for n in 1..=MESSAGES {
        publish(&hub, n).await;
        assert_eq!(next_pair(&mut good).await.1, n);
    }
    let mut received = 0;
    while let Some(value) = next(&mut slow).await {
        received += 1;
        assert_eq!(value["ts"], received, "what it got before its end is whole");
    }
    assert!(received < MESSAGES, "it was dropped at a bound");
    assert!(gone.recv().await.is_none());
}

async fn other_handles_messages_arrive_in_order(open: Open<dyn SubscribedPush>) {
    // Few enough that nobody is too slow for them.
    const EACH: u64 = 100;
    let handles = [open(), open()];
    let mut subscribers = Vec::new();
    for hub in &handles {
        subscribers.push(hub.subscribe(None).await.expect("subscribe"));
    }
    let publishers = handles.clone().map(|hub| {
        tokio::spawn(async move {
            for n in 1..=EACH {
                publish(&hub, n).await;
            }
        })
    });
    let mut streams = Vec::new();
    for subscriber in &mut subscribers {
        let mut stream = Vec::new();
        for _ in 0..2 * EACH {
            stream.push(next_pair(subscriber).await);
        }
        assert!(stream.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "no gap, no repeat, in order");
        streams.push(stream);
    }
    assert_eq!(streams[0], streams[1], "everybody sees the same");
    for publisher in publishers {
        publisher.await.expect("no panic");
    }
}

async fn numbers_go_on_after_a_restart(open: Open<dyn SubscribedPush>) {
    let hub = open();
    publish(&hub, 1).await;
    publish(&hub, 2).await;
    let mut subscriber = hub.subscribe(Some(0)).await.expect("subscribe");
    next_pair(&mut subscriber).await;
    let (last, _) = next_pair(&mut subscriber).await;
    drop((subscriber, hub));
    let hub = open();
    publish(&hub, 3).await;
    let mut subscriber = hub.subscribe(Some(last)).await.expect("subscribe");
    assert_eq!(next_pair(&mut subscriber).await, (last + 1, 3));
}
