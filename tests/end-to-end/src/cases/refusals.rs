//! Refusals, each with its status and code.

use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::target::image;
use crate::{Answer, Target, flood, pictures, send_raw};

/// The routes that take a picture, with the other fields that each needs.
const PICTURE_ROUTES: [(&str, &[(&str, &str)]); 3] =
    [("/enroll", &[("student_id", "siswaA")]), ("/recognize", &[]), ("/recognize/realtime", &[])];

fn form(fields: &[(&'static str, &'static str)]) -> Form {
    fields.iter().fold(Form::new(), |form, (name, value)| form.text(*name, *value))
}

/// Fields that are missing, doubled or of the wrong kind.
pub async fn forms_with_wrong_fields_are_refused(target: &Target) {
    let picture = pictures::obama(0);
    for (path, fields) in PICTURE_ROUTES {
        target.post(path, form(fields)).await.is_error(422, "missing_field");
        let twice = form(fields).part("image", image(&picture)).part("image", image(&picture));
        target.post(path, twice).await.is_error(422, "duplicate_field");
        let json = target.request(Method::POST, path).json(&json!({"student_id": "siswaA"}));
        Answer::of(json).await.is_error(415, "unsupported_media_type");
        Answer::of(target.request(Method::POST, path)).await.is_error(415, "unsupported_media_type");
        let urlencoded = target.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        Answer::of(urlencoded.body("image=1")).await.is_error(415, "unsupported_media_type");
    }
    target.post("/enroll", Form::new().part("image", image(&picture))).await.is_error(422, "missing_field");
    let twice = Form::new().text("student_id", "a").text("student_id", "b").part("image", image(&picture));
    target.post("/enroll", twice).await.is_error(422, "duplicate_field");
    assert_eq!(target.get("/health").await.body["encodings"], 0, "nothing was stored");
}

/// Ids that would be a path, a reserved word or trouble in a log.
pub async fn wrong_student_ids_are_refused(target: &Target) {
    let picture = pictures::obama(0);
    let long = "a".repeat(65);
    let wrong = ["", "../x", "..", ".hidden", "a/b", "a\\b", "a b", " a", "a\n", "😀", "ünï", "a:b", "a%2e", &long];
    for id in wrong.into_iter().chain(["Unknown", "unknown", "UNKNOWN"]) {
        target.enroll(id, &picture).await.is_error(422, "invalid_student_id");
    }
    let bytes = Part::bytes(vec![0xff, 0xfe]);
    let no_text = Form::new().part("student_id", bytes).part("image", image(&picture));
    target.post("/enroll", no_text).await.is_error(422, "invalid_student_id");
    for id in ["%2e%2e%2fx", "a%20b", "Unknown", "%F0%9F%98%80", "%ff", &long] {
        target.remove(id).await.is_error(422, "invalid_student_id");
    }
    assert_eq!(target.get("/health").await.body["encodings"], 0, "nothing was stored");
}

/// Bytes that are not a picture, or not an accepted one.
pub async fn wrong_pictures_are_refused(target: &Target) {
    let large = Bytes::from([&pictures::obama(0)[..], &vec![0; target.image_limit()]].concat());
    let wrong = [
        (Bytes::new(), 400, "invalid_image"),
        (Bytes::from_static(b"this is a letter, not a photograph"), 400, "invalid_image"),
        (pictures::truncated(), 400, "invalid_image"),
        (pictures::gif(), 415, "unsupported_image"),
        (pictures::heic(), 415, "unsupported_image"),
        (pictures::bomb(), 413, "image_too_large"),
        (large, 413, "image_too_large"),
    ];
    for (path, fields) in PICTURE_ROUTES {
        for (bytes, status, code) in &wrong {
            let answer = target.post(path, form(fields).part("image", image(bytes))).await;
            answer.is_error(*status, code);
            if *code == "unsupported_image" {
                let msg = answer.body["msg"].as_str().unwrap_or_default();
                assert!(msg.contains("JPEG") && msg.contains("PNG"), "what to send instead: {msg}");
            }
        }
    }
    assert_eq!(target.get("/health").await.body["encodings"], 0, "nothing was stored");
}

