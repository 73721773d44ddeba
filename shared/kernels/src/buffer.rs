//! Numbers in memory that begins where a cache line does: a vector of them never lies across two lines.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::slice;

/// A number that is valid as any bytes, zero among them.
///
/// # Safety
/// The type must be one.
pub(crate) unsafe trait Number: Copy {}

// SAFETY: any bytes are an `f32`.
unsafe impl Number for f32 {}
// SAFETY: any bytes are an `i16`.
unsafe impl Number for i16 {}

/// A cache line, and the longest vector.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that begin on a cache line.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    number: PhantomData<T>,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), len: 0, number: PhantomData }
    }
}

impl<T: Number> Buffer<T> {
    /// Returns `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut zeros = Self::default();
        zeros.resize(len);
        zeros
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.len = 0;
    }

    /// Changes the length. New numbers are zero, except those that shared a cache line with the last ones.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        self.lines.resize(lines, Line([0; 64]));
        self.len = len;
    }

    pub(crate) fn extend_from_slice(&mut self, numbers: &[T]) {
        let old = self.len;
        self.resize(old + numbers.len());
        self[old..].copy_from_slice(numbers);
    }
}

impl<T: Number> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        let mut copy = Self::default();
        copy.extend_from_slice(numbers);
        copy
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
