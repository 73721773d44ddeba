//! The function behind `POST /recognize/realtime`.

use std::sync::Arc;

use attendance::ports::FaceEngine;
use attendance::{GalleryCache, Realtime, Recognizer, SystemClock};
use attendance_http::{Work, realtime_routes};
use attendance_lambda::Container;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let engine = Arc::new(attendance_lambda_faces::engine(&container)?);
    let gallery = GalleryCache::new(container.aws.gallery(), engine.model().clone());
    let recognizer = Recognizer::new(engine, gallery, container.environment.tolerance()?);
    attendance_lambda_faces::warm(&recognizer).await;
    let realtime = Realtime::new(
        Arc::new(recognizer),
        container.aws.events(),
        container.deliverer()?,
        container.aws.push(),
        Arc::new(SystemClock),
        container.environment.cooldown()?,
    );
    container.serve(realtime_routes(Arc::new(realtime), container.uploads(), Work::default())).await
}
