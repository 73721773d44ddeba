//! The function that enrols the pictures dropped into the bucket under `known_faces/`, of which a queue tells it.

mod settle;

use attendance::{Ports, UseCases, compose};
use attendance_aws::Inbox;
use attendance_lambda::Container;
use aws_lambda_events::s3::S3EventRecord;
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use settle::Settler;

/// What S3 puts into the queue. The message by which it tries out a queue has no records.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records", default)]
    records: Vec<S3EventRecord>,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let UseCases { ports, settings, .. } = container.compose()?;
    let use_cases = compose(Ports { gallery: container.aws.bulk_gallery(), ..ports }, settings);
    let enroller = attendance_lambda_faces::with_engine(&container, &use_cases)?.enroller;
    let Ports { push, clock, .. } = use_cases.ports;
    let settler = Settler { inbox: container.aws.inbox(), enroller, push, clock };
    let settle = async |event: LambdaEvent<SqsEvent>| -> Result<(), Error> {
        for message in event.payload.records {
            let notification: Notification = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
            for record in notification.records {
                let key = record.s3.object.key.as_deref().and_then(Inbox::decode_key);
                let key = key.ok_or("a notification without a readable key")?;
                // An error leaves the message in the queue: it comes again, and at last lies among the dead letters.
                let told =
                    |error: &Error| tracing::error!(key, ?error, "a picture could not be settled; it comes again");
                settler.settle(&key).await.inspect_err(told)?;
            }
        }
        Ok(())
    };
    lambda_runtime::run(service_fn(settle)).await
}
