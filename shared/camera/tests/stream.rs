//! A camera on the network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use attendance_camera::Frames;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::stream;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Returns the URL of a camera and the sender of its bytes. The camera goes when the sender is dropped.
async fn camera() -> (String, mpsc::UnboundedSender<Vec<u8>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let body = stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<Vec<u8>>| {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    });
    let body = Arc::new(Mutex::new(Some(Body::from_stream(body))));
    let video = move || std::future::ready(body.lock().expect("nobody panics").take().expect("it is watched once"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let app = Router::new().route("/", get(video));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, sender)
}

#[tokio::test]
async fn a_frame_with_a_length_is_returned_before_the_next_one_begins() {
    let (url, sender) = camera().await;
    let mut frames = Frames::open(&[url], Client::new(), 1 << 20);
    // In pieces, and with line ends that could begin a delimiter.
    let pictures: [&[u8]; 3] = [b"\xff\xd8 one \xff\xd9", b"two\r\n--ca\r\xff\xd9", b"three \r\xff\xd9"];
    for picture in pictures {
        sender.send(format!("--cam\r\nContent-Length: {}\r\n\r\n", picture.len()).into()).unwrap();
        let (begin, end) = picture.split_at(picture.len() / 2);
        sender.send(begin.into()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        sender.send(end.into()).unwrap();
        // A frame that came late would hang the test: the camera is silent until this one is returned.
        assert_eq!(frames.next().await.unwrap().unwrap().bytes, picture);
        sender.send(b"\r\n".into()).unwrap();
    }
    // Without a length the next delimiter ends a frame.
    sender.send(b"--cam\r\nContent-Type: image/jpeg\r\n\r\nfour\r\n--cam--\r\n".into()).unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap().bytes, &b"four"[..]);
    drop(sender);
    assert!(frames.next().await.is_none());
}
