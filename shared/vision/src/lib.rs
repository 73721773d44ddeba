//! Picture bytes to faces: decode, detect, five landmarks, aligned chip, 128-number embedding. The embedder runs on
//! `attendance-kernels`, what these do not know on tract.
//!
//! [`VisionEngine`] implements [`attendance::ports::FaceEngine`]. The stages are public one by one, in [`stages`], so that
//! the parity tests and the benchmark can name the one at fault.
//!
//! Detector, landmark model and embedder are dlib's, so embeddings made by the replaced service stay valid. Pixels are
//! RGB, 8 bits a channel, of the upright picture, origin at the top left.

mod chip;
mod decode;
mod detect;
mod detectors;
mod embed;
mod embedders;
mod engine;
mod error;
mod geometry;
mod landmarks;
mod network;
mod normalize;
mod onnx;
mod settings;
pub mod stages;
mod suppress;

pub use decode::{MAX_BYTES, MAX_MEGAPIXELS, MAX_SIDE};
pub use engine::VisionEngine;
pub use error::VisionError;
pub use settings::{Detector, DetectorMode, VisionSettings};
