//! The kernels compiled for each level.

use super::map::CHUNK;
use super::picture::{self, PoolLine, STEM_DEPTH, STEM_STEP, pool_line};
use super::product::{Finish, Product, copy_pixels, finish, multiply};
use super::vector::Vector;
use super::winograd::{F2, F3, F4, InputLine, OutputLine, input_line, output_line};
use crate::SimdLevel;
use crate::simd_level::Level;

/// Vectors in a panel of `f32`.
const PANEL_VECTORS: usize = 2;

/// The kernels of one level. Its pointers are private, and only [`Kernels::of`] hands them out, to who has proof in his
/// hands that the processor runs them.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    /// Output channels that a product with `f32` weights computes together.
    pub(super) panel: usize,
    /// The same with `i16` weights.
    pub(super) code_panel: usize,
    multiply: unsafe fn(&[f32], Product<'_>),
    multiply_codes: unsafe fn(&[i16], Product<'_>),
    multiply_stem: unsafe fn(&[f32], Product<'_>),
    finish: unsafe fn(Finish<'_>),
    pool_line: unsafe fn(PoolLine<'_>),
    copy_pixels: unsafe fn(&[f32], &[usize], &mut [f32]),
    normalize: unsafe fn(&[u8], &[f32; 3], f32, &mut [f32]),
    input_lines: [unsafe fn(InputLine<'_>); 3],
    output_lines: [unsafe fn(OutputLine<'_>); 3],
}

macro_rules! level {
    ($kernels:ident, $vector:ty, $code_vectors:expr $(, $features:literal)?) => {{
        $(#[target_feature(enable = $features)])?
        unsafe fn multiply_f32(weights: &[f32], product: Product<'_>) {
            // SAFETY: this function's features are those of the vector.
            unsafe { multiply::<$vector, f32, PANEL_VECTORS, CHUNK, CHUNK>(weights, product) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn multiply_codes(weights: &[i16], product: Product<'_>) {
            // SAFETY: as above.
            unsafe { multiply::<$vector, i16, { $code_vectors }, CHUNK, CHUNK>(weights, product) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn multiply_stem(weights: &[f32], product: Product<'_>) {
            // SAFETY: as above.
            unsafe { multiply::<$vector, f32, PANEL_VECTORS, STEM_DEPTH, STEM_STEP>(weights, product) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn finish_line(line: Finish<'_>) {
            // SAFETY: as above.
            unsafe { finish::<$vector>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn pool(line: PoolLine<'_>) {
            // SAFETY: as above.
            unsafe { pool_line::<$vector>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn copy(from: &[f32], pixels: &[usize], to: &mut [f32]) {
            // SAFETY: as above.
            unsafe { copy_pixels::<$vector>(from, pixels, to) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn normalize(bytes: &[u8], mean: &[f32; 3], scale: f32, numbers: &mut [f32]) {
            picture::normalize(bytes, mean, scale, numbers);
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn input_2(line: InputLine<'_>) {
            // SAFETY: as above.
            unsafe { input_line::<$vector, F2, 4, 2>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn input_3(line: InputLine<'_>) {
            // SAFETY: as above.
            unsafe { input_line::<$vector, F3, 5, 3>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn input_4(line: InputLine<'_>) {
            // SAFETY: as above.
            unsafe { input_line::<$vector, F4, 6, 4>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn output_2(line: OutputLine<'_>) {
            // SAFETY: as above.
            unsafe { output_line::<$vector, F2, 4, 2>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn output_3(line: OutputLine<'_>) {
            // SAFETY: as above.
            unsafe { output_line::<$vector, F3, 5, 3>(line) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn output_4(line: OutputLine<'_>) {
            // SAFETY: as above.
            unsafe { output_line::<$vector, F4, 6, 4>(line) }
        }
        $kernels {
            panel: PANEL_VECTORS * <$vector as Vector>::LANES,
            code_panel: $code_vectors * <$vector as Vector>::LANES,
            multiply: multiply_f32,
            multiply_codes,
            multiply_stem,
            finish: finish_line,
            pool_line: pool,
            copy_pixels: copy,
            normalize,
            input_lines: [input_2, input_3, input_4],
            output_lines: [output_2, output_3, output_4],
        }
    }};
}

impl Kernels {
    /// Returns the kernels of a level.
    pub(super) fn of(level: SimdLevel) -> Self {
        match level.level() {
            // One vector of codes at a time: sixteen rows then share what it costs to make them numbers.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                level!(Kernels, std::arch::x86_64::__m512, 1, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => level!(Kernels, std::arch::x86_64::__m256, 2, "avx2,fma,f16c"),
            Level::Portable => level!(Kernels, super::vector::Plain, 2),
        }
    }

    /// Computes a product with panels of [`panel`](Self::panel).
    pub(super) fn multiply(&self, weights: &[f32], product: Product<'_>) {
        // SAFETY: a `Kernels` is made of a `SimdLevel` alone, which proves that the processor has the instructions.
        unsafe { (self.multiply)(weights, product) }
    }

    /// Computes a product with panels of [`code_panel`](Self::code_panel).
    pub(super) fn multiply_codes(&self, weights: &[i16], product: Product<'_>) {
        // SAFETY: as above.
        unsafe { (self.multiply_codes)(weights, product) }
    }

    /// Computes a product of a picture's rows with panels of [`panel`](Self::panel).
    pub(super) fn multiply_stem(&self, weights: &[f32], product: Product<'_>) {
        // SAFETY: as above.
        unsafe { (self.multiply_stem)(weights, product) }
    }

    /// Makes activations of a line of sums.
    pub(super) fn finish(&self, line: Finish<'_>) {
        // SAFETY: as above.
        unsafe { (self.finish)(line) }
    }

    /// Makes activations of three rows of sums of the first convolution.
    pub(super) fn pool_line(&self, line: PoolLine<'_>) {
        // SAFETY: as above.
        unsafe { (self.pool_line)(line) }
    }

    /// Copies the [`CHUNK`] numbers that begin at each of these places, one after the other.
    pub(super) fn copy_pixels(&self, from: &[f32], pixels: &[usize], to: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.copy_pixels)(from, pixels, to) }
    }

    /// Writes `(byte - mean) * scale` for bytes that go red, green, blue.
    pub(super) fn normalize(&self, bytes: &[u8], mean: &[f32; 3], scale: f32, numbers: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.normalize)(bytes, mean, scale, numbers) }
    }

    /// Transforms a line of tiles of `tile` x `tile` outputs to points.
    pub(super) fn input_line(&self, tile: usize, line: InputLine<'_>) {
        // SAFETY: as above.
        unsafe { (self.input_lines[tile - 2])(line) }
    }

    /// Transforms a line of tiles of `tile` x `tile` outputs from points.
    pub(super) fn output_line(&self, tile: usize, line: OutputLine<'_>) {
        // SAFETY: as above.
        unsafe { (self.output_lines[tile - 2])(line) }
    }
}
