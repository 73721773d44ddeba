//! Live messages to subscribers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Target, pictures};

fn seq(message: &Value) -> u64 {
    message["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {message}"))
}

/// Every subscriber gets every message once, in the order of `seq`, while requests run concurrently.
pub async fn subscribers_get_everything_in_order(target: &Target) {
    target.forget_everybody().await;
    let mut subscribers = Vec::new();
    for _ in 0..3 {
        subscribers.push(target.subscribe(None).await);
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
    for subscriber in &mut subscribers {
        let mut heard = Vec::new();
        while heard.len() < enrolled.len() + 2 {
            heard.push(subscriber.next().await);
        }
        subscriber.gets_nothing_for(Duration::from_millis(300)).await;
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

/// A subscriber that was away continues after the last message that it got.
pub async fn a_subscriber_that_was_away_misses_nothing(target: &Target) {
    target.forget_everybody().await;
    let mut subscriber = target.subscribe(None).await;
    let first = target.enroll_new("obama", &pictures::obama(0)).await;
    let seen = subscriber.next().await;
    assert_eq!(seen["student_id"], first);
    drop(subscriber);
    let mut missed = Vec::new();
    for n in 1..5 {
        missed.push(target.enroll_new("obama", &pictures::obama(n)).await);
    }
    let mut subscriber = target.subscribe(Some(seq(&seen))).await;
    missed.push(target.enroll_new("obama", &pictures::obama(5)).await);
    let mut last = seq(&seen);
    for student in &missed {
        let message = subscriber.next().await;
        assert_eq!(message["student_id"], *student);
        assert!(seq(&message) > last);
        last = seq(&message);
    }
    // The same over an open connection.
    subscriber.send(&json!({"action": "resume", "since": seq(&seen)}).to_string()).await;
    for student in &missed {
        assert_eq!(subscriber.next().await["student_id"], *student);
    }
    subscriber.gets_nothing_for(Duration::from_millis(300)).await;
}

/// A ping is answered; a text that is not an action is ignored.
pub async fn a_ping_is_answered_and_nonsense_is_ignored(target: &Target) {
    target.forget_everybody().await;
    let mut subscriber = target.subscribe(None).await;
    for text in ["", "hello", "{", "[1]", r#"{"action":"dance"}"#, r#"{"action":"resume"}"#] {
        subscriber.send(text).await;
    }
    subscriber.gets_nothing_for(Duration::from_millis(400)).await;
    subscriber.send(r#"{"action":"ping"}"#).await;
    assert_eq!(subscriber.next().await["type"], "pong");
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    assert_eq!(subscriber.next().await["student_id"], student, "the connection goes on");
}
