//! dlib's files, converted into those that the service loads.

mod graph;
mod landmarks;
mod net;
#[cfg(test)]
mod write;

pub use graph::{detector, embedder};
pub use landmarks::landmarks;
