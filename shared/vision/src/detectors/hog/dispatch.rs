//! The three costly stages, each compiled from the same source for any processor, for those with AVX2 and for those with
//! AVX-512: the results are equal to the bit, because the compiler neither fuses nor reorders floating-point operations.

use super::features::Features;
use super::filters::Template;
use super::planes::Planes;
use super::search::{self, Strip, Window};
use super::simd;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// The vector instructions that the costly stages use. A level above [`Level::Portable`] exists only on machines that have
/// its instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimdLevel(Level);

#[derive(Debug, Clone, Copy)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl SimdLevel {
    /// Returns the fastest level of this machine.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self(Level::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Self(Level::Avx2);
            }
        }
        Self(Level::Portable)
    }

    /// Returns every level of this machine.
    #[cfg(test)]
    pub(super) fn available() -> Vec<Self> {
        let all = [
            Level::Portable,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512,
        ];
        let best = Self::detect().0 as usize;
        all.into_iter().filter(|level| *level as usize <= best).map(Self).collect()
    }
}

macro_rules! for_each_level {
    (
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $($function:ident)::+::<_> }
    ) => {
        impl SimdLevel {
            $(#[$doc])*
            pub(super) fn $name(self, $($argument: $type),*) -> $result {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2")]
                fn with_avx2($($argument: $type),*) -> $result {
                    $($function)::+::<x86::Avx2>($($argument),*)
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn with_avx512($($argument: $type),*) -> $result {
                    $($function)::+::<x86::Avx512>($($argument),*)
                }
                match self.0 {
                    Level::Portable => $($function)::+::<simd::Portable>($($argument),*),
                    // SAFETY: such a level exists only if all that the function needs was detected.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => unsafe { with_avx2($($argument),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => unsafe { with_avx512($($argument),*) },
                }
            }
        }
    };
}

for_each_level! {
    /// See [`Planes::resize`].
    fn resize(picture: &Planes, width: usize, height: usize) -> Planes { Planes::resize::<_> }
}

for_each_level! {
    /// See [`Features::extract`].
    fn extract(picture: &Planes) -> Features { Features::extract::<_> }
}

for_each_level! {
    /// See [`search::search`].
    fn search(features: &Features, strip: Strip, detectors: &[Template], adjust: f64) -> Vec<Window> {
        search::search::<_>
    }
}
