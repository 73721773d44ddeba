use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{StoreError, Wakeups};
use attendance::{EventId, Timestamp, Wakeup};
use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

/// The longest delay of an SQS message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// A message: a wakeup as JSON, with its time in milliseconds.
#[derive(Serialize, Deserialize)]
struct WakeupMessage {
    event_id: String,
    due: u64,
}

/// Wakes the function behind a queue.
pub struct SqsWakeups {
    client: Client,
    queue_url: String,
}

impl SqsWakeups {
    pub(crate) fn new(client: Client, queue_url: String) -> Self {
        Self { client, queue_url }
    }

    /// The wakeup in a message, or `None` if there is none in it.
    #[must_use]
    pub fn parse(message: &str) -> Option<Wakeup> {
        let WakeupMessage { event_id, due } = serde_json::from_str(message).ok()?;
        Some(Wakeup { event_id: EventId::parse(&event_id)?, due: Timestamp::from_millis(due) })
    }
}

/// The message of a wakeup.
fn message(wakeup: Wakeup) -> String {
    let message = WakeupMessage { event_id: wakeup.event_id.to_string(), due: wakeup.due.millis() };
    serde_json::to_string(&message).expect("a wakeup is plain data")
}

#[async_trait]
impl Wakeups for SqsWakeups {
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError> {
        let request = self.client.send_message().queue_url(&self.queue_url).message_body(message(wakeup));
        request.delay_seconds(delay(wait)).send().await.map_err(StoreError::unavailable)?;
        Ok(())
    }
}

/// The delay in whole seconds, rounded up: a message that arrived too early would have to be sent once more.
fn delay(wait: Duration) -> i32 {
    let seconds = wait.min(LONGEST_DELAY).as_millis().div_ceil(1000);
    i32::try_from(seconds).expect("at most 900")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_bounded() {
        for (millis, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2), (899_001, 900), (900_001, 900), (u64::MAX, 900)]
        {
            assert_eq!(delay(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn a_message_is_the_event_and_the_time_it_is_due() {
        let id = EventId::parse("0192f0c1-2345-7abc-8def-0123456789ab").expect("an id");
        let wakeup = Wakeup { event_id: id, due: Timestamp::from_millis(1_727_580_000_123) };
        // Messages that wait in the queue while a new version is deployed have this form.
        let expected = r#"{"event_id":"0192f0c1-2345-7abc-8def-0123456789ab","due":1727580000123}"#;
        assert_eq!(message(wakeup), expected);
        assert_eq!(SqsWakeups::parse(expected), Some(wakeup));
        for wrong in
            ["", "{}", "hello", r#"{"event_id":"x","due":1}"#, r#"{"event_id":"0192f0c1-2345-7abc-8def-0123456789ab"}"#]
        {
            assert_eq!(SqsWakeups::parse(wrong), None, "{wrong}");
        }
    }
}
