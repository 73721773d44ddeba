//! How the local server starts, is configured, is bounded and stops.

use std::time::Duration;

use attendance_end_to_end::{Answer, Receiver, environment, flood, pictures};
use reqwest::Method;
use serde_json::json;

use crate::process::{Folder, Server, attendance, run};

/// Returns what a start that must fail prints.
fn refused_start(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = Folder::new();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut command = attendance(folder.path(), &variables);
    command.args(arguments);
    let outcome = run(command);
    assert_eq!(outcome.code, Some(1), "{variables:?}: {outcome:?}");
    outcome.stderr
}

pub(crate) async fn a_wrong_value_stops_the_start_and_says_what_is_expected() {
    for (name, value) in [
        ("FACE_TOLERANCE", "0,45"),
        ("FACE_TOLERANCE", "-1"),
        ("FACE_MIN_SIZE", "small"),
        ("FACE_DETECTOR", "best"),
        ("FACE_DETECTOR_MODE", "slow"),
        ("ENROLL_MULTI_FACE", "some"),
        ("EVENT_COOLDOWN_SECONDS", "-1"),
        ("ATTENDANCE_WEBHOOK_TIMEOUT_SECONDS", "never"),
        ("ATTENDANCE_RETRY_SCHEDULE", "5s,,1m"),
        ("ATTENDANCE_RETRY_FOR", "0s"),
        ("ATTENDANCE_THREADS", "0"),
        ("ATTENDANCE_ADDR", "localhost"),
        ("ATTENDANCE_CORS_ORIGINS", "school.test"),
        ("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE", "perhaps"),
        ("ATTENDANCE_WEBHOOK_URL", "school.test/events"),
        ("ATTENDANCE_WEBHOOK_URL", "ftp://school.test/events"),
        ("ATTENDANCE_WEBHOOK_URL", "http://169.254.169.254/latest"),
    ] {
        let said = refused_start(&["serve", "--data-dir", "data"], &[(name, value)]);
        assert!(said.contains(name) && said.contains(value), "{name}={value}: {said}");
        assert!(said.trim().len() > name.len() + value.len() + 20, "what is expected: {said}");
    }
    let private = [("ATTENDANCE_WEBHOOK_URL", "http://10.0.0.1/"), ("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE", "false")];
    let said = refused_start(&["serve"], &private);
    assert_eq!(said.matches("ATTENDANCE_WEBHOOK_ALLOW_PRIVATE").count(), 1, "what would allow it: {said}");
    for (name, secret) in [("ATTENDANCE_HMAC_SECRET", "whsec_%%%"), ("ATTENDANCE_API_KEY", "tokén\u{7f}")] {
        let said = refused_start(&["serve"], &[("ATTENDANCE_WEBHOOK_URL", "http://127.0.0.1:9/"), (name, secret)]);
        assert!(said.contains(name) && !said.contains(secret), "a secret is not printed: {said}");
    }
    let said = refused_start(&["serve"], &[("ATTENDANCE_HMAC_SECRET", "whsec_%%%")]);
    assert!(said.contains("ATTENDANCE_HMAC_SECRET"), "also where nothing is sent: {said}");
}

pub(crate) async fn a_door_without_a_key_is_for_this_machine_alone() {
    let said = refused_start(&["serve", "--addr", "0.0.0.0:0"], &[]);
    assert!(said.contains("ATTENDANCE_ACCESS_KEY") && said.contains("--open"), "{said}");
    refused_start(&["serve"], &[("ATTENDANCE_ADDR", "[::]:0"), ("ATTENDANCE_ACCESS_KEY", "  ")]);
}

pub(crate) async fn the_start_says_where_it_is_and_a_file_of_variables_is_read() {
    let folder = Folder::new();
    std::fs::write(
        folder.path().join(".env"),
        "FACE_TOLERANCE=0.5\nEVENT_COOLDOWN_SECONDS=9\nATTENDANCE_DATA_DIR=kept\n",
    )
    .unwrap();
    let server = Server::start_on(&folder, &[("EVENT_COOLDOWN_SECONDS", "11".into())]);
    for part in ["/ws/recognitions", "/docs", "kept", "models", "webhook"] {
        server.prints(part).await;
    }
    assert!(folder.path().join("kept/attendance.db").is_file());
    let config = server.target().get("/config").await.body;
    let expected = json!({
        "tolerance": 0.5,
        "webhook_enabled": false,
        "cooldown_seconds": 11,
        "websocket_url": server.target().ws(),
    });
    assert_eq!(config, expected, "a real variable wins over the file");
}

