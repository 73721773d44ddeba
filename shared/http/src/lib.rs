//! The service over HTTP: routers, extractors, response bodies, and the one error type that becomes a response.
//!
//! Each job has its routes and needs only its own use case, so that one function can serve one job:
//! [`enroll_routes`], [`recognize_routes`], [`realtime_routes`], [`meta_routes`], [`subscribe_routes`]. Each group of
//! routes says which scope opens it ([`Group`]). [`guarded`] puts access keys, CORS, logging and the shape of errors
//! around any of them; [`router`] is all of them at once.
//!
//! Handlers are short: extractors parse and refuse, use cases decide, [`ApiError`] answers. Nothing here reads the
//! environment.

#![forbid(unsafe_code)]

mod access;
mod app;
mod config;
mod docs;
mod enroll;
mod error;
mod events;
mod health;
mod meta;
mod middleware;
mod mock;
mod numbered;
mod parameters;
mod realtime;
mod recognize;
mod routes;
mod settings;
mod students;
mod subscribe;
mod unread;
mod upload;
mod web;
mod work;

pub use access::{Access, InvalidKey};
pub use app::{App, Settings, router};
pub use attendance_wire::http::Code;
pub use config::PublicConfig;
pub use docs::openapi;
pub use enroll::enroll_routes;
pub use error::{ApiError, described};
pub use meta::{Meta, meta_routes};
pub use middleware::{InvalidOrigins, Origins, guarded};
pub use numbered::numbered;
pub use realtime::realtime_routes;
pub use recognize::recognize_routes;
pub use routes::{Group, Routes};
pub use settings::{AccessSettings, InvalidAccess};
pub use subscribe::subscribe_routes;
pub use upload::Uploads;
pub use work::Work;
