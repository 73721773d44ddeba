//! What reaches the log, and what must not.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use axum::body::Body;
use axum::http::Request;

use crate::setup::{Form, Service, Wishes};

thread_local! {
    /// What this thread logged. A test and its service share one thread.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Begins to keep what is logged. One subscriber for the whole program: whether anybody wants an event is remembered
/// for all threads, so subscribers that come and go with their tests lose events of each other.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).init());
    LINES.take();
}

fn logged() -> String {
    String::from_utf8(LINES.take()).expect("text")
}

#[tokio::test]
async fn a_request_is_one_line_without_who_and_without_keys() {
    listen();
    let service = Service::new(Wishes { keys: "s3cret", ..Wishes::default() });
    let request = Request::delete("/students/siswaA?key=s3cret").header("x-api-key", "s3cret");
    service.ask(request.body(Body::empty()).expect("a request")).await.ok();
    let text = logged();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["DELETE", "/students/{student_id}", "status=200", "ms="] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("siswaA") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_fault_is_logged_once_with_its_cause() {
    listen();
    let service = Service::new(Wishes::default());
    for path in ["/recognize", "/recognize/realtime"] {
        service.ask(Form::new().image("fault").to(path)).await.refused(500, "internal");
    }
    let text = logged();
    assert_eq!(text.matches("ERROR").count(), 2, "{text}");
    assert_eq!(text.matches("a secret of the inside").count(), 2, "{text}");
}
