//! The residual network that describes a face, one picture a call, on one thread.
//!
//! It begins with a 7 x 7 convolution with stride 2, ReLU and the maximum of 3 x 3 with stride 2. Blocks follow: ReLU of the
//! sum of a block's input and of two 3 x 3 convolutions with a ReLU between them. Where a block's first convolution has stride
//! 2, the input is averaged over 2 x 2; what of the two has fewer channels, rows or columns is filled up with zeros at the
//! end. The mean over all rows and columns goes through a matrix. This is dlib's face recognition network, and any other one
//! of that kind whose channels come in multiples of 32.
//!
//! Convolutions with stride 1 use Winograd's minimal filtering as long as its weights, which are more, pay for
//! themselves. The weights of wide layers are kept as `i16` codes with a factor per output channel: a
//! network is limited by the memory that it has to read there.

#![allow(clippy::needless_range_loop, reason = "rows, columns and lanes index several arrays at once")]

mod buffer;
mod convolution;
mod kernels;
mod product;
#[cfg(test)]
mod reference;
mod stem;
#[cfg(test)]
mod tests;
mod vector;
mod weights;
mod winograd;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use buffer::{Buffer, CHUNK, Map};
use convolution::{Method, Packed};
use kernels::Kernels;
use product::Product;
use stem::{STEM_KERNEL, Stem};
use weights::Precision;

use crate::SimdLevel;

/// Weights as they lie in files: `f32`, lowest byte first.
pub type WeightBytes = [u8; 4];

/// A convolution with plain weights, followed by a ReLU or a sum.
#[derive(Debug, Clone, Copy)]
pub struct Convolution<'a> {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// Rows and columns of a filter.
    pub kernel: usize,
    /// Rows and columns from one output to the next.
    pub stride: usize,
    /// Rows and columns of zeros around the input.
    pub padding: usize,
    /// `[outputs][inputs][kernel][kernel]`, not mirrored.
    pub filters: &'a [WeightBytes],
    /// `[outputs]`.
    pub biases: &'a [WeightBytes],
}

/// ReLU of the sum of the input and of two convolutions of it.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// 3 x 3, with stride 1 and padding 1, or stride 2 and none. A ReLU follows.
    pub first: Convolution<'a>,
    /// 3 x 3 with stride 1 and padding 1, or 1 x 1 without.
    pub second: Convolution<'a>,
}

/// A residual network with plain weights.
#[derive(Debug, Clone)]
pub struct ResidualLayers<'a> {
    /// Rows and columns of the picture.
    pub side: usize,
    /// What is taken from red, green and blue (0 to 255) first.
    pub mean: [f32; 3],
    /// What the rest is multiplied with.
    pub scale: f32,
    /// 7 x 7, three inputs, stride 2, no padding.
    pub stem: Convolution<'a>,
    /// In the order of execution.
    pub blocks: Vec<Block<'a>>,
    /// Numbers that the network returns.
    pub outputs: usize,
    /// `[channels of the last block][outputs]`.
    pub dense: &'a [WeightBytes],
}

/// Why layers are no network that the kernels know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLayers(String);

impl fmt::Display for UnknownLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnknownLayers {}

/// A residual network, packed for the vector instructions of this machine.
pub struct ResidualNetwork {
    kernels: Kernels,
    picture: usize,
    stem: Stem,
    blocks: Vec<PackedBlock>,
    shapes: Vec<Shape>,
    outputs: usize,
    dense: Buffer<f32>,
    work: usize,
    /// Maps of runs that ended, for the next ones.
    idle: Mutex<Vec<Scratch>>,
}

struct PackedBlock {
    first: Packed,
    second: Packed,
    /// Which maps the block reads, uses between its convolutions, and writes.
    input: usize,
    middle: usize,
    output: usize,
}

/// What a map is made of.
#[derive(Clone, Copy)]
struct Shape {
    channels: usize,
    side: usize,
    border: usize,
    outer: usize,
}

