//! The first pass over a block of rows, on the instructions that the machine has.

use crate::block::{BLOCK, Block};
use crate::distance::DIMENSIONS;
use crate::query::EncodedQuery;

/// The vector instructions that the first pass uses. Only this module makes one, after asking the machine, so holding one
/// proves that the machine has these instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SimdLevel(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon,
    #[cfg(any(test, not(target_arch = "x86_64")))]
    Scalar,
}

impl SimdLevel {
    /// Returns the fastest level of this machine.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            // Both ask the machine once per process.
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                return Self(Level::Avx512Vnni);
            }
            if is_x86_feature_detected!("avx2") {
                return Self(Level::Avx2);
            }
            Self(Level::Sse2)
        }
        // Every 64-bit Arm has it; what checks is the cfg of `neon`.
        #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self(Level::Neon);
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self(Level::Scalar)
    }

    /// Returns every level of this machine.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let mut all = vec![Self(Level::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            all.push(Self(Level::Sse2));
            all.extend(is_x86_feature_detected!("avx2").then_some(Self(Level::Avx2)));
        }
        all.extend((!all.contains(&Self::detect())).then(Self::detect));
        all
    }

    /// Returns the name of the instructions.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Sse2 => "sse2",
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Level::Neon => "neon",
            #[cfg(any(test, not(target_arch = "x86_64")))]
            Level::Scalar => "scalar",
        }
    }

    /// Returns the rows of the block, a bit each, whose v is below the limit, and leaves every row's v in `seen`. `ahead`
    /// is the block that comes next.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "only x86-64 can ask ahead"))]
    pub(crate) fn survivors(
        self,
        block: &Block,
        ahead: &Block,
        query: &EncodedQuery,
        limit: f32,
        seen: &mut [f32; BLOCK],
    ) -> u64 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `SimdLevel` of this kind exists only if the machine has these instructions.
            Level::Avx512Vnni => unsafe { x86::avx512(block, ahead, query, limit, seen) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::avx2(block, ahead, query, limit, seen) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: every x86-64 has these.
            Level::Sse2 => unsafe { x86::sse2(block, ahead, query, limit, seen) },
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            // SAFETY: as above.
            Level::Neon => unsafe { arm::neon(block, query, limit, seen) },
            #[cfg(any(test, not(target_arch = "x86_64")))]
            Level::Scalar => scalar(block, query, limit, seen),
        }
    }
}

/// Returns the name of the instructions that [`nearest`](crate::nearest) runs on here: `avx512-vnni`, `avx2`, `sse2`, `neon` or `scalar`.
#[must_use]
pub fn instructions() -> &'static str {
    SimdLevel::detect().name()
}

/// Asks for a row that is wanted soon.
pub(crate) fn prefetch(row: &[f32; DIMENSIONS]) {
    row.iter().step_by(16).for_each(prefetch_line);
}

/// Asks for the line that this is in: the machine's own look-ahead ends at each page.
fn prefetch_line<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that reads nothing, and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// What every machine can do, and the reference that the others are tested against: every x86-64 has better.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn scalar(block: &Block, query: &EncodedQuery, limit: f32, seen: &mut [f32; BLOCK]) -> u64 {
    let mut sums = [0i32; BLOCK];
    for (codes, weights) in block.codes.iter().zip(query.weights.as_chunks::<8>().0) {
        for (sum, codes) in sums.iter_mut().zip(codes.as_chunks::<4>().0) {
            for b in 0..4 {
                *sum += i32::from(codes[b] & 15) * i32::from(weights[b]);
                *sum += i32::from(codes[b] >> 4) * i32::from(weights[4 + b]);
            }
        }
    }
    let mut survivors = 0;
    for row in 0..BLOCK {
        let v = block.squares[row] - query.unit * sums[row] as f32;
        seen[row] = v;
        survivors |= u64::from(v < limit) << row;
    }
    survivors
}

