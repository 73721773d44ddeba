//! The function behind every route that looks at no picture.

mod uploads;

use std::sync::Arc;

use attendance::{Outbox, SystemClock};
use attendance_http::{Facts, Meta, Work, meta_routes};
use attendance_lambda::Container;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let environment = &container.environment;
    let facts = Facts {
        tolerance: environment.tolerance()?,
        webhook_enabled: environment.text("ATTENDANCE_WEBHOOK_URL").is_some(),
        cooldown: environment.cooldown()?,
        websocket_url: environment.text("ATTENDANCE_WEBSOCKET_URL").map(str::to_owned),
    };
    let clock = Arc::new(SystemClock);
    let outbox = Outbox::new(container.aws.events(), clock.clone()).waking(container.aws.wakeups()?);
    let meta = Meta {
        gallery: container.aws.gallery(),
        outbox: Arc::new(outbox),
        clock,
        facts,
        mock_webhook: environment.flag("ATTENDANCE_MOCK_WEBHOOK", false)?,
        work: Work::default(),
    };
    container.serve(meta_routes(meta, uploads::documented(container.aws.inbox()))).await
}
