use std::sync::Arc;

use attendance::{Ports, SystemClock};
use attendance_embedded::Database;
use attendance_webhook::HttpWebhook;
use attendance_wire::webhook::WebhookJson;

/// Returns the adapters of one machine: this database, and this webhook if there is one.
pub(crate) fn ports(database: &Database, webhook: Option<HttpWebhook>) -> Ports {
    Ports {
        gallery: database.gallery(),
        events: database.events(),
        push: database.hub(),
        format: Arc::new(WebhookJson),
        webhook: webhook.map(|webhook| Arc::new(webhook) as _),
        wakeups: None,
        clock: Arc::new(SystemClock),
    }
}