impl Shape {
    fn new(channels: usize, side: usize) -> Self {
        Self { channels, side, border: 0, outer: side }
    }

    /// Makes room for what a convolution wants around its input.
    fn widen(&mut self, convolution: &Packed) {
        let (border, outer) = convolution.margins(self.side);
        self.border = self.border.max(border);
        self.outer = self.outer.max(outer);
    }
}

/// The memory of one run.
struct Scratch {
    maps: Vec<Map>,
    work: Buffer<f32>,
}

impl ResidualNetwork {
    /// Packs these layers for a level.
    ///
    /// # Errors
    /// [`UnknownLayers`] if they do not fit each other, or are none that the kernels know.
    pub fn new(layers: &ResidualLayers<'_>, level: SimdLevel) -> Result<Self, UnknownLayers> {
        Self::with_methods(layers, level, method)
    }

    fn with_methods(
        layers: &ResidualLayers<'_>,
        level: SimdLevel,
        method: impl Fn(&Convolution<'_>, usize) -> (Method, Precision),
    ) -> Result<Self, UnknownLayers> {
        let kernels = Kernels::of(level);
        check_filters(&layers.stem, 3)?;
        let Convolution { kernel: STEM_KERNEL, stride: 2, padding: 0, .. } = layers.stem else {
            return Err(UnknownLayers(format!("the first convolution is {}", describe(&layers.stem))));
        };
        let side = Stem::pooled_side(layers.side)
            .ok_or_else(|| UnknownLayers(format!("a picture of {} rows is too small", layers.side)))?;
        let stem = Stem::pack(&kernels, &layers.stem, layers.side, layers.mean, layers.scale);
        let mut work = stem.work();
        let mut shapes = vec![Shape::new(layers.stem.outputs, side)];
        let mut blocks = Vec::with_capacity(layers.blocks.len());
        let mut input = 0;
        for Block { first, second } in &layers.blocks {
            let Shape { channels, side, .. } = shapes[input];
            check_filters(first, channels)?;
            check_filters(second, first.outputs)?;
            let halves = match (first.kernel, first.stride, first.padding) {
                (3, 1, 1) => false,
                (3, 2, 0) => true,
                _ => return Err(UnknownLayers(format!("a block begins with {}", describe(first)))),
            };
            if !matches!((second.kernel, second.stride, second.padding), (3, 1, 1) | (1, 1, 0)) {
                return Err(UnknownLayers(format!("a block ends with {}", describe(second))));
            }
            let next_side = if halves { side / 2 } else { side };
            if side + 2 * first.padding < 3 || second.outputs < channels || (!halves && second.outputs != channels) {
                return Err(UnknownLayers(format!("{} meets {channels} channels of {side} rows", describe(first))));
            }
            let pack = |convolution: &Convolution<'_>, side| {
                let (method, precision) = method(convolution, side);
                Packed::new(&kernels, convolution, method, precision)
            };
            let first_packed = pack(first, side);
            let middle_side = first_packed.output_side(side);
            let second_packed = pack(second, middle_side);
            work = work.max(first_packed.work(side)).max(second_packed.work(middle_side));
            let middle = shapes.len();
            shapes.push(Shape::new(first.outputs, middle_side));
            let output = if halves {
                shapes.push(Shape::new(second.outputs, next_side));
                shapes.len() - 1
            } else {
                input
            };
            shapes[input].widen(&first_packed);
            shapes[middle].widen(&second_packed);
            blocks.push(PackedBlock { first: first_packed, second: second_packed, input, middle, output });
            input = output;
        }
        share_middles(&mut blocks, &mut shapes);
        let channels = shapes[blocks.last().map_or(0, |block| block.output)].channels;
        if layers.dense.len() != channels * layers.outputs || !layers.outputs.is_multiple_of(CHUNK) {
            return Err(UnknownLayers(format!("{channels} channels meet a matrix of {}", layers.dense.len())));
        }
        let dense = pack_dense(&kernels, layers.dense, layers.outputs);
        Ok(Self {
            kernels,
            picture: layers.side,
            stem,
            blocks,
            shapes,
            outputs: layers.outputs,
            dense,
            work,
            idle: Mutex::default(),
        })
    }

