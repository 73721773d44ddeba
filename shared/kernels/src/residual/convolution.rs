//! Packed convolutions: Winograd's minimal filtering if the stride is 1, tap by tap otherwise.

use super::kernels::Kernels;
use super::layers::Convolution;
use super::map::{CHUNK, Map};
use super::product::{Finish, Product};
use super::weights::{Packing, Precision, Weights};
use super::winograd::{F2, F3, F4, InputLine, OutputLine, filter_points};
use crate::buffer::Buffer;

/// Outputs that are computed together at most, so that what lies between the steps stays in the second cache.
const GROUP: usize = 36;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// By tiles of this many rows and columns of outputs.
    Winograd { tile: usize },
    /// By the taps of the filters, each where it meets the input.
    Taps,
}

/// A convolution in the form that its kernels read.
pub(super) struct Packed {
    method: Method,
    outputs: usize,
    inputs: usize,
    /// Rows and columns of a filter.
    kernel: usize,
    stride: usize,
    padding: usize,
    weights: Weights,
    biases: Buffer<f32>,
    /// Output channels that are computed together.
    panel: usize,
}

impl Packed {
    /// Packs a convolution of checked shape.
    pub(super) fn new(kernels: &Kernels, convolution: &Convolution<'_>, method: Method, precision: Precision) -> Self {
        let Convolution { outputs, inputs, kernel, stride, padding, filters, .. } = *convolution;
        let packing = Packing { outputs, inputs, precision, one_factor: method == Method::Taps };
        let weights = match method {
            Method::Winograd { tile: 2 } => {
                packing.pack::<9, 16>(kernels, filters, |filter| flat(filter_points::<F2, 4, 2>(filter)))
            }
            Method::Winograd { tile: 3 } => {
                packing.pack::<9, 25>(kernels, filters, |filter| flat(filter_points::<F3, 5, 3>(filter)))
            }
            Method::Winograd { .. } => {
                packing.pack::<9, 36>(kernels, filters, |filter| flat(filter_points::<F4, 6, 4>(filter)))
            }
            Method::Taps if kernel == 1 => packing.pack::<1, 1>(kernels, filters, |filter| filter),
            Method::Taps => packing.pack::<9, 9>(kernels, filters, |filter| filter),
        };
        let mut biases = Buffer::zeros(outputs);
        for (to, from) in biases.iter_mut().zip(convolution.biases) {
            *to = f32::from_le_bytes(*from);
        }
        let panel = packing.panel(kernels);
        Self { method, outputs, inputs, kernel, stride, padding, weights, biases, panel }
    }

    /// Returns how many rows and columns of zeros the input map has before its first, and how many it has in all.
    pub(super) fn margins(&self, input_side: usize) -> (usize, usize) {
        match self.method {
            Method::Winograd { tile } => (1, input_side.div_ceil(tile) * tile + 2),
            Method::Taps => (0, input_side),
        }
    }

