//! The vectors that the row kernels are written in.

/// Several `f32` side by side, on one kind of vector instructions.
///
/// # Safety
/// Every function is to be called where the machine has the instructions of the implementation; that is, below a function
/// with that `target_feature`. `load` and `store` also need `LANES` values behind the pointer.
pub(super) unsafe trait Vector: Copy {
    /// How many values.
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn max(self, other: Self) -> Self;
    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
}

/// Four values that the compiler keeps in one 128-bit register, on any machine.
#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

// SAFETY: needs no instructions beyond the architecture's own.
unsafe impl Vector for Four {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has four values there.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has room for four values there.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // The form that is one instruction; `f32::max` also orders NaN.
        Self(std::array::from_fn(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }))
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|i| {
            let (a, b, c) = (self.0[i], factor.0[i], sum.0[i]);
            // Where the architecture has no fused instruction, `mul_add` would be a call.
            if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
        }))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    macro_rules! register {
        ($name:ident, $lanes:literal, $register:ty, $splat:ident, $load:ident, $store:ident, $max:ident,
         $multiply_add:ident) => {
            #[derive(Clone, Copy)]
            pub(in super::super) struct $name($register);

            // SAFETY: the functions call these instructions and nothing else.
            unsafe impl Vector for $name {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: as the trait demands of the caller.
                    Self(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: as the trait demands of the caller.
                    Self(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: as the trait demands of the caller.
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                unsafe fn max(self, other: Self) -> Self {
                    // SAFETY: as the trait demands of the caller.
                    Self(unsafe { $max(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
                    // SAFETY: as the trait demands of the caller.
                    Self(unsafe { $multiply_add(self.0, factor.0, sum.0) })
                }
            }
        };
    }

    // AVX2 with FMA.
    register!(Eight, 8, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_max_ps, _mm256_fmadd_ps);
    // AVX-512 F.
    register!(Sixteen, 16, __m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_max_ps, _mm512_fmadd_ps);
}
