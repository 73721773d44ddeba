//! What a network is made of: plain weights, in the order that files have them.

/// A whole network: the stem sees the picture, each level sees the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparableLayers {
    /// The first convolution.
    pub stem: Stem,
    /// The levels of the pyramid, the finest first. Each halves the rows and columns of the one before.
    pub levels: Vec<Level>,
}

/// A 3x3 convolution of stride 2 with a border of one zero, over the three bytes (0 to 255) of each pixel, and ReLU.
#[derive(Debug, Clone, PartialEq)]
pub struct Stem {
    /// `[output][row][column][byte]`, so its last axis is in the order of the picture's bytes.
    pub filters: Vec<f32>,
    /// One per output.
    pub biases: Vec<f32>,
}

/// A level of the feature pyramid. All that follows the lateral unit sees this level's features plus, but on the coarsest
/// level, those after the next coarser level's lateral unit, each cell of it repeated for four of this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// From the features of the finer level, or of the stem, to this level's.
    pub layers: Vec<Layer>,
    /// Sees the sum, and hands its result to the finer level and to the tower.
    pub lateral: Unit,
    /// One after the other, from the lateral unit's result to the heads.
    pub tower: Vec<Unit>,
    /// Each makes some of the values of a cell; all see the tower's result.
    pub heads: Vec<Unit>,
}

/// A layer on the way from level to level.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// Keeps the size.
    Unit(Unit),
    /// The largest value of 2x2 pixels: halves the size.
    MaxPool,
}

/// A 1x1 convolution, then a 3x3 depthwise convolution with a border of one zero, and nothing between.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Values per pixel of what it sees.
    pub inputs: usize,
    /// Values per pixel of what it makes.
    pub outputs: usize,
    /// The 1x1 convolution, `[output][input]`.
    pub pointwise: Vec<f32>,
    /// One per output.
    pub pointwise_biases: Vec<f32>,
    /// The 3x3 convolution, `[output][row][column]`.
    pub depthwise: Vec<f32>,
    /// One per output.
    pub depthwise_biases: Vec<f32>,
    /// Whether negative results become zero.
    pub relu: bool,
}
