//! The three costly stages, each compiled once for any processor and once for those with AVX2, from the same source:
//! the results are equal to the bit, because the compiler neither fuses nor reorders floating-point operations.

use super::features::Features;
use super::filter::{self, Strip, Window};
use super::model::Template;
use super::planes::Planes;

/// Numbers in a [`Vector`].
pub(super) const LANES: usize = 8;

/// Eight numbers that are worked on at once. For the filters, which the compiler does not vectorize well by itself.
pub(super) trait Vector: Copy {
    fn splat(value: f32) -> Self;
    fn load(values: &[f32; LANES]) -> Self;
    fn store(self) -> [f32; LANES];
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
}

/// For any processor.
impl Vector for [f32; LANES] {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        *values
    }

    #[inline(always)]
    fn store(self) -> [f32; LANES] {
        self
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for (a, b) in self.iter_mut().zip(other) {
            *a += b;
        }
        self
    }

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for (a, b) in self.iter_mut().zip(other) {
            *a *= b;
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::{__m256, _mm256_add_ps, _mm256_mul_ps, _mm256_set1_ps};

    use super::{LANES, Vector};

    /// A register. Named only by what runs behind the check for AVX2, which is what makes the calls below sound.
    #[derive(Clone, Copy)]
    pub(super) struct Avx(__m256);

    impl Vector for Avx {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn load(values: &[f32; LANES]) -> Self {
            // SAFETY: both are eight numbers, and every pattern of bits is one.
            Self(unsafe { std::mem::transmute::<[f32; LANES], __m256>(*values) })
        }

        #[inline(always)]
        fn store(self) -> [f32; LANES] {
            // SAFETY: as in `load`.
            unsafe { std::mem::transmute::<__m256, [f32; LANES]>(self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: see the type.
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }
    }
}

macro_rules! with_avx2_where_there_is {
    (
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $body:expr, with AVX2 $avx2:expr }
    ) => {
        $(#[$doc])*
        pub(super) fn $name($($argument: $type),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($argument: $type),*) -> $result {
                    $avx2
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has what the function needs, and it needs nothing else.
                    return unsafe { with_avx2($($argument),*) };
                }
            }
            $body
        }
    };
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $body:expr }) => {
        with_avx2_where_there_is! {
            $(#[$doc])* fn $name($($argument: $type),*) -> $result { $body, with AVX2 $body }
        }
    };
}

with_avx2_where_there_is! {
    /// See [`Planes::resize`].
    fn resize(picture: &Planes, width: usize, height: usize) -> Planes { picture.resize(width, height) }
}

with_avx2_where_there_is! {
    /// See [`Features::extract`].
    fn extract(picture: &Planes) -> Features { Features::extract(picture) }
}

with_avx2_where_there_is! {
    /// See [`filter::search`].
    fn search(features: &Features, strip: Strip, detectors: &[Template], adjust: f64) -> Vec<Window> {
        filter::search::<[f32; LANES]>(features, strip, detectors, adjust),
        with AVX2 filter::search::<avx::Avx>(features, strip, detectors, adjust)
    }
}
