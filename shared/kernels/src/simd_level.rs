use std::fmt;

/// The vector instructions that a kernel uses. Values come from [`SimdLevel::detect`] and [`SimdLevel::available`] alone,
/// so holding one proves that the machine has these instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimdLevel(Level);

/// What a [`SimdLevel`] stands for; kernels match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 F, BW, DQ and VL, with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every machine of the architecture has; the compiler vectorises it.
    Portable,
}

impl SimdLevel {
    /// Returns the fastest level of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().next().unwrap_or(Self(Level::Portable))
    }

    /// Returns every level of this machine, fastest first; the last one is portable.
    pub fn available() -> impl Iterator<Item = Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            levels.extend(avx512.then_some(Level::Avx512));
            levels.extend(avx2.then_some(Level::Avx2));
        }
        levels.push(Level::Portable);
        levels.into_iter().map(Self)
    }

    #[allow(dead_code, reason = "the kernels that dispatch on it")]
    pub(crate) fn level(self) -> Level {
        self.0
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "AVX2",
            Level::Portable => "portable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_level_comes_first_and_the_portable_one_last() {
        let levels: Vec<_> = SimdLevel::available().collect();
        assert_eq!(levels.first(), Some(&SimdLevel::detect()));
        assert_eq!(levels.last().map(ToString::to_string).as_deref(), Some("portable"));
    }
}