/// Bodies that are not a form, whatever their header says.
pub async fn broken_bodies_are_refused(target: &Target) {
    let multipart = "multipart/form-data; boundary=edge";
    for (path, _) in PICTURE_ROUTES {
        let empty = send_raw(target, path, multipart, b"").await;
        assert_eq!((empty.status, &empty.body["code"]), (422, &json!("missing_field")), "{empty:?}");
        let no_boundary = send_raw(target, path, "multipart/form-data", b"--edge--\r\n").await;
        assert_eq!((no_boundary.status, &no_boundary.body["code"]), (415, &json!("unsupported_media_type")));
        for body in [
            &b"nonsense"[..],
            b"--edge",
            b"--edge\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n\xff\xd8\xff",
            b"--edge\r\nContent-Disposition: form-data; name=\"student_id\"\r\n\r\nsiswaA",
            b"--other\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nx\r\n--other--\r\n",
        ] {
            let answer = send_raw(target, path, multipart, body).await;
            let code = answer.body["code"].as_str().unwrap_or_default();
            assert!(matches!(answer.status, 400 | 422) && !code.is_empty(), "{answer:?}");
            assert_eq!(answer.body["ok"], false);
        }
    }
    assert_eq!(target.get("/health").await.body["encodings"], 0, "nothing was stored");
}

/// An endless picture is refused while it arrives: the client gets the answer although its form never ends.
pub async fn an_endless_picture_is_refused_while_it_comes(target: &Target) {
    for (path, _) in PICTURE_ROUTES {
        for size in [target.image_limit() + (1 << 20), 30 << 20] {
            let answer = flood(target, path, size).await;
            assert_eq!((answer.status, &answer.body["code"]), (413, &json!("image_too_large")), "{answer:?}");
            assert!(answer.sent >= target.image_limit(), "it was not refused for its first {} bytes", answer.sent);
        }
    }
}

/// An upload of 30 MB that declares its length gets its 413, not a broken connection.
pub async fn a_large_upload_gets_its_answer(target: &Target) {
    let picture = Bytes::from(vec![0x55; 30_000_000]);
    for (path, fields) in PICTURE_ROUTES {
        let answer = target.post(path, form(fields).part("image", image(&picture))).await;
        answer.is_error(413, "image_too_large");
    }
}

/// Values that parameters of `/recognize/realtime` cannot have.
pub async fn wrong_parameters_are_refused(target: &Target) {
    let picture = pictures::obama(0);
    let long = format!("device_id={}", "x".repeat(129));
    let wrong = ["min_conf=abc", "min_conf=-1", "min_conf=NaN", "min_conf=inf", "send_unknown=perhaps", &long];
    for query in wrong {
        target.realtime(&format!("?{query}"), &picture).await.is_error(422, "invalid_parameter");
    }
    let long = Form::new().text("session_id", "é".repeat(129)).part("image", image(&picture));
    target.post("/recognize/realtime", long).await.is_error(422, "invalid_parameter");
    let longest = format!("location_id={}", "%C3%A9".repeat(128));
    for query in ["min_conf=0", "min_conf=0.2", "min_conf=9", "send_unknown=false", "other=1", &longest] {
        assert_eq!(target.realtime(&format!("?{query}"), &picture).await.status, 200, "{query}");
    }
}

/// Paths and methods that do not exist.
pub async fn wrong_paths_and_methods_are_refused(target: &Target) {
    for path in ["/enlist", "/enroll/", "/pupils", "/recognize/later", "/docs/nothing", "/..%2fetc%2fpasswd"] {
        target.get(path).await.is_error(404, "not_found");
    }
    for (method, path) in [
        (Method::GET, "/enroll"),
        (Method::GET, "/recognize"),
        (Method::PUT, "/recognize/realtime"),
        (Method::POST, "/health"),
        (Method::DELETE, "/config"),
        (Method::GET, "/students/siswaA"),
        (Method::GET, "/mock/webhook"),
        (Method::POST, "/docs"),
    ] {
        let answer = Answer::of(target.request(method.clone(), path)).await;
        answer.is_error(405, "method_not_allowed");
        assert!(!answer.header("allow").is_empty(), "{method} {path} says what is allowed");
    }
}
