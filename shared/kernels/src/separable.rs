//! Networks of separable convolutions over a feature pyramid, such as YuNet's: a 3x3 convolution of stride 2 straight
//! from picture bytes, units of a 1x1 convolution and a 3x3 depthwise one, 2x2 maximum pooling, and at each level of the
//! pyramid a lateral unit that also sees the coarser level, and heads.
//!
//! Rows flow through all layers one by one, so a layer keeps the three rows that its depthwise convolution looks at and
//! nothing else. Only the pyramid's levels are held whole, since they meet from the coarsest up.

mod chain;
mod describe;
mod network;
mod pack;
mod rows;
mod simple;
#[cfg(test)]
mod tests;
mod vector;

pub use describe::{Layer, Level, SeparableLayers, Stem, Unit};
pub use network::{Image, LevelOutput, SeparableNetwork, SeparableScratch};
pub use pack::ShapeError;
