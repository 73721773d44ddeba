//! A client byte by byte, for bodies that no well-behaved client sends.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

use crate::Target;

const PATIENCE: Duration = Duration::from_secs(30);

/// The answer on a plain connection.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct RawAnswer {
    pub status: u16,
    pub body: Value,
    /// Bytes sent before the answer came.
    pub sent: usize,
}

/// The answer to a `POST` with this content type and exactly this body.
pub async fn send_raw(target: &Target, path: &str, content_type: &str, body: &[u8]) -> RawAnswer {
    let head = head(target, path, content_type, &format!("Content-Length: {}", body.len()));
    let (mut read, mut write) = connect(target).await.into_split();
    write.write_all(head.as_bytes()).await.expect("the head is taken");
    write.write_all(body).await.expect("the body is taken");
    let (status, body) = read_answer(&mut read).await;
    RawAnswer { status, body, sent: 0 }
}

/// The answer to a form whose picture goes on for `bytes`, sent in chunks without a length. The client looks for an answer
/// while it sends, as `curl` does, and stops once it comes; it never ends the form.
pub async fn flood(target: &Target, path: &str, bytes: usize) -> RawAnswer {
    let head = head(target, path, "multipart/form-data; boundary=edge", "Transfer-Encoding: chunked");
    let field = "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x.jpg\"\r\n\r\n";
    let (mut read, mut write) = connect(target).await.into_split();
    let answer = tokio::spawn(async move { read_answer(&mut read).await });
    write.write_all(head.as_bytes()).await.expect("the head is taken");
    write.write_all(format!("{:x}\r\n{field}\r\n", field.len()).as_bytes()).await.expect("the field is taken");
    let mut chunk = format!("{:x}\r\n", 64 << 10).into_bytes();
    chunk.resize(chunk.len() + (64 << 10), 0x55);
    chunk.extend(b"\r\n");
    let mut sent = 0;
    while sent < bytes && !answer.is_finished() {
        timeout(PATIENCE, write.write_all(&chunk)).await.expect("in time").expect("the server reads on");
        sent += 64 << 10;
        tokio::task::yield_now().await;
    }
    let (status, body) = answer.await.expect("an answer");
    RawAnswer { status, body, sent }
}

async fn connect(target: &Target) -> TcpStream {
    TcpStream::connect(host(target)).await.expect("the service listens")
}

fn host(target: &Target) -> &str {
    let rest = target.http().strip_prefix("http://").expect("raw cases go without TLS");
    rest.split('/').next().unwrap_or(rest)
}

fn head(target: &Target, path: &str, content_type: &str, length: &str) -> String {
    let prefix = target.http().strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let prefix = prefix.map_or(String::new(), |(_, prefix)| format!("/{prefix}"));
    let key = target.key().map_or(String::new(), |key| format!("X-Api-Key: {key}\r\n"));
    let host = host(target);
    format!("POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n{key}{length}\r\n\r\n")
}

async fn read_answer(socket: &mut OwnedReadHalf) -> (u16, Value) {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let lines = head.to_ascii_lowercase();
                let length =
                    lines.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= length.expect("the answer has a length") {
                    let status = lines.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
                    return (status, serde_json::from_str(body).unwrap_or_default());
                }
            }
            let count = socket.read_buf(&mut bytes).await.expect("the connection holds until the answer is there");
            assert!(count > 0, "the connection ended after {text:?}");
        }
    };
    timeout(PATIENCE, reading).await.expect("an answer in time")
}
