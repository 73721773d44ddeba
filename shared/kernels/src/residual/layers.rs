//! A residual network as its user describes it, and whether the kernels know it.

use std::fmt;

use super::map::CHUNK;
use super::picture::{STEM_KERNEL, pooled_side};

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

impl Convolution<'_> {
    /// Returns rows and columns of the outputs.
    pub(super) fn output_side(&self, input_side: usize) -> usize {
        (input_side + 2 * self.padding - self.kernel) / self.stride + 1
    }
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

/// A convolution that comes to `side` rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) convolution: Convolution<'a>,
    pub(super) side: usize,
}

impl ResidualLayers<'_> {
    /// Returns rows and columns after the first layers, and the two convolutions of each block.
    ///
    /// # Errors
    /// [`UnknownLayers`] if the layers do not fit each other, or are none that the kernels know.
    pub(super) fn place(&self) -> Result<(usize, Vec<[Placed<'_>; 2]>), UnknownLayers> {
        check_filters(&self.stem, 3)?;
        let Convolution { kernel: STEM_KERNEL, stride: 2, padding: 0, .. } = self.stem else {
            return Err(UnknownLayers(format!("the first convolution is {}", describe(&self.stem))));
        };
        let first_side = pooled_side(self.side)
            .ok_or_else(|| UnknownLayers(format!("a picture of {} rows is too small", self.side)))?;
        let (mut channels, mut side) = (self.stem.outputs, first_side);
        let mut placed = Vec::with_capacity(self.blocks.len());
        for &Block { first, second } in &self.blocks {
            check_filters(&first, channels)?;
            check_filters(&second, first.outputs)?;
            let halves = match (first.kernel, first.stride, first.padding) {
                (3, 1, 1) => false,
                (3, 2, 0) => true,
                _ => return Err(UnknownLayers(format!("a block begins with {}", describe(&first)))),
            };
            if !matches!((second.kernel, second.stride, second.padding), (3, 1, 1) | (1, 1, 0)) {
                return Err(UnknownLayers(format!("a block ends with {}", describe(&second))));
            }
            let narrower = second.outputs < channels || (!halves && second.outputs != channels);
            if side + 2 * first.padding < first.kernel || narrower {
                return Err(UnknownLayers(format!("{} meets {channels} channels of {side} rows", describe(&first))));
            }
            let middle = first.output_side(side);
            placed.push([Placed { convolution: first, side }, Placed { convolution: second, side: middle }]);
            side = if halves { side / 2 } else { side };
            channels = second.outputs;
        }
        if channels.checked_mul(self.outputs) != Some(self.dense.len()) || !self.outputs.is_multiple_of(CHUNK) {
            return Err(UnknownLayers(format!("{channels} channels meet a matrix of {}", self.dense.len())));
        }
        Ok((first_side, placed))
    }
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
