//! The function that a schedule calls: it sends lost wakeups again, packs the gallery, and deletes stray pictures.

use std::time::Duration;

use attendance::{Clock, SystemClock};
use attendance_lambda::Container;
use attendance_models::embedding_model;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};

/// Wakeups that are sent side by side.
const OVERDUE_BATCH: usize = 100;
/// The age of a stray picture. A younger one may belong to an enrolment that is under way.
const SWEPT_AFTER: Duration = Duration::from_secs(86400);

/// A job of the schedule.
#[derive(Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
enum Job {
    WakeOverdue,
    Snapshot,
    Sweep,
}

/// The outcome of a job.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Woken(usize),
    Packed { bytes: Option<usize> },
    Swept(usize),
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let (deliverer, gallery) = (container.compose_with_webhook()?.deliverer, container.aws.gallery());
    let work = async |event: LambdaEvent<Job>| -> Result<Done, Error> {
        match event.payload {
            Job::WakeOverdue => {
                let Some(deliverer) = &deliverer else { return Ok(Done::Woken(0)) };
                let mut woken = 0;
                loop {
                    let batch = deliverer.wake_overdue(OVERDUE_BATCH).await?;
                    woken += batch;
                    // The next run goes on where this one stops.
                    if batch < OVERDUE_BATCH || event.context.deadline < SystemClock.now().millis() + 30_000 {
                        return Ok(Done::Woken(woken));
                    }
                }
            }
            Job::Snapshot => {
                let bytes = gallery.rebuild_snapshot(&embedding_model()).await?;
                Ok(Done::Packed { bytes })
            }
            Job::Sweep => Ok(Done::Swept(gallery.sweep(SystemClock.now(), SWEPT_AFTER).await?)),
        }
    };
    lambda_runtime::run(service_fn(work)).await
}
