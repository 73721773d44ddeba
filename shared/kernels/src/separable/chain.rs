//! Layers in a row: each takes a row, and hands a row on as soon as it has what one needs.

use super::pack::PackedUnit;
use super::rows::{Dense, Depthwise};
use super::simple::max_pool;
use crate::buffer::Buffer;
use crate::simd_level::SimdLevel;

/// A layer of a chain.
#[derive(Debug)]
pub(super) enum Link {
    /// Keeps the size, or halves it where pooling follows at once.
    Unit { unit: PackedUnit, pooled: bool },
    /// Halves the size. `channels` are those of a row.
    MaxPool { channels: usize },
    /// Hands on what it gets, and keeps it whole.
    Keep,
}

/// What a layer holds between rows.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    /// Rows taken since the start.
    taken: usize,
    /// The last three rows after the 1x1 convolution, with a zero pixel at each end; row `n` at place `n % 3`, and zeros
    /// where the row above the first one would be.
    ring: [Buffer<f32>; 3],
    /// The last row of even number, before pooling.
    above: Buffer<f32>,
    /// The row that is handed on.
    out: Buffer<f32>,
    /// What [`Link::Keep`] keeps.
    pub(super) kept: Buffer<f32>,
}

/// Makes the states ready for rows of `width` pixels, without giving memory back.
pub(super) fn start(links: &[Link], states: &mut Vec<LinkState>, mut width: usize) {
    states.resize_with(links.len(), LinkState::default);
    for (link, state) in links.iter().zip(states) {
        state.taken = 0;
        match link {
            Link::Unit { unit, pooled } => {
                for row in &mut state.ring {
                    row.resize((width + 2) * unit.outputs());
                    let (before, after) = (unit.outputs(), row.len() - unit.outputs());
                    row[..before].fill(0.0);
                    row[after..].fill(0.0);
                }
                state.ring[2].fill(0.0);
                state.above.resize(width * unit.outputs());
                if *pooled {
                    width /= 2;
                }
                state.out.resize(width * unit.outputs());
            }
            Link::MaxPool { channels } => {
                state.above.resize(width * channels);
                width /= 2;
                state.out.resize(width * channels);
            }
            Link::Keep => state.kept.clear(),
        }
    }
}

/// Takes the next row through the links, as far as it leads.
pub(super) fn feed(simd: SimdLevel, links: &[Link], states: &mut [LinkState], row: &[f32]) {
    let (Some((link, links)), Some((state, states))) = (links.split_first(), states.split_first_mut()) else { return };
    let handed_on = match link {
        Link::Unit { unit, pooled } => {
            state.take(simd, unit, row);
            state.taken > 1 && state.make(simd, unit, *pooled)
        }
        Link::MaxPool { channels } => {
            state.taken += 1;
            if state.taken.is_multiple_of(2) {
                max_pool(simd, &state.above, row, *channels, &mut state.out);
            } else {
                state.above.copy_from_slice(row);
            }
            state.taken.is_multiple_of(2)
        }
        Link::Keep => {
            state.kept.extend_from_slice(row);
            return feed(simd, links, states, row);
        }
    };
    if handed_on {
        feed(simd, links, states, &state.out);
    }
}

/// Makes the rows that waited for a row below them.
pub(super) fn finish(simd: SimdLevel, links: &[Link], states: &mut [LinkState]) {
    let (Some((link, links)), Some((state, states))) = (links.split_first(), states.split_first_mut()) else { return };
    if let Link::Unit { unit, pooled } = link
        && state.taken > 0
    {
        state.ring[state.taken % 3].fill(0.0);
        state.taken += 1;
        if state.make(simd, unit, *pooled) {
            feed(simd, links, states, &state.out);
        }
    }
    finish(simd, links, states);
}

impl LinkState {
    /// The 1x1 convolution of the next row.
    fn take(&mut self, simd: SimdLevel, unit: &PackedUnit, row: &[f32]) {
        let PackedUnit { inputs, taps, pointwise, .. } = unit;
        let outputs = unit.outputs();
        let target = &mut self.ring[self.taken % 3];
        let end = target.len() - outputs;
        let dense = Dense {
            rows: &[row],
            stride: *inputs,
            taps: *taps,
            weights: &pointwise.weights,
            biases: &pointwise.biases,
            relu: false,
        };
        dense.run(simd, &mut target[outputs..end]);
        self.taken += 1;
    }

    /// The depthwise convolution around the last row but one. Returns whether `out` is a row to hand on.
    fn make(&mut self, simd: SimdLevel, unit: &PackedUnit, pooled: bool) -> bool {
        let number = self.taken - 2;
        let depthwise = Depthwise {
            rows: [number + 2, number, number + 1].map(|row| &*self.ring[row % 3]),
            weights: &unit.depthwise,
            biases: &unit.depthwise_biases,
            relu: unit.relu,
        };
        match (pooled, number.is_multiple_of(2)) {
            (false, _) => depthwise.run(simd, &mut self.out),
            (true, true) => {
                depthwise.run(simd, &mut self.above);
                return false;
            }
            (true, false) => depthwise.run_pooled(simd, &self.above, &mut self.out),
        }
        true
    }
}
