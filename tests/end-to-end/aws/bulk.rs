use std::collections::{HashMap, HashSet};
use std::time::Duration;

use attendance_end_to_end::pictures;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::stack::Stack;

fn label(answer: &Value) -> &Value {
    &answer["results"][0]["label"]
}

pub(crate) async fn an_enrolled_picture_lies_in_the_bucket_byte_for_byte() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let student = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    let keys = stack.keys(&format!("photos/{student}/")).await;
    assert_eq!(keys.len(), 2, "the picture and its crop: {keys:?}");
    let photo = keys.iter().find(|key| !key.ends_with(".face.jpg")).expect("the picture");
    assert_eq!(stack.get(photo).await.expect("there"), pictures::obama(0));
}

pub(crate) async fn a_dropped_picture_is_enrolled_until_it_is_removed() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    stack.put("known_faces/dropped/a%20b%2Bc%20(1)~.JPG", &pictures::obama(0)).await;
    stack.until("it is enrolled", async || stack.encodings().await == 1).await;
    let seen = stack.target.recognize(&pictures::obama(1)).await;
    assert_eq!(label(&seen.body), "dropped");
    stack.put("known_faces/dropped/a%20b%2Bc%20(1)~.JPG", &pictures::biden(0)).await;
    stack
        .until("it is replaced", async || {
            label(&stack.target.recognize(&pictures::biden(1)).await.body) == "dropped"
                && label(&stack.target.recognize(&pictures::obama(1)).await.body) == "Unknown"
        })
        .await;
    stack.delete("known_faces/dropped/a%20b%2Bc%20(1)~.JPG").await;
    stack.until("it is gone", async || stack.encodings().await == 0).await;
    assert!(stack.keys("photos/dropped/").await.is_empty());
}

pub(crate) async fn a_notification_counts_once_however_often_and_in_whatever_order_it_comes() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    stack.put("known_faces/often/1.jpg", &pictures::obama(0)).await;
    for _ in 0..5 {
        stack.notify("ObjectCreated:Put", "known_faces/often/1.jpg").await;
    }
    assert_eq!(stack.encodings().await, 1);
    // The removal is older than the picture in the bucket, but its notification comes later.
    stack.notify("ObjectRemoved:Delete", "known_faces/often/1.jpg").await;
    assert_eq!(stack.encodings().await, 1);
    stack.delete("known_faces/often/1.jpg").await;
    stack.notify("ObjectRemoved:Delete", "known_faces/often/1.jpg").await;
    stack.notify("ObjectCreated:Put", "known_faces/often/1.jpg").await;
    assert_eq!(stack.encodings().await, 0);
}

pub(crate) async fn a_refused_picture_leaves_a_report_and_is_told() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let mut subscriber = stack.target.subscribe(None).await;
    for (name, picture, code) in [
        ("pair.jpg", pictures::pair(), "multiple_faces"),
        ("nobody.jpg", pictures::nobody(), "no_face"),
        ("cut.jpg", pictures::truncated(), "invalid_image"),
        ("film.gif", pictures::gif(), "unsupported_image"),
    ] {
        stack.put(&format!("known_faces/refused/{name}"), &picture).await;
        let told = subscriber.next_of("student.refused").await;
        assert_eq!((&told["file"], &told["code"]), (&json!(format!("refused/{name}")), &json!(code)));
        let report = stack.get(&format!("reports/refused/{name}.json")).await.expect("a report");
        let report: Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!((&report["ok"], &report["code"]), (&json!(false), &json!(code)));
    }
    assert_eq!(stack.encodings().await, 0);
    stack.target.remove("refused").await;
    assert!(stack.keys("reports/refused/").await.is_empty());
}

