use std::path::Path;
use std::sync::Arc;

use attendance::ports::Subscribers;
use attendance::{FanOut, Ports, SystemClock};
use attendance_embedded::{Database, OpenError};
use attendance_wire::webhook::WebhookJson;

/// The adapters of one machine.
pub(crate) struct Adapters {
    /// Without a webhook.
    pub(crate) ports: Ports,
    pub(crate) subscribers: Arc<dyn Subscribers>,
}

impl Adapters {
    /// Opens the data folder. Blocks.
    pub(crate) fn open(data: &Path) -> Result<Self, OpenError> {
        let database = Database::open(data)?;
        let ports = Ports {
            gallery: database.gallery(),
            events: database.events(),
            push: Arc::new(FanOut::new(vec![database.hub()])),
            format: Arc::new(WebhookJson),
            webhook: None,
            wakeups: None,
            clock: Arc::new(SystemClock),
        };
        Ok(Self { ports, subscribers: database.hub() })
    }
}
