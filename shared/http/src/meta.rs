use std::sync::Arc;

use attendance::ports::GalleryStore;
use attendance::{Clock, Outbox};
use axum::Router;

use crate::students::Students;
use crate::{Group, PublicConfig, Routes, Work, config, docs, events, health, mock, students, web};

/// What the routes beside recognition call. No face engine is among it.
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Meta {
    pub gallery: Arc<dyn GalleryStore>,
    pub outbox: Arc<Outbox>,
    pub clock: Arc<dyn Clock>,
    pub config: PublicConfig,
    /// Whether there is a `POST /mock/webhook`.
    pub mock_webhook: bool,
    pub work: Work,
}

/// `GET /health`, `GET /config`, `GET /students`, `DELETE /students/{student_id}`, `GET /events`, `POST /events/{event_id}/replay`,
/// `POST /mock/webhook`, `GET /openapi.json`, `GET /docs` and the pages; and `more`, the routes that only this
/// deployment has, which its document describes too.
pub fn meta_routes(meta: Meta, more: Vec<Group>) -> Routes {
    let Meta { gallery, outbox, clock, config, mock_webhook, work } = meta;
    let mut document = docs::openapi();
    more.iter().for_each(|group| document.merge(group.openapi()));
    let public = Router::from(health::documented().with_state(gallery.clone()))
        .merge(docs::pages(document))
        .merge(web::pages(config.websocket_url.as_deref()));
    let students = Students { gallery, work };
    let groups = [config::documented().with_state(config), events::documented().with_state(outbox)]
        .into_iter()
        .chain(students::documented().map(|group| group.with_state(students.clone())))
        .chain(mock_webhook.then(|| mock::documented().with_state(clock)))
        .chain(more);
    groups.fold(Routes::public(public), Routes::and)
}
