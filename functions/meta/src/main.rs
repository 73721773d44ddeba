//! The function behind every route that does not look at a picture.

mod uploads;

use attendance_http::{Meta, PublicConfig, Work, meta_routes};
use attendance_lambda::Container;
use lambda_http::Error;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let (environment, use_cases) = (&container.environment, container.compose()?);
    let config = PublicConfig {
        tolerance: use_cases.settings.tolerance,
        webhook_enabled: environment.text("ATTENDANCE_WEBHOOK_URL").is_some(),
        cooldown: use_cases.settings.cooldown,
        websocket_url: environment.text("ATTENDANCE_WEBSOCKET_URL").map(str::to_owned),
    };
    let meta = Meta {
        gallery: use_cases.ports.gallery,
        outbox: use_cases.outbox,
        clock: use_cases.ports.clock,
        config,
        mock_webhook: environment.flag("ATTENDANCE_MOCK_WEBHOOK", false)?,
        work: Work::default(),
    };
    container.serve(meta_routes(meta, vec![uploads::documented(container.aws.inbox())])).await
}
