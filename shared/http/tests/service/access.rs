//! Keys and CORS.

use std::collections::{BTreeMap, BTreeSet};

use attendance::Scope;
use attendance_testkit::{face, picture};
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::setup::{Answer, Form, Service, Wishes, service};

fn locked() -> Service {
    Service::new(Wishes { keys: "first second", ..Wishes::default() })
}

async fn config_with(service: &Service, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get("/config"), |request, (name, value)| request.header(*name, *value));
    service.ask(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn any_of_the_keys_opens_by_either_header() {
    let service = locked();
    for headers in [
        [("authorization", "Bearer first")],
        [("authorization", "bearer second")],
        [("x-api-key", "first")],
        [("X-Api-Key", "second")],
    ] {
        config_with(&service, &headers).await.ok();
    }
    config_with(&service, &[("authorization", "Basic zzz"), ("x-api-key", "first")]).await.ok();
}

#[tokio::test]
async fn wrong_and_missing_keys_are_refused() {
    let service = locked();
    for headers in [
        &[][..],
        &[("authorization", "Bearer third")],
        &[("authorization", "Bearer first second")],
        &[("authorization", "Basic first")],
        &[("authorization", "first")],
        &[("authorization", "Bearer ")],
        &[("x-api-key", "")],
        &[("x-api-key", "FIRST")],
    ] {
        let answer = config_with(&service, headers).await;
        let msg = answer.refused(401, "unauthorized");
        assert!(!msg.contains("first"), "{msg}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    service.get("/config?key=first").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn every_route_but_health_and_the_pages_wants_a_key() {
    let service = locked();
    for path in ["/health", "/openapi.json", "/docs", "/docs/swagger-ui.css"] {
        assert_eq!(service.get(path).await.status, 200, "{path}");
    }
    let document = service.get("/openapi.json").await.ok();
    let mut closed = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(path.replace(['{', '}'], "x"));
            let answer = service.ask(request.body(Body::empty()).expect("a request")).await;
            if operations[method].get("security").is_none() {
                answer.refused(401, "unauthorized");
                closed += 1;
            } else {
                assert_eq!((path.as_str(), answer.status.as_u16()), ("/health", 200));
            }
        }
    }
    assert_eq!(closed, 10);
    service.get("/nowhere").await.refused(401, "unauthorized");
}

/// Every path that a service answers, as its router's `Debug` lists them.
fn paths(service: &Service) -> BTreeSet<String> {
    let shown = format!("{:?}", service.router);
    let paths = shown.split('"').filter(|text| text.starts_with('/') && !text.contains("__private__axum"));
    paths.map(str::to_owned).collect()
}

/// Paths that anyone may see, as the router names them.
fn public_paths() -> BTreeSet<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).expect("the folder");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let files = names.filter(|name| !name.ends_with(".html")).map(|name| format!("/web/{name}"));
    let others = ["/", "/enrol", "/live", "/health", "/openapi.json", "/docs", "/docs/{*file}"];
    files.chain(others.map(str::to_owned)).collect()
}

#[tokio::test]
async fn no_path_but_the_public_ones_is_open_in_any_method() {
    let service = locked();
    let (paths, public) = (paths(&service), public_paths());
    let document = service.get("/openapi.json").await.ok();
    let described = document["paths"].as_object().expect("paths").keys().cloned();
    assert_eq!(paths, public.iter().cloned().chain(described).collect(), "every other path is in the document");
    for path in &paths {
        let uri = path.replace("{*file}", "swagger-ui.css").replace(['{', '}'], "x");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::builder().method(method).uri(&uri).body(Body::empty()).expect("a request");
            let answer = service.ask(request).await;
            if public.contains(path) {
                let expected = if matches!(method, "GET" | "HEAD") { 200 } else { 405 };
                assert_eq!(answer.status, expected, "{method} {path}");
            } else {
                assert_eq!(answer.status, 401, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_route_states_its_scope() {
    let document = service().get("/openapi.json").await.ok();
    let mut stated = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let scope =
                operation["x-scope"].as_str().map(|word| word.parse::<Scope>().expect("a word of the contract"));
            assert_eq!(scope.is_none(), operation["security"] != Value::Null, "{method} {path}: a scope, or public");
            stated.insert(format!("{} {path}", method.to_uppercase()), scope);
        }
    }
    let expected = [
        ("DELETE /students/{student_id}", Some(Scope::StudentsWrite)),
        ("GET /config", Some(Scope::Recognize)),
        ("GET /events", Some(Scope::Events)),
        ("GET /health", None),
        ("GET /students", Some(Scope::StudentsRead)),
        ("GET /ws/recognitions", Some(Scope::Watch)),
        ("POST /enroll", Some(Scope::Enroll)),
        ("POST /events/{event_id}/replay", Some(Scope::Events)),
        ("POST /mock/webhook", Some(Scope::Events)),
        ("POST /recognize", Some(Scope::Recognize)),
        ("POST /recognize/realtime", Some(Scope::Recognize)),
    ];
    assert_eq!(stated, expected.map(|(route, scope)| (route.to_owned(), scope)).into());
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_credentials_are_never_allowed() {
    let service = locked();
    let preflight = |headers: &str| {
        Request::options("/recognize/realtime")
            .header("origin", "https://school.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", headers)
            .body(Body::empty())
            .expect("a request")
    };
    let answer = service.ask(preflight("authorization,x-api-key,content-type")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let text = |name| answer.headers[name].to_str().expect("text").to_ascii_lowercase();
    for header in ["authorization", "x-api-key", "content-type"] {
        assert!(text("access-control-allow-headers").contains(header));
    }
    for method in ["get", "post", "delete"] {
        assert!(text("access-control-allow-methods").contains(method));
    }
    // A page must be able to read why it was refused.
    let form = Form::new().image(picture("x", &[face(0, 0.0)]));
    let mut request = form.to("/recognize");
    request.headers_mut().insert("origin", "https://school.example".parse().expect("a header"));
    let answer = service.ask(request).await;
    answer.refused(401, "unauthorized");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["access-control-expose-headers"], "retry-after");
}

#[tokio::test]
async fn listed_origins_are_answered_and_others_are_not() {
    let origins = "https://school.example http://localhost:5173";
    let service = Service::new(Wishes { origins, ..Wishes::default() });
    for (origin, allowed) in
        [("https://school.example", true), ("http://localhost:5173", true), ("https://evil.example", false)]
    {
        let answer = config_with(&service, &[("origin", origin)]).await;
        let answered = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().expect("text"));
        assert_eq!(answered, allowed.then_some(origin));
    }
}
