//! A client on a real socket that does as it is told, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends a head and a body, all of it before it reads anything, as simple clients do; and returns the answer's head
/// and body.
pub(crate) async fn send_all_then_read(address: &str, head: &str, body: &[u8]) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    socket.write_all(head.as_bytes()).await.expect("the head is taken");
    for chunk in body.chunks(64 << 10) {
        socket.write_all(chunk).await.expect("the server reads on");
    }
    read_answer(&mut socket).await
}

/// The next answer on a socket: its head and its body.
pub(crate) async fn read_answer(socket: &mut TcpStream) -> (String, String) {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return (head, body.to_owned());
                }
            }
            let count = socket.read_buf(&mut bytes).await.expect("the connection holds");
            assert!(count > 0, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        }
    };
    timeout(Duration::from_secs(10), reading).await.expect("an answer in time")
}
