//! Enrolling, recognising and erasing people.

use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::target::{fresh, image};
use crate::{Target, pictures};

/// What the replaced service recorded of its own work on the test pictures.
const GOLDEN: &str = include_str!("../../../parity/golden.json");

/// The distance that the replaced service finds from this frame to the nearest of these enrolled photographs.
fn golden_distance(frame: &str, enrolled: &str) -> f64 {
    let golden: Value = serde_json::from_str(GOLDEN).expect("JSON");
    let embedding = |name: &str| -> Vec<f64> {
        let values = golden["images"][name]["hog"][0]["embedding"].as_array().expect("an embedding");
        values.iter().map(|value| value.as_f64().expect("a number")).collect()
    };
    let squares = embedding(frame).into_iter().zip(embedding(enrolled)).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

fn has_four_decimals(distance: &Value) -> bool {
    let scaled = distance.as_f64().expect("a number") * 10_000.0;
    (scaled - scaled.round()).abs() < 1e-6
}

/// Two people are enrolled by photographs and named in others; a repeat changes nothing; an erased one is unknown.
pub async fn people_are_enrolled_named_and_erased(target: &Target) {
    target.forget_everybody().await;
    let frame = pictures::photograph("obama2.jpg");

    let stranger = target.recognize(&frame).await;
    assert_eq!(stranger.status, 200);
    let face = &stranger.body["results"][0];
    assert_eq!((&face["label"], &face["distance"]), (&json!("Unknown"), &Value::Null), "{stranger:?}");

    let (obama, biden) = (fresh("obama"), fresh("biden"));
    let photo = pictures::photograph("obama.jpg");
    let first = target.enroll(&obama, &photo).await;
    assert_eq!((first.status, &first.body["ok"], &first.body["saved"]), (200, &json!(true), &json!(1)), "{first:?}");
    assert_eq!(first.body.as_object().map(serde_json::Map::len), Some(3), "ok, saved, msg");
    assert!(first.body["msg"].as_str().is_some_and(|msg| msg.contains(&obama)), "{first:?}");
    assert_eq!(target.enroll(&biden, &pictures::photograph("biden.jpg")).await.body["saved"], 1);
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 2, "labels": 2}));

    let repeat = target.enroll(&obama, &photo).await;
    assert_eq!((repeat.status, repeat.body), (200, first.body), "a repeat answers as the first did");
    assert_eq!(target.get("/health").await.body["encodings"], 2, "a repeat adds nothing");

    let named = target.recognize(&frame).await;
    assert_eq!((named.status, &named.body["ok"]), (200, &json!(true)));
    assert_eq!(named.body.as_object().map(serde_json::Map::len), Some(2), "ok, results");
    let results = named.body["results"].as_array().expect("a list");
    assert_eq!(results.len(), 1, "{named:?}");
    assert_eq!(results[0].as_object().map(serde_json::Map::len), Some(3), "box, label, distance");
    assert_eq!(results[0]["label"], obama);
    let distance = &results[0]["distance"];
    assert!(has_four_decimals(distance), "{distance}");
    let golden = golden_distance("obama2.jpg", "obama.jpg");
    assert!((distance.as_f64().expect("a number") - golden).abs() < 0.05, "{distance}, the replaced service {golden}");
    let sides: Vec<i64> = results[0]["box"].as_array().expect("four").iter().map(|n| n.as_i64().expect("px")).collect();
    for (side, golden) in sides.iter().zip([290, 438, 558, 171]) {
        assert!((side - golden).abs() <= 20, "top, right, bottom, left: {sides:?}");
    }

    let removed = target.remove(&obama).await;
    assert_eq!((removed.status, removed.body), (200, json!({"ok": true, "removed": 1})));
    let gone = target.recognize(&frame).await;
    let face = &gone.body["results"][0];
    assert_eq!(face["label"], "Unknown");
    assert!(face["distance"].as_f64().is_some_and(|d| d > 0.45), "the best distance of an unknown face too: {face}");
    assert!(has_four_decimals(&face["distance"]));
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 1, "labels": 1}));
    assert_eq!(target.remove(&obama).await.body, json!({"ok": true, "removed": 0}), "erasing again is no error");

    let back = target.enroll(&obama, &photo).await;
    assert_eq!(back.body["saved"], 1, "who was erased can be enrolled again: {back:?}");
    assert_eq!(target.recognize(&frame).await.body["results"][0]["label"], obama);
}

