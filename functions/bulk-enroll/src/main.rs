//! The function that enrols the pictures put into the bucket under `known_faces/`, of which a queue notifies it.

use attendance_aws::S3Inbox;
use attendance_lambda::Container;
use attendance_lambda_faces::with_engine;
use aws_lambda_events::s3::S3EventRecord;
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;

/// What S3 puts into the queue. The message by which it tries out a queue has no records.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records", default)]
    records: Vec<S3EventRecord>,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let bulk = with_engine(&container, &container.compose()?)?.with_inbox(container.aws.inbox());
    let work = async |event: LambdaEvent<SqsEvent>| -> Result<(), Error> {
        for message in event.payload.records {
            let notification: Notification = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
            for record in notification.records {
                let key = record.s3.object.key.as_deref().and_then(S3Inbox::decode_key);
                let key = key.ok_or("a notification without a readable key")?;
                // An error leaves the message in the queue. It comes again, and ends among the dead letters.
                bulk.reconcile(&key).await.inspect_err(|error| {
                    tracing::error!(key, ?error, "could not bring an object to its end; its notification comes again");
                })?;
            }
        }
        Ok(())
    };
    lambda_runtime::run(service_fn(work)).await
}
