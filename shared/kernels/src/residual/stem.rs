//! The first layers: 7 x 7 convolution with stride 2 from RGB bytes, then ReLU and the maximum of 3 x 3 with stride 2.

use super::kernels::Kernels;
use super::layers::Convolution;
use super::map::{CHUNK, Map};
use super::picture::{PoolLine, STEM_DEPTH, STEM_KERNEL, pooled_side};
use super::product::Product;
use crate::buffer::Buffer;

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

    /// Returns how many numbers of working memory a run takes.
    pub(super) fn work(&self) -> usize {
        self.side * self.side * 3 + 3 * self.columns() * self.outputs
    }

    /// Returns columns (and rows) of the convolution that the maximum looks at.
    fn columns(&self) -> usize {
        pooled_side(self.side).map_or(0, |pooled| 2 * pooled + 1)
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
            for from in (0..self.outputs).step_by(kernels.panel) {
                let to = outputs.at(from / CHUNK, pooled, 0) + from % CHUNK;
                kernels.pool_line(PoolLine {
                    rows: [0, 1, 2].map(|row| &rows[row * row_len + from * columns..][..panel_len]),
                    biases: &self.biases[from..],
                    panel: kernels.panel,
                    columns: outputs.side,
                    map: &mut outputs.numbers[to..],
                });
            }
        }
    }
}
