//! Subscribers in great number, and subscribers that do not read.

use std::time::{Duration, Instant};

use attendance_end_to_end::{Receiver, Subscriber, environment, pictures};
use futures_util::{StreamExt, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::process::Server;

pub(crate) async fn a_thousand_subscribers_get_a_message() {
    // This process holds a thousand connections. The server has to raise its own limit.
    let before = getrlimit(Resource::Nofile);
    let usual = Rlimit { current: Some(1024), maximum: before.maximum };
    setrlimit(Resource::Nofile, usual).unwrap();
    let server = Server::start(&[]);
    setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }).unwrap();
    let target = server.target();
    target.enroll_new("obama", &pictures::obama(0)).await;
    let memory = server.peak_memory();
    let url = target.subscription_url(None);
    let mut subscribers: Vec<Subscriber> = stream::iter(0..1000)
        .map(|_| async { Subscriber::connect(&url).await.expect("a WebSocket") })
        .buffer_unordered(50)
        .collect()
        .await;
    let begun = Instant::now();
    let student = target.enroll_new("obama", &pictures::obama(1)).await;
    let answered = begun.elapsed();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().await["student_id"], student);
    }
    println!(
        "1000 subscribers: the request took {answered:?}, the last one got the message after {:?}, {} MiB more",
        begun.elapsed(),
        (server.peak_memory() - memory) >> 20
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// Returns a WebSocket client that is connected and never reads again.
async fn deaf_subscriber(address: &str, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Returns the number of bytes that still come on a connection until it ends, however it ends.
async fn drain(mut stream: TcpStream) -> usize {
    let mut bytes = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return bytes,
            Ok(Ok(count)) => bytes += count,
            Err(_) => panic!("the connection is still held after {bytes} bytes"),
        }
    }
}

pub(crate) async fn a_subscriber_that_never_reads_delays_nobody_and_is_dropped() {
    // The system buffers some megabytes for a client on the same machine. The largest push fills them soon: the receiver's
    // answer of 2 KB is six times as long in JSON.
    const ANSWER: usize = 2048;
    const FRAMES: usize = 330;
    let receiver = Receiver::start().await;
    receiver.answer(200, &"\u{1}".repeat(ANSWER));
    let mut variables = environment(&receiver);
    variables.retain(|(name, _)| !matches!(*name, "EVENT_COOLDOWN_SECONDS" | "ATTENDANCE_ACCESS_KEY"));
    variables.push(("EVENT_COOLDOWN_SECONDS", "0".into()));
    let server = Server::start(&variables);
    let target = server.target();
    target.enroll_new("obama", &pictures::obama(0)).await;
    let address = server.http().strip_prefix("http://").unwrap();
    let mut deaf = Vec::new();
    for _ in 0..10 {
        deaf.push(deaf_subscriber(address, "/ws/recognitions").await);
    }
    let mut reader = target.subscribe(None).await;
    let frame = pictures::obama(1);
    let mut times = Vec::new();
    for _ in 0..FRAMES {
        let begun = Instant::now();
        let answer = target.realtime("", &frame).await;
        times.push(begun.elapsed());
        assert_eq!(answer.body["dispatch"][0]["report"]["status"], "sent", "{answer:?}");
        let message = reader.next_of("recognized").await;
        assert_eq!(message["dispatch"]["message"].as_str().map(str::len), Some(ANSWER));
    }
    // Longer than one message may wait for its subscriber.
    tokio::time::sleep(Duration::from_secs(11)).await;
    times.sort();
    let (median, worst) = (times[FRAMES / 2], times[FRAMES - 1]);
    println!("a frame took {median:?} in the middle, {worst:?} at worst");
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    for stream in deaf {
        let bytes = drain(stream).await;
        println!("dropped after {bytes} bytes");
        assert!(bytes < FRAMES * ANSWER * 6, "{bytes} bytes: it was given everything");
    }
    let student = target.enroll_new("obama", &pictures::obama(2)).await;
    assert_eq!(
        reader.next_of("student.enrolled").await["student_id"],
        student,
        "a subscriber that reads is still served"
    );
}
