//! The function behind `POST /enroll`.

use std::sync::Arc;

use attendance::{Enroller, SystemClock};
use attendance_http::{Work, enroll_routes};
use attendance_lambda::Container;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let engine = attendance_lambda_faces::engine(&container)?;
    let enroller = Enroller::new(
        Arc::new(engine),
        container.aws.gallery(),
        container.aws.push(),
        Arc::new(SystemClock),
        container.environment.multi_face()?,
    );
    container.serve(enroll_routes(Arc::new(enroller), container.uploads(), Work::default())).await
}