pub(crate) async fn without_a_webhook_sightings_are_pushed_and_take_no_cooldown() {
    let server = Server::start(&[]);
    let target = server.target();
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    for n in 1..3 {
        let answer = target.realtime("", &pictures::obama(n)).await;
        assert_eq!(answer.body["webhook_enabled"], false);
        let report = json!({"status": "skipped", "message": "webhook_disabled"});
        assert_eq!(answer.body["dispatch"], json!([{"label": student, "report": report}]));
        assert_eq!(subscriber.next_of("recognized").await["dispatch"], report);
    }
}

pub(crate) async fn a_photograph_of_two_can_be_taken_for_the_larger_or_for_both() {
    for (rule, saved) in [("largest", 1), ("all", 2)] {
        let server = Server::start(&[("ENROLL_MULTI_FACE", rule.into())]);
        let target = server.target();
        let answer = target.enroll("siswaA", &pictures::pair()).await;
        assert_eq!((answer.status, &answer.body["saved"]), (200, &json!(saved)), "{rule}: {answer:?}");
        let larger = target.recognize(&pictures::obama(0)).await;
        assert_eq!(larger.body["results"][0]["label"], "siswaA", "{rule}");
        let smaller = target.recognize(&pictures::biden(0)).await;
        let label = if saved == 2 { "siswaA" } else { "Unknown" };
        assert_eq!(smaller.body["results"][0]["label"], label, "{rule}");
        assert_eq!(target.remove("siswaA").await.body["removed"], saved);
        assert!(!server.folder().data().join("faces/siswaA").exists(), "pictures and crops are gone");
    }
}

