use std::time::Duration;

use attendance::ports::StoreError;
use tokio::time::Instant;

/// The bounds of the first and of the longest wait.
const FIRST: Duration = Duration::from_millis(8);
const LONGEST: Duration = Duration::from_millis(400);
/// How long a caller is made to wait for other writers in all.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits between the tries of a write that other writers interfere with.
///
/// Every wait is drawn between zero and a bound that doubles ("full jitter"), so that writers that collided once do not
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
    /// [`StoreError::Unavailable`] once the waits take too long.
    pub(crate) async fn wait(&mut self) -> Result<(), StoreError> {
        if Instant::now() >= self.end {
            return Err(StoreError::unavailable("others wrote the same rows for too long"));
        }
        tokio::time::sleep(self.bound.mul_f64(fastrand::f64())).await;
        self.bound = (self.bound * 2).min(LONGEST);
        Ok(())
    }
}
