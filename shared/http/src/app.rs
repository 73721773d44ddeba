use std::sync::Arc;

use attendance::ports::{EventStore, GalleryStore, Watch};
use attendance::{Clock, Enroller, Outbox, Realtime, Recognizer};
use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    Access, Facts, Meta, Origins, Uploads, Watching, Work, enroll_routes, guarded, meta_routes, realtime_routes,
    recognize_routes, watch_routes,
};

/// Everything that a server with all routes calls.
#[allow(missing_docs)]
pub struct App {
    pub enroller: Arc<Enroller>,
    pub recognizer: Arc<Recognizer>,
    pub realtime: Arc<Realtime>,
    pub gallery: Arc<dyn GalleryStore>,
    pub events: Arc<dyn EventStore>,
    pub clock: Arc<dyn Clock>,
    /// The watchers of this process; `None` where somebody else holds their connections.
    pub watch: Option<Arc<dyn Watch>>,
}

/// How a server with all routes behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ATTENDANCE_ACCESS_KEY`.
    pub access: Access,
    /// `ATTENDANCE_CORS_ORIGINS`.
    pub origins: Origins,
    /// The bounds of what is uploaded.
    pub uploads: Uploads,
    /// What `/config` says of the WebSocket; made from each request's `Host` where `None`.
    pub websocket_url: Option<String>,
    /// Whether there is a `POST /mock/webhook`.
    pub mock_webhook: bool,
}

/// The whole service as one router. `work` is what the server waits for when it stops.
pub fn router(app: App, settings: Settings, work: Work) -> Router {
    let Settings { access, origins, uploads, websocket_url, mock_webhook } = settings;
    let facts = Facts {
        tolerance: app.recognizer.tolerance(),
        webhook_enabled: app.realtime.webhook_enabled(),
        cooldown: app.realtime.cooldown(),
        websocket_url,
    };
    let outbox = Arc::new(Outbox::new(app.events, app.clock.clone()));
    let meta = Meta { gallery: app.gallery, outbox, clock: app.clock, facts, mock_webhook, work: work.clone() };
    let mut routes = enroll_routes(app.enroller, uploads.clone(), work.clone())
        .merge(recognize_routes(app.recognizer, uploads.clone()))
        .merge(realtime_routes(app.realtime, uploads, work.clone()))
        .merge(meta_routes(meta, OpenApiRouter::new()));
    if let Some(watch) = app.watch {
        routes = routes.merge(watch_routes(Watching { watch, work }));
    }
    guarded(routes, access, origins)
}
