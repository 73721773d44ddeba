//! Loops over a row that the compiler vectorises by itself, for each kind of vector instructions.

use crate::simd_level::{Level, SimdLevel};

macro_rules! for_each_level {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $body:block) => {
        $(#[$doc])*
        pub(super) fn $name(simd: SimdLevel, $($argument: $type),*) {
            #[inline(always)]
            fn portable($($argument: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($argument: $type),*) {
                portable($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) {
                portable($($argument),*);
            }
            match simd.level() {
                // SAFETY: a level exists only where the machine has its instructions.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($argument),*) },
                Level::Portable => portable($($argument),*),
            }
        }
    };
}

for_each_level! {
    /// Writes bytes as numbers, as many as there are of both.
    fn convert(bytes: &[u8], numbers: &mut [f32]) {
        for (number, byte) in numbers.iter_mut().zip(bytes) {
            *number = f32::from(*byte);
        }
    }
}

for_each_level! {
    /// Fills `out` with the largest values of squares of 2x2 pixels of two rows. An odd last pixel is left out.
    fn max_pool(upper: &[f32], lower: &[f32], channels: usize, out: &mut [f32]) {
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        for (out, (upper, lower)) in out.chunks_exact_mut(channels).zip(pairs) {
            let ((a, b), (c, d)) = (upper.split_at(channels), lower.split_at(channels));
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out = larger(larger(*a, *b), larger(*c, *d));
            }
        }
    }
}

for_each_level! {
    /// Fills `out` with the sum of a row and one of half the width, each of whose pixels counts for two.
    fn add_doubled(fine: &[f32], coarse: &[f32], channels: usize, out: &mut [f32]) {
        let pixels = out.chunks_exact_mut(channels).zip(fine.chunks_exact(channels));
        for (x, (out, fine)) in pixels.enumerate() {
            let coarse = &coarse[x / 2 * channels..][..channels];
            for ((out, fine), coarse) in out.iter_mut().zip(fine).zip(coarse) {
                *out = fine + coarse;
            }
        }
    }
}
