//! The function behind `POST /recognize`.

use std::sync::Arc;

use attendance::ports::FaceEngine;
use attendance::{GalleryCache, Recognizer};
use attendance_http::recognize_routes;
use attendance_lambda::Container;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let engine = Arc::new(attendance_lambda_faces::engine(&container)?);
    let gallery = GalleryCache::new(container.aws.gallery(), engine.model().clone());
    let recognizer = Recognizer::new(engine, gallery, container.environment.tolerance()?);
    attendance_lambda_faces::warm(&recognizer).await;
    container.serve(recognize_routes(Arc::new(recognizer), container.uploads())).await
}
