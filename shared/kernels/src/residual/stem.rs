//! The first layers: 7 x 7 convolution with stride 2 from RGB bytes, then ReLU and the maximum of 3 x 3 with stride 2.

use super::buffer::{Buffer, CHUNK, Map};
use super::kernels::Kernels;
use super::product::Product;
use crate::residual::Convolution;

/// Rows and columns of a filter.
pub(super) const STEM_KERNEL: usize = 7;
/// Numbers of one row of a filter, three colours each.
pub(super) const STEM_DEPTH: usize = STEM_KERNEL * 3;
/// Numbers from one output's inputs to the next's.
pub(super) const STEM_STEP: usize = 2 * 3;

/// The packed first layers.
pub(super) struct Stem {
    outputs: usize,
    side: usize,
    mean: [f32; 3],
    scale: f32,
    /// `[panels][7][21][panel]`.
    weights: Buffer<f32>,
    biases: Buffer<f32>,
}

impl Stem {
    /// Packs a convolution of checked shape for pictures of this side.
    pub(super) fn pack(
        kernels: &Kernels,
        convolution: &Convolution<'_>,
        side: usize,
        mean: [f32; 3],
        scale: f32,
    ) -> Self {
        let panel = kernels.panel;
        let mut weights = Buffer::zeros(convolution.outputs * STEM_KERNEL * STEM_DEPTH);
        for output in 0..convolution.outputs {
            for channel in 0..3 {
                for row in 0..STEM_KERNEL {
                    for column in 0..STEM_KERNEL {
                        let from = ((output * 3 + channel) * STEM_KERNEL + row) * STEM_KERNEL + column;
                        let depth = (output / panel * STEM_KERNEL + row) * STEM_DEPTH + column * 3 + channel;
                        weights[depth * panel + output % panel] = f32::from_le_bytes(convolution.filters[from]);
                    }
                }
            }
        }
        let mut biases = Buffer::zeros(convolution.outputs);
        for (to, from) in biases.iter_mut().zip(convolution.biases) {
            *to = f32::from_le_bytes(*from);
        }
        Self { outputs: convolution.outputs, side, mean, scale, weights, biases }
    }

    /// Returns rows and columns of the outputs for pictures of this side, or nothing for too small ones.
    pub(super) fn pooled_side(side: usize) -> Option<usize> {
        let convolved = side.checked_sub(STEM_KERNEL)? / 2 + 1;
        Some(convolved.checked_sub(3)? / 2 + 1)
    }

    /// Returns how many numbers of working memory a run takes.
    pub(super) fn work(&self) -> usize {
        self.side * self.side * 3 + 3 * self.columns() * self.outputs
    }

    /// Returns columns (and rows) of the convolution that the maximum looks at.
    fn columns(&self) -> usize {
        Self::pooled_side(self.side).map_or(0, |pooled| 2 * pooled + 1)
    }

    pub(super) fn run(&self, kernels: &Kernels, rgb: &[u8], work: &mut [f32], outputs: &mut Map) {
        let (picture, rows) = work.split_at_mut(self.side * self.side * 3);
        kernels.normalize(rgb, &self.mean, self.scale, picture);
        let columns = self.columns();
        let row_len = columns * self.outputs;
        let panel_len = columns * kernels.panel;
        for pooled in 0..outputs.side {
            // The first of three rows is the last of the three before.
            let first = if pooled == 0 { 0 } else { 1 };
            for row in first..3 {
                let y = 2 * pooled + row;
                let sums = &mut rows[y % 3 * row_len..][..row_len];
                for (panel, sums) in sums.chunks_exact_mut(panel_len).enumerate() {
                    let weights = &self.weights[panel * STEM_KERNEL * STEM_DEPTH * kernels.panel..];
                    let product = Product {
                        activations: &picture[2 * y * self.side * 3..],
                        chunk_step: self.side * 3,
                        chunks: STEM_KERNEL,
                        rows: columns,
                        sums,
                        places: &[],
                        add: false,
                    };
                    kernels.multiply_stem(weights, product);
                }
            }
            self.pool(kernels.panel, &rows[..3 * row_len], pooled, outputs);
        }
    }

    /// The maximum of 3 x 3 with stride 2 of three rows, biases, and ReLU.
    fn pool(&self, panel: usize, rows: &[f32], pooled: usize, outputs: &mut Map) {
        let columns = self.columns();
        let (first, rest) = rows.split_at(columns * self.outputs);
        let (second, third) = rest.split_at(columns * self.outputs);
        let rows = [first, second, third];
        for from in (0..self.outputs).step_by(panel) {
            let biases = &self.biases[from..][..panel];
            for column in 0..outputs.side {
                let at = outputs.at(from / CHUNK, pooled, column) + from % CHUNK;
                let to = &mut outputs.numbers[at..][..panel];
                to.fill(f32::NEG_INFINITY);
                for row in rows {
                    let row = &row[from * columns + 2 * column * panel..][..3 * panel];
                    let (a, rest) = row.split_at(panel);
                    let (b, c) = rest.split_at(panel);
                    for (((to, a), b), c) in to.iter_mut().zip(a).zip(b).zip(c) {
                        *to = larger(larger(*to, *a), larger(*b, *c));
                    }
                }
                for (to, bias) in to.iter_mut().zip(biases) {
                    *to = larger(*to + bias, 0.0);
                }
            }
        }
    }
}

/// Unlike `f32::max`, one instruction: no number here is a NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Writes `(byte - mean) * scale` for bytes that go red, green, blue.
#[inline(always)]
pub(super) fn normalize(bytes: &[u8], mean: &[f32; 3], scale: f32, numbers: &mut [f32]) {
    // Three vectors of any width are whole pixels.
    const GROUP: usize = 48;
    let means: [f32; GROUP] = std::array::from_fn(|i| mean[i % 3]);
    let (groups, rest) = bytes.as_chunks::<GROUP>();
    let (number_groups, number_rest) = numbers.as_chunks_mut::<GROUP>();
    for (bytes, numbers) in groups.iter().zip(number_groups) {
        for i in 0..GROUP {
            numbers[i] = (f32::from(bytes[i]) - means[i]) * scale;
        }
    }
    for (i, (byte, number)) in rest.iter().zip(number_rest).enumerate() {
        *number = (f32::from(*byte) - mean[i % 3]) * scale;
    }
}
