//! The function behind `POST /enroll`.

use attendance_http::{Work, enroll_routes};
use attendance_lambda::Container;
use attendance_lambda_faces::with_engine;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let faces = with_engine(&container, &container.compose()?)?;
    container.serve(enroll_routes(faces.enroller, container.uploads(), Work::default())).await
}
