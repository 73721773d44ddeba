//! The weights of a convolution, in the order in which the products read them.

use super::kernels::Kernels;
use crate::buffer::Buffer;

/// How weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// `f32`.
    Exact,
    /// `i16` codes with an `f32` factor per output channel (and point): half the memory, 16 times finer than half
    /// precision for the largest weights, and it takes no longer to make a number of.
    Codes,
}

/// `[panels][points][inputs][panel]`; a point is a filter's tap, or one of Winograd's.
pub(super) enum Weights {
    /// The weights themselves.
    Exact(Buffer<f32>),
    /// What the weights of a panel's points are divided by: `[panels][points][panel]`.
    Codes { codes: Buffer<i16>, factors: Buffer<f32> },
}

/// A weight as the description has it: an `f32`, lowest byte first.
pub(super) type Bytes = [u8; 4];

/// How the weights of a convolution are packed.
pub(super) struct Packing {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) precision: Precision,
    /// Whether all points of an output channel share one factor.
    pub(super) one_factor: bool,
}

impl Packing {
    /// Returns how many output channels are computed together.
    pub(super) fn panel(&self, kernels: &Kernels) -> usize {
        match self.precision {
            Precision::Exact => kernels.panel,
            Precision::Codes => kernels.code_panel,
        }
    }

    /// Packs filters `[outputs][inputs]` of `TAPS` weights each, of which `expand` makes `POINTS`.
    pub(super) fn pack<const TAPS: usize, const POINTS: usize>(
        &self,
        kernels: &Kernels,
        filters: &[Bytes],
        expand: impl Fn([f32; TAPS]) -> [f32; POINTS],
    ) -> Weights {
        let filters = filters.as_chunks::<TAPS>().0;
        let panel = self.panel(kernels);
        let panel_len = POINTS * self.inputs * panel;
        let panels = self.outputs / panel;
        let fill = |index: usize, numbers: &mut [f32]| {
            for input in 0..self.inputs {
                for lane in 0..panel {
                    let filter = filters[(index * panel + lane) * self.inputs + input];
                    for (point, number) in expand(filter.map(f32::from_le_bytes)).into_iter().enumerate() {
                        numbers[(point * self.inputs + input) * panel + lane] = number;
                    }
                }
            }
        };
        match self.precision {
            Precision::Exact => {
                let mut packed = Buffer::zeros(panels * panel_len);
                for (index, numbers) in packed.chunks_exact_mut(panel_len).enumerate() {
                    fill(index, numbers);
                }
                Weights::Exact(packed)
            }
            Precision::Codes => {
                let mut codes = Buffer::zeros(panels * panel_len);
                let mut factors = Buffer::zeros(panels * POINTS * panel);
                let mut numbers = vec![0.0; panel_len];
                let parts = codes.chunks_exact_mut(panel_len).zip(factors.chunks_exact_mut(POINTS * panel));
                for (index, (codes, factors)) in parts.enumerate() {
                    fill(index, &mut numbers);
                    self.encode(panel, &numbers, codes, factors);
                }
                Weights::Codes { codes, factors }
            }
        }
    }

    /// Codes of a panel: the largest weight becomes 32,767.
    fn encode(&self, panel: usize, numbers: &[f32], codes: &mut [i16], factors: &mut [f32]) {
        let point_len = self.inputs * panel;
        let largest = |numbers: &[f32], factors: &mut [f32]| {
            for row in numbers.chunks_exact(panel) {
                for (factor, number) in factors.iter_mut().zip(row) {
                    *factor = factor.max(number.abs());
                }
            }
        };
        if self.one_factor {
            let mut shared = vec![0.0; panel];
            largest(numbers, &mut shared);
            factors.chunks_exact_mut(panel).for_each(|factors| factors.copy_from_slice(&shared));
        } else {
            for (numbers, factors) in numbers.chunks_exact(point_len).zip(factors.chunks_exact_mut(panel)) {
                largest(numbers, factors);
            }
        }
        for (point, factors) in factors.chunks_exact_mut(panel).enumerate() {
            let mut inverses = vec![0.0; panel];
            for (factor, inverse) in factors.iter_mut().zip(&mut inverses) {
                *factor /= f32::from(i16::MAX);
                *inverse = if *factor > 0.0 { factor.recip() } else { 0.0 };
            }
            let range = point * point_len..(point + 1) * point_len;
            let rows = numbers[range.clone()].chunks_exact(panel).zip(codes[range].chunks_exact_mut(panel));
            for (numbers, codes) in rows {
                for ((code, number), inverse) in codes.iter_mut().zip(numbers).zip(&inverses) {
                    *code = nearest(number * inverse);
                }
            }
        }
    }
}

/// The nearest integer, without a call: so large an addend leaves no bits behind the point.
fn nearest(number: f32) -> i16 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23
    let shifted = number.clamp(f32::from(-i16::MAX), f32::from(i16::MAX)) + SHIFT;
    (shifted.to_bits() as i32 - SHIFT.to_bits() as i32) as i16
}
