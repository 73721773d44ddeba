//! Kernels for the small convolutional networks that find and describe faces: f32, channels last, on the vector
//! instructions of the machine.
//!
//! A network is made of plain weights and layer descriptions. Nothing here knows ONNX, files or pictures.

mod buffer;
pub mod residual;
pub mod separable;
mod simd_level;

pub use simd_level::SimdLevel;
