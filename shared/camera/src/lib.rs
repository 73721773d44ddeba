//! Where frames come from: picture files, folders of them, and URLs that stream JPEGs.
//!
//! [`Frames`] reads several sources one after the other. What becomes of a frame is the caller's business.

#![forbid(unsafe_code)]

mod error;
mod file;
mod frames;
mod stream;

pub use error::FrameError;
pub use file::read_picture;
pub use frames::{Frame, Frames};
