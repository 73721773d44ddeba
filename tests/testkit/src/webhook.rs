use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::Webhook;
use attendance::{Attempt, AttemptOutcome, EventId, Timestamp};

/// One try, as the receiver sees it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event.
    pub id: EventId,
    /// The body.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

type Script = Box<dyn Fn(&Delivery) -> Attempt + Send + Sync>;

/// A receiver that answers by a script and remembers what it was sent.
pub struct FakeWebhook {
    script: Script,
    deliveries: Mutex<Vec<Delivery>>,
}

impl FakeWebhook {
    /// A receiver with this script.
    pub fn new(script: impl Fn(&Delivery) -> Attempt + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), deliveries: Mutex::default() }
    }

    /// Every try so far, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("no test panics here").clone()
    }
}

#[async_trait]
impl Webhook for FakeWebhook {
    async fn deliver(&self, id: EventId, body: &str, at: Timestamp) -> Attempt {
        let delivery = Delivery { id, body: body.to_owned(), at };
        let attempt = (self.script)(&delivery);
        self.deliveries.lock().expect("no test panics here").push(delivery);
        attempt
    }
}

/// The receiver accepts the event.
#[must_use]
pub fn delivered(at: Timestamp) -> Attempt {
    answered(at, 200, AttemptOutcome::Delivered)
}

/// The receiver answers 503, with this `Retry-After`.
#[must_use]
pub fn failed(at: Timestamp, retry_after: Option<Duration>) -> Attempt {
    answered(at, 503, AttemptOutcome::Failed { retry_after })
}

/// The receiver answers with this status.
#[must_use]
pub fn answered(at: Timestamp, status: u16, outcome: AttemptOutcome) -> Attempt {
    Attempt { at, outcome, http_status: Some(status), message: format!("answer {status}") }
}
