//! The vector operations that the kernels are written in, for each level.
//!
//! Every method is inlined into a function that enables the level's instructions. That, and valid addresses for those
//! that take pointers, is what each `unsafe` method asks of its caller.

use super::map::CHUNK;

/// A vector of `f32`.
pub(super) trait Vector: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of two vectors each for which a product keeps its sums in registers, at most 16.
    const ROWS: usize;

    /// Returns a vector of this number.
    unsafe fn splat(number: f32) -> Self;
    /// Returns the numbers that lie at this address.
    unsafe fn load(from: *const f32) -> Self;
    /// Returns the integers that lie at this address, as `f32`.
    unsafe fn load_codes(from: *const i16) -> Self;
    /// Writes the numbers to this address.
    unsafe fn store(self, to: *mut f32);
    /// Returns the sum.
    unsafe fn add(self, other: Self) -> Self;
    /// Returns the difference.
    unsafe fn sub(self, other: Self) -> Self;
    /// Returns the product.
    unsafe fn mul(self, other: Self) -> Self;
    /// Returns the larger numbers.
    unsafe fn max(self, other: Self) -> Self;
    /// Returns `self * factor + addend`, rounded once where the level has such an instruction.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
}

/// What a kernel loads as a vector: `f32`, or `i16` codes that a factor per output channel turns into weights.
pub(super) trait Weight: Copy {
    /// Returns the weights that lie at this address.
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's promise is the same.
        unsafe { V::load(from) }
    }
}

impl Weight for i16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's promise is the same.
        unsafe { V::load_codes(from) }
    }
}

/// Four numbers on which plain code works; the compiler vectorises it.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Plain([f32; 4]);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = [0.0; 4];
        for lane in 0..4 {
            result[lane] = f(self.0[lane], other.0[lane]);
        }
        Self(result)
    }
}

impl Vector for Plain {
    const LANES: usize = 4;
    // 32 registers on aarch64, 16 on x86-64.
    const ROWS: usize = if cfg!(target_arch = "aarch64") { 12 } else { 6 };

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        Self([number; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises four numbers there.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const i16) -> Self {
        // SAFETY: the caller promises four integers there.
        let codes = unsafe { from.cast::<[i16; 4]>().read_unaligned() };
        Self([codes[0].into(), codes[1].into(), codes[2].into(), codes[3].into()])
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises room for four numbers there.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        if cfg!(target_arch = "aarch64") {
            let mut result = [0.0; 4];
            for lane in 0..4 {
                result[lane] = self.0[lane].mul_add(factor.0[lane], addend.0[lane]);
            }
            Self(result)
        } else {
            // Without the instruction `mul_add` would be a call.
            self.zip(factor, |a, b| a * b).zip(addend, |a, b| a + b)
        }
    }
}

const _: () = assert!(CHUNK.is_multiple_of(Plain::LANES));
