//! The function that enrols the pictures dropped into the bucket under `known_faces/`.

mod settle;

use std::sync::Arc;

use attendance::{Enroller, SystemClock};
use attendance_aws::Inbox;
use attendance_serverless::Container;
use aws_lambda_events::s3::S3Event;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use settle::Settler;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let engine = attendance_faces::engine(&container)?;
    let min_size = engine.enrollment_min_size();
    let (push, clock) = (container.aws.push(), Arc::new(SystemClock));
    let multi_face = container.environment.multi_face()?;
    let enroller = Enroller::new(
        Arc::new(engine),
        container.aws.bulk_gallery(),
        push.clone(),
        clock.clone(),
        multi_face,
        min_size,
    );
    let settler = Settler { inbox: container.aws.inbox(), enroller, push, clock };
    let settle = async |event: LambdaEvent<S3Event>| -> Result<(), Error> {
        let mut failed = None;
        for record in event.payload.records {
            let key = record.s3.object.key.as_deref().and_then(Inbox::decode_key);
            let key = key.ok_or("a notification without a readable key")?;
            if let Err(error) = settler.settle(&key).await {
                tracing::error!(key, ?error, "a picture could not be settled; it is tried again");
                failed = Some(error);
            }
        }
        // Lambda repeats the notification; what is settled already is left as it is.
        failed.map_or(Ok(()), Err)
    };
    lambda_runtime::run(service_fn(settle)).await
}
