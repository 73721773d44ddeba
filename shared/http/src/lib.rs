//! The service over HTTP: routers, extractors, response bodies, and the one error type that becomes a response.
//!
//! Each job has its routes and needs only its own use case, so that one function can serve one job:
//! [`enroll_routes`], [`recognize_routes`], [`realtime_routes`], [`meta_routes`], [`watch_routes`]. [`guarded`] puts
//! access keys, CORS, logging and the shape of errors around any of them; [`router`] is all of them at once.
//!
//! Handlers are short: extractors parse and refuse, use cases decide, [`ApiError`] answers. Nothing here reads the
//! environment.

#![forbid(unsafe_code)]

mod access;
mod app;
mod docs;
mod edge;
mod enroll;
mod error;
mod events;
mod meta;
mod numbered;
mod parameters;
mod realtime;
mod recognize;
mod settings;
mod unread;
mod upload;
mod watch;
mod web;
mod work;

pub use access::{Access, InvalidKey};
pub use app::{App, Settings, router};
pub use docs::openapi;
pub use edge::{InvalidOrigins, Origins, guarded};
pub use enroll::enroll_routes;
pub use error::{ApiError, Code, described};
pub use meta::{Facts, Meta, meta_routes};
pub use numbered::numbered;
pub use realtime::realtime_routes;
pub use recognize::recognize_routes;
pub use settings::{AccessSettings, InvalidAccess};
pub use upload::Uploads;
pub use watch::{Watching, watch_routes};
pub use web::web_routes;
pub use work::Work;