    /// Returns rows and columns of the outputs.
    pub(super) fn output_side(&self, input_side: usize) -> usize {
        (input_side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Returns how many numbers of working memory a run takes.
    pub(super) fn work(&self, input_side: usize) -> usize {
        match self.method {
            Method::Winograd { tile } => {
                let tiles = input_side.div_ceil(tile);
                let plan = TilePlan::new(tile, tiles, self.inputs, self.panel);
                plan.points * (plan.input_step + plan.output_step)
            }
            Method::Taps => {
                let side = self.output_side(input_side);
                let rows = lines_at_once(side) * side;
                rows * (self.kernel * self.kernel * self.inputs + self.panel)
            }
        }
    }

    /// Writes the ReLU of the convolution, or of its sum with what the outputs hold, to the first rows and columns of the
    /// outputs.
    pub(super) fn run(&self, kernels: &Kernels, input: &Map, work: &mut [f32], output: &mut Map, add: bool) {
        assert!(input.channels == self.inputs && output.channels == self.outputs);
        assert!(self.output_side(input.side) <= output.side);
        match self.method {
            Method::Winograd { tile } => self.run_winograd(tile, kernels, input, work, output, add),
            Method::Taps => self.run_taps(kernels, input, work, output, add),
        }
    }

    /// A product with the weights from this one on.
    fn multiply(&self, kernels: &Kernels, first_weight: usize, product: Product<'_>) {
        match &self.weights {
            Weights::Exact(weights) => kernels.multiply(&weights[first_weight..], product),
            Weights::Codes { codes, .. } => kernels.multiply_codes(&codes[first_weight..], product),
        }
    }

    /// Factors of a panel's codes, `[points][panel]`; none for exact weights.
    fn factors(&self, panel_index: usize, points: usize) -> &[f32] {
        match &self.weights {
            Weights::Exact(_) => &[],
            Weights::Codes { factors, .. } => &factors[panel_index * points * self.panel..][..points * self.panel],
        }
    }

    fn run_winograd(&self, tile: usize, kernels: &Kernels, input: &Map, work: &mut [f32], output: &mut Map, add: bool) {
        let tiles = input.side.div_ceil(tile);
        let chunks = self.inputs / CHUNK;
        let plan = TilePlan::new(tile, tiles, self.inputs, self.panel);
        let (inputs, sums) = work.split_at_mut(plan.points * plan.input_step);
        let row_step = input.outer * CHUNK;
        let output_step = output.outer * CHUNK;
        for first in (0..tiles).step_by(plan.lines) {
            let lines = plan.lines.min(tiles - first);
            let count = lines * tiles;
            for chunk in 0..chunks {
                for line in 0..lines {
                    let from = (chunk * input.outer + (first + line) * tile) * row_step;
                    kernels.input_line(
                        tile,
                        InputLine {
                            map: &input.numbers[from..],
                            row_step,
                            tiles,
                            points: &mut inputs[(chunk * count + line * tiles) * CHUNK..],
                            point_step: plan.input_step,
                        },
                    );
                }
            }
            for from in (0..self.outputs).step_by(self.panel) {
                let index = from / self.panel;
                for point in 0..plan.points {
                    self.multiply(
                        kernels,
                        (index * plan.points + point) * self.inputs * self.panel,
                        Product {
                            activations: &inputs[point * plan.input_step..],
                            chunk_step: count * CHUNK,
                            chunks,
                            rows: count,
                            sums: &mut sums[point * plan.output_step..],
                            places: &[],
                            add: false,
                        },
                    );
                }
                for line in 0..lines {
                    let row = (first + line) * tile;
                    let to = output.at(from / CHUNK, row, 0) + from % CHUNK;
                    kernels.output_line(
                        tile,
                        OutputLine {
                            points: &sums[line * tiles * self.panel..],
                            point_step: plan.output_step,
                            factors: self.factors(index, plan.points),
                            biases: &self.biases[from..],
                            panel: self.panel,
                            map: &mut output.numbers[to..],
                            row_step: output_step,
                            rows: tile.min(input.side - row),
                            columns: input.side,
                            add,
                        },
                    );
                }
            }
        }
    }

    fn run_taps(&self, kernels: &Kernels, input: &Map, work: &mut [f32], output: &mut Map, add: bool) {
        let side = self.output_side(input.side);
        let taps = self.kernel * self.kernel;
        let at_once = lines_at_once(side);
        let (gathered, sums) = work.split_at_mut(at_once * side * taps * self.inputs);
        let mut places = Vec::with_capacity(taps * at_once * side);
        for first in (0..side).step_by(at_once) {
            let lines = first..side.min(first + at_once);
            let count = lines.len() * side;
            places.clear();
            let ends = self.gather(kernels, input, lines.clone(), side, gathered, &mut places);
            let whole = places.len() == taps * count;
            let sums = &mut sums[..count * self.panel];
            for from in (0..self.outputs).step_by(self.panel) {
                let index = from / self.panel;
                let weights = index * taps * self.inputs * self.panel;
                let activations = &gathered[..];
                if whole {
                    let product = Product {
                        activations,
                        chunk_step: count * CHUNK,
                        chunks: taps * self.inputs / CHUNK,
                        rows: count,
                        sums,
                        places: &[],
                        add: false,
                    };
                    self.multiply(kernels, weights, product);
                } else {
                    sums.fill(0.0);
                    let mut begin = 0;
                    for (tap, &end) in ends.iter().enumerate().take(taps) {
                        let rows = end - begin;
                        let product = Product {
                            activations: &activations[begin * self.inputs..],
                            chunk_step: rows * CHUNK,
                            chunks: self.inputs / CHUNK,
                            rows,
                            sums,
                            places: &places[begin..end],
                            add: true,
                        };
                        self.multiply(kernels, weights + tap * self.inputs * self.panel, product);
                        begin = end;
                    }
                }
                for (line, sums) in lines.clone().zip(sums.chunks_exact(side * self.panel)) {
                    let to = output.at(from / CHUNK, line, 0) + from % CHUNK;
                    kernels.finish(Finish {
                        sums,
                        factors: self.factors(index, taps),
                        biases: &self.biases[from..],
                        panel: self.panel,
                        map: &mut output.numbers[to..],
                        add,
                    });
                }
            }
        }
    }

    /// Copies what each tap meets of the input: for each tap and chunk of channels the outputs' pixels, one after the
    /// other, without those in the padding. Returns where each tap's places end.
    fn gather(
        &self,
        kernels: &Kernels,
        input: &Map,
        lines: std::ops::Range<usize>,
        side: usize,
        gathered: &mut [f32],
        places: &mut Vec<usize>,
    ) -> [usize; 9] {
        let mut ends = [0; 9];
        for (tap, end) in ends.iter_mut().enumerate().take(self.kernel * self.kernel) {
            let begin = places.len();
            let met = |output: usize, tap: usize| {
                (output * self.stride + tap).checked_sub(self.padding).filter(|&at| at < input.side)
            };
            let mut pixels = Vec::with_capacity(lines.len() * side);
            for line in lines.clone() {
                let Some(row) = met(line, tap / self.kernel) else { continue };
                for column in 0..side {
                    let Some(from) = met(column, tap % self.kernel) else { continue };
                    pixels.push(input.at(0, row, from));
                    places.push((line - lines.start) * side + column);
                }
            }
            *end = places.len();
            let tap_len = pixels.len() * self.inputs;
            let to = &mut gathered[begin * self.inputs..][..tap_len];
            let chunk_step = input.outer * input.outer * CHUNK;
            for (chunk, to) in to.chunks_exact_mut(CHUNK * pixels.len().max(1)).enumerate() {
                kernels.copy_pixels(&input.numbers[chunk * chunk_step..], &pixels, to);
            }
        }
        ends
    }
}

/// How tiles are grouped, and how far apart their points lie.
struct TilePlan {
    /// Points of a tile.
    points: usize,
    /// Lines of tiles that are computed together.
    lines: usize,
    /// Numbers from one point of all inputs to the next, and of all sums. A cache line more than they take: a power of two
    /// would put all points of a tile into one set of the first cache.
    input_step: usize,
    output_step: usize,
}

impl TilePlan {
    fn new(tile: usize, tiles: usize, inputs: usize, panel: usize) -> Self {
        let lines = lines_at_once(tiles);
        let rows = lines * tiles;
        Self { points: (tile + 2).pow(2), lines, input_step: rows * inputs + 16, output_step: rows * panel + 16 }
    }
}

/// Lines of `side` outputs (or tiles) that are computed together: about equally many each time.
fn lines_at_once(side: usize) -> usize {
    let most = (GROUP / side.max(1)).max(1);
    side.div_ceil(side.div_ceil(most).max(1)).max(1)
}

fn flat<const T: usize, const POINTS: usize>(points: [[f32; T]; T]) -> [f32; POINTS] {
    let mut flat = [0.0; POINTS];
    flat.copy_from_slice(points.as_flattened());
    flat
}
