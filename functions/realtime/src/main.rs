//! The function behind `POST /recognize/realtime`.

use attendance_http::{Work, realtime_routes};
use attendance_lambda::Container;
use attendance_lambda_faces::{warm, with_engine};
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let faces = with_engine(&container, &container.compose_with_webhook()?)?;
    warm(&faces).await;
    container.serve(realtime_routes(faces.realtime, container.uploads(), Work::default())).await
}
