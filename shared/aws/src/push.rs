use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Push, StoreError};
use attendance::{Clock, Message, SystemClock};
use attendance_wire::push::{json, with_seq};
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures_util::{StreamExt, TryStreamExt};

use crate::table::{Expression, Query, Table, key, n, number, s, text};

/// The largest message that API Gateway takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 128 << 10;

/// API Gateway ends a connection after two hours.
const CONNECTION_LIFE: Duration = Duration::from_secs(2 * 3600 + 600);

/// How long API Gateway may say that a new connection is gone: it is there once `$connect` was answered and the client
/// was told. The client gets what is pushed meanwhile by asking for what it missed.
const OPENING: Duration = Duration::from_secs(5);

/// How long a push is kept for subscribers that come back.
const MESSAGE_LIFE: Duration = Duration::from_secs(86400);

/// Subscribers that are told side by side.
const AT_ONCE: usize = 64;

/// The most messages that a subscriber that comes back is sent: the function that sends them may run for 29 seconds.
const RESUMED_AT_ONCE: usize = 500;

/// The subscribers, whose connections API Gateway holds.
///
/// A message gets its `seq` from one counter, is kept, and is then posted to every subscriber. Functions post at the same
/// time, so two messages may arrive in the other order: `seq` tells the client, which can also ask for what it missed.
pub struct ApiGatewayPush {
    table: Table,
    gateway: Client,
}

/// What became of a message to one subscriber.
#[derive(Debug, PartialEq, Eq)]
enum Posted {
    Yes,
    Gone,
    Failed,
}

impl ApiGatewayPush {
    pub(crate) fn new(table: Table, gateway: Client) -> Self {
        Self { table, gateway }
    }

    /// Adds a subscriber: it is sent everything published from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn connect(&self, connection: &str) -> Result<(), StoreError> {
        let mut row = key("connections", connection);
        row.insert("expires".into(), n(SystemClock.now().after(CONNECTION_LIFE).seconds()));
        self.table.put_row(row, Expression::default()).await.map(drop)
    }

    /// Removes a subscriber.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disconnect(&self, connection: &str) -> Result<(), StoreError> {
        self.table.delete_row("connections", connection).await
    }

    /// Returns the subscribers that are there, and whether their connections have been open for long.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn connections(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let now = SystemClock.now().seconds();
        let opening = now + CONNECTION_LIFE.as_secs() - OPENING.as_secs();
        let mut rows = self.table.query(&Query::of("connections"));
        let mut connections = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let expires = number(&row, "expires")?;
            if expires > now {
                connections.push((text(&row, "sk")?.to_owned(), expires <= opening));
            }
        }
        Ok(connections)
    }

    /// Sends one subscriber a text, and removes it if it is gone.
    ///
    /// # Errors
    /// [`StoreError`] if the text is larger than [`MAX_MESSAGE_BYTES`], or if the subscriber could not be reached or
    /// removed.
    pub async fn send(&self, connection: &str, text: &str) -> Result<(), StoreError> {
        check_size(text)?;
        match self.post(connection, text).await {
            Posted::Yes => Ok(()),
            Posted::Gone => self.disconnect(connection).await,
            Posted::Failed => Err(StoreError::unavailable("a subscriber could not be reached")),
        }
    }

    /// Sends one subscriber the messages after `since`, as far as they are kept, in order; of more than 500 the latest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resume(&self, connection: &str, since: u64) -> Result<(), StoreError> {
        let now = SystemClock.now().seconds();
        let (first, last) = (message_key(since.saturating_add(1)), message_key(u64::MAX));
        let query = Query::of("messages").between(s(first), s(last)).descending().limit(RESUMED_AT_ONCE);
        let mut rows = self.table.query(&query);
        let mut latest = Vec::new();
        while let Some(row) = rows.try_next().await? {
            // Older ones have expired too.
            if number(&row, "expires")? <= now {
                break;
            }
            latest.push(text(&row, "json")?.to_owned());
        }
        for message in latest.iter().rev() {
            self.send(connection, message).await?;
        }
        Ok(())
    }

    async fn next_seq(&self) -> Result<u64, StoreError> {
        let next = Expression::new("ADD #last_seq :one", None).value("one", n(1u64));
        let row = self.table.update_row("messages", "seq", next).await?.unwrap_or_default();
        number(&row, "last_seq")
    }

    async fn keep(&self, seq: u64, json: &str) -> Result<(), StoreError> {
        let mut row = key("messages", &message_key(seq));
        row.insert("json".into(), s(json));
        row.insert("expires".into(), n(SystemClock.now().after(MESSAGE_LIFE).seconds()));
        self.table.put_row(row, Expression::default()).await.map(drop)
    }

    async fn post(&self, connection: &str, text: &str) -> Posted {
        let post = self.gateway.post_to_connection().connection_id(connection).data(Blob::new(text));
        match post.send().await {
            Ok(_) => Posted::Yes,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_gone_exception()) => Posted::Gone,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a subscriber could not be reached");
                Posted::Failed
            }
        }
    }
}

fn message_key(seq: u64) -> String {
    format!("message#{seq:020}")
}

fn numbered(json: &str, seq: u64) -> Result<String, StoreError> {
    with_seq(json, seq).ok_or_else(|| StoreError::damaged("a message is no JSON object"))
}

fn check_size(text: &str) -> Result<(), StoreError> {
    if text.len() > MAX_MESSAGE_BYTES {
        let size = text.len();
        return Err(StoreError::damaged(format!("a message of {size} bytes; API Gateway takes {MAX_MESSAGE_BYTES}")));
    }
    Ok(())
}

#[async_trait]
impl Push for ApiGatewayPush {
    async fn publish(&self, message: &Message) -> Result<(), StoreError> {
        // Before it takes a number: a number that is never sent looks like a loss.
        let json = json(message);
        check_size(&numbered(&json, u64::MAX)?)?;
        let seq = self.next_seq().await?;
        let text: Arc<str> = numbered(&json, seq)?.into();
        // Kept first: a subscriber whose row was not there yet finds the message when it asks for what it missed.
        self.keep(seq, &text).await?;
        let connections = self.connections().await?;
        let gone: Vec<String> = futures_util::stream::iter(connections)
            .map(|(connection, open)| {
                let text = text.clone();
                async move { (self.post(&connection, &text).await == Posted::Gone && open).then_some(connection) }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        for connection in gone {
            self.disconnect(&connection).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_over_the_gateways_limit_is_refused() {
        assert!(check_size(&"x".repeat(MAX_MESSAGE_BYTES)).is_ok());
        assert!(check_size(&"x".repeat(MAX_MESSAGE_BYTES + 1)).is_err());
    }

    #[test]
    fn messages_are_kept_in_the_order_of_their_numbers() {
        assert!(message_key(9) < message_key(10));
        assert!(message_key(10) < message_key(u64::MAX));
    }
}
