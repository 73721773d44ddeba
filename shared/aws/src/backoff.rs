use std::time::Duration;

use attendance::ports::StoreError;
use tokio::time::Instant;

/// The first and the longest wait's bound.
const FIRST: Duration = Duration::from_millis(8);
const LONGEST: Duration = Duration::from_millis(400);
/// How long somebody who waits for an answer is made to wait for others to get out of the way.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits between the tries of a write that others got in the way of.
///
/// Every wait is drawn from zero to a bound that doubles ("full jitter"), so that writers that collided once do not
/// collide again in step.
pub(crate) struct Backoff {
    bound: Duration,
    end: Instant,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { bound: FIRST, end: Instant::now() + PATIENCE }
    }

    /// Returns after the next wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the patience is over.
    pub(crate) async fn wait(&mut self) -> Result<(), StoreError> {
        if Instant::now() >= self.end {
            return Err(StoreError::unavailable("others wrote the same rows for too long"));
        }
        tokio::time::sleep(self.bound.mul_f64(fastrand::f64())).await;
        self.bound = (self.bound * 2).min(LONGEST);
        Ok(())
    }
}
