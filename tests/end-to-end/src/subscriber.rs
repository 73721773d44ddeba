use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// How long a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A WebSocket client that reads.
pub struct Subscriber(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Subscriber {
    /// A subscriber at this address.
    ///
    /// # Errors
    /// If the service opens no WebSocket, with the answer that it gave instead.
    pub async fn connect(url: &str) -> Result<Self, Box<Error>> {
        // A thousand of them, each with the usual 128 KiB, would be a test of this machine.
        let config = WebSocketConfig::default().read_buffer_size(4 << 10);
        let connecting = connect_async_with_config(url, Some(config), true);
        let (socket, _) = timeout(PATIENCE, connecting).await.expect("an answer in time").map_err(Box::new)?;
        Ok(Self(socket))
    }

    /// Sends a text.
    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the connection holds");
    }

    /// The next text, as JSON, or `None` if the service closed the connection.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Ping(_))) => self.0.flush().await.expect("the connection holds"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The next text, as JSON.
    pub async fn next(&mut self) -> Value {
        self.try_next().await.expect("the connection holds")
    }

    /// The next text of this `type`; those before it are skipped.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Panics if a text comes within this time.
    pub async fn gets_nothing_for(&mut self, time: Duration) {
        if let Ok(message) = timeout(time, self.next()).await {
            panic!("unexpected: {message}");
        }
    }
}
