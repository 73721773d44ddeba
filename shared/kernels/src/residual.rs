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

mod convolution;
mod kernels;
mod layers;
mod map;
mod picture;
mod product;
#[cfg(test)]
mod reference;
mod stem;
#[cfg(test)]
mod tests;
mod vector;
mod weights;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{fmt, thread};

use convolution::{Method, Packed};
use kernels::Kernels;
use layers::Placed;
pub use layers::{Block, Convolution, ResidualLayers, UnknownLayers, WeightBytes};
use map::{CHUNK, Map};
use product::Product;
use stem::Stem;
use weights::Precision;

use crate::SimdLevel;
use crate::buffer::Buffer;

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
        method: fn(&Placed<'_>) -> (Method, Precision),
    ) -> Result<Self, UnknownLayers> {
        let kernels = Kernels::of(level);
        let (side, placed) = layers.place()?;
        let stem = Stem::pack(&kernels, &layers.stem, layers.side, layers.mean, layers.scale);
        let mut packed = pack_side_by_side(&kernels, placed.as_flattened(), method).into_iter();
        let mut work = stem.work();
        let mut shapes = vec![Shape::new(layers.stem.outputs, side)];
        let mut blocks = Vec::with_capacity(placed.len());
        let mut input = 0;
        for places in &placed {
            let [first, second] = [packed.next(), packed.next()].map(|packed| packed.expect("as many as there were"));
            work = places
                .iter()
                .zip([&first, &second])
                .map(|(place, packed)| packed.work(place.side))
                .fold(work, usize::max);
            let middle = shapes.len();
            shapes.push(Shape::new(places[0].convolution.outputs, places[1].side));
            let output = if places[0].convolution.stride == 2 {
                shapes.push(Shape::new(places[1].convolution.outputs, places[0].side / 2));
                shapes.len() - 1
            } else {
                input
            };
            shapes[input].widen(&first);
            shapes[middle].widen(&second);
            blocks.push(PackedBlock { first, second, input, middle, output });
            input = output;
        }
        share_middles(&mut blocks, &mut shapes);
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
fn method(&Placed { convolution, side }: &Placed<'_>) -> (Method, Precision) {
    let Convolution { inputs, outputs, kernel, stride, .. } = convolution;
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

/// Packs convolutions on all cores, the last ones first, since they are the largest.
fn pack_side_by_side(
    kernels: &Kernels,
    placed: &[Placed<'_>],
    method: fn(&Placed<'_>) -> (Method, Precision),
) -> Vec<Packed> {
    let packed: Vec<OnceLock<Packed>> = placed.iter().map(|_| OnceLock::new()).collect();
    let left = AtomicUsize::new(placed.len());
    let work = || {
        while let Ok(above) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            let place = &placed[above - 1];
            let (method, precision) = method(place);
            packed[above - 1].get_or_init(|| Packed::new(kernels, &place.convolution, method, precision));
        }
    };
    let others = thread::available_parallelism().map_or(0, |threads| threads.get() - 1).min(placed.len());
    thread::scope(|scope| {
        (0..others).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    packed.into_iter().map(|packed| packed.into_inner().expect("every one was taken by a thread")).collect()
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
