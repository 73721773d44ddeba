//! The contract over the whole router: every route, code and shape. The ports are fakes that hold state.

mod access;
mod docs;
mod faces;
mod log;
mod meta;
mod setup;
mod sockets;
mod subscribers;
mod uploads;
mod web;
