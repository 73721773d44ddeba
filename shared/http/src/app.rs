use std::sync::Arc;

use attendance::ports::Subscribers;
use attendance::{FaceUseCases, UseCases};
use axum::Router;

use crate::{
    AccessSettings, Meta, PublicConfig, Uploads, Work, enroll_routes, guarded, meta_routes, realtime_routes,
    recognize_routes, subscribe_routes,
};

/// Everything that a server with all routes calls.
#[allow(missing_docs)]
pub struct App {
    pub use_cases: UseCases,
    pub faces: FaceUseCases,
    /// The subscribers of this process; `None` if something else holds their connections.
    pub subscribers: Option<Arc<dyn Subscribers>>,
}

/// How a server with all routes behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may call.
    pub access: AccessSettings,
    /// The limits of uploads.
    pub uploads: Uploads,
    /// What `/config` says of the WebSocket; made from each request's `Host` if `None`.
    pub websocket_url: Option<String>,
    /// Whether there is a `POST /mock/webhook`.
    pub mock_webhook: bool,
}

/// The whole service as one router. `work` is what the server waits for when it stops.
pub fn router(app: App, settings: Settings, work: Work) -> Router {
    let Settings { access: AccessSettings { keys, origins }, uploads, websocket_url, mock_webhook } = settings;
    let App { use_cases, faces, subscribers } = app;
    let config = PublicConfig {
        tolerance: use_cases.settings.tolerance,
        webhook_enabled: use_cases.deliverer.is_some(),
        cooldown: use_cases.settings.cooldown,
        websocket_url,
    };
    let (gallery, clock) = (use_cases.ports.gallery, use_cases.ports.clock);
    let meta = Meta { gallery, outbox: use_cases.outbox, clock, config, mock_webhook, work: work.clone() };
    let mut routes = enroll_routes(faces.enroller, uploads.clone(), work.clone())
        .merge(recognize_routes(faces.recognizer, uploads.clone()))
        .merge(realtime_routes(faces.realtime, uploads, work.clone()))
        .merge(meta_routes(meta, Vec::new()));
    if let Some(subscribers) = subscribers {
        routes = routes.merge(subscribe_routes(subscribers, work));
    }
    guarded(routes, keys, origins)
}
