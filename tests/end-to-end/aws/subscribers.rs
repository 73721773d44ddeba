use std::collections::HashSet;

use attendance_end_to_end::{Watcher, pictures};
use serde_json::json;

use crate::stack::Stack;

pub(crate) async fn a_watcher_who_vanished_is_cleaned_up_at_the_next_push() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    // What is left of a watcher whose container of API Gateway died: a row, and a connection that nobody knows.
    let expires =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 3600;
    let ghost = json!({"pk": {"S": "connections"}, "sk": {"S": "ghost="}, "expires": {"N": expires.to_string()}});
    stack.table("PutItem", json!({"Item": ghost})).await;
    let mut watcher = stack.target.watch(None).await;
    let student = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    assert_eq!(watcher.next_of("student.enrolled").await["student_id"], student, "others are told all the same");
    let key = json!({"pk": {"S": "connections"}, "sk": {"S": "ghost="}});
    let left = stack.table("GetItem", json!({"Key": key, "ConsistentRead": true})).await;
    assert!(left.get("Item").is_none(), "{left}");
}

pub(crate) async fn a_watcher_who_was_away_asks_for_what_he_missed() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let mut watcher = stack.target.watch(None).await;
    let first = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    let seen = watcher.next_of("student.enrolled").await;
    assert_eq!(seen["student_id"], first);
    drop(watcher);
    let mut missed = Vec::new();
    for n in 1..4 {
        missed.push(stack.target.enroll_new("obama", &pictures::obama(n)).await);
    }
    let mut watcher = stack.target.watch(None).await;
    watcher.send(&json!({"action": "resume", "since": seen["seq"]}).to_string()).await;
    for student in missed {
        assert_eq!(watcher.next_of("student.enrolled").await["student_id"], student);
    }
}

pub(crate) async fn nobody_watches_without_a_key() {
    let stack = Stack::ready().await;
    let watchers = async || stack.connections().await.len();
    let before = watchers().await;
    for key in [None, Some("wrong")] {
        let refused = Watcher::connect(&stack.target.with_key(key).watch_url(None)).await;
        assert!(refused.is_err(), "let in with {key:?}");
    }
    // Watchers of the tests before may be leaving meanwhile.
    assert!(watchers().await <= before, "and nobody is told anything");
}

pub(crate) async fn what_is_told_at_the_same_instant_has_numbers_of_its_own() {
    const AT_ONCE: u64 = 4;
    let stack = Stack::ready().await;
    let mut watcher = stack.target.watch(None).await;
    let pictures: Vec<_> = (0..AT_ONCE).map(pictures::obama).collect();
    let enrolling = pictures.iter().map(|picture| stack.target.enroll_new("obama", picture));
    let students: HashSet<String> = futures_util::future::join_all(enrolling).await.into_iter().collect();
    let mut told = HashSet::new();
    let mut numbers = HashSet::new();
    for _ in 0..AT_ONCE {
        let message = watcher.next_of("student.enrolled").await;
        told.insert(message["student_id"].as_str().expect("a student").to_owned());
        numbers.insert(message["seq"].as_u64().expect("a number"));
    }
    assert_eq!(told, students);
    assert_eq!(numbers.len(), students.len());
}
