//! Several processes on one data folder.

use attendance_end_to_end::{Receiver, environment, pictures};
use serde_json::json;

use crate::process::{Folder, Server};

pub(crate) async fn what_a_bulk_run_acknowledged_is_named_by_the_next_request() {
    let folder = Folder::new();
    let server = Server::start_on(&folder, &[]);
    let target = server.target();
    // The server has read its gallery and knows nobody.
    assert_eq!(target.recognize(&pictures::photograph("obama2.jpg")).await.body["results"][0]["label"], "Unknown");
    let mut subscriber = target.subscribe(None).await;
    for student in ["obama", "biden"] {
        let known = folder.path().join("known_faces").join(student);
        std::fs::create_dir_all(&known).unwrap();
        std::fs::write(known.join("1.jpg"), pictures::photograph(&format!("{student}.jpg"))).unwrap();
    }
    let outcome = tokio::task::block_in_place(|| folder.run(&["bulk-enroll"]));
    let answer = target.recognize(&pictures::photograph("obama2.jpg")).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(answer.body["results"][0]["label"], "obama", "in the very next request");
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 2, "labels": 2}));
    let mut told =
        [subscriber.next().await, subscriber.next().await].map(|m| m["student_id"].as_str().unwrap().to_owned());
    told.sort();
    assert_eq!(told, ["biden", "obama"], "subscribers hear what the other process did");
    // A student whom it erased is unknown at once.
    assert_eq!(tokio::task::block_in_place(|| folder.run(&["students", "remove", "obama"])).code, Some(0));
    assert_eq!(target.recognize(&pictures::photograph("obama2.jpg")).await.body["results"][0]["label"], "Unknown");
}

pub(crate) async fn two_servers_share_one_cooldown_one_gallery_and_one_stream() {
    let receiver = Receiver::start().await;
    let mut variables = environment(&receiver);
    variables.retain(|(name, _)| *name != "EVENT_COOLDOWN_SECONDS");
    variables.push(("EVENT_COOLDOWN_SECONDS", "60".into()));
    let folder = Folder::new();
    let servers = [Server::start_on(&folder, &variables), Server::start_on(&folder, &variables)];
    let [one, two] = [servers[0].target(), servers[1].target()];
    let mut subscribers = [one.subscribe(None).await, two.subscribe(None).await];
    for round in 0..6 {
        let student = one.enroll_new("obama", &pictures::obama(round)).await;
        let frame = pictures::obama(100 + round);
        let (a, b) = tokio::join!(one.realtime("", &frame), two.realtime("", &frame));
        let mut statuses = [&a, &b].map(|answer| answer.body["dispatch"][0]["report"]["status"].as_str().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, ["sent", "skipped"], "{a:?} {b:?}");
        for answer in [&a, &b] {
            assert_eq!(answer.body["dispatch"][0]["label"], student, "both know who was enrolled through one");
        }
        assert_eq!(receiver.calls_about(&student).len(), 1, "one event");
        let mut streams = Vec::new();
        for subscriber in &mut subscribers {
            streams.push([subscriber.next().await, subscriber.next().await, subscriber.next().await]);
        }
        assert_eq!(streams[0], streams[1], "both servers' subscribers hear the same in the same order");
        assert_eq!(two.remove(&student).await.body["removed"], 1);
    }
}
