use std::time::Duration;

use async_trait::async_trait;
use attendance::Wakeup;
use attendance::ports::{StoreError, Wakeups};
use aws_sdk_sqs::Client;

/// The longest that SQS holds a message back.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Wakes the function behind a queue: a message is a wakeup as JSON.
pub struct SqsWakeups {
    client: Client,
    queue_url: String,
}

impl SqsWakeups {
    pub(crate) fn new(client: Client, queue_url: String) -> Self {
        Self { client, queue_url }
    }

    /// The wakeup in a message, or `None` where it is none.
    #[must_use]
    pub fn parse(message: &str) -> Option<Wakeup> {
        serde_json::from_str(message).ok()
    }
}

#[async_trait]
impl Wakeups for SqsWakeups {
    async fn send(&self, wakeup: Wakeup, wait: Duration) -> Result<(), StoreError> {
        let body = serde_json::to_string(&wakeup).expect("a wakeup is plain data");
        let message = self.client.send_message().queue_url(&self.queue_url).message_body(body);
        message.delay_seconds(delay(wait)).send().await.map_err(StoreError::unavailable)?;
        Ok(())
    }
}

/// The delay in whole seconds. Rounded up: a message that came too early would have to go round once more.
fn delay(wait: Duration) -> i32 {
    let seconds = wait.min(LONGEST_DELAY).as_millis().div_ceil(1000);
    i32::try_from(seconds).expect("at most 900")
}

#[cfg(test)]
mod tests {
    use super::*;
    use attendance::{EventId, Timestamp};

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
        let message = r#"{"event_id":"0192f0c1-2345-7abc-8def-0123456789ab","due":1727580000123}"#;
        assert_eq!(serde_json::to_string(&wakeup).expect("JSON"), message);
        assert_eq!(SqsWakeups::parse(message), Some(wakeup));
        for wrong in
            ["", "{}", "hello", r#"{"event_id":"x","due":1}"#, r#"{"event_id":"0192f0c1-2345-7abc-8def-0123456789ab"}"#]
        {
            assert_eq!(SqsWakeups::parse(wrong), None, "{wrong}");
        }
    }
}