    /// Returns rows and columns of the picture.
    #[must_use]
    pub fn side(&self) -> usize {
        self.picture
    }

    /// Returns the network's numbers for a picture: RGB, `side` x `side` pixels of three bytes.
    ///
    /// # Panics
    /// If the picture has another size.
    #[must_use]
    pub fn run(&self, rgb: &[u8]) -> Vec<f32> {
        assert_eq!(rgb.len(), self.picture * self.picture * 3, "a picture's bytes");
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut scratch = taken.unwrap_or_else(|| self.scratch());
        let outputs = self.run_in(rgb, &mut scratch);
        idle().push(scratch);
        outputs
    }

    fn scratch(&self) -> Scratch {
        let maps = self.shapes.iter().map(|shape| Map::zeros(shape.channels, shape.side, shape.border, shape.outer));
        Scratch { maps: maps.collect(), work: Buffer::zeros(self.work) }
    }

    fn run_in(&self, rgb: &[u8], scratch: &mut Scratch) -> Vec<f32> {
        let Scratch { maps, work } = scratch;
        self.stem.run(&self.kernels, rgb, work, &mut maps[0]);
        for block in &self.blocks {
            let [input, middle] = maps.get_disjoint_mut([block.input, block.middle]).expect("two maps");
            block.first.run(&self.kernels, input, work, middle, false);
            if block.output != block.input {
                let [input, output] = maps.get_disjoint_mut([block.input, block.output]).expect("two maps");
                skip(input, output);
            }
            let [middle, output] = maps.get_disjoint_mut([block.middle, block.output]).expect("two maps");
            block.second.run(&self.kernels, middle, work, output, true);
        }
        self.finish(&maps[self.blocks.last().map_or(0, |block| block.output)])
    }

    /// The mean over rows and columns, and the matrix.
    fn finish(&self, map: &Map) -> Vec<f32> {
        let mut means = vec![0.0; map.channels];
        for (chunk, means) in means.chunks_exact_mut(CHUNK).enumerate() {
            for row in 0..map.side {
                let numbers = &map.numbers[map.at(chunk, row, 0)..][..map.side * CHUNK];
                for pixel in numbers.chunks_exact(CHUNK) {
                    for (mean, number) in means.iter_mut().zip(pixel) {
                        *mean += number;
                    }
                }
            }
            let count = (map.side * map.side) as f32;
            means.iter_mut().for_each(|mean| *mean /= count);
        }
        let panel = self.kernels.panel;
        let mut outputs = vec![0.0; self.outputs];
        for (index, sums) in outputs.chunks_exact_mut(panel).enumerate() {
            let product = Product {
                activations: &means,
                chunk_step: CHUNK,
                chunks: map.channels / CHUNK,
                rows: 1,
                sums,
                places: &[],
                add: false,
            };
            self.kernels.multiply(&self.dense[index * map.channels * panel..], product);
        }
        outputs
    }
}

impl fmt::Debug for ResidualNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResidualNetwork").field("side", &self.picture).field("blocks", &self.blocks.len()).finish()
    }
}

/// How a convolution is computed, as measured for dlib's network: see the module's documentation.
fn method(convolution: &Convolution<'_>, side: usize) -> (Method, Precision) {
    let Convolution { inputs, outputs, kernel, stride, .. } = *convolution;
    let wide = inputs.max(outputs) > 64;
    let precision = if wide { Precision::Codes } else { Precision::Exact };
    let method = match (kernel, stride) {
        (3, 1) if side >= 24 => Method::Winograd { tile: 4 },
        (3, 1) if side >= 12 => Method::Winograd { tile: 3 },
        (3, 1) if side >= 6 => Method::Winograd { tile: 2 },
        _ => Method::Taps,
    };
    (method, precision)
}

