//! Weights in the order in which the row kernels read them: outputs side by side and padded to whole vectors.

use std::fmt;

use super::describe::{Stem, Unit};
use super::rows::LANES;
use crate::buffer::Buffer;

/// A layer whose weights are not as many as its shape says, or that does not fit the layer before. Holds a sentence that
/// names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError(pub(super) String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

/// Channels as a row holds them.
pub(super) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

/// A dense convolution's weights: `[tap][output]`.
#[derive(Debug)]
pub(super) struct PackedDense {
    pub(super) weights: Buffer<f32>,
    pub(super) biases: Buffer<f32>,
}

impl PackedDense {
    /// From `[output][tap]`.
    fn new(taps: usize, weights: &[f32], biases: &[f32]) -> Self {
        let outputs = padded(biases.len());
        let mut packed = Buffer::zeros(taps * outputs);
        for (output, filter) in weights.chunks_exact(taps).enumerate() {
            for (tap, weight) in filter.iter().enumerate() {
                packed[tap * outputs + output] = *weight;
            }
        }
        Self { weights: packed, biases: padded_biases(biases) }
    }

    /// The stem's 27 taps: row, column, byte.
    pub(super) fn stem(stem: &Stem) -> Result<Self, ShapeError> {
        let outputs = stem.biases.len();
        if outputs == 0 || stem.filters.len() != outputs * 27 {
            return Err(ShapeError(format!("a stem of {outputs} outputs has {} weights", stem.filters.len())));
        }
        Ok(Self::new(27, &stem.filters, &stem.biases))
    }
}

/// A unit's weights.
#[derive(Debug)]
pub(super) struct PackedUnit {
    /// Channels of what it sees, as its rows hold them; those of what it makes are as many as there are biases.
    pub(super) inputs: usize,
    pub(super) taps: usize,
    pub(super) pointwise: PackedDense,
    /// `[row][column][output]`.
    pub(super) depthwise: Buffer<f32>,
    pub(super) depthwise_biases: Buffer<f32>,
    pub(super) relu: bool,
}

impl PackedUnit {
    /// One unit that makes what all these make, side by side. They must see the same `inputs`.
    pub(super) fn new(units: &[Unit], inputs: usize) -> Result<Self, ShapeError> {
        let join = |part: fn(&Unit) -> &Vec<f32>| units.iter().flat_map(part).copied().collect::<Vec<f32>>();
        for unit in units {
            let Unit { outputs, pointwise, pointwise_biases, depthwise, depthwise_biases, .. } = unit;
            let lengths = [pointwise.len(), pointwise_biases.len(), depthwise.len(), depthwise_biases.len()];
            if *outputs == 0 || unit.inputs == 0 || lengths != [outputs * unit.inputs, *outputs, outputs * 9, *outputs]
            {
                return Err(ShapeError(format!("a unit from {} to {outputs} has {lengths:?} weights", unit.inputs)));
            }
            if unit.inputs != inputs {
                return Err(ShapeError(format!(
                    "a unit that sees {} values follows one that makes {inputs}",
                    unit.inputs
                )));
            }
        }
        let Some(relu) = units.first().map(|unit| unit.relu) else {
            return Err(ShapeError("a level has no heads".to_owned()));
        };
        if units.iter().any(|unit| unit.relu != relu) {
            return Err(ShapeError("some heads of a level have an activation and some have none".to_owned()));
        }
        let PackedDense { weights: depthwise, biases: depthwise_biases } =
            PackedDense::new(9, &join(|unit| &unit.depthwise), &join(|unit| &unit.depthwise_biases));
        Ok(Self {
            inputs: padded(inputs),
            taps: inputs,
            pointwise: PackedDense::new(inputs, &join(|unit| &unit.pointwise), &join(|unit| &unit.pointwise_biases)),
            depthwise,
            depthwise_biases,
            relu,
        })
    }

    /// Channels of what it makes, as its rows hold them.
    pub(super) fn outputs(&self) -> usize {
        self.depthwise_biases.len()
    }
}

fn padded_biases(biases: &[f32]) -> Buffer<f32> {
    let mut packed = Buffer::zeros(padded(biases.len()));
    packed[..biases.len()].copy_from_slice(biases);
    packed
}
