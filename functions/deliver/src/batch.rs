use attendance::{Deliverer, ports::StoreError};
use attendance_aws::SqsWakeups;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use futures_util::future::join_all;

/// Handles these messages side by side, and names those that have to arrive again. A message that fails affects no other.
pub(crate) async fn answer(deliverer: Option<&Deliverer>, messages: Vec<SqsMessage>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    let Some(deliverer) = deliverer else { return response };
    let answers = join_all(messages.iter().map(|message| wake(deliverer, message.body.as_deref()))).await;
    for (message, answer) in messages.into_iter().zip(answers) {
        if let Err(error) = answer {
            tracing::error!(
                message_id = message.message_id,
                ?error,
                "could not handle a message; it will arrive again"
            );
            response.add_failure(message.message_id.unwrap_or_default());
        }
    }
    response
}

async fn wake(deliverer: &Deliverer, message: Option<&str>) -> Result<(), StoreError> {
    let wakeup = message.and_then(SqsWakeups::parse);
    let wakeup = wakeup.ok_or_else(|| StoreError::damaged(format!("{message:?} is not a wakeup")))?;
    deliverer.wake(wakeup).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use attendance::{AttendanceSettings, Clock, EventId, EventStatus, Ports, compose};
    use attendance_testkit::{FakeClock, FakeEvents, FakeWakeups, FakeWebhook, START, delivered, ports, sighting};
    use serde_json::json;

    use super::*;

    const LEASE: Duration = Duration::from_secs(13);

    /// The answer to messages with these bodies, `m0`, `m1` and so on by name, after `wait`.
    struct Function {
        deliverer: Arc<Deliverer>,
        events: FakeEvents,
        clock: Arc<FakeClock>,
    }

    impl Function {
        fn new() -> Self {
            let (events, clock) = (FakeEvents::default(), Arc::new(FakeClock::at(START)));
            let ports = Ports {
                events: Arc::new(events.clone()),
                webhook: Some(Arc::new(FakeWebhook::new(|delivery| delivered(delivery.at)))),
                wakeups: Some(Arc::new(FakeWakeups::default())),
                clock: clock.clone(),
                ..ports()
            };
            let deliverer = compose(ports, AttendanceSettings::default()).deliverer.expect("there is a webhook");
            Self { deliverer, events, clock }
        }

        /// The body of the message about an event that was accepted and not tried.
        async fn accepted(&self, student: &str) -> String {
            let event = sighting(student, self.clock.now());
            self.deliverer.accept(&event, Duration::ZERO).await.expect("accepted");
            message(event.id, &*self.clock)
        }

        async fn answer(&self, bodies: &[&str]) -> Vec<String> {
            let record = |(n, body): (usize, &&str)| json!({"messageId": format!("m{n}"), "body": body});
            let records: Vec<_> = bodies.iter().enumerate().map(record).collect();
            let messages = serde_json::from_value(records.into()).expect("messages");
            let response = answer(Some(&self.deliverer), messages).await;
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
        }
    }

    fn message(event_id: EventId, clock: &dyn Clock) -> String {
        json!({"event_id": event_id.to_string(), "due": clock.now().millis()}).to_string()
    }

    #[tokio::test]
    async fn what_is_no_message_fails_alone() {
        let function = Function::new();
        let (one, other) = (function.accepted("siswaA").await, function.accepted("siswaB").await);
        function.clock.advance(LEASE);
        let unknown = message(EventId::generate(), &*function.clock);
        assert_eq!(function.answer(&[&one, "{}", &unknown, &other, "", &one]).await, ["m1", "m4"]);
        assert!(function.events.all().iter().all(|event| event.status == EventStatus::Sent));
    }

    #[tokio::test]
    async fn messages_come_again_while_the_store_is_down() {
        let function = Function::new();
        let message = function.accepted("siswaA").await;
        function.clock.advance(LEASE);
        function.events.set_down(true);
        assert_eq!(function.answer(&[&message, &message]).await, ["m0", "m1"]);
        function.events.set_down(false);
        assert_eq!(function.answer(&[&message]).await, [""; 0]);
        assert_eq!(function.events.all()[0].status, EventStatus::Sent);
    }
}