fn describe(convolution: &Convolution<'_>) -> String {
    let Convolution { outputs, inputs, kernel, stride, padding, .. } = convolution;
    format!(
        "a convolution of {kernel} x {kernel} from {inputs} to {outputs} channels, stride {stride}, padding {padding}"
    )
}

fn check_filters(convolution: &Convolution<'_>, inputs: usize) -> Result<(), UnknownLayers> {
    let Convolution { outputs, kernel, filters, biases, .. } = *convolution;
    let taps = kernel.checked_mul(kernel).and_then(|taps| taps.checked_mul(inputs));
    let whole = outputs > 0 && outputs.is_multiple_of(CHUNK) && (inputs == 3 || inputs.is_multiple_of(CHUNK));
    if convolution.inputs != inputs
        || !whole
        || biases.len() != outputs
        || taps.and_then(|taps| taps.checked_mul(outputs)) != Some(filters.len())
    {
        let found = filters.len();
        return Err(UnknownLayers(format!("{} meets {inputs} channels and {found} weights", describe(convolution))));
    }
    Ok(())
}

/// Blocks whose middles are alike share one map: a block's is free when the block ends.
fn share_middles(blocks: &mut [PackedBlock], shapes: &mut Vec<Shape>) {
    let mut kept: Vec<Shape> = Vec::new();
    let mut moved = vec![None; shapes.len()];
    let mut middles: Vec<usize> = Vec::new();
    for block in blocks.iter_mut() {
        for index in [&mut block.input, &mut block.output] {
            *index = *moved[*index].get_or_insert_with(|| {
                kept.push(shapes[*index]);
                kept.len() - 1
            });
        }
        let Shape { channels, side, border, outer } = shapes[block.middle];
        let alike = middles.iter().copied().find(|&index| {
            let other = kept[index];
            (other.channels, other.side, other.border, other.outer) == (channels, side, border, outer)
        });
        block.middle = alike.unwrap_or_else(|| {
            kept.push(shapes[block.middle]);
            middles.push(kept.len() - 1);
            kept.len() - 1
        });
    }
    if !blocks.is_empty() {
        *shapes = kept;
    }
}

/// Writes what a block adds to its convolutions: the means of 2 x 2, and zeros in the channels beyond the input's.
fn skip(input: &Map, output: &mut Map) {
    for chunk in 0..output.channels / CHUNK {
        for row in 0..output.side {
            for column in 0..output.side {
                let at = output.at(chunk, row, column);
                let to = &mut output.numbers[at..][..CHUNK];
                if chunk >= input.channels / CHUNK {
                    to.fill(0.0);
                    continue;
                }
                let above = &input.numbers[input.at(chunk, 2 * row, 2 * column)..][..2 * CHUNK];
                let below = &input.numbers[input.at(chunk, 2 * row + 1, 2 * column)..][..2 * CHUNK];
                for lane in 0..CHUNK {
                    to[lane] = (above[lane] + above[lane + CHUNK] + (below[lane] + below[lane + CHUNK])) * 0.25;
                }
            }
        }
    }
}

/// Packs a matrix `[inputs][outputs]` as `[panels][inputs][panel]`.
fn pack_dense(kernels: &Kernels, weights: &[WeightBytes], outputs: usize) -> Buffer<f32> {
    let inputs = weights.len() / outputs;
    let panel = kernels.panel;
    let mut packed = Buffer::zeros(weights.len());
    for (input, row) in weights.chunks_exact(outputs).enumerate() {
        for (output, weight) in row.iter().enumerate() {
            packed[(output / panel * inputs + input) * panel + output % panel] = f32::from_le_bytes(*weight);
        }
    }
    packed
}