pub(crate) async fn a_client_uploads_a_picture_that_is_too_large_for_an_invocation() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let mut large = pictures::obama(0).to_vec();
    large.resize(6 << 20, 0);
    let ask = stack.target.request(reqwest::Method::POST, "/uploads");
    let wanted = json!({"student_id": "uploaded", "name": "large.jpg", "size": large.len()});
    let granted: Value = ask.json(&wanted).send().await.expect("sent").json().await.expect("JSON");
    assert_eq!(granted["ok"], true, "{granted}");
    let mut put = reqwest::Client::new().put(granted["url"].as_str().expect("a URL")).body(large);
    for (name, value) in granted["headers"].as_object().expect("headers") {
        put = put.header(name, value.as_str().expect("text"));
    }
    assert!(put.send().await.expect("sent").status().is_success());
    stack.until("it is enrolled", async || stack.encodings().await == 1).await;
    for wrong in [
        json!({"student_id": "unknown", "name": "a.jpg", "size": 1}),
        json!({"student_id": "a", "name": "b/c.jpg", "size": 1}),
        json!({"student_id": "a", "name": "a.heic", "size": 1}),
        json!({"student_id": "a", "name": "a.jpg", "size": 21 << 20}),
        json!({}),
    ] {
        let ask = stack.target.request(reqwest::Method::POST, "/uploads").json(&wrong);
        assert!(ask.send().await.expect("sent").status().is_client_error(), "{wrong}");
    }
    stack.target.remove("uploaded").await;
    let document = stack.target.get("/openapi.json").await.body;
    assert!(document["paths"]["/uploads"]["post"]["responses"]["200"].is_object(), "it is documented where it exists");
    let request = &document["components"]["schemas"]["UploadRequest"]["properties"];
    assert!(["student_id", "name", "size"].iter().all(|field| request[field].is_object()), "{request}");
}

/// The expected outcome of a dropped picture.
#[derive(Clone, Copy)]
enum Outcome {
    Enrolled,
    /// It has the bytes of the picture before it, under another name.
    Repeated,
    Refused(&'static str),
}

const DROPPED: u64 = 500;

/// The student of a dropped picture, its name, its bytes and its expected outcome.
fn drop(n: u64) -> (String, String, Bytes, Outcome) {
    let (bytes, outcome) = match n % 5 {
        0 | 1 => (pictures::obama(n), Outcome::Enrolled),
        2 => (pictures::obama(n - 1), Outcome::Repeated),
        3 => (Bytes::from(format!("no picture {n}")), Outcome::Refused("invalid_image")),
        _ => (pictures::numbered(&pictures::nobody(), n), Outcome::Refused("no_face")),
    };
    (format!("many-{}", n / 5 % 20), format!("{n}.jpg"), bytes, outcome)
}

pub(crate) async fn five_hundred_pictures_dropped_at_once_have_an_outcome_each() {
    let stack = Stack::ready().await;
    let mut subscriber = stack.target.subscribe(None).await;
    let (mut enrolled, mut stored, mut refused) = (0, HashSet::new(), HashMap::new());
    let drops = (0..DROPPED).map(drop).map(|(student, name, bytes, outcome)| {
        let path = format!("{student}/{name}");
        match outcome {
            Outcome::Enrolled | Outcome::Repeated => assert!(stored.insert(format!("known_faces/{path}"))),
            Outcome::Refused(code) => assert_eq!(refused.insert(path.clone(), code), None),
        }
        enrolled += usize::from(matches!(outcome, Outcome::Enrolled));
        let stack = &stack;
        async move { stack.put(&format!("known_faces/{path}"), &bytes).await }
    });
    futures_util::future::join_all(drops.collect::<Vec<_>>()).await;

    // Subscribers get a message for each enrolment and each refusal, and none twice.
    let (mut told, mut told_refused) = (0, HashMap::new());
    while told + told_refused.len() < enrolled + refused.len() {
        let message = subscriber.next().await;
        match message["type"].as_str() {
            Some("student.enrolled") => told += 1,
            Some("student.refused") => {
                let text = |name: &str| message[name].as_str().expect("text").to_owned();
                assert_eq!(told_refused.insert(text("file"), text("code")), None, "told twice: {message}");
            }
            _ => panic!("{message}"),
        }
    }
    assert_eq!(told, enrolled);
    assert!(refused.iter().all(|(file, code)| told_refused[file] == *code), "{told_refused:?}");
    stack.until_settled().await;
    subscriber.gets_nothing_for(Duration::from_secs(1)).await;

    // Each stored object stands for one embedding of its student, each refused one has its report.
    assert_eq!(stack.encodings().await, enrolled as u64);
    let mut sources = Vec::new();
    for row in stack.gallery_rows("face#").await {
        sources.extend(
            row["sources"]["SS"].as_array().expect("keys").iter().map(|key| key.as_str().expect("a key").to_owned()),
        );
    }
    assert_eq!((sources.len(), sources.into_iter().collect::<HashSet<_>>()), (stored.len(), stored));
    for (file, code) in refused {
        let report = stack.get(&format!("reports/{file}.json")).await.expect("a report");
        assert_eq!(serde_json::from_slice::<Value>(&report).expect("JSON")["code"], code, "{file}");
    }
    assert_eq!(stack.queue("DeadLetterQueue", "ReceiveMessage", json!({})).await["Messages"], Value::Null);
}
