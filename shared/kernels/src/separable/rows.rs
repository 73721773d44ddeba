//! What is done to one row of pixels, on each kind of vector instructions.
//!
//! A row is a slice of pixels, each of `channels` values side by side. Lengths are checked here, at the door, in every
//! build; what lies below trusts them.

use super::vector::{Four, Vector};
use crate::simd_level::{Level, SimdLevel};

/// Channels are padded to a multiple of this, so that every kind of vector divides them.
pub(super) const LANES: usize = 16;

/// A dense convolution from one or more rows into one.
#[derive(Clone, Copy)]
pub(super) struct Dense<'a> {
    /// The rows that it looks at, as long as each other.
    pub(super) rows: &'a [&'a [f32]],
    /// From a pixel's first value to the next one's, in values.
    pub(super) stride: usize,
    /// How many values of each row a pixel looks at, from its first one.
    pub(super) taps: usize,
    /// `[row][tap][output]`.
    pub(super) weights: &'a [f32],
    /// One per output; a multiple of [`LANES`] of them.
    pub(super) biases: &'a [f32],
    pub(super) relu: bool,
}

/// A 3x3 depthwise convolution from three rows into one. The rows have one more pixel at each end than the result.
#[derive(Clone, Copy)]
pub(super) struct Depthwise<'a> {
    pub(super) rows: [&'a [f32]; 3],
    /// `[row][column][channel]`.
    pub(super) weights: &'a [f32],
    /// One per channel; a multiple of [`LANES`] of them.
    pub(super) biases: &'a [f32],
    pub(super) relu: bool,
}

impl Dense<'_> {
    /// Fills `out` with pixels of as many values as there are biases.
    pub(super) fn run(&self, simd: SimdLevel, out: &mut [f32]) {
        let outputs = self.biases.len();
        assert!(outputs > 0 && outputs.is_multiple_of(LANES) && out.len().is_multiple_of(outputs));
        assert_eq!(self.weights.len(), self.rows.len() * self.taps * outputs);
        let width = out.len() / outputs;
        let needed = width.saturating_sub(1) * self.stride + self.taps;
        assert!(width == 0 || self.rows.iter().all(|row| row.len() >= needed));
        match simd.level() {
            // SAFETY: the lengths are checked above; a level exists only where the machine has its instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::dense_avx512(self, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::dense_avx2(self, out) },
            // SAFETY: the lengths are checked above.
            Level::Portable => unsafe { dense::<Four, 4, 2>(self, out) },
        }
    }
}

impl Depthwise<'_> {
    /// Fills `out` with pixels of as many values as there are biases.
    pub(super) fn run(&self, simd: SimdLevel, out: &mut [f32]) {
        let width = self.check();
        assert_eq!(out.len(), width * self.biases.len());
        // SAFETY: the lengths are checked above; without pooling nothing is read at the pointer.
        unsafe { self.dispatch::<false>(simd, width, std::ptr::null(), out) }
    }

    /// Fills `out` with the largest values of squares of 2x2 pixels, of which `above` is the upper row and the
    /// convolution's result the lower one. An odd last pixel is left out.
    pub(super) fn run_pooled(&self, simd: SimdLevel, above: &[f32], out: &mut [f32]) {
        let (width, channels) = (self.check(), self.biases.len());
        assert_eq!((above.len(), out.len()), (width * channels, width / 2 * channels));
        // SAFETY: the lengths are checked above.
        unsafe { self.dispatch::<true>(simd, width / 2 * 2, above.as_ptr(), out) }
    }

    /// Returns the width of the result.
    fn check(&self) -> usize {
        let channels = self.biases.len();
        assert!(channels > 0 && channels.is_multiple_of(LANES) && self.weights.len() == 9 * channels);
        let length = self.rows[0].len();
        assert!(length.is_multiple_of(channels) && self.rows.iter().all(|row| row.len() == length));
        (length / channels).checked_sub(2).expect("a pixel at each end")
    }

    /// # Safety
    /// The rows hold `width + 2` pixels, `out` holds `width`, or half of it with `POOLED`, and then `above` holds `width`.
    unsafe fn dispatch<const POOLED: bool>(&self, simd: SimdLevel, width: usize, above: *const f32, out: &mut [f32]) {
        let to = out.as_mut_ptr();
        match simd.level() {
            // SAFETY: the lengths are as demanded; a level exists only where the machine has its instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::depthwise_avx512::<POOLED>(self, width, above, to) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::depthwise_avx2::<POOLED>(self, width, above, to) },
            // SAFETY: as above.
            Level::Portable => unsafe { depthwise::<Four, POOLED>(self, width, above, to) },
        }
    }
}

