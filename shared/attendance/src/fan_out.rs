use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::Message;
use crate::ports::{Push, StoreError};

/// Publishes every message on several channels: the WebSocket's subscribers are one, a message broker could be another.
///
/// Each channel numbers its own messages. A channel that fails keeps none of the others from its message.
pub struct FanOut {
    channels: Vec<Arc<dyn Push>>,
}

impl FanOut {
    /// Returns the push that publishes on all of these channels.
    #[must_use]
    pub fn new(channels: Vec<Arc<dyn Push>>) -> Self {
        Self { channels }
    }
}

#[async_trait]
impl Push for FanOut {
    /// Returns once every channel has returned, with the error of the first that failed. Further errors are logged here.
    async fn publish(&self, message: &Message) -> Result<(), StoreError> {
        let outcomes = join_all(self.channels.iter().map(|channel| channel.publish(message))).await;
        let mut errors = outcomes.into_iter().filter_map(Result::err);
        let first = errors.next();
        errors.for_each(|error| tracing::warn!(?error, "a message could not be published on another channel either"));
        first.map_or(Ok(()), Err)
    }
}
