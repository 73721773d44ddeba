//! The layout of activations.

use crate::buffer::Buffer;

/// Channels that lie side by side. Activations are `[channels / CHUNK][rows][columns][CHUNK]`.
pub(super) const CHUNK: usize = 32;

/// A square map of channels with a border of zeros, which nothing writes.
pub(super) struct Map {
    /// Channels, a multiple of [`CHUNK`].
    pub(super) channels: usize,
    /// Rows and columns without the border.
    pub(super) side: usize,
    /// Rows and columns with the border: `border` before, the rest after.
    pub(super) outer: usize,
    /// Rows and columns of zeros before the first.
    pub(super) border: usize,
    /// `[channels / CHUNK][outer][outer][CHUNK]`.
    pub(super) numbers: Buffer<f32>,
}

impl Map {
    /// Returns a map of zeros.
    pub(super) fn zeros(channels: usize, side: usize, border: usize, outer: usize) -> Self {
        Self { channels, side, outer, border, numbers: Buffer::zeros(channels * outer * outer) }
    }

    /// Returns where the `chunk`th channels of this row and column begin.
    pub(super) fn at(&self, chunk: usize, row: usize, column: usize) -> usize {
        ((chunk * self.outer + row + self.border) * self.outer + column + self.border) * CHUNK
    }
}
