//! Memory on cache lines, and the layout of activations.

use std::ops::{Deref, DerefMut};
use std::slice;

/// Channels that lie side by side. Activations are `[channels / CHUNK][rows][columns][CHUNK]`.
pub(super) const CHUNK: usize = 32;

/// A number that is valid as any bytes, zero among them.
///
/// # Safety
/// The type must be one.
pub(super) unsafe trait Number: Copy {}

// SAFETY: any bytes are an `f32`.
unsafe impl Number for f32 {}
// SAFETY: any bytes are an `i16`.
unsafe impl Number for i16 {}

/// One cache line, so that no vector lies across two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that begin on a cache line.
pub(super) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    number: std::marker::PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    /// Returns this many zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        Self { lines: vec![Line([0; 64]); lines], len, number: std::marker::PhantomData }
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `len` numbers at least, are aligned for them, and any bytes are a number.
        unsafe { slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; any number is bytes.
        unsafe { slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

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
