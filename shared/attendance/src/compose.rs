use std::sync::Arc;

use crate::ports::{EventFormat, EventStore, FaceEngine, GalleryStore, Inbox, Push, Wakeups, Webhook};
use crate::{AttendanceSettings, BulkEnroller, Clock, Deliverer, Enroller, GalleryCache, Outbox, Realtime, Recognizer};

/// The adapters of one deployment, each behind its port.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Ports {
    pub gallery: Arc<dyn GalleryStore>,
    pub events: Arc<dyn EventStore>,
    /// Each channel that tells others what happened, behind a [`FanOut`](crate::FanOut).
    pub push: Arc<dyn Push>,
    pub format: Arc<dyn EventFormat>,
    /// `None` if nobody is to be told of sightings: then no events are made, and none is delivered.
    pub webhook: Option<Arc<dyn Webhook>>,
    /// `None` if a process polls the outbox for what is due.
    pub wakeups: Option<Arc<dyn Wakeups>>,
    pub clock: Arc<dyn Clock>,
}

/// The use cases of one deployment that look at no picture.
#[allow(missing_docs)]
pub struct UseCases {
    pub ports: Ports,
    pub settings: AttendanceSettings,
    pub outbox: Arc<Outbox>,
    /// `None` without a webhook.
    pub deliverer: Option<Arc<Deliverer>>,
}

/// The use cases of one deployment that look at pictures.
#[allow(missing_docs)]
pub struct FaceUseCases {
    pub ports: Ports,
    pub enroller: Arc<Enroller>,
    pub recognizer: Arc<Recognizer>,
    pub realtime: Arc<Realtime>,
}

/// Returns the use cases over these ports. Nothing else builds a use case, neither in a program nor in a test: a port has one
/// place where it meets the use cases that need it.
#[must_use]
pub fn compose(ports: Ports, settings: AttendanceSettings) -> UseCases {
    let Ports { events, push, clock, wakeups, .. } = &ports;
    let mut outbox = Outbox::new(events.clone(), clock.clone());
    if let Some(wakeups) = wakeups {
        outbox = outbox.waking(wakeups.clone());
    }
    let deliverer = ports.webhook.clone().map(|webhook| {
        let (policy, timeout) = (settings.retry_policy.clone(), settings.webhook_timeout);
        let (format, events, push) = (ports.format.clone(), events.clone(), push.clone());
        let deliverer = Deliverer::new(webhook, format, events, push, clock.clone(), policy, timeout);
        Arc::new(match wakeups {
            Some(wakeups) => deliverer.waking(wakeups.clone()),
            None => deliverer,
        })
    });
    UseCases { outbox: Arc::new(outbox), deliverer, ports, settings }
}

impl UseCases {
    /// Returns the use cases that look at pictures, with this engine.
    #[must_use]
    pub fn with_engine(&self, engine: Arc<dyn FaceEngine>) -> FaceUseCases {
        let (ports, settings) = (self.ports.clone(), &self.settings);
        let Ports { gallery, push, clock, .. } = ports.clone();
        let cache = GalleryCache::new(gallery.clone(), engine.model().clone());
        let recognizer = Arc::new(Recognizer::new(engine.clone(), cache, settings.tolerance));
        let enroller = Enroller::new(engine, gallery, push.clone(), clock.clone(), settings.multi_face);
        let deliverer = self.deliverer.clone();
        let realtime = Realtime::new(recognizer.clone(), deliverer, push, clock, settings.cooldown);
        FaceUseCases { ports, enroller: Arc::new(enroller), recognizer, realtime: Arc::new(realtime) }
    }
}

impl FaceUseCases {
    /// Returns the bulk enroller of this inbox, which shares its storage with the gallery.
    #[must_use]
    pub fn with_inbox(&self, inbox: Arc<dyn Inbox>) -> BulkEnroller {
        let Ports { push, clock, .. } = self.ports.clone();
        BulkEnroller::new(inbox, self.enroller.clone(), push, clock)
    }
}
