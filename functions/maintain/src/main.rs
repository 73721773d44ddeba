//! The function that runs by the clock: it sends what is due, packs the gallery and sweeps up.

use std::sync::Arc;
use std::time::Duration;

use attendance::{Clock, SystemClock};
use attendance_serverless::Container;
use attendance_vision::VisionEngine;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

/// Events that are delivered side by side.
const DELIVERY_BATCH: usize = 32;
/// Pictures without an enrolment that are younger may belong to one that is under way.
const SWEPT_AFTER: Duration = Duration::from_secs(86400);

/// What the schedule asks for.
#[derive(Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
enum Job {
    Deliver,
    Snapshot,
}

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Delivered(usize),
    Packed { bytes: Option<usize>, swept: usize },
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let (deliverer, gallery) = (container.deliverer()?, container.aws.gallery());
    let work = async |event: LambdaEvent<Job>| -> Result<Done, Error> {
        match event.payload {
            Job::Deliver => {
                let Some(deliverer) = deliverer.as_ref().map(Arc::clone) else { return Ok(Done::Delivered(0)) };
                let mut delivered = 0;
                loop {
                    let batch = deliverer.deliver_due(DELIVERY_BATCH).await?;
                    delivered += batch;
                    // The next minute goes on where this one stopped.
                    if batch < DELIVERY_BATCH || event.context.deadline < SystemClock.now().millis() + 30_000 {
                        return Ok(Done::Delivered(delivered));
                    }
                }
            }
            Job::Snapshot => {
                let bytes = gallery.rebuild_snapshot(&VisionEngine::model_id()).await?;
                let swept = gallery.sweep(SystemClock.now(), SWEPT_AFTER).await?;
                Ok(Done::Packed { bytes, swept })
            }
        }
    };
    lambda_runtime::run(service_fn(work)).await
}
