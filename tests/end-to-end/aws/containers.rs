use std::time::Duration;

use attendance_end_to_end::{Answer, COOLDOWN_SECONDS, pictures};

use crate::stack::Stack;

/// The container that answered, and how many requests it had answered before.
fn instance(answer: &Answer) -> (String, u64) {
    let (container, before) = answer.header("x-attendance-instance").split_once('/').expect("a number after a slash");
    (container.to_owned(), before.parse().expect("a number"))
}

/// Each round takes two pictures through two whole pipelines.
const ROUNDS: u64 = 200;

pub(crate) async fn what_one_warm_container_enrols_another_warm_one_finds() {
    let stack = Stack::ready().await;
    let target = &stack.target;
    target.forget_everybody().await;
    let photo = pictures::obama(0);
    // Both are warm.
    let (mut enrolling, mut recognizing) =
        (instance(&target.enroll("warm", &photo).await), instance(&target.recognize(&photo).await));
    target.remove("warm").await;
    assert_ne!(enrolling.0, recognizing.0, "two containers");
    for n in 0..ROUNDS {
        let student = format!("round-{n}");
        let enrolled = target.enroll(&student, &photo).await;
        let recognized = target.recognize(&photo).await;
        assert_eq!(recognized.body["results"][0]["label"], student, "a miss at {n}: {recognized:?}");
        assert_eq!(target.remove(&student).await.body["removed"], 1);
        for (seen, now) in [(&mut enrolling, instance(&enrolled)), (&mut recognizing, instance(&recognized))] {
            assert_eq!((&now.0, now.1), (&seen.0, seen.1 + 1), "the same container, and nobody in between");
            *seen = now;
        }
    }
}

/// More than the cooldown.
const QUIET: Duration = Duration::from_millis(COOLDOWN_SECONDS * 1000 + 300);

pub(crate) async fn two_frames_in_the_same_instant_through_two_containers_are_one_event() {
    const ROUNDS: usize = 5;
    let stack = Stack::ready().await;
    let target = &stack.target;
    target.forget_everybody().await;
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let frame = pictures::small(&pictures::obama(1));
    let mut rounds = 0;
    for _ in 0..4 * ROUNDS {
        let before = stack.receiver.calls_about(&student).len();
        let (one, other) = tokio::join!(target.realtime("", &frame), target.realtime("", &frame));
        let mut statuses = [&one, &other].map(|answer| answer.body["dispatch"][0]["report"]["status"].to_string());
        statuses.sort();
        assert_eq!(statuses, [r#""sent""#, r#""skipped""#], "{one:?} {other:?}");
        assert_eq!(stack.receiver.calls_about(&student).len(), before + 1);
        rounds += usize::from(instance(&one).0 != instance(&other).0);
        if rounds == ROUNDS {
            return;
        }
        tokio::time::sleep(QUIET).await;
    }
    panic!("only {rounds} times were two containers at work");
}
