//! The commands other than `serve`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use attendance_end_to_end::{ACCESS_KEYS, Receiver, environment, pictures};
use attendance_testkit::sample;
use axum::Router;
use axum::body::Body;
use axum::http::header;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{Folder, Outcome, Running, Server, attendance, run};

/// The number of the signal on every Unix.
const SIGPIPE: i32 = 13;

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Returns the words of the line of a printed table that begins with this cell.
fn row<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let found = table.lines().find(|line| line.trim_start().starts_with(first));
    found.unwrap_or_else(|| panic!("no row {first}: {table}")).split_whitespace().collect()
}

pub(crate) async fn bulk_enroll_takes_what_it_can_and_says_why_not_the_rest() {
    let folder = Folder::new();
    let known = folder.path().join("school faces");
    put(&known, "obama/front (1)+~.JPG", &pictures::photograph("obama.jpg"));
    put(&known, "obama/side.png", &pictures::photograph("32bit.png"));
    put(&known, "biden/1.jpeg", &pictures::biden(0));
    put(&known, "biden/group.jpg", &pictures::pair());
    put(&known, "biden/wall.jpg", &pictures::nobody());
    put(&known, "biden/cut.jpg", &pictures::truncated());
    put(&known, "biden/empty.jpg", b"");
    put(&known, "biden/phone.heic", &pictures::heic());
    put(&known, "biden/renamed.jpg", &pictures::heic());
    put(&known, "biden/huge.png", &pictures::bomb());
    put(&known, "Unknown/1.jpg", &pictures::obama(0));
    put(&known, "a b/1.jpg", &pictures::obama(0));
    put(&known, "loose.jpg", &pictures::obama(0));
    for ignored in ["README.md", ".DS_Store", "biden/Thumbs.db", "biden/.hidden.jpg"] {
        put(&known, ignored, b"x");
    }
    std::os::unix::fs::symlink("/gone", known.join("biden/gone.jpg")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(known.join("biden/pipe.jpg")).status().unwrap().success());
    let outcome = folder.run(&["bulk-enroll", "school faces"]);
    assert_eq!(outcome.code, Some(0), "one bad picture never stops the rest: {outcome:?}");
    let table = &outcome.stdout;
    assert_eq!(row(table, "obama "), ["obama", "2", "0", "2"], "{table}");
    assert_eq!(row(table, "biden "), ["biden", "1", "0", "1"], "{table}");
    for (file, code) in [
        ("biden/group.jpg", "multiple_faces"),
        ("biden/wall.jpg", "no_face"),
        ("biden/cut.jpg", "invalid_image"),
        ("biden/empty.jpg", "invalid_image"),
        ("biden/gone.jpg", "invalid_image"),
        ("biden/pipe.jpg", "invalid_image"),
        ("biden/phone.heic", "unsupported_image"),
        ("biden/renamed.jpg", "unsupported_image"),
        ("biden/huge.png", "image_too_large"),
        ("Unknown/1.jpg", "invalid_student_id"),
        ("a b/1.jpg", "invalid_student_id"),
        ("loose.jpg", "unsupported_image"),
    ] {
        let row = row(table, file);
        assert!(row.contains(&code) && row.len() > 5, "{file}: {code} and why: {row:?}");
    }
    for ignored in ["README", "DS_Store", "Thumbs", "hidden"] {
        assert!(!table.contains(ignored), "{table}");
    }
    assert!(table.contains("2 students, 3 pictures enrolled, 12 files refused"), "{table}");

    let again = folder.run(&["bulk-enroll", "school faces"]);
    assert_eq!(again.code, Some(0));
    assert_eq!(row(&again.stdout, "obama "), ["obama", "2", "2", "2"], "known before: {}", again.stdout);

    let listed = folder.run(&["students", "list"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "biden\t1\nobama\t2\n"));
    let removed = folder.run(&["students", "remove", "obama", "nobody"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert!(removed.stdout.contains("obama: 2") && removed.stdout.contains("nobody: 0"), "{removed:?}");
    assert!(!folder.data().join("faces/obama").exists());
    assert_eq!(folder.run(&["students", "list"]).stdout, "biden\t1\n");
    assert_eq!(folder.run(&["students", "remove", "obama"]).code, Some(1), "nobody was removed");
    assert_eq!(folder.run(&["students", "remove", "../x"]).code, Some(2), "no id");
}

pub(crate) async fn bulk_enroll_fails_where_nothing_was_enrolled() {
    let folder = Folder::new();
    let missing = folder.run(&["bulk-enroll", "nowhere"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("nowhere"), "{missing:?}");
    put(folder.path(), "known_faces/obama/wall.jpg", &pictures::nobody());
    let nobody = folder.run(&["bulk-enroll"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stdout.contains("no_face"), "{nobody:?}");
}

pub(crate) async fn recognize_names_the_faces_of_files() {
    let folder = Folder::new();
    for student in ["obama", "biden"] {
        put(folder.path(), &format!("known_faces/{student}/1.jpg"), &pictures::photograph(&format!("{student}.jpg")));
    }
    put(folder.path(), "biden.jpg", &pictures::biden(0));
    put(folder.path(), "wall.jpg", &pictures::nobody());
    put(folder.path(), "cut.jpg", &pictures::truncated());
    let frames = ["obama2.jpg", "obama3.jpg", "obama_partial_face.jpg"].map(|name| sample(name).display().to_string());
    let mut arguments = vec!["recognize", "--json", "biden.jpg", "wall.jpg"];
    arguments.extend(frames.iter().map(String::as_str));
    let outcome = folder.run(&arguments);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let labels: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line["results"].as_array().unwrap().iter().map(|f| f["label"].as_str().unwrap()).collect())
        .collect();
    assert_eq!(labels, [vec!["biden"], vec![], vec!["obama"], vec!["obama"], vec!["obama"]]);
    assert_eq!(lines[0]["file"], "biden.jpg");
    let face = &lines[2]["results"][0];
    assert_eq!(face["box"].as_array().map(Vec::len), Some(4));
    assert!(face["distance"].as_f64().is_some_and(|d| d > 0.2 && d < 0.45), "{face}");

    let bad = folder.run(&["recognize", "--json", "cut.jpg", "nowhere.jpg", ".", "biden.jpg"]);
    assert_eq!(bad.code, Some(1));
    assert_eq!(bad.stdout.lines().count(), 1, "the good file is answered: {bad:?}");
    for name in ["cut.jpg", "nowhere.jpg"] {
        assert!(bad.stderr.contains(name), "{bad:?}");
    }
    let table = folder.run(&["recognize", "biden.jpg", "wall.jpg"]);
    assert!(row(&table.stdout, "biden.jpg").contains(&"biden"), "{table:?}");
    assert!(table.stdout.contains("no face"), "{table:?}");
    assert_eq!(folder.run(&["recognize"]).code, Some(2), "a file is wanted");
}

pub(crate) async fn what_is_no_picture_is_a_sentence_and_an_exit_code_within_bounds() {
    let folder = Folder::new();
    put(folder.path(), "folder.jpg/inside.txt", &Bytes::from_static(b"a file in a folder"));
    for (name, bytes, sentence) in [
        ("text.jpg", Bytes::from_static(b"no picture"), "is not a picture"),
        ("cut.jpg", pictures::truncated(), "is truncated"),
        ("bomb.png", pictures::bomb(), "60000 x 60000 pixels"),
        ("line.png", pictures::line(), "30000 pixels a side"),
        ("film.gif", pictures::gif(), "GIF images are not supported"),
        ("phone.heic", pictures::heic(), "HEIC images are not supported"),
        ("empty.jpg", Bytes::new(), "is empty"),
        ("folder.jpg", Bytes::new(), "is not a file"),
    ] {
        if name != "folder.jpg" {
            put(folder.path(), name, &bytes);
        }
        // Address space in KiB: enough for the models and little more.
        let program = attendance(folder.path(), &[]);
        let mut bounded = std::process::Command::new("sh");
        bounded.args(["-c", "ulimit -v 3000000; exec \"$0\" recognize \"$1\""]).arg(program.get_program()).arg(name);
        bounded.current_dir(folder.path()).env_clear();
        bounded.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let outcome = run(bounded);
        assert_eq!(outcome.code, Some(1), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains(name) && outcome.stderr.contains(sentence), "{name}: {outcome:?}");
    }
}

pub(crate) async fn compare_tells_the_same_person_from_two() {
    let folder = Folder::new();
    let [obama, obama2, biden] =
        ["obama.jpg", "obama2.jpg", "biden.jpg"].map(|name| sample(name).display().to_string());
    let same = folder.run(&["compare", &obama, &obama2]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.stdout.starts_with("the same person"), "{same:?}");
    let different = folder.run(&["compare", &obama, &biden]);
    assert_eq!(different.code, Some(1), "{different:?}");
    assert!(different.stdout.starts_with("two different people"), "{different:?}");
    put(folder.path(), "wall.jpg", &pictures::nobody());
    let nobody = folder.run(&["compare", &obama, "wall.jpg"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no face"), "{nobody:?}");
}

/// Returns a NumPy file of float64 as the replaced service wrote it.
fn npy(rows: &[Vec<f64>]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 128), }}", rows.len());
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}

pub(crate) async fn import_takes_over_what_the_replaced_service_stored() {
    let golden: Value = serde_json::from_str(include_str!("../../parity/golden.json")).unwrap();
    let embedding = |name: &str| -> Vec<f64> {
        let face = &golden["images"][name]["hog"][0]["embedding"];
        face.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let folder = Folder::new();
    put(folder.path(), "old/obama.npy", &npy(&[embedding("obama.jpg"), embedding("obama3.jpg")]));
    put(folder.path(), "old/biden.npy", &npy(&[embedding("biden.jpg")]));
    put(folder.path(), "old/unknown.npy", &npy(&[embedding("biden.jpg")]));
    put(folder.path(), "old/broken.npy", b"\x93NUMPY");
    let server = Server::start_on(&folder, &[]);
    let outcome = tokio::task::block_in_place(|| folder.run(&["import", "old"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("obama: 2 embeddings"), "{outcome:?}");
    assert!(outcome.stdout.contains("2 students imported, 2 files refused"), "{outcome:?}");
    let named = server.target().recognize(&pictures::photograph("obama2.jpg")).await;
    assert_eq!(named.body["results"][0]["label"], "obama", "known to the running server: {named:?}");
    assert_eq!(server.target().get("/health").await.body, json!({"ok": true, "encodings": 3, "labels": 2}));
    let again = tokio::task::block_in_place(|| folder.run(&["import", "old"]));
    assert!(again.stdout.contains("known before"), "{again:?}");
    assert_eq!(server.target().get("/health").await.body["encodings"], 3, "a repeat adds nothing");
    assert_eq!(tokio::task::block_in_place(|| folder.run(&["import", "."])).code, Some(1), "no file, no import");
}

/// Runs `watch` with these arguments against a server, to its end.
fn watch(server: &Server, arguments: &[&str]) -> Outcome {
    let variables = [("ATTENDANCE_ACCESS_KEY", ACCESS_KEYS.join(" "))];
    let mut command = attendance(server.folder().path(), &variables);
    command.args(["watch", "--server", server.http(), "--interval", "0"]).args(arguments);
    tokio::task::block_in_place(|| run(command))
}

pub(crate) async fn watch_posts_files_and_prints_what_comes_back() {
    let receiver = Receiver::start().await;
    let server = Server::start_for(&receiver);
    let obama = server.target().enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    let frames = server.folder().path().join("frames");
    put(&frames, "a/1.jpg", &pictures::photograph("obama2.jpg"));
    put(&frames, "b/2.jpg", &pictures::nobody());
    let outcome = watch(&server, &["frames", "--device-id", "cam 1", "--class-id", "7B"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = format!("dispatch[{obama}] -> sent (200)");
    assert!(outcome.stdout.lines().any(|line| line.starts_with(&told)), "{outcome:?}");
    let pushed: Value =
        outcome.stdout.lines().find_map(|l| serde_json::from_str(l.strip_prefix("WS: ")?).ok()).unwrap();
    assert_eq!((&pushed["type"], &pushed["student_id"]), (&json!("recognized"), &json!(obama)));
    let event = receiver.calls_about(&obama)[0].json();
    assert_eq!((&event["device_id"], &event["class_id"]), (&json!("cam 1"), &json!("7B")));

    put(&frames, "c/3.jpg", &pictures::truncated());
    let outcome = watch(&server, &["frames/c/3.jpg", "frames/a", "--send-unknown", "--min-conf", "0.1"]);
    assert_eq!(outcome.code, Some(1), "a frame was refused: {outcome:?}");
    assert!(outcome.stderr.contains("3.jpg") && outcome.stderr.contains("400"), "{outcome:?}");
    assert!(!outcome.stdout.contains("dispatch["), "0.1 is nearer than any frame: {outcome:?}");
    assert_eq!(watch(&server, &["nowhere"]).code, Some(1));
}

/// Starts an IP camera that streams these pictures and ends, and returns its URL.
async fn camera(frames: Vec<Bytes>, boundary_in_header: &'static str) -> String {
    let stream = move || {
        let frames = frames.clone();
        async move {
            let parts = futures_util::stream::unfold(frames.into_iter(), |mut frames| async {
                let frame = frames.next()?;
                // Slower than the server, so that it drops no frame.
                tokio::time::sleep(Duration::from_millis(900)).await;
                let head = format!("--cam\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", frame.len());
                Some((Ok::<_, std::io::Error>(Bytes::from([head.as_bytes(), &frame, b"\r\n"].concat())), frames))
            });
            let end = futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_millis(900)).await;
                Ok(Bytes::from_static(b"--cam--\r\n"))
            });
            let body = Body::from_stream(futures_util::StreamExt::chain(parts, end));
            ([(header::CONTENT_TYPE, format!("multipart/x-mixed-replace; boundary={boundary_in_header}"))], body)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/video", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/video", get(stream))).await });
    url
}

pub(crate) async fn watch_follows_a_camera() {
    let receiver = Receiver::start().await;
    let mut variables = environment(&receiver);
    variables.retain(|(name, _)| *name != "EVENT_COOLDOWN_SECONDS");
    variables.push(("EVENT_COOLDOWN_SECONDS", "60".into()));
    let server = Server::start(&variables);
    let obama = server.target().enroll_new("obama", &pictures::obama(0)).await;
    let biden = server.target().enroll_new("biden", &pictures::biden(0)).await;
    for boundary in ["cam", "--cam"] {
        let url = camera(vec![pictures::obama(1), pictures::nobody(), pictures::biden(1)], boundary).await;
        let outcome = watch(&server, &[&url]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let status = if boundary == "cam" { "sent (200)" } else { "skipped cooldown_active" };
        for student in [&obama, &biden] {
            let told = format!("dispatch[{student}] -> {status}");
            assert!(outcome.stdout.contains(&told), "{told}: {outcome:?}");
        }
        assert_eq!(outcome.stdout.lines().filter(|line| line.starts_with("WS: ")).count(), 2, "{outcome:?}");
        assert_eq!(outcome.stdout.lines().filter(|line| line.ends_with(" faces")).count(), 3, "{outcome:?}");
    }
    assert_eq!(receiver.calls().len(), 2);
}

pub(crate) async fn a_tool_whose_reader_has_gone_ends_quietly() {
    let server = Server::start(&[("ATTENDANCE_ACCESS_KEY", ACCESS_KEYS.join(" "))]);
    put(server.folder().path(), "1.jpg", &pictures::nobody());
    let watch = ["watch", "1.jpg", "--key", ACCESS_KEYS[0], "--server", server.http()];
    for arguments in [&watch[..], &["recognize", "1.jpg"], &["models", "list"]] {
        let (_, nobody_reads) = std::io::pipe().unwrap();
        let mut command = attendance(server.folder().path(), &[]);
        command.args(arguments).stdout(nobody_reads);
        let outcome = tokio::task::block_in_place(|| command.output()).unwrap();
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        // The signal that ends any program that writes to such a pipe.
        assert_eq!((outcome.status.signal(), &*stderr), (Some(SIGPIPE), ""), "{arguments:?}");
    }
}

pub(crate) async fn a_server_whose_reader_has_gone_goes_on() {
    let folder = Folder::new();
    let mut command = attendance(folder.path(), &[]);
    command.args(["serve", "--addr", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Running::start(command);
    let mut line = String::new();
    // The reader is gone before the other lines are printed.
    BufReader::new(server.stdout()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").unwrap().1;
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.terminate();
    assert!(server.wait(Duration::from_secs(60)).expect("the server ends").success());
}
