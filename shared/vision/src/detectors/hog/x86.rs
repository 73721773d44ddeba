//! The vector instructions of x86-64.

use std::arch::x86_64::*;

use super::simd::{Instructions, Vector};

/// A vector in a register. Named only by what runs behind the check for its instructions, which is what makes the calls
/// below sound.
macro_rules! register {
    ($name:ident, $register:ty, $lanes:literal, $splat:ident, $add:ident, $mul:ident) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name($register);

        impl Vector for $name {
            const LANES: usize = $lanes;
            const MANY_REGISTERS: bool = $lanes == 16;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                // SAFETY: see the macro.
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            fn load(values: &[f32]) -> Self {
                let values: [f32; $lanes] = *values.first_chunk().expect("a whole vector");
                // SAFETY: both are as many numbers, and every pattern of bits is one.
                Self(unsafe { std::mem::transmute::<[f32; $lanes], $register>(values) })
            }

            #[inline(always)]
            fn lanes(self) -> impl Iterator<Item = f32> {
                // SAFETY: as in `load`.
                unsafe { std::mem::transmute::<$register, [f32; $lanes]>(self.0) }.into_iter()
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: see the macro.
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: see the macro.
                Self(unsafe { $mul(self.0, other.0) })
            }
        }
    };
}
register!(Eight, __m256, 8, _mm256_set1_ps, _mm256_add_ps, _mm256_mul_ps);
register!(Sixteen, __m512, 16, _mm512_set1_ps, _mm512_add_ps, _mm512_mul_ps);

/// The SSSE3 instruction that both of the processors below have.
#[inline(always)]
fn pick(bytes: &[u8; 16], places: &[u8; 16]) -> [u8; 16] {
    // SAFETY: bytes are bytes; the instruction is there, see `register`.
    unsafe {
        let (bytes, places) = (_mm_loadu_si128(bytes.as_ptr().cast()), _mm_loadu_si128(places.as_ptr().cast()));
        std::mem::transmute::<__m128i, [u8; 16]>(_mm_shuffle_epi8(bytes, places))
    }
}

pub(super) struct Avx2;

impl Instructions for Avx2 {
    type Narrow = Eight;
    type Wide = Eight;

    #[inline(always)]
    fn pick(bytes: &[u8; 16], places: &[u8; 16]) -> [u8; 16] {
        pick(bytes, places)
    }
}

pub(super) struct Avx512;

impl Instructions for Avx512 {
    type Narrow = Eight;
    type Wide = Sixteen;

    #[inline(always)]
    fn pick(bytes: &[u8; 16], places: &[u8; 16]) -> [u8; 16] {
        pick(bytes, places)
    }
}
