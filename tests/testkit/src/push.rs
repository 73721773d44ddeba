use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use attendance::Message;
use attendance::ports::{Push, StoreError, Subscribers, Subscription};
use attendance_wire::push::{json, with_seq};
use serde_json::Value;
use tokio::sync::mpsc::{self, Sender};

const BOUND: usize = 256;

/// Subscribers in memory. A clone is another handle onto the same storage.
#[derive(Debug, Clone, Default)]
pub struct FakePush(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    messages: Vec<Arc<str>>,
    subscribers: Vec<Sender<Arc<str>>>,
    down: bool,
}

impl FakePush {
    /// Makes the adapter work, or not.
    pub fn set_down(&self, down: bool) {
        self.0.lock().expect("no test panics here").down = down;
    }

    /// Everything that was published, with `seq`, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        let state = self.0.lock().expect("no test panics here");
        state.messages.iter().map(|text| serde_json::from_str(text).expect("it was written as JSON")).collect()
    }
}

#[async_trait]
impl Push for FakePush {
    async fn publish(&self, message: &Message) -> Result<(), StoreError> {
        let mut state = self.0.lock().expect("no test panics here");
        if state.down {
            return Err(StoreError::unavailable("the fake push is down"));
        }
        let seq = state.messages.len() as u64 + 1;
        let text: Arc<str> = with_seq(&json(message), seq).expect("a message is an object").into();
        state.messages.push(text.clone());
        state.subscribers.retain(|subscriber| subscriber.try_send(text.clone()).is_ok());
        Ok(())
    }
}

#[async_trait]
impl Subscribers for FakePush {
    async fn subscribe(&self, since: Option<u64>) -> Result<Subscription, StoreError> {
        let mut state = self.0.lock().expect("no test panics here");
        let seen = since.map_or(usize::MAX, |since| usize::try_from(since).unwrap_or(usize::MAX));
        let missed = state.messages.get(seen..).unwrap_or_default().to_vec();
        let (sender, subscription) = mpsc::channel(BOUND + missed.len());
        for text in missed {
            sender.try_send(text).expect("the channel is as long as what was missed");
        }
        state.subscribers.push(sender);
        Ok(subscription)
    }
}