/// Four of the eight weights of a group, as the machine repeats them through a register.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
fn word(weights: &[i8; 8], from: usize) -> i32 {
    i32::from_le_bytes([0, 1, 2, 3].map(|b| weights[from + b] as u8))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{prefetch_line, word};
    use crate::block::{BLOCK, Block, GROUPS};
    use crate::query::EncodedQuery;

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn avx512(
        block: &Block,
        ahead: &Block,
        query: &EncodedQuery,
        limit: f32,
        seen: &mut [f32; BLOCK],
    ) -> u64 {
        let mask = _mm512_set1_epi8(15);
        prefetch_line(&ahead.shares);
        let mut low = [_mm512_setzero_si512(); 4];
        let mut high = low;
        for (g, weights) in query.weights.as_chunks::<8>().0.iter().enumerate() {
            let (first, second) = (_mm512_set1_epi32(word(weights, 0)), _mm512_set1_epi32(word(weights, 4)));
            for (i, codes) in block.codes[g].as_chunks::<64>().0.iter().enumerate() {
                prefetch_line(&ahead.codes[g][64 * i]);
                // SAFETY: 64 bytes are read from an array of 64.
                let codes = unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) };
                low[i] = _mm512_dpbusd_epi32(low[i], _mm512_and_si512(codes, mask), first);
                let codes = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), mask);
                high[i] = _mm512_dpbusd_epi32(high[i], codes, second);
            }
        }
        let (unit, limit) = (_mm512_set1_ps(query.unit), _mm512_set1_ps(limit));
        let mut survivors = 0;
        for (i, squares) in block.squares.as_chunks::<16>().0.iter().enumerate() {
            prefetch_line(&ahead.squares[16 * i]);
            // SAFETY: 16 numbers are read from an array of 16.
            let squares = unsafe { _mm512_loadu_ps(squares.as_ptr()) };
            let sums = _mm512_cvtepi32_ps(_mm512_add_epi32(low[i], high[i]));
            let v = _mm512_sub_ps(squares, _mm512_mul_ps(unit, sums));
            // SAFETY: 16 numbers are written to an array of 16.
            unsafe { _mm512_storeu_ps(seen.as_chunks_mut::<16>().0[i].as_mut_ptr(), v) };
            survivors |= u64::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(v, limit)) << (16 * i);
        }
        survivors
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(block: &Block, ahead: &Block, query: &EncodedQuery, limit: f32, seen: &mut [f32; BLOCK]) -> u64 {
        let (mask, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
        let (unit, limit) = (_mm256_set1_ps(query.unit), _mm256_set1_ps(limit));
        let mut survivors = 0;
        // 32 rows at a time: their sums stay in registers.
        for half in 0..2 {
            let mut sums = [_mm256_setzero_si256(); 4];
            for quarter in 0..GROUPS / 4 {
                // A group adds at most 2 · 2 · 15 · 127 to a sum of 16 bits: four groups fit.
                let mut short = [_mm256_setzero_si256(); 4];
                for g in 4 * quarter..4 * quarter + 4 {
                    let weights = &query.weights.as_chunks::<8>().0[g];
                    let (first, second) = (_mm256_set1_epi32(word(weights, 0)), _mm256_set1_epi32(word(weights, 4)));
                    for (i, short) in short.iter_mut().enumerate() {
                        let at = 4 * half + i;
                        prefetch_line(&ahead.codes[g][32 * at]);
                        // SAFETY: 32 bytes are read from an array of 32.
                        let codes =
                            unsafe { _mm256_loadu_si256(block.codes[g].as_chunks::<32>().0[at].as_ptr().cast()) };
                        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), mask);
                        let low = _mm256_maddubs_epi16(_mm256_and_si256(codes, mask), first);
                        let both = _mm256_add_epi16(low, _mm256_maddubs_epi16(high, second));
                        *short = _mm256_add_epi16(*short, both);
                    }
                }
                for (sum, short) in sums.iter_mut().zip(short) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(short, ones));
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let at = 4 * half + i;
                // SAFETY: 8 numbers are read from an array of 8.
                let squares = unsafe { _mm256_loadu_ps(block.squares.as_chunks::<8>().0[at].as_ptr()) };
                let v = _mm256_sub_ps(squares, _mm256_mul_ps(unit, _mm256_cvtepi32_ps(sums)));
                // SAFETY: 8 numbers are written to an array of 8.
                unsafe { _mm256_storeu_ps(seen.as_chunks_mut::<8>().0[at].as_mut_ptr(), v) };
                let below = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(v, limit));
                survivors |= u64::from(below as u32) << (8 * at);
            }
        }
        survivors
    }

    #[target_feature(enable = "sse2")]
    pub(super) fn sse2(block: &Block, ahead: &Block, query: &EncodedQuery, limit: f32, seen: &mut [f32; BLOCK]) -> u64 {
        let (mask, zero) = (_mm_set1_epi8(15), _mm_setzero_si128());
        let (unit, limit) = (_mm_set1_ps(query.unit), _mm_set1_ps(limit));
        // Four weights twice, as numbers of 16 bits.
        let wide = |word: i32| _mm_srai_epi16::<8>(_mm_unpacklo_epi8(_mm_set1_epi32(word), _mm_set1_epi32(word)));
        let mut survivors = 0;
        // 16 rows at a time, two in a register.
        for quarter in 0..4 {
            let mut sums = [[zero; 2]; 4];
            for (g, weights) in query.weights.as_chunks::<8>().0.iter().enumerate() {
                let (first, second) = (wide(word(weights, 0)), wide(word(weights, 4)));
                prefetch_line(&ahead.codes[g][64 * quarter]);
                for (i, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: 16 bytes are read from an array of 16.
                    let codes =
                        unsafe { _mm_loadu_si128(block.codes[g].as_chunks::<16>().0[4 * quarter + i].as_ptr().cast()) };
                    let low = _mm_and_si128(codes, mask);
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(codes), mask);
                    let front = _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), first);
                    let front = _mm_add_epi32(front, _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), second));
                    let back = _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), first);
                    let back = _mm_add_epi32(back, _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), second));
                    *sums = [_mm_add_epi32(sums[0], front), _mm_add_epi32(sums[1], back)];
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let at = 4 * quarter + i;
                let [front, back] = sums.map(|sums| _mm_castsi128_ps(sums));
                let even = _mm_castps_si128(_mm_shuffle_ps::<0x88>(front, back));
                let odd = _mm_castps_si128(_mm_shuffle_ps::<0xdd>(front, back));
                // SAFETY: 4 numbers are read from an array of 4.
                let squares = unsafe { _mm_loadu_ps(block.squares.as_chunks::<4>().0[at].as_ptr()) };
                let v = _mm_sub_ps(squares, _mm_mul_ps(unit, _mm_cvtepi32_ps(_mm_add_epi32(even, odd))));
                // SAFETY: 4 numbers are written to an array of 4.
                unsafe { _mm_storeu_ps(seen.as_chunks_mut::<4>().0[at].as_mut_ptr(), v) };
                survivors |= u64::from(_mm_movemask_ps(_mm_cmplt_ps(v, limit)) as u32) << (4 * at);
            }
        }
        survivors
    }
}

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod arm {
    use std::arch::aarch64::*;

    use super::word;
    use crate::block::{BLOCK, Block, GROUPS};
    use crate::query::EncodedQuery;

    #[target_feature(enable = "neon")]
    pub(super) fn neon(block: &Block, query: &EncodedQuery, limit: f32, seen: &mut [f32; BLOCK]) -> u64 {
        let mask = vdupq_n_u8(15);
        let limit = vdupq_n_f32(limit);
        // SAFETY: four numbers are read from an array of four.
        let bits = unsafe { vld1q_u32([1u32, 2, 4, 8].as_ptr()) };
        let mut survivors = 0;
        // 16 rows at a time: their sums stay in registers.
        for quarter in 0..4 {
            let mut sums = [vdupq_n_s32(0); 4];
            for half in 0..GROUPS / 8 {
                // A group adds at most 2 · 15 · 127 to a sum of 16 bits: eight groups fit.
                let mut front = [vdupq_n_s16(0); 4];
                let mut back = front;
                for g in 8 * half..8 * half + 8 {
                    let weights = &query.weights.as_chunks::<8>().0[g];
                    let first = vreinterpret_s8_s32(vdup_n_s32(word(weights, 0)));
                    let second = vreinterpret_s8_s32(vdup_n_s32(word(weights, 4)));
                    for i in 0..4 {
                        // SAFETY: 16 bytes are read from an array of 16.
                        let codes = unsafe { vld1q_u8(block.codes[g].as_chunks::<16>().0[4 * quarter + i].as_ptr()) };
                        let low = vreinterpretq_s8_u8(vandq_u8(codes, mask));
                        let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(codes));
                        front[i] = vmlal_s8(front[i], vget_low_s8(low), first);
                        front[i] = vmlal_s8(front[i], vget_low_s8(high), second);
                        back[i] = vmlal_s8(back[i], vget_high_s8(low), first);
                        back[i] = vmlal_s8(back[i], vget_high_s8(high), second);
                    }
                }
                for i in 0..4 {
                    let four = vpaddq_s32(vpaddlq_s16(front[i]), vpaddlq_s16(back[i]));
                    sums[i] = vaddq_s32(sums[i], four);
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                let at = 4 * quarter + i;
                // SAFETY: 4 numbers are read from an array of 4.
                let squares = unsafe { vld1q_f32(block.squares.as_chunks::<4>().0[at].as_ptr()) };
                let v = vsubq_f32(squares, vmulq_n_f32(vcvtq_f32_s32(sums), query.unit));
                // SAFETY: 4 numbers are written to an array of 4.
                unsafe { vst1q_f32(seen.as_chunks_mut::<4>().0[at].as_mut_ptr(), v) };
                let below = vaddvq_u32(vandq_u32(vcltq_f32(v, limit), bits));
                survivors |= u64::from(below) << (4 * at);
            }
        }
        survivors
    }
}
