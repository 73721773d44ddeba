//! The pages: open, confined and cached. What they do is tested in a browser (`tests/browser`).

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;

use crate::setup::{Answer, Service, Wishes, service};

const PAGES: [&str; 3] = ["/", "/enrol", "/live"];

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).expect("text")
}

/// What a file refers to, as paths of the server. Pages lie beside `web/`, scripts in it.
fn references(text: &str) -> BTreeSet<String> {
    let links = ["src=\"web/", "href=\"web/", "from './", "import './"].into_iter().flat_map(|mark| {
        text.split(mark).skip(1).map(|rest| rest.split(['"', '\'']).next().expect("split gives one").to_owned())
    });
    links.map(|name| format!("/web/{name}")).collect()
}

#[tokio::test]
async fn everything_that_a_page_refers_to_is_served_and_is_small() {
    let service = service();
    // Read by their names, which stand in no script.
    let mut waiting: Vec<String> = PAGES.map(str::to_owned).to_vec();
    waiting.extend(["/web/en.js", "/web/id.js"].map(str::to_owned));
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let file = service.get(&path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.headers["x-content-type-options"], "nosniff", "{path}");
        bytes += file.body.len();
        waiting.extend(references(text(&file)));
        for mark in ["src=\"http", "url(", "@import", "style=\"", "<script>", "onclick=\""] {
            assert!(!text(&file).contains(mark), "{path} has {mark}");
        }
    }
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/web")).expect("the folder");
    assert_eq!(seen.len(), folder.count(), "every file is used: {seen:?}");
    assert!(bytes < 200_000, "{bytes}");
}

#[tokio::test]
async fn pages_need_no_key_and_may_call_this_server_and_its_websocket_alone() {
    let url = Some("wss://push.example/prod".to_owned());
    let service = Service::new(Wishes { keys: "secret", websocket_url: url, ..Wishes::default() });
    for path in PAGES {
        let page = service.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        let policy = page.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("connect-src 'self' wss://push.example; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    service.get("/web/other.js").await.refused(401, "unauthorized");
    service.get("/web/").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_host_cannot_widen_the_policy() {
    let service = Service::new(Wishes { websocket_url: None, ..Wishes::default() });
    let with = async |host: &str| {
        let request = Request::get("/").header("host", host).body(Body::empty()).expect("a request");
        service.ask(request).await.headers["content-security-policy"].to_str().expect("text").to_owned()
    };
    assert!(with("10.0.0.7:8000").await.contains("connect-src 'self' ws://10.0.0.7:8000; "));
    assert!(with("[::1]:8000").await.contains("connect-src 'self' ws://[::1]:8000; "));
    for host in ["*", "a; script-src *", "a *", "a,b", "u@b"] {
        assert!(with(host).await.contains("connect-src 'self' ; "), "{host}: {}", with(host).await);
    }
}

#[tokio::test]
async fn a_browser_that_has_the_file_is_not_sent_it_again() {
    let service = service();
    let first = service.get("/web/kiosk.js").await;
    let tag = first.headers["etag"].to_str().expect("text").to_owned();
    assert_eq!(first.headers["cache-control"], "no-cache");
    assert_ne!(tag, service.get("/web/live.js").await.headers["etag"].to_str().expect("text"));
    let with = async |offered: &str| {
        let request = Request::get("/web/kiosk.js").header("if-none-match", offered);
        service.ask(request.body(Body::empty()).expect("a request")).await
    };
    for offered in [tag.clone(), format!("\"old\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let again = with(&offered).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{offered}");
        assert_eq!(again.headers["etag"], tag.as_str());
    }
    let other = with("\"old\"").await;
    assert_eq!((other.status.as_u16(), other.body.len()), (200, first.body.len()));
}
