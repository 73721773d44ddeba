//! Finds faces as dlib's `get_frontal_face_detector()` does, to the bit: a sliding window over histograms of oriented
//! gradients, for five views of a face, at every scale. Pure: pixels in, boxes out.
//!
//! The order of floating-point operations is part of the result everywhere in this module.

mod detect;
mod features;
mod filter;
mod model;
mod planes;
mod simd;
#[cfg(test)]
mod tests;

pub use detect::{HogDetection, HogDetector, HogSearch};
pub use model::HogModelError;
