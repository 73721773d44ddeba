use std::time::{Duration, Instant};

use attendance::ports::Wakeups;
use attendance::{EventId, Timestamp, Wakeup};
use attendance_aws::{Aws, SqsWakeups};

use crate::storage::{fresh, sqs, stack};

/// How long a message may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_wakeup_arrives_after_its_wait() {
    let settings = fresh(&stack()).await;
    let wakeups = Aws::new(&settings).await.wakeups().expect("it is named");
    let wakeup = |due| Wakeup { event_id: EventId::generate(), due: Timestamp::from_millis(due) };
    let (later, now) = (wakeup(1_727_580_003_001), wakeup(1_727_580_000_000));
    let begun = Instant::now();
    wakeups.send(later, Duration::from_millis(3001)).await.expect("sent");
    wakeups.send(now, Duration::ZERO).await.expect("sent");
    wakeups.send(wakeup(1), Duration::from_secs(86400)).await.expect("a wait longer than SQS allows is cut");
    let queue = sqs().await;
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "only {arrived:?} arrived");
        let answer =
            queue.receive_message().set_queue_url(settings.delivery_queue.clone()).wait_time_seconds(1).send().await;
        for message in answer.expect("received").messages() {
            arrived.push((SqsWakeups::parse(message.body().expect("a body")).expect("a wakeup"), begun.elapsed()));
        }
    }
    assert_eq!((arrived[0].0, arrived[1].0), (now, later));
    assert!(arrived[1].1 >= Duration::from_secs(3), "{arrived:?}");
}

#[tokio::test]
async fn a_queue_that_is_gone_is_an_error() {
    let mut settings = fresh(&stack()).await;
    settings.delivery_queue = settings.delivery_queue.map(|queue| queue.replace("test-", "gone-"));
    let wakeup = Wakeup { event_id: EventId::generate(), due: Timestamp::from_millis(0) };
    assert!(Aws::new(&settings).await.wakeups().expect("it is named").send(wakeup, Duration::ZERO).await.is_err());
}
