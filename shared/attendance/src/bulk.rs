//! Enrolling pictures that lie in a folder or a bucket, as `known_faces/<student_id>/<any name>.{jpg,jpeg,png,webp}`.

mod enroller;
mod entry;

pub use enroller::{BulkEnroller, BulkError};
pub use entry::{BulkEntry, MAX_PICTURE_BYTES};