/// Several pictures of one student make one candidate, in each accepted file format.
pub async fn a_student_has_several_pictures(target: &Target) {
    target.forget_everybody().await;
    let obama = target.enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    let far = target.recognize(&pictures::obama(1)).await.body["results"][0]["distance"].as_f64().expect("a number");
    assert_eq!(target.enroll(&obama, &pictures::obama(2)).await.body["saved"], 1);
    assert_eq!(target.enroll(&obama, &pictures::photograph("32bit.png")).await.body["saved"], 1, "a PNG");
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 3, "labels": 1}));
    let near = target.recognize(&pictures::obama(1)).await;
    let results = near.body["results"].as_array().expect("a list");
    assert_eq!(results.len(), 1);
    assert!(results[0]["distance"].as_f64().is_some_and(|d| d < far), "the nearest counts: {near:?}, before {far}");
    assert_eq!(target.remove(&obama).await.body["removed"], 3);
}

/// A picture that arrives several times at the same instant is stored once, and every sender gets the same answer.
pub async fn a_picture_that_comes_at_once_is_stored_once(target: &Target) {
    target.forget_everybody().await;
    let (student, picture) = (fresh("obama"), pictures::obama(0));
    let send = || target.enroll(&student, &picture);
    let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
    for answer in [&a, &b, &c, &d] {
        assert_eq!((answer.status, &answer.body), (200, &a.body));
    }
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 1, "labels": 1}));
    assert_eq!(target.remove(&student).await.body["removed"], 1);
}

/// Each face of a frame is named on its own.
pub async fn everybody_in_a_frame_is_named(target: &Target) {
    target.forget_everybody().await;
    let obama = target.enroll_new("obama", &pictures::photograph("obama.jpg")).await;
    let biden = target.enroll_new("biden", &pictures::photograph("biden.jpg")).await;
    let answer = target.recognize(&pictures::pair()).await;
    let results = answer.body["results"].as_array().expect("a list");
    let mut seen: Vec<(i64, &str)> = results
        .iter()
        .map(|face| (face["box"][3].as_i64().expect("px"), face["label"].as_str().expect("a label")))
        .collect();
    seen.sort_unstable();
    let labels: Vec<&str> = seen.iter().map(|(_, label)| *label).collect();
    assert_eq!(labels, [&obama, &biden], "from left to right: {answer:?}");
}

/// A picture without a face is answered with 200 and says so; one with two people is refused.
pub async fn a_picture_must_show_one_person(target: &Target) {
    target.forget_everybody().await;
    let student = fresh("siswa");
    let nobody = target.enroll(&student, &pictures::nobody()).await;
    assert_eq!((nobody.status, &nobody.body["code"]), (200, &json!("no_face")), "{nobody:?}");
    assert_eq!((&nobody.body["ok"], &nobody.body["saved"]), (&json!(false), &json!(0)));
    assert!(nobody.body["msg"].as_str().is_some_and(|msg| msg.contains("face")));
    target.enroll(&student, &pictures::pair()).await.is_error(422, "multiple_faces");
    assert_eq!(target.get("/health").await.body, json!({"ok": true, "encodings": 0, "labels": 0}));
    let nobody = target.recognize(&pictures::nobody()).await;
    assert_eq!((nobody.status, nobody.body), (200, json!({"ok": true, "results": []})));
}

/// Ids with every allowed character, of the largest length, in any order of the form's fields.
pub async fn every_allowed_student_id_is_taken(target: &Target) {
    target.forget_everybody().await;
    let longest = format!("{}{}", fresh("x"), "y".repeat(64));
    for (n, id) in ["A.b_c-9", "0", "-", "_.", &longest[..64]].into_iter().enumerate() {
        let form = Form::new().part("image", image(&pictures::obama(n as u64))).text("student_id", id.to_owned());
        let answer = target.post("/enroll", form).await;
        assert_eq!((answer.status, &answer.body["saved"]), (200, &json!(1)), "{id}: {answer:?}");
        assert_eq!(target.remove(id).await.body["removed"], 1, "{id}");
    }
}