pub(crate) async fn pages_of_named_origins_alone_may_call() {
    let origins = "https://school.example http://localhost:5173";
    let server = Server::start(&[("ATTENDANCE_CORS_ORIGINS", origins.into())]);
    let target = server.target();
    for (origin, allowed) in
        [("https://school.example", true), ("http://localhost:5173", true), ("https://other.example", false)]
    {
        let get = Answer::of(target.request(Method::GET, "/config").header("Origin", origin)).await;
        let preflight = target.request(Method::OPTIONS, "/enroll").header("Origin", origin);
        let preflight = Answer::of(preflight.header("Access-Control-Request-Method", "POST")).await;
        for answer in [get, preflight] {
            let echoed = if allowed { origin } else { "" };
            assert_eq!(answer.header("access-control-allow-origin"), echoed);
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
    }
}

pub(crate) async fn an_event_that_is_never_taken_is_given_up_and_can_be_sent_again() {
    let receiver = Receiver::start().await;
    let mut variables = environment(&receiver);
    variables.push(("ATTENDANCE_RETRY_FOR", "2s".into()));
    let server = Server::start(&variables);
    let target = server.target();
    receiver.answer(503, "closed");
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    assert_eq!(target.realtime("", &pictures::obama(1)).await.body["dispatch"][0]["report"]["status"], "failed");
    let end = subscriber.next_of("delivery").await;
    assert_eq!((&end["status"], &end["student_id"]), (&json!("dead"), &json!(student)));
    let id = end["event_id"].as_str().unwrap();
    let listed = server.folder().run(&["events", "list", "--status", "dead"]);
    assert!(listed.stdout.contains(id) && listed.stdout.contains("503"), "{listed:?}");
    let tries = receiver.calls_about(&student).len();
    receiver.answer(200, "{}");
    assert_eq!(server.folder().run(&["events", "replay", id]).code, Some(0));
    let end = subscriber.next_of("delivery").await;
    assert_eq!((&end["status"], &end["event_id"]), (&json!("sent"), &json!(id)));
    assert_eq!(receiver.calls_about(&student).len(), tries + 1);
}

pub(crate) async fn an_event_that_was_queued_survives_the_server() {
    let receiver = Receiver::start().await;
    let mut variables = environment(&receiver);
    let schedule = variables.iter_mut().find(|(name, _)| *name == "ATTENDANCE_RETRY_SCHEDULE").unwrap();
    schedule.1 = "2s".into();
    let folder = Folder::new();
    let mut server = Server::start_on(&folder, &variables);
    let target = server.target();
    receiver.answer(500, "");
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    assert_eq!(target.realtime("", &pictures::obama(1)).await.body["dispatch"][0]["report"]["status"], "failed");
    server.kill();
    receiver.answer(200, "{}");
    let _server = Server::start_on(&folder, &variables);
    let calls = receiver.wait_for(&student, 2).await;
    assert_eq!(calls[0].header("webhook-id"), calls[1].header("webhook-id"));
    assert_eq!(calls[0].body, calls[1].body);
}

pub(crate) async fn an_event_whose_first_try_was_cut_off_is_sent_after_the_next_start() {
    let receiver = Receiver::start().await;
    let variables = environment(&receiver);
    let folder = Folder::new();
    let mut server = Server::start_on(&folder, &variables);
    let target = server.target();
    let student = target.enroll_new("obama", &pictures::obama(0)).await;
    receiver.delay(Duration::from_secs(30));
    let request = target.request(Method::POST, "/recognize/realtime");
    let part = reqwest::multipart::Part::bytes(pictures::obama(1).to_vec());
    let unanswered = tokio::spawn(request.multipart(reqwest::multipart::Form::new().part("image", part)).send());
    receiver.wait_for(&student, 1).await;
    server.kill();
    assert!(unanswered.await.unwrap().is_err(), "the camera was told nothing");
    receiver.delay(Duration::ZERO);
    let server = Server::start_on(&folder, &variables);
    let mut subscriber = server.target().subscribe(Some(0)).await;
    let calls = receiver.wait_for(&student, 2).await;
    assert_eq!((calls[0].header("webhook-id"), &calls[0].body), (calls[1].header("webhook-id"), &calls[1].body));
    assert_eq!(subscriber.next_of("delivery").await["status"], "sent");
}

pub(crate) async fn a_stop_finishes_what_runs() {
    let receiver = Receiver::start().await;
    let mut server = Server::start_for(&receiver);
    let target = server.target();
    target.enroll_new("obama", &pictures::obama(0)).await;
    let mut subscriber = target.subscribe(None).await;
    receiver.delay(Duration::from_millis(700));
    let sighting = tokio::spawn({
        let target = target.clone();
        async move { target.realtime("", &pictures::obama(1)).await }
    });
    let enrolling = tokio::spawn({
        let target = target.clone();
        async move { target.enroll("biden", &pictures::photograph("biden.jpg")).await }
    });
    // Both are under way: one waits for the receiver, one computes.
    while receiver.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.terminate();
    let sighting = sighting.await.unwrap();
    assert_eq!(sighting.body["dispatch"][0]["report"]["status"], "sent", "{sighting:?}");
    let enrolled = enrolling.await.unwrap();
    assert_eq!((enrolled.status, &enrolled.body["saved"]), (200, &json!(1)), "{enrolled:?}");
    while subscriber.try_next().await.is_some() {}
    let status = server.ended(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    let listed = server.folder().run(&["students", "list"]);
    assert!(listed.stdout.contains("biden\t1"), "what was answered is stored: {listed:?}");
}

pub(crate) async fn memory_stays_bounded_under_large_uploads() {
    let server = Server::start(&[]);
    let target = server.target();
    target.enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    target.recognize(&pictures::photograph("obama3.jpg")).await;
    let before = server.peak_memory();
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let target = target.clone();
        uploads.spawn(async move { flood(&target, "/recognize", 30 << 20).await });
    }
    for answer in uploads.join_all().await {
        let refusal = (answer.status, answer.body["code"].as_str().unwrap_or_default());
        assert!(matches!(refusal, (413, "image_too_large") | (503, "overloaded")), "{answer:?}");
    }
    let grown = (server.peak_memory() - before) >> 20;
    // The service holds at most 256 MiB of forms. A growing vector briefly takes twice its content.
    assert!(grown < 600, "{grown} MiB for 720 MiB of uploads");
    println!("24 uploads of 30 MiB side by side: {grown} MiB above {} MiB", before >> 20);
    let answer = target.recognize(&pictures::photograph("obama2.jpg")).await;
    assert_eq!((answer.status, answer.body["results"].as_array().map(Vec::len)), (200, Some(1)), "it goes on");
}
