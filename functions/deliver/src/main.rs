//! The function that handles the queue's wakeups: it tries events again.

mod batch;

use attendance_lambda::Container;
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    // Without a webhook no event is tried. They stay, and the overdue sweep finds them once there is one.
    let deliverer = container.compose_with_webhook()?.deliverer;
    let answer = async |event: LambdaEvent<SqsEvent>| -> Result<_, Error> {
        Ok(batch::answer(deliverer.as_deref(), event.payload.records).await)
    };
    lambda_runtime::run(service_fn(answer)).await
}
