//! Watchers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Target, pictures};

fn seq(message: &Value) -> u64 {
    message["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {message}"))
}

/// Every watcher gets every message once, in the order of `seq`, while requests run side by side.
pub async fn watchers_hear_everything_in_order(target: &Target) {
    target.forget_everybody().await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        watchers.push(target.watch(None).await);
    }
    let mut requests = tokio::task::JoinSet::new();
    for n in 0..16 {
        let target = target.clone();
        requests.spawn(async move { target.enroll_new("obama", &pictures::obama(n)).await });
    }
    let mut enrolled = requests.join_all().await;
    enrolled.sort();
    let frame = pictures::obama(100);
    let (a, b) = tokio::join!(target.realtime("", &frame), target.realtime("", &frame));
    assert_eq!((a.status, b.status), (200, 200));
    let mut all: Vec<Vec<Value>> = Vec::new();
    for watcher in &mut watchers {
        let mut heard = Vec::new();
        while heard.len() < enrolled.len() + 2 {
            heard.push(watcher.next().await);
        }
        watcher.hears_nothing_for(Duration::from_millis(300)).await;
        assert!(heard.windows(2).all(|two| seq(&two[0]) < seq(&two[1])), "{heard:?}");
        let mut students: Vec<String> = heard
            .iter()
            .filter(|message| message["type"] == "student.enrolled")
            .map(|message| message["student_id"].as_str().expect("an id").to_owned())
            .collect();
        students.sort();
        assert_eq!(students, enrolled);
        all.push(heard);
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "all hear the same");
    let message = all[0].iter().find(|message| message["type"] == "student.enrolled").expect("there are many");
    let fields: Vec<&String> = message.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["saved", "seq", "student_id", "ts", "type"]);
    assert_eq!(message["saved"], 1);
}

/// Who was away goes on after the last message that he saw.
pub async fn a_watcher_who_was_away_misses_nothing(target: &Target) {
    target.forget_everybody().await;
    let mut watcher = target.watch(None).await;
    let first = target.enroll_new("obama", &pictures::obama(0)).await;
    let seen = watcher.next().await;
    assert_eq!(seen["student_id"], first);
    drop(watcher);
    let mut missed = Vec::new();
    for n in 1..5 {
        missed.push(target.enroll_new("obama", &pictures::obama(n)).await);
    }
    let mut watcher = target.watch(Some(seq(&seen))).await;
    missed.push(target.enroll_new("obama", &pictures::obama(5)).await);
    let mut last = seq(&seen);
    for student in &missed {
        let message = watcher.next().await;
        assert_eq!(message["student_id"], *student);
        assert!(seq(&message) > last);
        last = seq(&message);
    }
    // The same over an open connection.
    watcher.send(&json!({"action": "resume", "since": seq(&seen)}).to_string()).await;
    for student in &missed {
        assert_eq!(watcher.next().await["student_id"], *student);
    }
    watcher.hears_nothing_for(Duration::from_millis(300)).await;
}

/// A ping is answered; what is no action is not.
pub async fn a_ping_is_answered_and_nonsense_is_ignored(target: &Target) {
    target.forget_everybody().await;
    let mut watcher = target.watch(None).await;
    for text in ["", "hello", "{", "[1]", r#"{"action":"dance"}"#, r#"{"action":"resume"}"#] {
        watcher.send(text).await;
    }
    watcher.hears_nothing_for(Duration::from_millis(400)).await;
    watcher.send(r#"{"action":"ping"}"#).await;
    assert_eq!(watcher.next().await["type"], "pong");
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    assert_eq!(watcher.next().await["student_id"], student, "the connection goes on");
}
