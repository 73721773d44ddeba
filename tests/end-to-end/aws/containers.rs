use attendance_end_to_end::{Answer, pictures};

use crate::stack::Stack;

/// The container that answered, and how many requests it had answered before.
fn instance(answer: &Answer) -> (String, u64) {
    let (container, before) = answer.header("x-attendance-instance").split_once('/').expect("a number after a slash");
    (container.to_owned(), before.parse().expect("a number"))
}

/// How often: each round is two pictures through two whole pipelines.
const ROUNDS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn what_one_warm_container_enrols_another_warm_one_finds() {
    let stack = Stack::alone().await;
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
