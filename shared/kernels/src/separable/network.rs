//! A whole network, and a run of it.

use super::chain::{Link, LinkState, feed, finish, start};
use super::describe::{Layer, Level, SeparableLayers};
use super::pack::{PackedDense, PackedUnit, ShapeError, padded};
use super::rows::Dense;
use super::simple::{add_doubled, convert};
use crate::buffer::Buffer;
use crate::simd_level::SimdLevel;

/// A network whose weights are packed for the kernels. It is shared between threads; each brings a scratch of its own.
#[derive(Debug)]
pub struct SeparableNetwork {
    simd: SimdLevel,
    stem: PackedDense,
    /// From the stem through all levels; the features of each level are kept.
    backbone: Vec<Link>,
    /// The finest first.
    levels: Vec<PackedLevel>,
    /// A picture's sides are padded to a multiple of this.
    alignment: usize,
}

#[derive(Debug)]
struct PackedLevel {
    /// Where the backbone keeps its features.
    kept: usize,
    /// Channels of a row of its features.
    channels: usize,
    /// Channels of a row of what its lateral unit makes.
    lateral: usize,
    /// Lateral unit, kept; tower; heads, kept.
    links: Vec<Link>,
    /// From a pixel of the picture to a cell.
    stride: usize,
    /// How many values the heads make of a cell.
    outputs: usize,
}

/// What a run needs beside the network. It grows to what the largest picture needed, and is reused.
#[derive(Debug, Default)]
pub struct SeparableScratch {
    /// The last three rows of the picture as numbers, with a zero pixel before them.
    pixels: [Buffer<f32>; 3],
    row: Buffer<f32>,
    backbone: Vec<LinkState>,
    levels: Vec<Vec<LinkState>>,
}

/// A picture of three bytes per pixel, rows from the top without gaps.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    width: usize,
    height: usize,
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// Returns the picture, or nothing where `bytes` is not `width * height * 3` long or a side is zero.
    #[must_use]
    pub fn new(width: usize, height: usize, bytes: &'a [u8]) -> Option<Self> {
        let length = width.checked_mul(height)?.checked_mul(3)?;
        (length > 0 && bytes.len() == length).then_some(Self { width, height, bytes })
    }
}

/// What the heads of one level say.
#[derive(Debug, Clone, Copy)]
pub struct LevelOutput<'a> {
    /// Pixels of the picture from cell to cell.
    pub stride: usize,
    /// Cells in a row.
    pub columns: usize,
    /// Rows of cells.
    pub rows: usize,
    channels: usize,
    outputs: usize,
    values: &'a [f32],
}

impl<'a> LevelOutput<'a> {
    /// Returns the values of each cell, row by row: those of the first head, of the second, and so on, as the convolution
    /// gives them.
    pub fn cells(self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.channels).map(move |cell| &cell[..self.outputs])
    }
}

impl SeparableNetwork {
    /// Returns the network for these layers, on the vector instructions given.
    ///
    /// # Errors
    /// [`ShapeError`] where weights are missing or layers don't fit each other.
    pub fn new(layers: &SeparableLayers, simd: SimdLevel) -> Result<Self, ShapeError> {
        let stem = PackedDense::stem(&layers.stem)?;
        let mut channels = layers.stem.biases.len();
        let (mut backbone, mut levels, mut stride) = (Vec::new(), Vec::new(), 2);
        for level in &layers.levels {
            for layer in &level.layers {
                match layer {
                    Layer::Unit(unit) => {
                        let packed = PackedUnit::new(std::slice::from_ref(unit), channels)?;
                        backbone.push(Link::Unit { unit: packed, pooled: false });
                        channels = unit.outputs;
                    }
                    Layer::MaxPool => {
                        stride *= 2;
                        // Pooling right after a unit happens while the unit's results are in registers.
                        match backbone.last_mut() {
                            Some(Link::Unit { pooled: pooled @ false, .. }) => *pooled = true,
                            _ => backbone.push(Link::MaxPool { channels: padded(channels) }),
                        }
                    }
                }
            }
            backbone.push(Link::Keep);
            levels.push(PackedLevel::new(level, backbone.len() - 1, channels, stride)?);
        }
        for (finer, coarser) in levels.iter().zip(&levels[1.min(levels.len())..]) {
            if coarser.stride != finer.stride * 2 || coarser.lateral != finer.channels {
                return Err(ShapeError("a level does not halve the one before, or has other channels".to_owned()));
            }
        }
        let Some(alignment) = levels.last().map(|level| level.stride) else {
            return Err(ShapeError("there are no levels".to_owned()));
        };
        Ok(Self { simd, stem, backbone, levels, alignment })
    }

