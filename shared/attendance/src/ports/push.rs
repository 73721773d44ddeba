use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::StoreError;
use crate::Message;

/// A channel that tells others what happened: the WebSocket's subscribers, or a message broker.
#[async_trait]
pub trait Push: Send + Sync {
    /// Gives the message the channel's next `seq` and hands it to every subscriber, in the order of `seq`. Never waits
    /// for a subscriber.
    ///
    /// # Errors
    /// [`StoreError`] if the message could not be kept or handed over; the caller logs it and goes on.
    async fn publish(&self, message: &Message) -> Result<(), StoreError>;
}

/// A subscriber's messages, each a JSON text with `seq`. It ends when the subscriber is too slow and its bound is reached.
pub type Subscription = mpsc::Receiver<Arc<str>>;

/// The subscribers whose connections this process holds. On AWS the gateway holds them instead.
#[async_trait]
pub trait Subscribers: Send + Sync {
    /// Returns the messages after `since`, as far as they are kept, then all that follow, without a gap; only those that
    /// follow if `since` is `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn subscribe(&self, since: Option<u64>) -> Result<Subscription, StoreError>;
}
