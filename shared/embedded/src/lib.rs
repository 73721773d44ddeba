//! The stores of one machine: an SQLite database, a folder of pictures and pushes within the process.
//!
//! Several processes may work on one data folder at the same time. What that takes:
//! - SQLite's own locks order every write; a reader asks the database, never a clock, what is new.
//! - The folder keeps an advisory lock, so that nobody deletes a picture while somebody else
//!   stores one.
//!
//! ```text
//! <data>/attendance.db              everything but the pictures
//! <data>/faces/<student_id>/<digest>.<jpg|png|webp>   the pictures as they came
//! <data>/faces/<student_id>/<digest>-<n>.jpg          the faces cut out of them
//! <data>/faces.lock, faces.gate     advisory locks, empty
//! ```

#![forbid(unsafe_code)]

mod connections;
mod database;
mod events;
mod folder;
mod gallery;
mod hub;

pub use connections::OpenError;
pub use database::Database;
pub use events::SqliteEvents;
pub use gallery::SqliteGallery;
pub use hub::{Hub, KEPT_MESSAGES, SUBSCRIBER_BOUND};
