//! The function behind `POST /recognize`.

use attendance_http::recognize_routes;
use attendance_lambda::Container;
use attendance_lambda_faces::{warm, with_engine};
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let faces = with_engine(&container, &container.compose()?)?;
    warm(&faces).await;
    container.serve(recognize_routes(faces.recognizer, container.uploads())).await
}
