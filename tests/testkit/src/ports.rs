use std::sync::Arc;

use attendance::Ports;
use attendance_wire::webhook::WebhookJson;

use crate::{FakeClock, FakeEvents, FakeGallery, FakePush};

/// The time that the clock of [`ports`] shows, in milliseconds since the Unix epoch.
pub const START: u64 = 1_727_580_000_000;

/// Returns ports that are all fakes, without a webhook and polled for what is due. A test replaces those that it looks at:
/// `Ports { push: Arc::new(push.clone()), ..ports() }`.
#[must_use]
pub fn ports() -> Ports {
    Ports {
        gallery: Arc::new(FakeGallery::default()),
        events: Arc::new(FakeEvents::default()),
        push: Arc::new(FakePush::default()),
        format: Arc::new(WebhookJson),
        webhook: None,
        wakeups: None,
        clock: Arc::new(FakeClock::at(START)),
    }
}
