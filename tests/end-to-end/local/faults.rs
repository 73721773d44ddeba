//! Storage that fails, and more work than the machine can do.

use std::time::Duration;

use attendance_end_to_end::{Receiver, pictures};
use rusqlite::Connection;
use serde_json::json;

use crate::process::Server;

pub(crate) async fn a_store_that_does_not_answer_is_told_and_nothing_is_half_written() {
    let receiver = Receiver::start().await;
    let server = Server::start_for(&receiver);
    let target = server.target();
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let blocker = Connection::open(server.folder().data().join("attendance.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (frame, picture) = (pictures::obama(1), pictures::biden(0));
    let enrolling = tokio::spawn({
        let target = target.clone();
        async move { target.enroll("biden", &picture).await }
    });
    let sighting = tokio::spawn({
        let (target, frame) = (target.clone(), frame.clone());
        async move { target.realtime("", &frame).await }
    });
    let named = target.recognize(&frame).await;
    assert_eq!(named.body["results"][0]["label"], student, "reading goes on");
    for answer in [enrolling.await.unwrap(), sighting.await.unwrap()] {
        answer.is_error(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
    }
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 1, "labels": 1}));
    let left = std::fs::read_dir(server.folder().data().join("faces/biden")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no picture without a row");
    assert!(receiver.calls().is_empty(), "what was not stored was not sent");
    assert_eq!(target.enroll("biden", &pictures::biden(0)).await.body["saved"], 1, "it goes on");
    assert_eq!(target.realtime("", &frame).await.body["dispatch"][0]["report"]["status"], "sent");
}

pub(crate) async fn a_damaged_store_is_logged_and_its_inside_is_not_shown() {
    let server = Server::start(&[]);
    let target = server.target();
    target.enroll_new("obama", &pictures::obama(0)).await;
    let db = Connection::open(server.folder().data().join("attendance.db")).unwrap();
    // An embedding holds finite numbers only; these are NaN.
    assert_eq!(db.execute("UPDATE embedding SET vector = ?1", [vec![0xff_u8; 512]]).unwrap(), 1);
    let answer = target.recognize(&pictures::obama(1)).await;
    answer.is_error(500, "internal");
    let msg = answer.body["msg"].as_str().unwrap().to_ascii_lowercase();
    for word in ["sql", "embedding", "damage", "/", "finite"] {
        assert!(!msg.contains(word), "{msg}");
    }
    assert_eq!(target.get("/health").await.status, 200, "it goes on");
    let log = server.stop_and_read_log().await;
    assert_eq!(log.lines().filter(|line| line.contains("ERROR")).count(), 1, "once, where it is handled: {log}");
}

pub(crate) async fn more_frames_than_the_machine_takes_are_turned_away() {
    let server = Server::start(&[("ATTENDANCE_THREADS", "1".into())]);
    let target = server.target();
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut frames = tokio::task::JoinSet::new();
    for n in 0..80 {
        let target = target.clone();
        frames.spawn(async move { target.recognize(&pictures::obama(n)).await });
    }
    let (mut named, mut turned_away) = (0, 0);
    for answer in frames.join_all().await {
        if answer.status == 200 {
            assert_eq!(answer.body["results"][0]["label"], student);
            named += 1;
        } else {
            answer.is_error(503, "overloaded");
            assert_eq!(answer.header("retry-after"), "1");
            turned_away += 1;
        }
    }
    println!("of 80 frames at once {named} were answered, {turned_away} turned away");
    assert!(named > 0 && turned_away > 0, "{named}, {turned_away}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(target.recognize(&pictures::obama(0)).await.status, 200, "it goes on");
}
