//! Large, slow and broken uploads over real sockets, and clients that hang up.

use std::time::{Duration, Instant};

use attendance_http::Uploads;
use attendance_testkit::{face, picture};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::setup::{BOUNDARY, Form, Service, Wishes, service};
use crate::sockets::{read_answer, send_all_then_read};

fn head(path: &str, extra: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n{extra}\r\n\r\n"
    )
}

fn length(body: &[u8]) -> String {
    format!("Content-Length: {}", body.len())
}

fn with_limit_of_20_mib() -> Service {
    Service::new(Wishes { uploads: Uploads::default(), ..Wishes::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_30_mb_upload_gets_its_413_whether_announced_or_not() {
    let service = with_limit_of_20_mib();
    let address = service.listen().await;
    let body = Form::new().text("student_id", "siswaA").image(vec![7; 30 << 20]).bytes();
    let (answer, json) = send_all_then_read(&address, &head("/enroll", &length(&body)), &body).await;
    assert!(answer.starts_with("http/1.1 413"), "{answer}");
    assert!(json.contains("\"image_too_large\"") && json.contains("20 MiB"), "{json}");
    let mut chunked = Vec::new();
    for chunk in body.chunks(1 << 20) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let (answer, json) = send_all_then_read(&address, &head("/enroll", "Transfer-Encoding: chunked"), &chunked).await;
    assert!(answer.starts_with("http/1.1 413"), "{answer}");
    assert!(json.contains("\"image_too_large\""), "{json}");
    assert_eq!(service.get("/health").await.ok()["encodings"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_gets_its_401_404_and_405_too() {
    let service = Service::new(Wishes { keys: "secret", ..Wishes::default() });
    let address = service.listen().await;
    let body = Form::new().image(vec![7; 30 << 20]).bytes();
    for (path, extra, status) in [
        ("/recognize", String::new(), 401),
        ("/nowhere", "X-Api-Key: secret\r\n".into(), 404),
        ("/health", String::new(), 405),
    ] {
        let head = head(path, &format!("{extra}{}", length(&body)));
        let (answer, _) = send_all_then_read(&address, &head, &body).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_too_large_upload_is_refused_while_it_is_sent() {
    let service = service();
    let address = service.listen().await;
    // Announced: refused before the first byte of the body. Not announced: refused at the limit, long before an end that never comes.
    for (extra, sent) in [("Content-Length: 31457280", 0), ("Transfer-Encoding: chunked", 2 << 20)] {
        let mut socket = TcpStream::connect(&address).await.expect("the server listens");
        socket.write_all(head("/recognize", extra).as_bytes()).await.expect("the head is taken");
        if sent > 0 {
            let mut body =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n").into_bytes();
            body.resize(sent, 7);
            socket.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.expect("the server reads");
            socket.write_all(&body).await.expect("the server reads");
        }
        let (answer, json) = read_answer(&mut socket).await;
        assert!(answer.starts_with("http/1.1 413"), "{answer}");
        assert!(json.contains("at most 1 MiB"), "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends_is_spared_the_upload() {
    let service = service();
    let address = service.listen().await;
    let mut socket = TcpStream::connect(&address).await.expect("the server listens");
    let head = head("/recognize", "Expect: 100-continue\r\nContent-Length: 31457280");
    socket.write_all(head.as_bytes()).await.expect("the head is taken");
    let (answer, _) = read_answer(&mut socket).await;
    assert!(answer.starts_with("http/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_a_refusal() {
    let service = service();
    let address = service.listen().await;
    let mut socket = TcpStream::connect(&address).await.expect("the server listens");
    let body = Form::new().image(vec![7; 3 << 20]).bytes();
    socket.write_all(head("/recognize", &length(&body)).as_bytes()).await.expect("taken");
    socket.write_all(&body).await.expect("read on");
    assert!(read_answer(&mut socket).await.0.starts_with("http/1.1 413"));
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("taken");
    assert!(read_answer(&mut socket).await.0.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn pictures_at_the_limit_pass_and_over_it_do_not() {
    let limit = 100;
    let service =
        Service::new(Wishes { uploads: Uploads::new(limit, 1 << 20, Duration::from_secs(5)), ..Wishes::default() });
    let padded = |size: usize| format!("picture {}", "x".repeat(size - 8));
    service.post_image("/recognize", padded(100)).await.ok();
    let msg = service.post_image("/recognize", padded(101)).await.refused(413, "image_too_large");
    assert!(msg.contains("100 bytes"), "{msg}");
}

#[tokio::test]
async fn pictures_beyond_the_memory_for_all_are_turned_away_and_later_taken() {
    let service =
        Service::new(Wishes { uploads: Uploads::new(1 << 20, 100 << 10, Duration::from_secs(5)), ..Wishes::default() });
    let large = format!("slow {}", String::from_utf8_lossy(&picture(&"x".repeat(60 << 10), &[])));
    let (first, second) = tokio::join!(service.post_image("/recognize", &large), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        service.post_image("/recognize", &large).await
    });
    first.ok();
    second.refused(503, "overloaded");
    service.post_image("/recognize", &large).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_never_ends_is_given_up() {
    let uploads = Uploads::new(1 << 20, 8 << 20, Duration::from_secs(1));
    let service = Service::new(Wishes { uploads, ..Wishes::default() });
    let address = service.listen().await;
    let mut socket = TcpStream::connect(&address).await.expect("the server listens");
    socket.write_all(head("/recognize", "Content-Length: 1000").as_bytes()).await.expect("taken");
    let begun = Instant::now();
    let (answer, json) = read_answer(&mut socket).await;
    assert!(answer.starts_with("http/1.1 408") && json.contains("\"request_timeout\""), "{answer} {json}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_cuts_nothing_in_half() {
    let service = service();
    let address = service.listen().await;
    service.enroll("siswaA", picture("a", &[face(0, 0.0)])).await.ok();
    let slow = |note: &str, person| format!("slow {}", String::from_utf8_lossy(&picture(note, &[face(person, 0.0)])));
    let requests = [
        ("/recognize/realtime", Form::new().image(slow("frame", 0)).bytes()),
        ("/enroll", Form::new().text("student_id", "siswaB").image(slow("photo", 1)).bytes()),
    ];
    for (path, body) in requests {
        let mut socket = TcpStream::connect(&address).await.expect("the server listens");
        socket.write_all(head(path, &length(&body)).as_bytes()).await.expect("taken");
        socket.write_all(&body).await.expect("taken");
        // Long enough to be read, short enough to be in the middle of the scan.
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(socket);
    }
    assert!(service.work.stop(Duration::from_secs(5)).await, "the work ends");
    assert_eq!(service.webhook.deliveries().len(), 1);
    assert_eq!(service.get("/health").await.ok()["labels"], 2);
}
