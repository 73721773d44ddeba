use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attendance::Wakeup;
use attendance::ports::{StoreError, Wakeups};

/// A queue in memory that remembers the wakeups and their waits. A clone is another handle onto it.
#[derive(Debug, Clone, Default)]
pub struct FakeWakeups(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sent: Vec<(Wakeup, Duration)>,
    down: bool,
}

impl FakeWakeups {
    /// Makes the queue accept wakeups, or not.
    pub fn set_down(&self, down: bool) {
        self.0.lock().expect("no test panics here").down = down;
    }

    /// The wakeups sent since the last call, each with its wait, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<(Wakeup, Duration)> {
        std::mem::take(&mut self.0.lock().expect("no test panics here").sent)
    }
}

#[async_trait]
impl Wakeups for FakeWakeups {
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError> {
        let mut state = self.0.lock().expect("no test panics here");
        if state.down {
            return Err(StoreError::unavailable("the fake queue is down"));
        }
        state.sent.push((wakeup, wait));
        Ok(())
    }
}
