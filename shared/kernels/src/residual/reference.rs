//! What the layers are by definition, in `f64`, one number after the other.

use super::layers::{Convolution, ResidualLayers, WeightBytes};

/// `[channels][side][side]`.
#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) channels: usize,
    pub(super) side: usize,
    pub(super) numbers: Vec<f64>,
}

impl Tensor {
    fn build(channels: usize, side: usize, mut number: impl FnMut(usize, usize, usize) -> f64) -> Self {
        let mut numbers = Vec::with_capacity(channels * side * side);
        for channel in 0..channels {
            for row in 0..side {
                for column in 0..side {
                    numbers.push(number(channel, row, column));
                }
            }
        }
        Self { channels, side, numbers }
    }

    /// The number there; zero outside.
    pub(super) fn at(&self, channel: usize, row: usize, column: usize) -> f64 {
        match channel < self.channels && row < self.side && column < self.side {
            true => self.numbers[(channel * self.side + row) * self.side + column],
            false => 0.0,
        }
    }

    pub(super) fn relu(mut self) -> Self {
        self.numbers.iter_mut().for_each(|number| *number = number.max(0.0));
        self
    }

    /// The sum; what one lacks is zero.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self::build(self.channels.max(other.channels), self.side.max(other.side), |channel, row, column| {
            self.at(channel, row, column) + other.at(channel, row, column)
        })
    }

    /// What `fold` makes of each window of `window` x `window` numbers, with stride 2.
    pub(super) fn pool(&self, window: usize, fold: impl Fn(&[f64]) -> f64) -> Self {
        Self::build(self.channels, (self.side - window) / 2 + 1, |channel, row, column| {
            let cell = |i: usize| self.at(channel, 2 * row + i / window, 2 * column + i % window);
            fold(&(0..window * window).map(cell).collect::<Vec<_>>())
        })
    }
}

pub(super) fn convolve(input: &Tensor, convolution: &Convolution<'_>) -> Tensor {
    let Convolution { outputs, inputs, kernel, stride, padding, filters, biases } = *convolution;
    let filters: Vec<f64> = filters.iter().map(|&weight| number(weight)).collect();
    let side = (input.side + 2 * padding - kernel) / stride + 1;
    Tensor::build(outputs, side, |output, row, column| {
        let mut sum = number(biases[output]);
        for channel in 0..inputs {
            for tap in 0..kernel * kernel {
                // Rows and columns before the first become too large, and zero like those after the last.
                let row = (row * stride + tap / kernel).wrapping_sub(padding);
                let column = (column * stride + tap % kernel).wrapping_sub(padding);
                sum += filters[(output * inputs + channel) * kernel * kernel + tap] * input.at(channel, row, column);
            }
        }
        sum
    })
}

/// The network's numbers.
pub(super) fn run(layers: &ResidualLayers<'_>, rgb: &[u8]) -> Vec<f64> {
    let picture = Tensor::build(3, layers.side, |channel, row, column| {
        let byte = rgb[(row * layers.side + column) * 3 + channel];
        (f64::from(byte) - f64::from(layers.mean[channel])) * f64::from(layers.scale)
    });
    let largest = |numbers: &[f64]| numbers.iter().copied().fold(f64::MIN, f64::max);
    let mut value = convolve(&picture, &layers.stem).relu().pool(3, largest);
    for block in &layers.blocks {
        let sum = convolve(&convolve(&value, &block.first).relu(), &block.second);
        let skipped = match block.first.stride {
            2 => value.pool(2, |numbers| numbers.iter().sum::<f64>() / 4.0),
            _ => value,
        };
        value = sum.plus(&skipped).relu();
    }
    let pixels = value.side * value.side;
    let means: Vec<f64> =
        value.numbers.chunks_exact(pixels).map(|numbers| numbers.iter().sum::<f64>() / pixels as f64).collect();
    let column = |output: usize| {
        let weights = layers.dense.iter().skip(output).step_by(layers.outputs);
        means.iter().zip(weights).map(|(mean, &weight)| mean * number(weight)).sum()
    };
    (0..layers.outputs).map(column).collect()
}

fn number(bytes: WeightBytes) -> f64 {
    f32::from_le_bytes(bytes).into()
}
