use async_trait::async_trait;
use tokio::sync::mpsc;

use super::StoreError;
use crate::Message;

/// Tells everybody who watches.
#[async_trait]
pub trait Push: Send + Sync {
    /// Gives the message the next `seq` and hands it to every watcher, in the order of `seq`. Never waits for a watcher.
    ///
    /// # Errors
    /// [`StoreError`] where the message could not be kept or handed over; the caller logs it and goes on.
    async fn publish(&self, message: &Message) -> Result<(), StoreError>;
}

/// A watcher's messages, each a JSON text with `seq`. It ends when the watcher is too slow and its bound is reached.
pub type Subscription = mpsc::Receiver<std::sync::Arc<str>>;

/// Watchers of one process. On AWS the gateway holds them instead.
#[async_trait]
pub trait Watch: Send + Sync {
    /// The messages after `since`, as far as they are kept, then all that follow, without a gap; from now on where it
    /// is `None`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn subscribe(&self, since: Option<u64>) -> Result<Subscription, StoreError>;
}
