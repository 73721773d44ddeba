//! Numbers in memory that begins where a cache line does: a vector of them never lies across two lines.

use std::ops::{Deref, DerefMut};

/// A cache line, and the longest vector.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; Line::LENGTH]);

impl Line {
    const LENGTH: usize = 16;
    const ZERO: Self = Self([0.0; Self::LENGTH]);
}

/// A vector of `f32` aligned to cache lines.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    lines: Vec<Line>,
    length: usize,
}

impl Aligned {
    /// Returns `length` zeros.
    pub(super) fn zeros(length: usize) -> Self {
        let mut zeros = Self::default();
        zeros.resize(length);
        zeros
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.length = 0;
    }

    /// Changes the length. New values are zero, except those that shared a cache line with the last ones.
    pub(super) fn resize(&mut self, length: usize) {
        self.lines.resize(length.div_ceil(Line::LENGTH), Line::ZERO);
        self.length = length;
    }

    pub(super) fn extend_from_slice(&mut self, values: &[f32]) {
        let old = self.length;
        self.resize(old + values.len());
        self[old..].copy_from_slice(values);
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is its numbers and nothing else, and there are at least `length` in all lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the lines are borrowed as long.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Self {
        let mut copy = Self::default();
        copy.extend_from_slice(values);
        copy
    }
}
