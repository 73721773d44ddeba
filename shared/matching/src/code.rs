//! Four bits per number: how rows become codes, and how a query is encoded in their terms. The symbols are those of the
//! crate's proof.

use crate::block::{BLOCK, Block, Coded};
use crate::distance::DIMENSIONS;
use crate::query::EncodedQuery;

/// The largest code.
const TOP: f32 = 15.0;

/// The step that loses least of a normal distribution, in standard deviations, for sixteen codes.
const STEP: f64 = 0.335;

/// The codes of rows that are packed together.
#[derive(Clone)]
pub(crate) struct Codes {
    origin: [f32; DIMENSIONS],
    step: [f32; DIMENSIONS],
    /// 2H.
    spread: f64,
    blocks: Vec<Block>,
}

impl Codes {
    pub(crate) fn new(rows: &[[f32; DIMENSIONS]]) -> Self {
        let (origin, step) = grid(rows);
        let mut codes = Self { origin, step, spread: 0.0, blocks: Vec::with_capacity(rows.len().div_ceil(BLOCK)) };
        let mut spread = 0;
        for rows in rows.chunks(BLOCK) {
            let coded: Vec<Coded> = rows.iter().map(|row| codes.encode(row)).collect();
            for row in &coded {
                spread = spread.max(row.code.iter().map(|k| (2 * i32::from(*k) - 15).pow(2)).sum());
            }
            codes.blocks.push(Block::new(&coded));
        }
        codes.spread = f64::from(spread).sqrt();
        codes
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns c of a row.
    #[cfg(test)]
    pub(crate) fn decoded(&self, row: usize) -> [f64; DIMENSIONS] {
        let code = self.blocks[row / BLOCK].code(row % BLOCK);
        std::array::from_fn(|j| f64::from(self.origin[j]) + f64::from(self.step[j]) * f64::from(code[j]))
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.blocks()) + size_of::<Self>()
    }

    fn encode(&self, row: &[f32; DIMENSIONS]) -> Coded {
        // Adding this leaves the nearest whole number in the lowest bits.
        const WHOLE: f32 = 8_388_608.0;
        const LANES: usize = 8;
        let mut code = [0u8; DIMENSIONS];
        let (mut squares, mut residuals, mut steps) = ([0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES]);
        for start in (0..DIMENSIONS).step_by(LANES) {
            for lane in 0..LANES {
                let j = start + lane;
                // Whatever comes out is a code; how good it is, the residual says.
                let place = ((row[j] - self.origin[j]) / self.step[j]).clamp(0.0, TOP);
                let k = (place + WHOLE).to_bits() & 15;
                code[j] = k as u8;
                let along = f64::from(self.step[j]) * f64::from(k);
                let left = f64::from(row[j]) - f64::from(self.origin[j]) - along;
                squares[lane] += along * along;
                residuals[lane] += left * left;
                steps[lane] += f64::from(self.step[j]);
            }
        }
        let residual =
            residuals.iter().sum::<f64>().sqrt() * (1.0 + 2f64.powi(-20)) + steps.iter().sum::<f64>() * 2f64.powi(-40);
        let square = squares.iter().sum::<f64>();
        Coded { code, square: (square as f32).next_down(), residual: (residual as f32).next_up() }
    }

    /// Returns the query in the terms of these codes, or `None` if the numbers are so large that the proof does not cover
    /// them.
    pub(crate) fn encode_query(&self, query: &[f32; DIMENSIONS]) -> Option<EncodedQuery> {
        // As WHOLE above, for f64.
        const WHOLE: f64 = 6_755_399_441_055_744.0;
        const LANES: usize = 8;
        let mut weights = [0.0f64; DIMENSIONS];
        let (mut size, mut largest) = ([0.0f64; LANES], [0.0f64; LANES]);
        let (mut square, mut excess, mut lost) = ([0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES]);
        for start in (0..DIMENSIONS).step_by(LANES) {
            for lane in 0..LANES {
                let j = start + lane;
                let step = f64::from(self.step[j]);
                let y = f64::from(query[j]) - f64::from(self.origin[j]);
                weights[j] = y * step;
                square[lane] += y * y;
                size[lane] += y * y + 225.0 * step * step;
                let weight = weights[j].abs();
                largest[lane] = if weight > largest[lane] { weight } else { largest[lane] };
            }
        }
        let size: f64 = size.iter().sum();
        // Also if it is not a number.
        if !size.is_finite() || size > 1e30 {
            return None;
        }
        let unit = (largest.iter().copied().fold(0.0, f64::max) / 127.0) as f32;
        let unit = if unit.is_normal() { unit } else { 0.0 };
        let per_unit = if unit > 0.0 { 1.0 / f64::from(unit) } else { 0.0 };
        let mut whole = [0i8; DIMENSIONS];
        for start in (0..DIMENSIONS).step_by(LANES) {
            for lane in 0..LANES {
                let j = start + lane;
                let m = (weights[j] * per_unit).clamp(-127.0, 127.0) + WHOLE;
                whole[j] = m.to_bits() as i8;
                let e = weights[j] - f64::from(unit) * (m - WHOLE);
                excess[lane] += e;
                lost[lane] += e * e;
            }
        }
        let [square, excess, lost] = [square, excess, lost].map(|lanes| lanes.iter().sum::<f64>());
        let blur = self.spread * lost.sqrt();
        let rest = blur + f64::from(TOP) * excess - square + size * 2f64.powi(-21);
        Some(EncodedQuery { weights: whole, unit: 2.0 * unit, blur, rest })
    }
}

/// Returns o and s for these rows.
fn grid(rows: &[[f32; DIMENSIONS]]) -> ([f32; DIMENSIONS], [f32; DIMENSIONS]) {
    let (mut low, mut high) = ([f32::INFINITY; DIMENSIONS], [f32::NEG_INFINITY; DIMENSIONS]);
    let mut mean = [0.0f64; DIMENSIONS];
    for row in rows {
        for j in 0..DIMENSIONS {
            low[j] = if row[j] < low[j] { row[j] } else { low[j] };
            high[j] = if row[j] > high[j] { row[j] } else { high[j] };
            mean[j] += f64::from(row[j]);
        }
    }
    let count = rows.len().max(1) as f64;
    mean.iter_mut().for_each(|m| *m /= count);
    let mut variance = [0.0f64; DIMENSIONS];
    for row in rows {
        for j in 0..DIMENSIONS {
            let off = f64::from(row[j]) - mean[j];
            variance[j] += off * off;
        }
    }
    let (mut origin, mut step) = ([0.0; DIMENSIONS], [0.0; DIMENSIONS]);
    for j in 0..DIMENSIONS {
        let (low, high) = (f64::from(low[j]), f64::from(high[j]));
        let (full, usual) = ((high - low) / f64::from(TOP), STEP * (variance[j] / count).sqrt());
        let (o, s) = if full <= usual { (low, full) } else { (mean[j] - f64::from(TOP) / 2.0 * usual, usual) };
        (origin[j], step[j]) = (o as f32, s as f32);
    }
    (origin, step)
}
