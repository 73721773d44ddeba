use std::collections::HashSet;

use attendance_end_to_end::{Subscriber, pictures};
use serde_json::json;

use crate::stack::Stack;

pub(crate) async fn a_subscriber_that_vanished_is_cleaned_up_at_the_next_push() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    // A subscriber that vanished without a `$disconnect` leaves a row, for a connection that does not exist.
    let expires =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 3600;
    let ghost = json!({"pk": {"S": "connections"}, "sk": {"S": "ghost="}, "expires": {"N": expires.to_string()}});
    stack.table("PutItem", json!({"Item": ghost})).await;
    let mut subscriber = stack.target.subscribe(None).await;
    let student = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    assert_eq!(subscriber.next_of("student.enrolled").await["student_id"], student, "others are told all the same");
    let key = json!({"pk": {"S": "connections"}, "sk": {"S": "ghost="}});
    let left = stack.table("GetItem", json!({"Key": key, "ConsistentRead": true})).await;
    assert!(left.get("Item").is_none(), "{left}");
}

pub(crate) async fn a_subscriber_that_was_away_asks_for_what_it_missed() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let mut subscriber = stack.target.subscribe(None).await;
    let first = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    let seen = subscriber.next_of("student.enrolled").await;
    assert_eq!(seen["student_id"], first);
    drop(subscriber);
    let mut missed = Vec::new();
    for n in 1..4 {
        missed.push(stack.target.enroll_new("obama", &pictures::obama(n)).await);
    }
    let mut subscriber = stack.target.subscribe(None).await;
    subscriber.send(&json!({"action": "resume", "since": seen["seq"]}).to_string()).await;
    for student in missed {
        assert_eq!(subscriber.next_of("student.enrolled").await["student_id"], student);
    }
}

pub(crate) async fn nobody_subscribes_without_a_key() {
    let stack = Stack::ready().await;
    let subscribers = async || stack.connections().await.len();
    let before = subscribers().await;
    for key in [None, Some("wrong")] {
        let refused = Subscriber::connect(&stack.target.with_key(key).subscription_url(None)).await;
        assert!(refused.is_err(), "let in with {key:?}");
    }
    // Subscribers of earlier cases may be leaving meanwhile.
    assert!(subscribers().await <= before, "and nobody is told anything");
}

pub(crate) async fn what_is_told_at_the_same_instant_has_numbers_of_its_own() {
    const AT_ONCE: u64 = 4;
    let stack = Stack::ready().await;
    let mut subscriber = stack.target.subscribe(None).await;
    let pictures: Vec<_> = (0..AT_ONCE).map(pictures::obama).collect();
    let enrolling = pictures.iter().map(|picture| stack.target.enroll_new("obama", picture));
    let students: HashSet<String> = futures_util::future::join_all(enrolling).await.into_iter().collect();
    let mut told = HashSet::new();
    let mut numbers = HashSet::new();
    for _ in 0..AT_ONCE {
        let message = subscriber.next_of("student.enrolled").await;
        told.insert(message["student_id"].as_str().expect("a student").to_owned());
        numbers.insert(message["seq"].as_u64().expect("a number"));
    }
    assert_eq!(told, students);
    assert_eq!(numbers.len(), students.len());
}
