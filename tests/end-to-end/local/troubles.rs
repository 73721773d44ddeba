//! One trouble at a time.

use std::time::{Duration, Instant};

use attendance_end_to_end::{API_KEY, ENCODED_SECRET, PLAIN_SECRET, Receiver, Target, environment, pictures};
use serde_json::{Value, json};

use crate::process::{Folder, Server, Variable};
use crate::receiver::ReceiverProcess;

/// The variables of the shared cases, with these instead of theirs.
fn variables<'a>(receiver: &Receiver, changes: &[(&'a str, &str)]) -> Vec<Variable<'a>> {
    let mut variables = environment(receiver);
    variables.retain(|(name, _)| *name != "ATTENDANCE_ACCESS_KEY" && changes.iter().all(|(change, _)| change != name));
    variables.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
    variables
}

fn start(folder: &Folder, variables: &[Variable<'_>]) -> Server {
    tokio::task::block_in_place(|| Server::start_on(folder, variables))
}

fn report(answer: &Value) -> &Value {
    &answer["dispatch"][0]["report"]
}

/// A frame's answer and how long it took.
async fn timed(target: &Target, query: &str) -> (Value, Duration) {
    let begun = Instant::now();
    let answer = target.realtime(query, &pictures::obama(1)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (answer.body, begun.elapsed())
}

pub(crate) async fn a_dead_receiver_costs_the_timeout_and_soon_nothing_and_delays_nobody_else() {
    let receiver = Receiver::start().await;
    receiver.delay(Duration::from_secs(60));
    let changes = [
        ("EVENT_COOLDOWN_SECONDS", "0"),
        ("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "2"),
        ("ATTENDANCE_RETRY_SCHEDULE", "1h"),
    ];
    let server = start(&Folder::new(), &variables(&receiver, &changes));
    let target = server.target();
    let send = "?send_unknown=true&device_id=door";
    // The time of a frame that sends no event.
    let mut quiet = Duration::MAX;
    for _ in 0..5 {
        quiet = quiet.min(timed(&target, "").await.1);
    }
    let waiting = tokio::spawn({
        let target = target.clone();
        async move { timed(&target, "?send_unknown=true&device_id=door").await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, beside) = timed(&target, "").await;
    assert!(!waiting.is_finished(), "the receiver is asked meanwhile");
    assert!(beside < quiet + Duration::from_secs(1), "{beside:?} beside a waiting one, {quiet:?} alone");
    let mut waits = vec![waiting.await.expect("no panic")];
    for _ in 0..4 {
        waits.push(timed(&target, send).await);
    }
    for (answer, took) in &waits {
        assert_eq!(report(answer)["status"], "failed", "{answer}");
        assert!(*took >= Duration::from_secs(2) && *took < quiet + Duration::from_millis(3500), "{took:?}");
    }
    let mut cheap = Vec::new();
    for _ in 0..5 {
        let (answer, took) = timed(&target, send).await;
        assert_eq!(report(&answer)["status"], "failed");
        assert!(report(&answer)["message"].as_str().is_some_and(|m| m.contains("circuit open")), "{answer}");
        cheap.push(took);
    }
    cheap.sort();
    println!("a frame alone {quiet:?}, to a dead receiver {:?}, with the circuit open {:?}", waits[0].1, cheap[2]);
    assert!(cheap[2] < quiet + Duration::from_millis(500), "{cheap:?}");
    assert_eq!(target.events("pending").await.len(), 10, "and every event is kept");
}

pub(crate) async fn a_stop_lets_a_retry_end() {
    let receiver = Receiver::start().await;
    receiver.answer(500, "not now");
    let changes = [("EVENT_COOLDOWN_SECONDS", "0"), ("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "5")];
    let folder = Folder::new();
    let mut server = start(&folder, &variables(&receiver, &changes));
    let (answer, _) = timed(&server.target(), "?send_unknown=true").await;
    assert_eq!(report(&answer)["http_status"], 500, "{answer}");
    receiver.answer(200, "{}");
    receiver.delay(Duration::from_millis(1500));
    receiver.wait_for("Unknown", 2).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(20)).await.code(), Some(0));
    let listed = tokio::task::block_in_place(|| folder.run(&["events", "list", "--status", "sent"]));
    assert!(listed.stdout.contains("Unknown"), "the try that was on its way is recorded: {listed:?}");
    let server = start(&folder, &variables(&receiver, &changes));
    assert_eq!(server.target().events("sent").await.len(), 1);
    assert_eq!(receiver.calls().len(), 2);
}

pub(crate) async fn events_wait_for_a_server_that_has_a_webhook() {
    let receiver = Receiver::start().await;
    receiver.answer(503, "closed");
    let with_url = variables(&receiver, &[("EVENT_COOLDOWN_SECONDS", "0")]);
    let without = variables(&receiver, &[("EVENT_COOLDOWN_SECONDS", "0"), ("ATTENDANCE_WEBHOOK_URL", "")]);
    let folder = Folder::new();
    let mut server = start(&folder, &with_url);
    timed(&server.target(), "?send_unknown=true").await;
    assert!(!server.stdout().contains("events of an earlier run"));
    server.kill();
    let mut server = start(&folder, &without);
    let pending = server.target().events("pending").await;
    assert_eq!(pending.len(), 1);
    server.prints("events of an earlier run wait").await;
    let (answer, _) = timed(&server.target(), "?send_unknown=true").await;
    assert_eq!(report(&answer), &json!({"status": "skipped", "message": "webhook_disabled"}));
    server.kill();
    receiver.answer(200, "{}");
    let server = start(&folder, &with_url);
    let begun = Instant::now();
    while server.target().events("sent").await != pending {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.target().events("pending").await.len(), 0);
}

pub(crate) async fn one_student_in_the_same_instant_through_two_processes_is_one_attendance() {
    let received = Folder::new();
    let receiver = ReceiverProcess::start(received.path());
    let variables: Vec<Variable<'_>> = vec![
        ("ATTENDANCE_WEBHOOK_URL", receiver.url().to_owned()),
        ("ATTENDANCE_API_KEY", API_KEY.into()),
        ("ATTENDANCE_HMAC_SECRET", format!("{PLAIN_SECRET} {ENCODED_SECRET}")),
        ("EVENT_COOLDOWN_SECONDS", "60".into()),
    ];
    let folder = Folder::new();
    let servers = [start(&folder, &variables), start(&folder, &variables)];
    let targets = [servers[0].target(), servers[1].target()];
    let student = targets[0].enroll_new("obama", &pictures::obama(0)).await;
    let frame = pictures::obama(1);
    // Both know the student before the race.
    for target in &targets {
        assert_eq!(target.recognize(&frame).await.body["results"][0]["label"], student);
    }
    let query = "?device_id=door&class_id=7b";
    let answers = futures_util::future::join_all((0..6).map(|n| targets[n % 2].realtime(query, &frame))).await;
    let sent: Vec<&Value> =
        answers.iter().map(|answer| report(&answer.body)).filter(|report| report["status"] == "sent").collect();
    assert_eq!(sent.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|a| a.body["dispatch"][0]["label"] == student), "{answers:?}");
    let message: Value = serde_json::from_str(sent[0]["message"].as_str().expect("an answer")).expect("JSON");
    assert_eq!((&message["ok"], &message["student_id"]), (&json!(true), &json!(student)));
    let rows = receiver.listed(&student).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((&row["device_id"], &row["class_id"]), (&json!("door"), &json!("7b")));
    assert_eq!(row["distance"], answers[0].body["results"][0]["distance"]);
    assert_eq!(targets[1].events("sent").await.len(), 1);
}

pub(crate) async fn a_replay_of_all_ends_although_all_are_given_up_again() {
    const DEAD: usize = 104;
    let receiver = Receiver::start().await;
    receiver.answer(410, "closed for good");
    let folder = Folder::new();
    let server = start(&folder, &variables(&receiver, &[("EVENT_COOLDOWN_SECONDS", "0")]));
    let target = server.target();
    for _ in 0..DEAD / 4 {
        let frames = (0..4).map(|_| timed(&target, "?send_unknown=true"));
        for (answer, _) in futures_util::future::join_all(frames).await {
            assert_eq!(report(&answer)["message"], "given up: closed for good");
        }
    }
    // More than a page of them, and they are dead again as soon as the server has tried.
    let outcome = tokio::task::block_in_place(|| folder.run(&["events", "replay", "--all-dead"]));
    assert_eq!(outcome.stdout, format!("{DEAD} events will be sent again\n"), "{outcome:?}");
    let begun = Instant::now();
    while receiver.calls().len() < 2 * DEAD || target.events("dead").await.len() < DEAD {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} calls", receiver.calls().len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(receiver.calls().len(), 2 * DEAD, "each once more");
}