    /// Returns what the heads say, the finest level first. The picture's sides are padded with zeros, at the right and the
    /// bottom, to a multiple of the coarsest level's stride.
    pub fn run<'a>(&self, scratch: &'a mut SeparableScratch, image: Image<'_>) -> Vec<LevelOutput<'a>> {
        let (width, height) =
            (image.width.next_multiple_of(self.alignment), image.height.next_multiple_of(self.alignment));
        self.run_backbone(scratch, image, width, height);
        scratch.levels.resize_with(self.levels.len(), Vec::new);
        for (number, level) in self.levels.iter().enumerate().rev() {
            let columns = width / level.stride;
            let (states, coarser) = scratch.levels[number..].split_first_mut().expect("there are as many as levels");
            start(&level.links, states, columns);
            let features = &scratch.backbone[level.kept].kept;
            for (y, features) in features.chunks_exact(columns * level.channels).enumerate() {
                match coarser.first().and_then(|states| states.get(LATERAL)) {
                    Some(LinkState { kept, .. }) => {
                        let coarse = kept.chunks_exact(columns / 2 * level.channels).nth(y / 2);
                        scratch.row.resize(features.len());
                        let coarse = coarse.expect("it has half the rows");
                        add_doubled(self.simd, features, coarse, level.channels, &mut scratch.row);
                        feed(self.simd, &level.links, states, &scratch.row);
                    }
                    None => feed(self.simd, &level.links, states, features),
                }
            }
            finish(self.simd, &level.links, states);
        }
        let output = |(level, states): (&PackedLevel, &'a Vec<LinkState>)| LevelOutput {
            stride: level.stride,
            columns: width / level.stride,
            rows: height / level.stride,
            channels: padded(level.outputs),
            outputs: level.outputs,
            values: &states.last().expect("a chain is never empty").kept,
        };
        self.levels.iter().zip(&scratch.levels).map(output).collect()
    }

    fn run_backbone(&self, scratch: &mut SeparableScratch, image: Image<'_>, width: usize, height: usize) {
        let SeparableScratch { pixels, row: out, backbone, .. } = scratch;
        let outputs = self.stem.biases.len();
        start(&self.backbone, backbone, width / 2);
        for row in pixels.iter_mut() {
            row.clear();
            row.resize((width + 1) * 3);
        }
        out.resize(width / 2 * outputs);
        let mut rows = image.bytes.chunks_exact(image.width * 3);
        for _ in 0..height / 2 {
            // The lowest of the last three rows is the uppermost of these.
            pixels.swap(0, 2);
            for pixels in &mut pixels[1..] {
                match rows.next() {
                    Some(row) => convert(self.simd, row, &mut pixels[3..]),
                    None => pixels.fill(0.0),
                }
            }
            let rows = pixels.each_ref().map(|row| &**row);
            let stem = Dense {
                rows: &rows,
                stride: 6,
                taps: 9,
                weights: &self.stem.weights,
                biases: &self.stem.biases,
                relu: true,
            };
            stem.run(self.simd, out);
            feed(self.simd, &self.backbone, backbone, out);
        }
        finish(self.simd, &self.backbone, backbone);
    }
}

/// Where a level keeps its lateral unit's result.
const LATERAL: usize = 1;

impl PackedLevel {
    fn new(level: &Level, kept: usize, channels: usize, stride: usize) -> Result<Self, ShapeError> {
        let mut links =
            vec![Link::Unit { unit: PackedUnit::new(std::slice::from_ref(&level.lateral), channels)?, pooled: false }];
        links.push(Link::Keep);
        let mut seen = level.lateral.outputs;
        for unit in &level.tower {
            links.push(Link::Unit { unit: PackedUnit::new(std::slice::from_ref(unit), seen)?, pooled: false });
            seen = unit.outputs;
        }
        links.push(Link::Unit { unit: PackedUnit::new(&level.heads, seen)?, pooled: false });
        links.push(Link::Keep);
        let outputs = level.heads.iter().map(|head| head.outputs).sum();
        Ok(Self { kept, channels: padded(channels), lateral: padded(level.lateral.outputs), links, stride, outputs })
    }
}
