use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::ApiError;

/// What runs beside the requests: work whose client has hung up, and the subscribers' connections. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Work {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Work {
    /// Returns what the future returns, and lets it finish even if nobody waits for it any more.
    ///
    /// A server drops a handler when its client hangs up. An enrolment or a delivery that has begun must not be cut in half
    /// then: the receiver would have the event, and no record would say so.
    pub(crate) async fn in_full<F>(&self, future: F) -> Result<F::Output, ApiError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tasks.spawn(future.in_current_span()).await.map_err(ApiError::internal)
    }

    /// The future, counted among what [`stop`](Self::stop) waits for.
    pub(crate) fn counted<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(future)
    }

    /// Returns once a stop has begun.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Tells the subscribers that the server is going away. To be called when the stop begins: otherwise their connections
    /// would keep it from ending.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// Begins the stop, and returns whether everything ended within `patience`.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.begin_stop();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}