/// The kernels, compiled for what the machine may have beyond its architecture's own instructions.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::x86::{Eight, Sixteen};
    use super::{Dense, Depthwise, dense, depthwise};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) unsafe fn dense_avx512(this: &Dense<'_>, out: &mut [f32]) {
        let outputs = this.biases.len();
        // SAFETY: as for the caller; the instructions are enabled.
        unsafe {
            if outputs.is_multiple_of(64) {
                dense::<Sixteen, 6, 4>(this, out);
            } else if outputs.is_multiple_of(32) {
                dense::<Sixteen, 12, 2>(this, out);
            } else {
                dense::<Sixteen, 12, 1>(this, out);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn dense_avx2(this: &Dense<'_>, out: &mut [f32]) {
        // SAFETY: as for the caller; the instructions are enabled.
        unsafe { dense::<Eight, 6, 2>(this, out) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) unsafe fn depthwise_avx512<const POOLED: bool>(
        this: &Depthwise<'_>,
        width: usize,
        above: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: as for the caller; the instructions are enabled.
        unsafe { depthwise::<Sixteen, POOLED>(this, width, above, to) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn depthwise_avx2<const POOLED: bool>(
        this: &Depthwise<'_>,
        width: usize,
        above: *const f32,
        to: *mut f32,
    ) {
        // SAFETY: as for the caller; the instructions are enabled.
        unsafe { depthwise::<Eight, POOLED>(this, width, above, to) }
    }
}

/// Blocks of `P` pixels by `N` vectors of outputs, whose sums stay in registers.
///
/// # Safety
/// As [`Dense::run`] checks; outputs are a multiple of `N` vectors.
#[inline(always)]
unsafe fn dense<V: Vector, const P: usize, const N: usize>(this: &Dense<'_>, out: &mut [f32]) {
    // A distance that the compiler knows saves a register per pixel.
    // SAFETY: as for the caller.
    unsafe {
        match this.stride {
            6 => dense_row::<V, P, N, 6>(this, out),
            16 => dense_row::<V, P, N, 16>(this, out),
            32 => dense_row::<V, P, N, 32>(this, out),
            64 => dense_row::<V, P, N, 64>(this, out),
            _ => dense_row::<V, P, N, 0>(this, out),
        }
    }
}

/// # Safety
/// As for [`dense`]; `S` is the stride, or 0 for any.
#[inline(always)]
unsafe fn dense_row<V: Vector, const P: usize, const N: usize, const S: usize>(this: &Dense<'_>, out: &mut [f32]) {
    let width = out.len() / this.biases.len();
    let to = out.as_mut_ptr();
    let mut x = 0;
    // SAFETY: no block goes beyond `width`. A pixel that two blocks share is made twice, of the same inputs.
    unsafe {
        while x + P <= width {
            dense_block::<V, P, N, S>(this, x, to);
            x += P;
        }
        while x < width {
            if width >= 4 {
                dense_block::<V, 4, N, S>(this, x.min(width - 4), to);
                x += 4;
            } else {
                dense_block::<V, 1, N, S>(this, x, to);
                x += 1;
            }
        }
    }
}

/// # Safety
/// As for [`dense_row`]; the row has `x + P` pixels.
#[inline(always)]
unsafe fn dense_block<V: Vector, const P: usize, const N: usize, const S: usize>(
    this: &Dense<'_>,
    x: usize,
    to: *mut f32,
) {
    let outputs = this.biases.len();
    let stride = if S == 0 { this.stride } else { S };
    // SAFETY: every offset lies within the lengths that `Dense::run` checks.
    unsafe {
        let to = to.add(x * outputs);
        for first in (0..outputs).step_by(N * V::LANES) {
            let mut sums = [[V::splat(0.0); N]; P];
            for n in 0..N {
                let bias = V::load(this.biases.as_ptr().add(first + n * V::LANES));
                for pixel in &mut sums {
                    pixel[n] = bias;
                }
            }
            let mut weights = this.weights.as_ptr().add(first);
            for row in this.rows {
                let from = row.as_ptr().add(x * stride);
                for tap in 0..this.taps {
                    let mut filter = [V::splat(0.0); N];
                    for (n, vector) in filter.iter_mut().enumerate() {
                        *vector = V::load(weights.add(n * V::LANES));
                    }
                    for (p, pixel) in sums.iter_mut().enumerate() {
                        let value = V::splat(*from.add(p * stride + tap));
                        for n in 0..N {
                            pixel[n] = value.multiply_add(filter[n], pixel[n]);
                        }
                    }
                    weights = weights.add(outputs);
                }
            }
            for (p, pixel) in sums.iter().enumerate() {
                for (n, sum) in pixel.iter().enumerate() {
                    let sum = if this.relu { sum.max(V::splat(0.0)) } else { *sum };
                    sum.store(to.add(p * outputs + first + n * V::LANES));
                }
            }
        }
    }
}

/// # Safety
/// As for [`Depthwise::dispatch`].
#[inline(always)]
unsafe fn depthwise<V: Vector, const POOLED: bool>(
    this: &Depthwise<'_>,
    width: usize,
    above: *const f32,
    to: *mut f32,
) {
    // SAFETY: as for the caller.
    unsafe {
        match this.biases.len() {
            16 => depthwise_row::<V, POOLED, 16>(this, width, above, to),
            32 => depthwise_row::<V, POOLED, 32>(this, width, above, to),
            64 => depthwise_row::<V, POOLED, 64>(this, width, above, to),
            _ => depthwise_row::<V, POOLED, 0>(this, width, above, to),
        }
    }
}

/// One vector of channels after the other, whose nine weights stay in registers.
///
/// # Safety
/// As for [`Depthwise::dispatch`]; `C` is the number of channels, or 0 for any.
#[inline(always)]
unsafe fn depthwise_row<V: Vector, const POOLED: bool, const C: usize>(
    this: &Depthwise<'_>,
    width: usize,
    above: *const f32,
    to: *mut f32,
) {
    let channels = if C == 0 { this.biases.len() } else { C };
    // SAFETY: no block goes beyond `width`; a pixel that two blocks share is made twice, of the same inputs. Pooled widths
    // are even, and so is every first pixel of a block then.
    unsafe {
        for first in (0..channels).step_by(V::LANES) {
            let mut weights = [V::splat(0.0); 9];
            for (tap, vector) in weights.iter_mut().enumerate() {
                *vector = V::load(this.weights.as_ptr().add(tap * channels + first));
            }
            let bias = V::load(this.biases.as_ptr().add(first));
            let block = Block { rows: this.rows.map(<[f32]>::as_ptr), channels, first, weights, bias, relu: this.relu };
            let mut x = 0;
            while x < width {
                if width >= 4 {
                    block.run::<POOLED, 4>(x.min(width - 4), above, to);
                    x += 4;
                } else if POOLED {
                    block.run::<POOLED, 2>(x, above, to);
                    x += 2;
                } else {
                    block.run::<POOLED, 1>(x, above, to);
                    x += 1;
                }
            }
        }
    }
}

/// What a block of neighbouring pixels shares.
struct Block<V> {
    rows: [*const f32; 3],
    channels: usize,
    first: usize,
    weights: [V; 9],
    bias: V,
    relu: bool,
}

impl<V: Vector> Block<V> {
    /// # Safety
    /// The rows have `x + P + 2` pixels, `to` has `x + P`, or half of it with `POOLED`, and then `above` has `x + P`.
    #[inline(always)]
    unsafe fn run<const POOLED: bool, const P: usize>(&self, x: usize, above: *const f32, to: *mut f32) {
        let Self { channels, first, .. } = *self;
        // SAFETY: as for the caller.
        unsafe {
            let mut sums = [self.bias; P];
            for (row, weights) in self.rows.iter().zip(self.weights.as_chunks::<3>().0) {
                let from = row.add(x * channels + first);
                for column in 0..P + 2 {
                    let value = V::load(from.add(column * channels));
                    for (tap, weight) in weights.iter().enumerate() {
                        if tap <= column && column - tap < P {
                            sums[column - tap] = value.multiply_add(*weight, sums[column - tap]);
                        }
                    }
                }
            }
            if self.relu {
                for sum in &mut sums {
                    *sum = sum.max(V::splat(0.0));
                }
            }
            if POOLED {
                let above = above.add(x * channels + first);
                for p in (0..P).step_by(2) {
                    let upper = V::load(above.add(p * channels)).max(V::load(above.add((p + 1) * channels)));
                    upper.max(sums[p]).max(sums[p + 1]).store(to.add((x + p) / 2 * channels + first));
                }
            } else {
                for (p, sum) in sums.iter().enumerate() {
                    sum.store(to.add((x + p) * channels + first));
                }
            }
        }
    }
}
